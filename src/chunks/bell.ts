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
    return new Promise<void>((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortedBy(signal));
        return;
      }
      const wake = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting.delete(wake);
        reject(abortedBy(signal!));
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
