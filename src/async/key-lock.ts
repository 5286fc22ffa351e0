import { Semaphore } from './semaphore.js';

/** One run per key at a time, in the order of the calls. Not re-entrant: a run must not lock its own key. */
export class KeyLock {
  readonly #locks = new Map<string, { readonly mutex: Semaphore; users: number }>();

  /** Keys that are locked now: the map does not grow with the keys that were. */
  get size(): number {
    return this.#locks.size;
  }

  /** The signal ends the wait (with its reason), never a run. */
  async run<T>(key: string, fn: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const lock = this.#locks.get(key) ?? { mutex: new Semaphore(1), users: 0 };
    this.#locks.set(key, lock);
    lock.users += 1;
    try {
      return await lock.mutex.run(fn, signal);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) this.#locks.delete(key);
    }
  }
}
