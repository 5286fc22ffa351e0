/**
 * One run per key at a time: whoever asks while it runs gets its result. Failures are shared too, and are not
 * kept: the next to ask starts anew. Nobody's abort may end a run that others wait for, so `start` must not
 * use the signal of one caller.
 */
export class SingleFlight<K, V> {
  readonly #running = new Map<K, Promise<V>>();

  /** Joins the run of this key, or starts it. `start` may throw; that is a rejection as any other. */
  run(key: K, start: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running) return running;
    // The first step is put off to a microtask: start() may throw or ask for the same key again at once, and
    // must find this run in the map.
    const flight = Promise.resolve()
      .then(start)
      .finally(() => this.#running.delete(key));
    this.#running.set(key, flight);
    return flight;
  }
}
