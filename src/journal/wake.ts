import type { Clock } from '../async/clock.js';

/** Wakes the one loop that waits here. A ring is kept until the loop waits, so that none is missed. */
export class Wake {
  #rung = false;
  #waiter: (() => void) | undefined;

  constructor(private readonly clock: Clock) {}

  ring(): void {
    this.#rung = true;
    this.#waiter?.();
  }

  /** Resolves when it rings or after the time; rejects with the signal's reason. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#rung) {
      const over = new AbortController();
      const rung = new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
      const slept = this.clock.sleep(timeoutMs, AbortSignal.any([signal, over.signal]));
      try {
        await Promise.race([rung, slept]);
      } finally {
        this.#waiter = undefined;
        over.abort();
        slept.catch(() => {}); // it was only there to be raced against
      }
    }
    this.#rung = false;
  }
}
