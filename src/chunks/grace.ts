/**
 * How long chunks stay pinned after their upload: a day, or until they take more than is allowed, oldest first.
 *
 * Invariant 1 (this file's share). What a pending change, a local key or an open upload names stays pinned, however
 * long its commit takes: until that has landed nothing on Gitee but an object that nobody refers to stands for it.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { ChunkCache } from './cache.js';
import type { PinnedChunks } from './pinned.js';

/** Walking over all that is named costs a read of the overlay: under pressure it is not done for every chunk. */
const NAMED_KEPT_MS = 5_000;

/** Oids that must stay, at this moment. */
export type NamedChunks = () => Promise<ReadonlySet<string>>;

export interface GraceOptions {
  readonly pinned: PinnedChunks;
  readonly cache: ChunkCache;
  readonly graceMs: number;
  /** spool_hard: where pinned bytes exceed it, the oldest grace time ends early. */
  readonly pinnedMaxBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The chunks of one bucket within their grace time; the bound on bytes is shared by all buckets (cache.ts). */
export class GraceTime {
  #named: NamedChunks | undefined;
  #known: { readonly oids: ReadonlySet<string>; readonly atMs: number } | undefined;
  #releasing: Promise<number> | undefined;
  #stuckMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(private readonly options: GraceOptions) {}

  /** From where to know what must stay. Until it is set, everything does. */
  keepNamed(named: NamedChunks): void {
    this.#named = named;
  }

  /** Ends the grace time of what has had it, or is too much; returns how many chunks went to the cache. */
  release(): Promise<number> {
    this.#releasing ??= this.#release().finally(() => (this.#releasing = undefined));
    return this.#releasing;
  }

  /** What is too much after an upload yields at once, not with the next minute. Does not fail. */
  changed(): void {
    const isStuck = this.options.clock.steadyMs() - this.#stuckMs < NAMED_KEPT_MS;
    if (!this.#named || this.#closed || this.#releasing || isStuck || !this.#isTooMuch()) return;
    this.release().catch((error: unknown) => {
      this.options.log.warn('grace time could not be ended', { error });
    });
  }

  /** Gives disk space back, oldest first, never what is named; returns how many bytes came free. */
  async giveBack(bytes: number): Promise<number> {
    const { cache, pinned } = this.options;
    if (!this.#named) return 0;
    const named = await this.#namedNow(this.#named);
    let freedBytes = 0;
    for (const [oid] of pinned.entriesOf('grace')) {
      if (this.#closed || freedBytes >= bytes) break;
      if (named.has(oid)) continue;
      await pinned.release(oid);
      freedBytes += await cache.shrink(bytes - freedBytes);
    }
    return freedBytes;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#releasing?.catch(() => {});
  }

  async #release(): Promise<number> {
    const { clock, graceMs, pinned } = this.options;
    if (!this.#named) return 0;
    let named: ReadonlySet<string> | undefined;
    let released = 0;
    for (const [oid, file] of pinned.entriesOf('grace')) {
      const isOver = file.touchedMs + graceMs <= clock.steadyMs();
      // Oldest first: the next ones are younger still.
      if (this.#closed || (!isOver && !this.#isTooMuch())) break;
      named ??= await this.#namedNow(this.#named);
      if (named.has(oid)) continue;
      await pinned.release(oid);
      released += 1;
    }
    // All that is left is named, or of other buckets: not looked at again with every change.
    if (this.#isTooMuch()) this.#stuckMs = clock.steadyMs();
    return released;
  }

  #isTooMuch(): boolean {
    const { cache, pinned, pinnedMaxBytes } = this.options;
    return pinned.unsentBytes + pinned.graceBytes > pinnedMaxBytes || cache.graceBytes > cache.graceMaxBytes;
  }

  async #namedNow(named: NamedChunks): Promise<ReadonlySet<string>> {
    const nowMs = this.options.clock.steadyMs();
    if (!this.#known || nowMs - this.#known.atMs >= NAMED_KEPT_MS)
      this.#known = { oids: await named(), atMs: nowMs };
    return this.#known.oids;
  }
}
