import { abortable } from '../async/abort.js';
import { abortedBy } from './aborted.js';

/** Wakes all who wait for "something changed"; they look for themselves what it was. */
export class ConditionVariable {
  readonly #waiting = new Set<() => void>();

  notifyAll(): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  }

  /** Resolves at the next notifyAll(); rejects with ChunkError `aborted` when the signal fires. */
  wait(signal?: AbortSignal): Promise<void> {
    const begin = (wake: () => void) => {
      this.#waiting.add(wake);
      return () => void this.#waiting.delete(wake);
    };
    return abortable<void>(signal, begin, abortedBy);
  }
}
