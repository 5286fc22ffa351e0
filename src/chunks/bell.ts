import { abortable } from '../async/abort.js';
import { ChunkError } from './api.js';

/** The error for a call that its caller ended. */
export function abortedBy(signal: AbortSignal): ChunkError {
  const reason: unknown = signal.reason;
  if (reason instanceof ChunkError) return reason;
  return new ChunkError('aborted', 'the caller went away', { cause: reason });
}

/** Wakes all who wait for "something changed"; they look for themselves what it was. */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  }

  /** Resolves at the next ring; rejects with ChunkError `aborted` when the signal fires. */
  next(signal?: AbortSignal): Promise<void> {
    const wait = (wake: () => void) => {
      this.#waiting.add(wake);
      return () => void this.#waiting.delete(wake);
    };
    return abortable<void>(signal, wait, abortedBy);
  }
}
