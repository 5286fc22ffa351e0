import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { isLocalKey, uploadOfKey } from '../format/tree-layout.js';
import type { Buckets, Bucket } from './bucket.js';
import type { Multipart } from './multipart.js';

export interface HousekeepingTimes {
  readonly intervalMs: number;
  /** Local keys of uploads, and uploads, that nobody touched for this long are dropped: the registry aborts nothing itself. */
  readonly localKeyTtlMs: number;
}

/** The wall clock goes so much further than time does: somebody has set it, or the machine was asleep. */
const JUMP_MS = 60_000;

/** Drops what only matters until an upload ends, then the chunks that nothing names any more. */
export class Housekeeping {
  #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** The wall clock to the steady one: at the last look, and as ages are counted. */
  #lastAheadMs: number;
  #aheadMs: number;
  #jumpedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly buckets: Buckets,
    private readonly multipart: Multipart,
    private readonly times: HousekeepingTimes,
    private readonly deps: { clock: Clock; log: Log },
  ) {
    this.#aheadMs = this.#lastAheadMs = deps.clock.nowMs() - deps.clock.steadyMs();
  }

  start(): void {
    this.#running = this.#loop(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('housekeeping stops'));
    await this.#running;
  }

  /** One round over all buckets; a failing bucket does not keep the others from theirs. */
  async runOnce(): Promise<void> {
    for (const bucket of this.buckets.all()) {
      try {
        await this.#round(bucket);
      } catch (error) {
        this.deps.log.warn('housekeeping failed, the next round tries again', { bucket: bucket.name, error });
      }
    }
  }

  async #round(bucket: Bucket): Promise<void> {
    const beforeMs = this.#nowMs() - this.times.localKeyTtlMs;
    const isKept = await this.#goesOn(bucket, beforeMs);
    const uploads = await this.multipart.expire(bucket, beforeMs, isKept);
    const localKeys = await bucket.state.expireLocalKeys(beforeMs, isKept);
    const { removedChunks, removedBytes } = await bucket.chunks.collect(
      (oids) => this.#namedHere(bucket, oids),
      (oids) => bucket.state.namedOnBranch(oids),
    );
    if (uploads + localKeys + removedChunks > 0) {
      this.deps.log.info('dropped what unfinished uploads left behind', {
        bucket: bucket.name,
        uploads,
        localKeys,
        removedChunks,
        removedBytes,
      });
    }
  }

  /**
   * The time to count ages by. A clock that is set forward (a machine that starts in 1970 and then asks for the time)
   * makes nothing old: what was written before has its whole time from then on.
   */
  #nowMs(): number {
    const { clock } = this.deps;
    const steadyMs = clock.steadyMs();
    const aheadMs = clock.nowMs() - steadyMs;
    if (aheadMs > this.#lastAheadMs + JUMP_MS) this.#jumpedMs = steadyMs;
    this.#lastAheadMs = aheadMs;
    const isOver = steadyMs - this.#jumpedMs >= this.times.localKeyTtlMs;
    if (isOver || aheadMs < this.#aheadMs + JUMP_MS) this.#aheadMs = aheadMs;
    return steadyMs + this.#aheadMs;
  }

  /** Which of these chunks parts of uploads, local keys and waiting changes name; holds no others. */
  async #namedHere(bucket: Bucket, oids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const named = new Set<string>();
    const look = ({ oid }: Extent) => {
      if (oids.has(oid)) named.add(oid);
    };
    for await (const { extents } of bucket.state.uploads.allParts()) extents.forEach(look);
    for await (const extent of bucket.state.overlayExtents()) look(extent);
    return named;
  }

  /**
   * Which keys belong to an upload of the registry that goes on: one of its keys, or a part, was written since. Most
   * of them are written once, at its beginning, and needed at its end, which may be days later.
   */
  async #goesOn(bucket: Bucket, sinceMs: number): Promise<(key: ObjectKey) => boolean> {
    const { rules, state } = bucket;
    const active = new Set<string>();
    for await (const key of this.multipart.keysTouchedSince(bucket, sinceMs))
      if (isLocalKey(rules, key)) active.add(uploadOfKey(key));
    for await (const key of state.localKeysSince(sinceMs)) active.add(uploadOfKey(key));
    return (key) => isLocalKey(rules, key) && active.has(uploadOfKey(key));
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.deps.clock.sleep(this.times.intervalMs, signal);
      } catch {
        // The only reason to be woken early is to stop.
        return;
      }
      await this.runOnce();
    }
  }
}
