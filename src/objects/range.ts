import type { ObjectRecord } from '../index/object-record.js';
import type { RangeRequest } from './api.js';
import { ObjectError } from './errors.js';

export interface ResolvedRange {
  readonly startBytes: number;
  /** Exclusive. */
  readonly endBytes: number;
  readonly partsCount?: number;
}

/**
 * RFC 9110 §14.1.2 on an object of known size. A suffix longer than the object is the whole object; a range
 * that begins at or past the end is invalid, of an empty object every range is.
 * @throws ObjectError invalid-range with `sizeBytes`, or with `partNumber` and `partsCount` for a part that does not exist.
 */
export function resolveRange(record: ObjectRecord, range: RangeRequest | undefined): ResolvedRange {
  const size = record.sizeBytes;
  if (!range) return { startBytes: 0, endBytes: size };
  if (range.kind === 'part') return resolvePart(record, range.partNumber);
  if (range.kind === 'suffix') {
    if (range.lengthBytes === 0 || size === 0) invalid(size);
    return { startBytes: Math.max(0, size - range.lengthBytes), endBytes: size };
  }
  if (range.startBytes >= size) invalid(size);
  const end = range.endInclusiveBytes === undefined ? size : Math.min(size, range.endInclusiveBytes + 1);
  return { startBytes: range.startBytes, endBytes: end };
}

function resolvePart(record: ObjectRecord, partNumber: number): ResolvedRange {
  const sizes = record.partSizesBytes;
  if (!sizes || sizes.length === 0) {
    // An object that is no multipart upload is its own part 1 (AWS GetObject, partNumber).
    if (partNumber !== 1) missingPart(partNumber, 1);
    return { startBytes: 0, endBytes: record.sizeBytes };
  }
  if (partNumber > sizes.length) missingPart(partNumber, sizes.length);
  let start = 0;
  for (let i = 0; i < partNumber - 1; i += 1) start += sizes[i]!;
  return { startBytes: start, endBytes: start + sizes[partNumber - 1]!, partsCount: sizes.length };
}

function invalid(sizeBytes: number): never {
  throw new ObjectError('invalid-range', 'the requested range lies outside the object', {
    fields: { sizeBytes },
  });
}

function missingPart(partNumber: number, count: number): never {
  throw new ObjectError('invalid-range', `part ${partNumber} does not exist, the object has ${count}`, {
    fields: { partNumber, partsCount: count },
  });
}
