import type { Clock } from '../async/clock.js';
import type { ChangeLog } from './change-log.js';
import type { SeqSet } from './seq-set.js';
import { sleepOr } from './sleep-or.js';

/** More changes that are waited for than this are not told apart. */
const WANTED_MAX = 10_000;

interface Waiter {
  /** undefined: for everything up to `seq`. */
  readonly only: boolean;
  readonly seq: number;
  readonly resolve: (landed: boolean) => void;
}

/** Those who wait for changes to be on Gitee (or set aside), and what is waited for. */
export class Landings {
  /** Single changes that somebody asked for; still wanted when they have gone away. */
  readonly #wanted = new Set<number>();
  #wantedUpTo = 0;
  readonly #waiters = new Set<Waiter>();
  /** Told of changes that have landed, or were set aside. */
  onSettled: (isSettled: (seq: number) => boolean) => void = () => {};

  constructor(
    private readonly journal: ChangeLog,
    private readonly clock: Clock,
  ) {
    journal.onSettled = (seqs, floorSeq) => this.#settled(seqs, floorSeq);
  }

  /** True while somebody waits for anything that is pending. */
  get isWanted(): boolean {
    return this.#wanted.size > 0 || this.isAllWanted;
  }

  /** True while everything up to some change is wanted, whatever it is. */
  get isAllWanted(): boolean {
    return this.#wantedUpTo > this.journal.floorSeq;
  }

  /** Single changes that are wanted, in the order in which they were asked for. */
  get wanted(): Iterable<number> {
    return this.#wanted;
  }

  /** Marks the change as wanted; true where there is something to wait for. */
  async want(seq: number): Promise<boolean> {
    if (seq <= this.journal.floorSeq || !(await this.journal.isPending(seq))) return false;
    if (this.#wanted.size < WANTED_MAX) this.#wanted.add(seq);
    else this.#wantedUpTo = Math.max(this.#wantedUpTo, seq);
    // It may have landed while it was looked up.
    if (await this.journal.isPending(seq)) return true;
    this.#wanted.delete(seq);
    return false;
  }

  /** Marks everything up to the change as wanted; true where there is something to wait for. */
  wantUpTo(seq: number): boolean {
    this.#wantedUpTo = Math.max(this.#wantedUpTo, seq);
    return this.isAllWanted;
  }

  /** True once the change has landed, false at the time-out; rejects with the signal's reason. */
  wait(seq: number, o: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    return this.#wait(seq, true, o);
  }

  /** As wait, for everything up to the change. */
  waitUpTo(seq: number, o: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    return this.#wait(seq, false, o);
  }

  async #wait(seq: number, only: boolean, o: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    o.signal.throwIfAborted();
    let resolve: (landed: boolean) => void = () => {};
    const landed = new Promise<boolean>((done) => {
      resolve = done;
    });
    const waiter = { seq, only, resolve };
    this.#waiters.add(waiter);
    try {
      const isPending = only ? await this.journal.isPending(seq) : seq > this.journal.floorSeq;
      if (!isPending) return true;
      if (o.timeoutMs <= 0) return false;
      return (await sleepOr(this.clock, o.timeoutMs, o.signal, landed)) ?? false;
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  #settled(seqs: SeqSet, floorSeq: number): void {
    const isSettled = (seq: number) => seq <= floorSeq || seqs.has(seq);
    for (const seq of this.#wanted) if (isSettled(seq)) this.#wanted.delete(seq);
    for (const { seq, only, resolve } of this.#waiters)
      if (only ? isSettled(seq) : seq <= floorSeq) resolve(true);
    this.onSettled(isSettled);
  }
}
