import type { Clock } from '../async/clock.js';

/** Less is the clock being steered, and says nothing. */
const STEP_MS = 1_000;
/** A clock that is set more often while changes wait is believed for the newest of them. */
const STEPS_MAX = 1_000;

/** How far the wall clock is ahead of the steady one. */
interface Offset {
  readonly firstSeq: number;
  readonly ms: number;
}

/**
 * When changes were appended, by the steady clock. Rows have the wall clock's time, which may have been set since:
 * a change would be due in a day, or its age be told as none. An entry per setting of the clock, not per change.
 */
export class AppendTimes {
  readonly #offsets: Offset[];
  readonly #openedMs: number;
  /** Of this run. */
  #firstSeq = Infinity;

  constructor(private readonly clock: Clock) {
    this.#openedMs = clock.steadyMs();
    // eslint-disable-next-line no-restricted-syntax -- this is how a clock that is set is noticed
    this.#offsets = [{ firstSeq: 0, ms: clock.nowMs() - this.#openedMs }];
  }

  /** The wall clock's time for the row of a change that is appended now; seqs grow. */
  stamp(seq: number): number {
    this.#firstSeq = Math.min(this.#firstSeq, seq);
    // eslint-disable-next-line no-restricted-syntax -- as above
    const appendedMs = this.clock.nowMs();
    const ms = appendedMs - this.clock.steadyMs();
    if (Math.abs(ms - this.#offsets.at(-1)!.ms) >= STEP_MS) {
      if (this.#offsets.length >= STEPS_MAX) this.#offsets.splice(1, 1);
      this.#offsets.push({ firstSeq: seq, ms });
    }
    return appendedMs;
  }

  /** Steady milliseconds; what an earlier run appended is older than this run. */
  steadyMsOf({ seq, appendedMs }: { readonly seq: number; readonly appendedMs: number }): number {
    const ms = appendedMs - this.#offsets.findLast(({ firstSeq }) => firstSeq <= seq)!.ms;
    return seq < this.#firstSeq ? Math.min(ms, this.#openedMs) : ms;
  }
}
