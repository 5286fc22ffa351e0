import { decodeRow, encodeRow } from '../../../src/buckets/catalogue.js';

const ROW = { name: 'photos', createdMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678), owner: 'AKMAKER' };
/** Format 1 of a row, as it lies on Gitee: it must be readable for ever. */
const BYTES = `{
  "format": 1,
  "name": "photos",
  "created": "2026-01-02T03:04:05.678Z",
  "owner": "AKMAKER"
}
`;

test('a row is written as docs/storage-format.md has it, and read back', () => {
  expect(encodeRow(ROW).toString('utf8')).toBe(BYTES);
  expect(decodeRow(Buffer.from(BYTES))).toEqual(ROW);
});

test('members that a later gateway adds are ignored', () => {
  expect(decodeRow(Buffer.from(BYTES.replace('"format": 1,', '"format": 1, "more": [1],')))).toEqual(ROW);
});

test.each([
  ['a newer format', BYTES.replace('"format": 1', '"format": 2')],
  ['no time', BYTES.replace('2026-01-02T03:04:05.678Z', 'yesterday')],
  ['no JSON', '{'],
  ['nothing', ''],
])('a row with %s cannot be read, and says so instead of guessing', (_what, text) => {
  expect(decodeRow(Buffer.from(text))).toBeUndefined();
});
