import type { Clock } from '../async/clock.js';
import { sleepOr } from './sleep-or.js';

/** Wakes the one loop that waits here. What is set stays so until the loop waits, so that nothing is missed. */
export class AutoResetEvent {
  #isSet = false;
  #waiter: (() => void) | undefined;

  constructor(private readonly clock: Clock) {}

  set(): void {
    this.#isSet = true;
    this.#waiter?.();
  }

  /** Resolves when it is set or after the time; rejects with the signal's reason. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#isSet) {
      const set = new Promise<void>((resolve) => {
        this.#waiter = resolve;
      });
      try {
        await sleepOr(this.clock, timeoutMs, signal, set);
      } finally {
        this.#waiter = undefined;
      }
    }
    this.#isSet = false;
  }
}
