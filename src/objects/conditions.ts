import type { ObjectRecord } from '../index/object-record.js';
import type { Conditions } from './api.js';
import { ObjectError } from './errors.js';

/** Times in HTTP have whole seconds; an object written at .7 s is not newer than its own Last-Modified. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function matches(list: readonly string[], etag: string): boolean {
  return list.includes('*') || list.includes(etag);
}

/**
 * RFC 9110 §13.2.2, in its order; AWS GetObject: If-Match true wins over If-Unmodified-Since false, and
 * If-None-Match false wins over If-Modified-Since true.
 * @throws ObjectError precondition-failed, or not-modified for reads.
 */
export function checkReadConditions(record: ObjectRecord, conditions: Conditions): void {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = conditions;
  const seconds = wholeSeconds(record.lastModifiedMs);
  if (ifMatch) {
    if (!matches(ifMatch, record.etag)) failed('If-Match');
  } else if (ifUnmodifiedSinceMs !== undefined && seconds > wholeSeconds(ifUnmodifiedSinceMs)) {
    failed('If-Unmodified-Since');
  }
  if (ifNoneMatch) {
    if (matches(ifNoneMatch, record.etag)) notModified(record);
  } else if (ifModifiedSinceMs !== undefined && seconds <= wholeSeconds(ifModifiedSinceMs)) {
    notModified(record);
  }
}

/**
 * Conditions of a copy's source: every failure is precondition-failed (AWS CopyObject), there is no 304.
 * @throws ObjectError precondition-failed.
 */
export function checkSourceConditions(record: ObjectRecord, conditions: Conditions): void {
  try {
    checkReadConditions(record, conditions);
  } catch (error) {
    if (error instanceof ObjectError && error.code === 'not-modified') failed('x-amz-copy-source-if-*');
    throw error;
  }
}

/**
 * Conditions of a write on the object as it is; `current` undefined where there is none. AWS PutObject:
 * If-Match on a missing key is NoSuchKey, If-None-Match knows `*` only.
 * @throws ObjectError precondition-failed or no-such-key.
 */
export function checkWriteConditions(current: ObjectRecord | undefined, conditions: Conditions): void {
  if (conditions.ifNoneMatch && current && matches(conditions.ifNoneMatch, current.etag)) {
    failed('If-None-Match');
  }
  if (conditions.ifMatch) {
    if (!current) throw new ObjectError('no-such-key', 'If-Match was given, and the key does not exist');
    if (!matches(conditions.ifMatch, current.etag)) failed('If-Match');
  }
  if (
    conditions.ifUnmodifiedSinceMs !== undefined &&
    current &&
    wholeSeconds(current.lastModifiedMs) > wholeSeconds(conditions.ifUnmodifiedSinceMs)
  ) {
    failed('If-Unmodified-Since');
  }
}

/** True where there is nothing to check, so that no lock and no read is needed. */
export function isUnconditional(conditions: Conditions): boolean {
  return (
    conditions.ifMatch === undefined &&
    conditions.ifNoneMatch === undefined &&
    conditions.ifModifiedSinceMs === undefined &&
    conditions.ifUnmodifiedSinceMs === undefined
  );
}

function failed(condition: string): never {
  throw new ObjectError(
    'precondition-failed',
    'at least one of the preconditions you specified did not hold',
    {
      fields: { condition },
    },
  );
}

function notModified(record: ObjectRecord): never {
  throw new ObjectError('not-modified', 'the object has not changed', {
    fields: {
      etag: record.etag,
      lastModifiedMs: record.lastModifiedMs,
      // RFC 9110 §15.4.5: what a 200 would have said about caching, a 304 says too.
      ...(record.meta.cacheControl === undefined ? {} : { cacheControl: record.meta.cacheControl }),
      ...(record.meta.expires === undefined ? {} : { expires: record.meta.expires }),
    },
  });
}
