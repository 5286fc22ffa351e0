import { meansMoved, pushLineOf } from '../../../../src/gitee/git/push-report.js';

const ref = 'refs/heads/main';
const report = (line: string) => `To https://gitee.com/acme/images.git\n${line}\nDone\n`;

test.each([
  [' \tabc:refs/heads/main\t1111111..2222222', true, ''],
  ['*\tabc:refs/heads/main\t[new branch]', true, ''],
  ['=\tabc:refs/heads/main\t[up to date]', true, ''],
  ['!\tabc:refs/heads/main\t[rejected] (stale info)', false, 'stale info'],
  [
    '!\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)',
    false,
    'pre-receive hook declined',
  ],
])('the line %j is read', (line, accepted, reason) => {
  expect(pushLineOf(report(line), ref)).toEqual({ to: ref, accepted, reason });
});

test('a line about another reference is no answer', () => {
  expect(pushLineOf(report(' \tabc:refs/heads/other\t1..2'), ref)).toBeUndefined();
  expect(pushLineOf('Done\n', ref)).toBeUndefined();
  expect(pushLineOf('', ref)).toBeUndefined();
});

test.each([
  'stale info',
  'fetch first',
  'non-fast-forward',
  'atomic transaction failed',
  'atomic push failed',
  'failed to update ref',
  'incorrect old value provided',
  'reference already exists',
])('(%s) means that the branch may stand elsewhere', (reason) => {
  expect(meansMoved(reason)).toBe(true);
});

test.each(['pre-receive hook declined', 'hook declined', 'unpacker error', ''])('(%s) does not', (reason) => {
  expect(meansMoved(reason)).toBe(false);
});
