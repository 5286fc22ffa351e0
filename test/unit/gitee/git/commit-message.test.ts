import { formatMessage, parseTrailers } from '../../../../src/gitee/git/commit-message.js';

test('trailers are read back as written', () => {
  const message = formatMessage('12 changes', [
    ['Gateway-Id', 'gw-1'],
    ['Journal-Seq', '5..17'],
  ]);
  expect(message).toBe('12 changes\n\nGateway-Id: gw-1\nJournal-Seq: 5..17\n');
  const trailers = parseTrailers(message);
  expect(trailers.get('Gateway-Id')).toBe('gw-1');
});

test('a trailer that a message only quotes does not count', () => {
  const quoted = 'Revert "12 changes"\n\nGateway-Id: gw-1\nJournal-Seq: 1..9\n\nIt was wrong.\n';
  expect(parseTrailers(quoted).get('Gateway-Id')).toBeUndefined();
  expect(parseTrailers('Gateway-Id: gw-1\n').size).toBe(0);
});

test('a line break cannot forge a trailer', () => {
  expect(() => formatMessage('s', [['A', 'x\nGateway-Id: gw-2']])).toThrow(RangeError);
  expect(() => formatMessage('s\n\nGateway-Id: gw-2', [])).toThrow(RangeError);
});
