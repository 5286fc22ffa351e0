import type { Clock } from './clock.js';

export interface RetryOptions {
  /** Tries in all, the first one included. */
  readonly attempts: number;
  /** Upper end of the first wait; it doubles with every further one. */
  readonly baseMs: number;
  /** No wait drawn by us is longer; what the server asks for in `retryAfterMs` is kept as it is. */
  readonly maxMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly isRetryable: (e: unknown) => boolean;
  /** What the server asked for (Retry-After): a lower bound for the wait. */
  readonly retryAfterMs?: (e: unknown) => number | undefined;
  /** In [0, 1); Math.random unless a test owns it. */
  readonly random?: () => number;
}

/**
 * Calls `run` (attempt 1, 2, …) until it resolves, fails for good, or the attempts are used up; then rejects
 * with the last error. Waits are exponential with full jitter, since many chunks fail at the same moment and
 * must not come back at the same moment. The caller bounds the whole with a deadline: a server may ask for any
 * Retry-After.
 */
export async function retry<T>(run: (attempt: number) => Promise<T>, o: RetryOptions): Promise<T> {
  const random = o.random ?? Math.random;
  for (let attempt = 1; ; attempt += 1) {
    o.signal?.throwIfAborted();
    try {
      return await run(attempt);
    } catch (e) {
      if (attempt >= o.attempts || o.signal?.aborted || !o.isRetryable(e)) throw e;
      const ceilingMs = Math.min(o.maxMs, o.baseMs * 2 ** (attempt - 1));
      // The jitter is added to what the server asked for: a thousand clients told "5" would else return as one.
      const waitMs = (o.retryAfterMs?.(e) ?? 0) + random() * ceilingMs;
      await o.clock.sleep(waitMs, o.signal);
    }
  }
}
