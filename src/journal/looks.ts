/**
 * Looks at the branch that somebody waits for: many share one, which began after the last of them had asked. So what
 * others wrote before a request came is seen by it.
 */
export class Looks<T> {
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<T> | undefined;

  /** @param look must end by itself, within bounds */
  constructor(private readonly look: () => Promise<T>) {}

  /** Rejects as the look does. */
  take(): Promise<T> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        const running = this.look();
        this.#running = running;
        return running;
      });
    return this.#next;
  }
}
