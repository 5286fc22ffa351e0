import { parseDuration, parseSize } from '../../../../src/server/config/quantity.js';

describe('sizes', () => {
  test.each([
    ['8MiB', 8 * 1024 ** 2],
    ['64 KiB', 65_536],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['20GB', 20e9],
    ['123', 123],
    ['0', 0],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(['', '8 mib', '-1', '1e9', '8M', 'GiB', '99999999TiB', 'toString', '8constructor'])(
    '%j is no size',
    (text) => expect(parseSize(text)).toBeUndefined(),
  );
});

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['60s', 60_000],
    ['1.5m', 90_000],
    ['24h', 86_400_000],
    ['2d', 172_800_000],
    ['0', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each(['60', '', 's', '-5s', '5 min', '1h30m'])('%j is no duration', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});
