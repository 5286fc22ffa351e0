/**
 * Chunks whose upload Gitee confirmed and that were not there when it was asked. Each is sent again, but later and
 * later: a store that forgets everything must not be fed the whole line for nothing.
 *
 * Invariant 5. Memory is bounded: an entry per chunk in doubt, ENTRIES_MAX at most; forgetting one costs an upload.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import type { Oid } from '../format/ids.js';

const ENTRIES_MAX = 10_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

interface Doubt {
  readonly times: number;
  readonly untilMs: number;
}

export class UnkeptChunks {
  readonly #doubts = new LRUCache<Oid, Doubt>({ max: ENTRIES_MAX });

  constructor(private readonly options: { readonly clock: Clock; readonly random?: () => number }) {}

  /** It was confirmed, and is not there. */
  note(oid: Oid): void {
    const { clock, random = Math.random } = this.options;
    const times = (this.#doubts.get(oid)?.times ?? 0) + 1;
    const ceilingMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(times - 1, 10));
    this.#doubts.set(oid, { times, untilMs: clock.steadyMs() + ceilingMs * (0.5 + random() / 2) });
  }

  /** It is there. */
  kept(oid: Oid): void {
    this.#doubts.delete(oid);
  }

  /** It was forgotten before. */
  has(oid: Oid): boolean {
    return this.#doubts.has(oid);
  }

  /** How long it is not to be sent; 0: now. */
  waitMs(oid: Oid): number {
    return Math.max(0, (this.#doubts.get(oid)?.untilMs ?? 0) - this.options.clock.steadyMs());
  }

  /** What failed may work again: all may be sent now. */
  forgive(): void {
    this.#doubts.clear();
  }
}
