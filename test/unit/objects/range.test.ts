import { ObjectError } from '../../../src/objects/errors.js';
import { resolveRange } from '../../../src/objects/range.js';
import type { ObjectRecord, RangeRequest } from '../../../src/objects/api.js';

function record(sizeBytes: number, partSizesBytes?: number[]): ObjectRecord {
  return {
    sizeBytes,
    etag: 'e',
    lastModifiedMs: 10_700,
    meta: {},
    body: { kind: 'extents', extents: [] },
    ...(partSizesBytes ? { partSizesBytes } : {}),
  };
}

describe('ranges', () => {
  test.each<[RangeRequest, number, number]>([
    [{ kind: 'from', startBytes: 0 }, 0, 10],
    [{ kind: 'from', startBytes: 3, endInclusiveBytes: 5 }, 3, 6],
    [{ kind: 'from', startBytes: 9, endInclusiveBytes: 100 }, 9, 10],
    [{ kind: 'suffix', lengthBytes: 4 }, 6, 10],
    [{ kind: 'suffix', lengthBytes: 40 }, 0, 10],
  ])('%j of ten bytes is [%d, %d)', (range, startBytes, endBytes) => {
    expect(resolveRange(record(10), { range })).toEqual({ startBytes, endBytes, isPartial: true });
  });

  test.each<[number, RangeRequest]>([
    [10, { kind: 'from', startBytes: 10 }],
    [0, { kind: 'from', startBytes: 0 }],
    [10, { kind: 'suffix', lengthBytes: 0 }],
    [10, { kind: 'part', partNumber: 2 }],
  ])('of %d bytes %j is invalid', (size, range) => {
    expect(() => resolveRange(record(size), { range })).toThrow(ObjectError);
  });

  test('a part of a multipart object is its own range', () => {
    const r = record(12, [5, 5, 2]);
    expect(resolveRange(r, { range: { kind: 'part', partNumber: 2 } })).toEqual({
      startBytes: 5,
      endBytes: 10,
      partsCount: 3,
      isPartial: true,
    });
    expect(resolveRange(r, { range: { kind: 'part', partNumber: 3 } })).toEqual({
      startBytes: 10,
      endBytes: 12,
      partsCount: 3,
      isPartial: true,
    });
  });

  test('part 1 of an empty object is the whole of it, since no range could name its bytes', () => {
    expect(resolveRange(record(0), { range: { kind: 'part', partNumber: 1 } })).toEqual({
      startBytes: 0,
      endBytes: 0,
      isPartial: false,
    });
  });

  test.each([
    ['its ETag', { etags: ['e'] }, true],
    ['another ETag', { etags: ['x'] }, false],
    ['no strong ETag', { etags: [] }, false],
    ['its second', { lastModifiedMs: 10_000 }, true],
    ['a later second', { lastModifiedMs: 11_000 }, false],
  ])('If-Range with %s', (_name, ifRange, holds) => {
    const range: RangeRequest = { kind: 'from', startBytes: 3 };
    expect(resolveRange(record(10), { range, ifRange })).toEqual(
      holds
        ? { startBytes: 3, endBytes: 10, isPartial: true }
        : { startBytes: 0, endBytes: 10, isPartial: false },
    );
  });

  test('a range beyond the end is no error where If-Range names another object', () => {
    const range: RangeRequest = { kind: 'from', startBytes: 10 };
    expect(resolveRange(record(10), { range, ifRange: { etags: ['x'] } }).isPartial).toBe(false);
  });
});
