/** Those who wait, first come, first served. A waiter whose signal fires leaves the line. */
export class WaitLine<Ticket> {
  readonly #waiters = new Set<{ readonly ticket: Ticket; readonly admit: () => void }>();

  get length(): number {
    return this.#waiters.size;
  }

  /** What the first in line asks for; undefined where nobody waits. */
  first(): Ticket | undefined {
    for (const waiter of this.#waiters) return waiter.ticket;
    return undefined;
  }

  /** Lets the first in line go on. */
  admitFirst(): void {
    for (const waiter of this.#waiters) {
      waiter.admit();
      return;
    }
  }

  /**
   * Waits for admitFirst(), or rejects with the signal's reason. `onLeave` is called after an abort: the one
   * behind may fit where the one who left did not.
   */
  wait(ticket: Ticket, signal: AbortSignal | undefined, onLeave: () => void): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal?.reason as Error);
        onLeave();
      };
      const waiter = {
        ticket,
        admit: () => {
          this.#waiters.delete(waiter);
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
