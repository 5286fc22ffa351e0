/** What an upload that failed is told as, and how long it waits. */
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { UploadTask } from './upload-task.js';

const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Somebody waits, and has a bound of his own: he is told after so many attempts, soon after one another. */
export const URGENT_ATTEMPTS = 4;
const URGENT_BACKOFF_MAX_MS = 4_000;
/** What is said of one object is told to those who wait after so many attempts. */
const OWN_ATTEMPTS = 2;
/** What breaks off without a word is tried soon again before so many attempts. */
const PATIENT_ATTEMPTS = 12;
/** A chunk that fails where others get through comes back after them. */
const SUSPECT_EXTRA_MS = 500;

/** Of a chunk that fails by a fault of its own: how long it waits, and whether that is told to those who wait for it. */
export function ownWait(
  { attempts, chunk, waiters }: UploadTask,
  error: RemoteError,
  random: number,
): { readonly waitMs: number; readonly isOver: boolean } {
  const isNamed = error.oids.includes(chunk.oid);
  const attemptsMax = error.pauses ? 1 : isNamed ? OWN_ATTEMPTS : URGENT_ATTEMPTS;
  const isOver = attempts >= attemptsMax || (isNamed && waiters.size === 0);
  // A line that breaks now and then meets one chunk more often than others: no push waits half a minute for that.
  const isPatient = isNamed ? isOver : attempts >= PATIENT_ATTEMPTS;
  const ceilingMs = ceilingOf(attempts, !isPatient);
  return { waitMs: SUSPECT_EXTRA_MS + askedMs(error) + (0.5 + random / 2) * ceilingMs, isOver };
}

/** Of a chunk that failed where others get through. */
export function aloneWaitMs({ attempts, waiters }: UploadTask, error: RemoteError, random: number): number {
  return SUSPECT_EXTRA_MS + askedMs(error) + random * ceilingOf(attempts, waiters.size > 0);
}

/** Of all of a bucket, after so many rounds that failed. */
export function restMs(rounds: number, isUrgent: boolean, error: RemoteError, random: number): number {
  return askedMs(error) + random * ceilingOf(rounds, isUrgent);
}

export function lost(code: 'chunk-missing' | 'chunk-corrupt', message: string, oid: Oid): RemoteError {
  return new RemoteError(code, message, { oids: [oid] });
}

/** As told to those who wait for this chunk alone. */
export function ownFault(error: RemoteError, { oid }: Chunk, waitMs: number): RemoteError {
  return error.with({ cause: error, oids: [oid], retryAfterMs: Math.max(0, Math.ceil(waitMs)) });
}

/** It names no object: none of them is at fault. */
export function faultOfAll(error: RemoteError): RemoteError {
  return error.oids.length === 0 ? error : error.with({ cause: error, oids: [] });
}

function ceilingOf(failures: number, isUrgent: boolean): number {
  return Math.min(
    isUrgent ? URGENT_BACKOFF_MAX_MS : BACKOFF_MAX_MS,
    BACKOFF_BASE_MS * 2 ** Math.min(failures, 10),
  );
}

function askedMs({ retryAfterMs = 0 }: RemoteError): number {
  return Math.min(retryAfterMs, BACKOFF_MAX_MS);
}
