/**
 * The LFS space of this gateway against the quota of its plan. A quota that is found to be full by Gitee's refusal
 * is found too late: pushes were acknowledged by then whose chunks have nowhere to go.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import { QuotaFullError } from './errors.js';
import type { LfsLedger } from './lfs-ledger.js';
import type { LfsTrend } from './lfs-trend.js';

const NOTE_INTERVAL_MS = 3600_000;
/** How often a full quota is logged while it stays full. */
const WARN_INTERVAL_MS = 3600_000;

export interface LfsSpaceStatus {
  /** What Gitee keeps for us, as far as this gateway knows. */
  readonly usedBytes: number;
  /** What waits on this disk to go there. */
  readonly unsentBytes: number;
  /** undefined: gitee.lfs_quota_bytes is not set. */
  readonly quotaBytes: number | undefined;
  /** Until the quota is full, if it fills as in the last week; undefined: not known, or it does not fill. */
  readonly daysLeft: number | undefined;
}

export interface LfsSpaceDeps {
  readonly ledger: LfsLedger;
  readonly trend: LfsTrend;
  readonly quotaBytes: number | undefined;
  /** What becomes of a write for which the quota has no room. */
  readonly action: 'warn' | 'refuse';
  readonly clock: Clock;
  readonly log: Log;
}

export class LfsSpace {
  readonly #unsent = new Set<() => number>();
  readonly #closed = new AbortController();
  #warnedMs = Number.NEGATIVE_INFINITY;
  #noting: Promise<void> = Promise.resolve();

  constructor(private readonly deps: LfsSpaceDeps) {}

  /** Begins to note how the space fills. */
  start(): void {
    this.#noting = this.#note();
  }

  /** Adds a bucket's unsent bytes; returns what removes them. */
  addBucket(unsentBytes: () => number): () => void {
    this.#unsent.add(unsentBytes);
    return () => this.#unsent.delete(unsentBytes);
  }

  /**
   * Asked before bytes are taken that will need LFS. Bytes that Gitee has already count as new here: that is not
   * known before they are hashed.
   * @throws QuotaFullError where there is no room for them and writes are to be refused
   */
  demand(bytes: number): void {
    const { action, clock, log, quotaBytes } = this.deps;
    const { usedBytes, unsentBytes } = this.status();
    if (quotaBytes === undefined || usedBytes + unsentBytes + bytes <= quotaBytes) return;
    const nowMs = clock.steadyMs();
    if (nowMs - this.#warnedMs >= WARN_INTERVAL_MS) {
      this.#warnedMs = nowMs;
      log.warn('the LFS quota has no room for what is written', {
        usedBytes,
        unsentBytes,
        quotaBytes,
        action,
      });
    }
    if (action === 'warn') return;
    throw new QuotaFullError(
      `The Git LFS space at Gitee is used up: ${describeSpace(this.status())}. Ask the operator of this gateway for more space.`,
    );
  }

  status(): LfsSpaceStatus {
    const { clock, ledger, quotaBytes, trend } = this.deps;
    const { usedBytes } = ledger;
    let unsentBytes = 0;
    for (const bytes of this.#unsent) unsentBytes += bytes();
    const perDay = trend.bytesPerDay(clock.nowMs(), usedBytes) ?? 0;
    const leftBytes = Math.max(0, (quotaBytes ?? 0) - usedBytes);
    const daysLeft = quotaBytes !== undefined && perDay > 0 ? leftBytes / perDay : undefined;
    return { usedBytes, unsentBytes, quotaBytes, daysLeft };
  }

  /** The branch was counted: what that found is no growth. */
  async recounted(): Promise<void> {
    await this.deps.trend.restart(this.deps.clock.nowMs(), this.deps.ledger.usedBytes);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the gateway stops'));
    await this.#noting;
  }

  async #note(): Promise<void> {
    const { clock, ledger, log, trend } = this.deps;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        await trend.note(clock.nowMs(), ledger.usedBytes);
      } catch (error) {
        // A day without a figure makes the forecast no worse than it is.
        log.warn('could not note how the LFS space fills', { error });
      }
      await clock.sleep(NOTE_INTERVAL_MS, signal).catch(() => {}); // the only reason is the end, seen above
    }
  }
}

/** `9.4 GiB of 10.0 GiB (94 %) in use, 12.0 MiB more wait here, full in 3 days`. */
export function describeSpace({ usedBytes, unsentBytes, quotaBytes, daysLeft }: LfsSpaceStatus): string {
  const of =
    quotaBytes === undefined
      ? ''
      : ` of ${humanBytes(quotaBytes)}${quotaBytes > 0 ? ` (${Math.round((usedBytes / quotaBytes) * 100)} %)` : ''}`;
  const waits = unsentBytes > 0 ? `, ${humanBytes(unsentBytes)} more wait here` : '';
  const full = daysLeft === undefined ? '' : `, full in ${Math.floor(daysLeft)} days if it goes on so`;
  return `${humanBytes(usedBytes)}${of} in use${waits}${full}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function humanBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}
