/**
 * Of runs that name the same key one at a time, in the order of the calls; a run may name many. Others do not wait for
 * them. Unlike with a lock per key no order of keys is needed: a call takes its place behind all of its keys at once.
 */
export class InOrder {
  /** Of each key the end of the last run; never rejects. */
  readonly #ends = new Map<string, Promise<unknown>>();

  async run<T>(keys: readonly string[], fn: () => Promise<T>): Promise<T> {
    const before = keys.flatMap((key) => this.#ends.get(key) ?? []);
    const running = before.length === 0 ? fn() : Promise.all(before).then(fn);
    const end = running.catch(() => {});
    for (const key of keys) this.#ends.set(key, end);
    try {
      return await running;
    } finally {
      for (const key of keys) if (this.#ends.get(key) === end) this.#ends.delete(key);
    }
  }

  /** Keys that are named now: the map does not grow with those that were. */
  get size(): number {
    return this.#ends.size;
  }
}
