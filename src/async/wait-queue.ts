import { abortable } from './abort.js';

/** Those who wait, first come, first served. A waiter whose signal fires leaves the queue. */
export class WaitQueue<Ticket> {
  readonly #waiters = new Set<{ readonly ticket: Ticket; readonly admit: () => void }>();

  get length(): number {
    return this.#waiters.size;
  }

  /** What the first asks for; undefined where nobody waits. */
  first(): Ticket | undefined {
    for (const waiter of this.#waiters) return waiter.ticket;
    return undefined;
  }

  /** Lets the first go on. */
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
    return abortable<void>(signal, (resolve) => {
      const waiter = {
        ticket,
        admit: () => {
          this.#waiters.delete(waiter);
          resolve();
        },
      };
      this.#waiters.add(waiter);
      return () => {
        this.#waiters.delete(waiter);
        onLeave();
      };
    });
  }
}
