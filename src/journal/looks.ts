/**
 * Looks at the branch that somebody waits for: many share one, which began after the last of them had asked. So what
 * others wrote before a request came is seen by it.
 */
export class Looks {
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param look must end by itself, within bounds */
  constructor(private readonly look: () => Promise<void>) {}

  /** Rejects as the look does. */
  take(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        this.#running = this.look();
        return this.#running;
      });
    return this.#next;
  }
}
