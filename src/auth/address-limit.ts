/** How often one address may do something that costs us or Gitee a call. */
import type { Clock } from '../async/clock.js';
import { ExpiringMap } from './expiring-map.js';
import { networkOf } from './lockout.js';

const ADDRESSES_MAX = 20_000;

export interface AddressLimitDeps {
  readonly max: number;
  readonly windowMs: number;
  readonly clock: Clock;
}

/** At most `max` in a window that begins with the first. */
export class AddressLimit {
  readonly #seen: ExpiringMap<{ count: number; readonly endsAtMs: number }>;

  constructor(private readonly deps: AddressLimitDeps) {
    const { windowMs, clock } = deps;
    this.#seen = new ExpiringMap({ lifeMs: windowMs, max: ADDRESSES_MAX, clock });
  }

  /** Counts one. @returns milliseconds to wait where it is one too many, else undefined. */
  take(address: string): number | undefined {
    const { max, windowMs, clock } = this.deps;
    const key = networkOf(address);
    const nowMs = clock.steadyMs();
    const seen = this.#seen.get(key);
    if (!seen) {
      this.#seen.set(key, { count: 1, endsAtMs: nowMs + windowMs });
      return undefined;
    }
    seen.count += 1;
    return seen.count > max ? seen.endsAtMs - nowMs : undefined;
  }
}
