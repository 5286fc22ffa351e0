/**
 * The way of the token service to Gitee: few calls at a time, each with a deadline, and a memory of whether Gitee
 * answers, so that while it does not, those with a remembered verdict need not wait for the deadline.
 */
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { Semaphore } from '../../async/semaphore.js';
import { RemoteError } from '../../gitee/errors.js';
import { AuthError } from '../errors.js';

const PARALLEL = 16;
const WAITING_MAX = 256;
/** How long Gitee counts as unreachable after a call that failed. */
const PAUSE_MS = 5_000;
const RETRY_AFTER_MS = 15_000;

export interface GiteeLineDeps {
  readonly clock: Clock;
  /** Of one call, waiting for a place in the line included. */
  readonly timeoutMs: number;
}

export class GiteeLine {
  readonly #places = new Semaphore(PARALLEL);
  #downUntilMs = 0;

  constructor(private readonly deps: GiteeLineDeps) {}

  /** A call failed a moment ago, and none succeeded since. */
  get isDown(): boolean {
    return this.deps.clock.steadyMs() < this.#downUntilMs;
  }

  /**
   * Rejects with RemoteError where Gitee refuses (`unauthorized`, `forbidden`), and with AuthError `unavailable` for
   * everything that says nothing about who asks: outages, rate limits, garbage.
   */
  async ask<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#places.waiting >= WAITING_MAX) throw unavailable(undefined);
    const timedOut = () => new RemoteError('timeout', 'Gitee did not answer a question of the token service');
    try {
      const value = await withDeadline(
        this.deps.timeoutMs,
        undefined,
        (signal) => this.#places.run(() => call(signal), signal),
        timedOut,
      );
      this.#downUntilMs = 0;
      return value;
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      if (error.code === 'unauthorized' || error.code === 'forbidden') {
        this.#downUntilMs = 0;
        throw error;
      }
      this.#downUntilMs = this.deps.clock.steadyMs() + PAUSE_MS;
      throw unavailable(error);
    }
  }
}

function unavailable(error: RemoteError | undefined): AuthError {
  return new AuthError(
    'unavailable',
    'Gitee cannot be asked at the moment',
    Math.max(error?.retryAfterMs ?? 0, RETRY_AFTER_MS),
    error === undefined ? undefined : { cause: error },
  );
}
