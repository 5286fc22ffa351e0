/**
 * Whose turn it is to download: one per line, over all buckets and all answers.
 *
 * What somebody waits for goes before what is fetched ahead, and the first byte of an answer before the middle of
 * another; within a class the answer that has the fewest transfers is next. What is fetched ahead is kept to what
 * the line brings in some seconds. While the line is known to be down, one transfer at a time finds out whether
 * that is still so.
 *
 * Invariant 5. Memory is bounded: so many transfers run at once, whatever the number of readers.
 */
import { abortable } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import type { LineHealth } from './health.js';

/** `first`: of an answer of which no byte is out; `next`: of another that waits; `ahead`: nobody waits yet. */
export type Urgency = 'first' | 'next' | 'ahead';

/** One who wants to download something. Asked anew whenever there is a place, since it changes meanwhile. */
export interface DownloadClaim {
  /** What is still to come. */
  readonly restBytes: number;
  readonly urgency: Urgency;
  /** The answer that it is for. */
  readonly request: object;
}

/** A transfer that runs. */
export interface DownloadTurn {
  /** To be told of every piece. */
  received(bytes: number): void;
}

export interface DownlinkDeps {
  readonly clock: Clock;
  readonly health: LineHealth;
}

/** Transfers at once up to which one of that urgency begins. */
const RUNNING_MAX: Readonly<Record<Urgency, number>> = { first: 96, next: 64, ahead: 16 };
/** So many run ahead whatever the line does: between two chunks it would be idle for a round trip or two. */
const AHEAD_ANYWAY = 3;
/** What runs may take the line so long before more is fetched ahead. */
const AHEAD_SECONDS = 10;
/** Between two tries on a line that is down. */
const PROBE_GAP_MS = 500;
const PACE_WINDOW_MS = 1_000;

interface Waiter {
  readonly claim: DownloadClaim;
  readonly go: (running: Running) => void;
}

interface Running extends DownloadTurn {
  readonly claim: DownloadClaim;
  /** Begun while the line was down, and nothing has come yet. */
  isProbe: boolean;
}

/** Places for downloads on one line. */
export class Downlink {
  readonly #waiting = new Set<Waiter>();
  readonly #running = new Set<Running>();
  readonly #pace: Pace;
  #orphan: DownloadClaim | undefined;
  #probedMs = Number.NEGATIVE_INFINITY;
  #pumpPlanned = false;

  constructor(private readonly deps: DownlinkDeps) {
    this.#pace = new Pace(deps.clock);
    deps.health.onUp(() => this.#pump());
  }

  get health(): LineHealth {
    return this.deps.health;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** What the line brings, while something is downloaded; 0 where nothing was yet. */
  get bytesPerSecond(): number {
    return this.#pace.bytesPerSecond;
  }

  /** Since when a download would very likely get no answer; undefined where it would. */
  get downSinceMs(): number | undefined {
    const { health } = this.deps;
    return health.downSinceMs('download') ?? health.downSinceMs('batch');
  }

  /** Runs the transfer when it is the claim's turn. The signal ends the wait (with its reason), never a transfer. */
  async run<T>(
    claim: DownloadClaim,
    transfer: (turn: DownloadTurn) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const running = await this.#turn(claim, signal);
    try {
      return await transfer(running);
    } finally {
      this.#running.delete(running);
      this.#pump();
    }
  }

  /** A claim has become more urgent. */
  changed(): void {
    this.#pump();
  }

  /** Between two tries of a transfer: so long, or until the line is up again. */
  async rest(ms: number, signal?: AbortSignal): Promise<void> {
    const { clock, health } = this.deps;
    const over = new AbortController();
    const either = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
    const wasDown = this.downSinceMs !== undefined;
    const end = health.onUp(() => {
      if (wasDown && this.downSinceMs === undefined) over.abort();
    });
    try {
      await clock.sleep(ms, either);
    } catch (error) {
      if (signal?.aborted) throw error;
    } finally {
      end();
    }
  }

  /**
   * Whether a claim that nobody waits for any more should go on trying: the line is down, and no other such claim
   * finds out when it is up again. The claim must `leave` at its end.
   */
  keepAsProbe(claim: DownloadClaim): boolean {
    if (this.downSinceMs === undefined || (this.#orphan !== undefined && this.#orphan !== claim))
      return false;
    this.#orphan = claim;
    return true;
  }

  leave(claim: DownloadClaim): void {
    if (this.#orphan === claim) this.#orphan = undefined;
  }

  #turn(claim: DownloadClaim, signal?: AbortSignal): Promise<Running> {
    return abortable<Running>(signal, (go) => {
      const waiter: Waiter = { claim, go };
      this.#waiting.add(waiter);
      this.#pump();
      return () => void this.#waiting.delete(waiter);
    });
  }

  #pump(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#begin(next);
  }

  #begin(waiter: Waiter): void {
    const isProbe = this.downSinceMs !== undefined;
    if (isProbe) this.#probedMs = this.deps.clock.steadyMs();
    const running: Running = {
      claim: waiter.claim,
      isProbe,
      received: (bytes) => {
        running.isProbe = false;
        this.#pace.add(bytes);
        this.deps.health.progressed('download');
      },
    };
    this.#waiting.delete(waiter);
    this.#running.add(running);
    waiter.go(running);
  }

  #next(): Waiter | undefined {
    if (this.#waiting.size === 0 || (this.downSinceMs !== undefined && !this.#mayProbe())) return undefined;
    const perRequest = new Map<object, number>();
    for (const { claim } of this.#running)
      perRequest.set(claim.request, (perRequest.get(claim.request) ?? 0) + 1);
    let best: { waiter: Waiter; rank: number; share: number } | undefined;
    for (const waiter of this.#waiting) {
      const rank = RANK[waiter.claim.urgency];
      const share = perRequest.get(waiter.claim.request) ?? 0;
      // In the order of their coming, so that one that waits longer wins where all else is equal.
      if (best && (rank > best.rank || (rank === best.rank && share >= best.share))) continue;
      best = { waiter, rank, share };
    }
    return best && this.#hasPlaceFor(best.waiter.claim.urgency) ? best.waiter : undefined;
  }

  #hasPlaceFor(urgency: Urgency): boolean {
    const running = this.#running.size;
    if (running >= RUNNING_MAX[urgency]) return false;
    if (urgency !== 'ahead' || running < AHEAD_ANYWAY) return true;
    let restBytes = 0;
    for (const { claim } of this.#running) restBytes += claim.restBytes;
    return restBytes < AHEAD_SECONDS * this.#pace.bytesPerSecond;
  }

  #mayProbe(): boolean {
    for (const running of this.#running) if (running.isProbe) return false;
    const waitMs = this.#probedMs + PROBE_GAP_MS - this.deps.clock.steadyMs();
    if (waitMs <= 0) return true;
    if (!this.#pumpPlanned) {
      this.#pumpPlanned = true;
      void this.deps.clock.sleep(waitMs).then(() => {
        this.#pumpPlanned = false;
        this.#pump();
      });
    }
    return false;
  }
}

const RANK: Readonly<Record<Urgency, number>> = { first: 0, next: 1, ahead: 2 };

/** Bytes per second of the line, over the last seconds in which something came. */
class Pace {
  #windowMs = Number.NEGATIVE_INFINITY;
  #windowBytes = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  bytesPerSecond = 0;

  constructor(private readonly clock: Clock) {}

  add(bytes: number): void {
    const nowMs = this.clock.steadyMs();
    // After a pause there is nothing to measure yet: the window begins with this piece.
    if (nowMs - this.#lastMs > PACE_WINDOW_MS) {
      this.#windowMs = nowMs;
      this.#windowBytes = 0;
    }
    this.#lastMs = nowMs;
    this.#windowBytes += bytes;
    const elapsedMs = nowMs - this.#windowMs;
    if (elapsedMs < PACE_WINDOW_MS) return;
    const now = (this.#windowBytes * 1_000) / elapsedMs;
    this.bytesPerSecond = this.bytesPerSecond === 0 ? now : (this.bytesPerSecond + now) / 2;
    this.#windowMs = nowMs;
    this.#windowBytes = 0;
  }
}
