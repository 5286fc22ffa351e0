import { WaitQueue } from './wait-queue.js';

/** At most `permits` runs at a time, first come, first served. */
export class Semaphore {
  #free: number;
  readonly #line = new WaitQueue<true>();

  constructor(readonly permits: number) {
    if (!Number.isInteger(permits) || permits < 1)
      throw new RangeError(`a semaphore needs at least 1 permit, not ${permits}`);
    this.#free = permits;
  }

  /** How many wait for a permit. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Runs when a permit is free. The signal ends the wait (with its reason), never a run. */
  async run<T>(fn: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    // A permit that is given back while others wait goes straight to the first of them, so a free one means
    // that nobody waits.
    if (this.#free > 0) this.#free -= 1;
    else await this.#line.wait(true, signal, () => {});
    try {
      return await fn();
    } finally {
      if (this.#line.length > 0) this.#line.admitFirst();
      else this.#free += 1;
    }
  }
}
