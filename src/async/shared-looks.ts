import { setImmediate } from 'node:timers/promises';
import { onAbort } from './abort.js';

/**
 * Looks at something that changes, a branch, of many who want to know how it stands: those who ask while one is under
 * way share the next, which begins after the last of them has asked, so that each sees what was there when he asked.
 */
export class SharedLooks<T> {
  #running: Promise<unknown> = Promise.resolve();
  #next:
    | { readonly look: Promise<T>; readonly waiters: { count: number }; readonly over: AbortController }
    | undefined;

  /** @param look must end by itself, within bounds; the signal ends it where nobody waits any more */
  constructor(private readonly look: (signal: AbortSignal) => Promise<T>) {}

  /** Rejects as the look does, or with the signal's reason. Without a signal the look goes on to its end. */
  async take(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const { look, waiters, over } = (this.#next ??= this.#begin());
    waiters.count += 1;
    if (!signal) return look;
    let release = () => {};
    const left = new Promise<never>((_, reject) => {
      release = onAbort(signal, () => {
        waiters.count -= 1;
        if (waiters.count === 0) {
          over.abort(signal.reason);
          // Whoever comes now begins another.
          if (this.#next?.over === over) this.#next = undefined;
        }
        reject(signal.reason as Error);
      });
    });
    try {
      // Where nobody else waits, the look is over, with all that it runs, when this returns.
      return await Promise.race([look, left.catch((e: unknown) => this.#ended(look, over, e))]);
    } finally {
      release();
    }
  }

  async #ended(look: Promise<T>, over: AbortController, reason: unknown): Promise<never> {
    if (over.signal.aborted) await look.catch(() => {});
    throw reason;
  }

  #begin(): { look: Promise<T>; waiters: { count: number }; over: AbortController } {
    const over = new AbortController();
    const look = this.#running
      .catch(() => {})
      // Those who were woken by the same thing come along.
      .then(() => setImmediate())
      .then(() => {
        if (this.#next?.over === over) this.#next = undefined;
        over.signal.throwIfAborted();
        return this.look(over.signal);
      });
    this.#running = look;
    look.catch(() => {});
    return { look, waiters: { count: 0 }, over };
  }
}
