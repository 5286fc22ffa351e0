/** What was opened, to be closed in the opposite order. */
export class Opened {
  readonly #closers: (() => Promise<void>)[] = [];

  /** Closes it with the others. */
  add<T extends { close(): Promise<void> }>(one: T): T {
    this.onClose(() => one.close());
    return one;
  }

  onClose(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  /** What was opened last is closed first; one that fails does not keep the others open. */
  async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of [...this.#closers].reverse()) {
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the state could not be closed in order');
  }
}
