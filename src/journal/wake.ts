import type { Clock } from '../async/clock.js';
import { sleepOr } from './sleep-or.js';

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
      const rung = new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
      try {
        await sleepOr(this.clock, timeoutMs, signal, rung);
      } finally {
        this.#waiter = undefined;
      }
    }
    this.#rung = false;
  }
}
