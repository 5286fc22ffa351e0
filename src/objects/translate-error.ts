import { ChunkError } from '../chunks/api.js';
import { StorageError } from '../index/errors.js';
import { ObjectError } from './errors.js';

const RETRY_AFTER_MAX_MS = 5_000;

/** Turns an error of the storage layer into one of objects; what is not known stays as it is (a bug). */
export function toObjectError(error: unknown): unknown {
  if (error instanceof ChunkError) {
    switch (error.code) {
      case 'spool-full':
        return new ObjectError('slow-down', error.message, {
          cause: error,
          retryAfterMs: error.retryAfterMs ?? 2_000,
        });
      case 'disk-full':
        return new ObjectError('disk-full', error.message, { cause: error, retryAfterMs: 30_000 });
      case 'quota-full':
        return new ObjectError('quota-full', error.message, { cause: error });
      case 'corrupt':
        return new ObjectError('corrupt', error.message, { cause: error });
      case 'missing':
        // So says a store that is half away, too, and not for good; nobody takes a 500 for that.
        return new ObjectError('remote-unavailable', error.message, {
          cause: error,
          retryAfterMs: RETRY_AFTER_MAX_MS,
        });
      case 'remote-unavailable':
      case 'remote-down':
        return new ObjectError(error.code, error.message, {
          cause: error,
          // Gitee may ask for an hour: clients that obey would look as if they hung.
          retryAfterMs: Math.min(error.retryAfterMs ?? 1_000, RETRY_AFTER_MAX_MS),
        });
      case 'aborted':
        return new ObjectError('aborted', error.message, { cause: error });
      default:
        return error.code satisfies never;
    }
  }
  if (error instanceof StorageError) {
    switch (error.code) {
      case 'read-only':
        return new ObjectError('read-only', error.message, { cause: error });
      case 'disk-full':
        return new ObjectError('disk-full', error.message, { cause: error, retryAfterMs: 30_000 });
      case 'not-ready':
      case 'failed': // the process ends, the next one answers
        return new ObjectError('unavailable', error.message, { cause: error, retryAfterMs: 1_000 });
      case 'corrupt':
        return new ObjectError('corrupt', error.message, { cause: error });
      case 'broken-invariant':
        return new ObjectError('internal', error.message, { cause: error });
      default:
        return error.code satisfies never;
    }
  }
  return error;
}

/** Runs an operation and translates what it throws. */
export async function translated<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toObjectError(error);
  }
}
