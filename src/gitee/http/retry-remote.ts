import type { Clock } from '../../async/clock.js';
import { retry } from '../../async/retry.js';
import { RemoteError } from '../errors.js';

/** Retrying after longer than that is up to whoever has the patience. */
const PATIENCE_MS = 10_000;

export interface RemoteRetry {
  /** Tries in all. */
  readonly attempts: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly random?: () => number;
}

/**
 * Tries again after what may pass by itself (reset, time-out, 5xx, 429), with jitter, waiting at least what
 * the server asked for. Where it asks for more than 10 s the error is thrown at once, with its `retryAfterMs`.
 */
export function retryRemote<T>(run: () => Promise<T>, options: RemoteRetry): Promise<T> {
  const { attempts, clock, signal, random } = options;
  return retry(run, {
    attempts,
    baseMs: 300,
    maxMs: 5_000,
    clock,
    ...(signal ? { signal } : {}),
    ...(random ? { random } : {}),
    isRetryable: (error) =>
      error instanceof RemoteError && error.isTransient && (error.retryAfterMs ?? 0) <= PATIENCE_MS,
    retryAfterMs: (error) => (error instanceof RemoteError ? error.retryAfterMs : undefined),
  });
}
