import type { Clock } from '../async/clock.js';

/** Values that end by themselves, at most so many: the oldest makes room. For what may be lost at a restart. */
export class ExpiringMap<V> {
  /** In order of their end, since all live equally long from their last `set`. */
  readonly #rows = new Map<string, { readonly value: V; readonly endsAtMs: number }>();

  constructor(
    private readonly options: { readonly lifeMs: number; readonly max: number; readonly clock: Clock },
  ) {}

  get size(): number {
    this.#expire();
    return this.#rows.size;
  }

  /** Its life begins anew. */
  set(key: string, value: V): void {
    this.#expire();
    this.#rows.delete(key);
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size < this.options.max) break;
      this.#rows.delete(oldest);
    }
    this.#rows.set(key, { value, endsAtMs: this.options.clock.steadyMs() + this.options.lifeMs });
  }

  get(key: string): V | undefined {
    this.#expire();
    return this.#rows.get(key)?.value;
  }

  /** The value, which is not there afterwards. */
  take(key: string): V | undefined {
    const value = this.get(key);
    this.#rows.delete(key);
    return value;
  }

  /** Ends all that the test says. */
  removeWhere(test: (value: V) => boolean): void {
    for (const [key, { value }] of this.#rows) if (test(value)) this.#rows.delete(key);
  }

  #expire(): void {
    const nowMs = this.options.clock.steadyMs();
    for (const [key, { endsAtMs }] of this.#rows) {
      if (endsAtMs > nowMs) return;
      this.#rows.delete(key);
    }
  }
}
