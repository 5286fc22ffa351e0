import type { ObjectRecord } from '../index/object-record.js';
import type { HeadResult, RangeValidator, ReadOptions } from './api.js';
import { ObjectError } from './errors.js';

export type ResolvedRange = Omit<HeadResult, 'record'>;

/**
 * RFC 9110 §14.1.2 on an object of known size. A suffix longer than the object is the whole object; a range
 * that begins at or past the end is invalid, of an empty object every range is. If-Range is looked at first: a
 * range of another object is not asked for at all, be it valid or not.
 * @throws ObjectError invalid-range with `sizeBytes`, or with `partNumber` and `partsCount` for a part that does not exist.
 */
export function resolveRange(
  record: ObjectRecord,
  { range, ifRange }: Pick<ReadOptions, 'range' | 'ifRange'>,
): ResolvedRange {
  const size = record.sizeBytes;
  if (!range || (ifRange && !names(ifRange, record)))
    return { startBytes: 0, endBytes: size, isPartial: false };
  if (range.kind === 'part') return resolvePart(record, range.partNumber);
  if (range.kind === 'suffix') {
    if (range.lengthBytes === 0 || size === 0) invalid(size);
    return { startBytes: Math.max(0, size - range.lengthBytes), endBytes: size, isPartial: true };
  }
  if (range.startBytes >= size) invalid(size);
  const end = range.endInclusiveBytes === undefined ? size : Math.min(size, range.endInclusiveBytes + 1);
  return { startBytes: range.startBytes, endBytes: end, isPartial: true };
}

/** HTTP dates have whole seconds; RFC 9110 §13.1.5 asks for the very date, not for a later one. */
function names(validator: RangeValidator, record: ObjectRecord): boolean {
  if ('etags' in validator) return validator.etags.includes(record.etag);
  return Math.floor(record.lastModifiedMs / 1000) === Math.floor(validator.lastModifiedMs / 1000);
}

function resolvePart(record: ObjectRecord, partNumber: number): ResolvedRange {
  const sizes = record.partSizesBytes;
  if (!sizes || sizes.length === 0) {
    // An object that is no multipart upload is its own part 1 (AWS GetObject, partNumber).
    if (partNumber !== 1) missingPart(partNumber, 1);
    // Of an empty one there are no byte positions, so no 206 could say which these are (RFC 9110 §15.3.7).
    return { startBytes: 0, endBytes: record.sizeBytes, isPartial: record.sizeBytes > 0 };
  }
  if (partNumber > sizes.length) missingPart(partNumber, sizes.length);
  let start = 0;
  for (let i = 0; i < partNumber - 1; i += 1) start += sizes[i]!;
  const sizeBytes = sizes[partNumber - 1]!;
  return {
    startBytes: start,
    endBytes: start + sizeBytes,
    partsCount: sizes.length,
    isPartial: sizeBytes > 0,
  };
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
