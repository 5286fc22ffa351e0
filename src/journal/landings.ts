import type { Clock } from '../async/clock.js';
import { sleepOr } from './sleep-or.js';

/** Those who wait for changes to be on Gitee, and how far that has come. */
export class Landings {
  #wantedSeq = 0;
  readonly #waiters = new Set<{ readonly seq: number; readonly resolve: (landed: boolean) => void }>();

  constructor(
    private landedSeq: number,
    private readonly clock: Clock,
  ) {}

  /** The highest seq that somebody asked for; it is still wanted when they have gone away. */
  get wantedSeq(): number {
    return this.#wantedSeq;
  }

  /** Everything up to the seq has landed (or was set aside). */
  advance(seq: number): void {
    this.landedSeq = Math.max(this.landedSeq, seq);
    for (const waiter of this.#waiters) if (waiter.seq <= this.landedSeq) waiter.resolve(true);
  }

  /** Marks the seq as wanted; true where there is something to wait for. */
  want(seq: number): boolean {
    if (seq <= this.landedSeq) return false;
    this.#wantedSeq = Math.max(this.#wantedSeq, seq);
    return true;
  }

  /** True once landed, false at the time-out; rejects with the signal's reason. */
  async wait(seq: number, o: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    o.signal.throwIfAborted();
    if (seq <= this.landedSeq) return true;
    if (o.timeoutMs <= 0) return false;
    let resolve: (landed: boolean) => void = () => {};
    const landed = new Promise<boolean>((done) => {
      resolve = done;
    });
    const waiter = { seq, resolve };
    this.#waiters.add(waiter);
    try {
      return (await sleepOr(this.clock, o.timeoutMs, o.signal, landed)) ?? false;
    } finally {
      this.#waiters.delete(waiter);
    }
  }
}
