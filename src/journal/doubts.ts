/**
 * Changes that can't land for what the LFS store says about one of their chunks ("not there", "refused"). A store that
 * is unwell says so for a while and about anything, so its word is not believed at once: the change stands aside, for
 * longer each time, while everything else goes on; only where it is said again and again over the whole of a patience
 * is it final. What may be the fault of the store (5xx, a refusal) never is: the change is tried until it lands.
 *
 * Invariant 1 (this file's share). Nothing that was acknowledged is set aside for what was said for a few seconds.
 * Invariant 5. Memory is bounded: an entry per change in doubt, ENTRIES_MAX at most; a forgotten one is tried anew.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';

const ENTRIES_MAX = 10_000;
/** However long it took: a change that was tried so few times may have met the same bad moment each time. */
const TRIES_MIN = 3;
const FIRST_WAIT_MS = 500;
/** What was said before so long a silence (paused, the line gone) has nothing to do with what is said now. */
const SILENCE_MS = 10 * 60_000;

export interface DoubtReason {
  /** RemoteCause, or as in the list of what is set aside. */
  readonly code: string;
  readonly message: string;
}

/** All changes that are in doubt, as people are told of them. */
export interface DoubtSummary extends DoubtReason {
  readonly changes: number;
  /** Since when the first of them is in doubt, steady milliseconds; `code` and `message` are of that one. */
  readonly sinceMs: number;
}

interface Doubt {
  readonly reason: DoubtReason;
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly tries: number;
  readonly untilMs: number;
}

export interface DoubtsDeps {
  readonly clock: Clock;
  /** Longest time that a change stands aside before it is tried again. */
  readonly waitMaxMs: number;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

export class Doubts {
  readonly #doubts = new LRUCache<number, Doubt>({ max: ENTRIES_MAX });

  constructor(private readonly deps: DoubtsDeps) {}

  /**
   * The change with this seq can't land for now. True where that has been so for all of `patienceMs`: it is final.
   * @param what `askedMs`: it is not tried again before
   */
  note(
    seq: number,
    what: { readonly patienceMs: number; readonly askedMs?: number; readonly reason: DoubtReason },
  ): boolean {
    const { askedMs = 0, patienceMs, reason } = what;
    const { clock, random = Math.random, waitMaxMs } = this.deps;
    const nowMs = clock.steadyMs();
    const known = this.#doubts.get(seq);
    const isSame = known !== undefined && nowMs - known.lastMs <= Math.max(SILENCE_MS, 2 * waitMaxMs);
    const sinceMs = isSame ? known.sinceMs : nowMs;
    const tries = (isSame ? known.tries : 0) + 1;
    // Some tries fit into the patience, so that it does not last much longer than it should.
    const longestMs = Math.min(waitMaxMs, Math.max(FIRST_WAIT_MS, patienceMs / 4));
    const ceilingMs = Math.min(longestMs, FIRST_WAIT_MS * 2 ** Math.min(tries - 1, 16));
    const untilMs = nowMs + Math.max(askedMs, ceilingMs * (0.1 + 0.9 * random()));
    this.#doubts.set(seq, { reason, sinceMs, lastMs: nowMs, tries, untilMs });
    return tries >= TRIES_MIN && nowMs - sinceMs >= patienceMs;
  }

  /** It stands aside at the moment. */
  has(seq: number): boolean {
    return (this.#doubts.peek(seq)?.untilMs ?? 0) > this.deps.clock.steadyMs();
  }

  get count(): number {
    return this.#doubts.size;
  }

  /** What people are told; undefined where nothing is in doubt. */
  summary(): DoubtSummary | undefined {
    let first: Doubt | undefined;
    for (const doubt of this.#doubts.values()) if (!first || doubt.sinceMs < first.sinceMs) first = doubt;
    return first && { ...first.reason, changes: this.#doubts.size, sinceMs: first.sinceMs };
  }

  /** These are no longer pending. */
  settled(isSettled: (seq: number) => boolean): void {
    for (const seq of [...this.#doubts.keys()]) if (isSettled(seq)) this.#doubts.delete(seq);
  }

  /** What failed may work again: all are tried now, and judged anew. */
  clear(): void {
    this.#doubts.clear();
  }
}
