import { ObjectError } from '../../../src/objects/errors.js';
import { resolveRange } from '../../../src/objects/range.js';
import type { ObjectRecord } from '../../../src/objects/api.js';

function record(sizeBytes: number, partSizesBytes?: number[]): ObjectRecord {
  return {
    sizeBytes,
    etag: 'e',
    lastModifiedMs: 0,
    meta: {},
    body: { kind: 'extents', extents: [] },
    ...(partSizesBytes ? { partSizesBytes } : {}),
  };
}

describe('ranges', () => {
  test.each([
    [{ kind: 'from', startBytes: 0 }, 0, 10],
    [{ kind: 'from', startBytes: 3, endInclusiveBytes: 5 }, 3, 6],
    [{ kind: 'from', startBytes: 9, endInclusiveBytes: 100 }, 9, 10],
    [{ kind: 'suffix', lengthBytes: 4 }, 6, 10],
    [{ kind: 'suffix', lengthBytes: 40 }, 0, 10],
  ] as const)('%j of ten bytes is [%d, %d)', (range, startBytes, endBytes) => {
    expect(resolveRange(record(10), range)).toEqual({ startBytes, endBytes });
  });

  test.each([
    [10, { kind: 'from', startBytes: 10 }],
    [0, { kind: 'from', startBytes: 0 }],
    [10, { kind: 'suffix', lengthBytes: 0 }],
    [10, { kind: 'part', partNumber: 2 }],
  ] as const)('of %d bytes %j is invalid', (size, range) => {
    expect(() => resolveRange(record(size), range)).toThrow(ObjectError);
  });

  test('a part of a multipart object is its own range', () => {
    const r = record(12, [5, 5, 2]);
    expect(resolveRange(r, { kind: 'part', partNumber: 2 })).toEqual({
      startBytes: 5,
      endBytes: 10,
      partsCount: 3,
    });
    expect(resolveRange(r, { kind: 'part', partNumber: 3 })).toEqual({
      startBytes: 10,
      endBytes: 12,
      partsCount: 3,
    });
  });
});
