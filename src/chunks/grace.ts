/**
 * How long chunks stay pinned after their upload or their commit, whichever is later: a day, or until they take more
 * than is allowed, oldest first.
 *
 * Invariant 1 (this file's share). What a pending change, one that was set aside, a local key, an open upload or a
 * request under way names stays pinned, however long its commit takes: until that has landed nothing on Gitee but an
 * object that nobody refers to stands for it.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Oid } from '../format/ids.js';
import type { ChunkCache } from './cache.js';
import type { ChunkHolds } from './holds.js';
import type { PinnedChunks } from './pinned.js';

/** Walking over all that is named costs a read of the overlay: under pressure it is not done for every chunk. */
const NAMED_KEPT_MS = 5_000;
/** What was read so shortly before is not read again for one who needs room. */
const READ_AGAIN_MS = 200;
const LOOK_AGAIN_MAX_MS = 60_000;

/** Oids that must stay, at this moment. */
export type NamedChunks = () => Promise<ReadonlySet<string>>;

/** What the rows named when they were read. */
interface Known {
  readonly oids: ReadonlySet<string>;
  /** What requests have let go of since the reading began: rows may name it that had not been written by then. */
  readonly since: Set<string>;
  readonly atMs: number;
}

export interface GraceDeps {
  readonly pinned: PinnedChunks;
  readonly cache: ChunkCache;
  readonly holds: ChunkHolds;
  readonly graceMs: number;
  /** spool_hard: where pinned bytes exceed it, the oldest grace time ends early. */
  readonly pinnedMaxBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The chunks of one bucket within their grace time; the bound on bytes is shared by all buckets (cache.ts). */
export class GraceTime {
  #named: NamedChunks | undefined;
  #known: Known | undefined;
  #reading: Promise<Known> | undefined;
  /** Of the reading under way, or of the last one. */
  #sinceReading = new Set<string>();
  #releasing: Promise<number> | undefined;
  #stuckMs = Number.NEGATIVE_INFINITY;
  #closed = false;
  readonly #closing = new AbortController();
  #isPlanned = false;
  #lookAgainMs = NAMED_KEPT_MS / 2;

  constructor(private readonly deps: GraceDeps) {}

  /** Rows may name these from now on. */
  letGo(oids: ReadonlySet<string>): void {
    const known = this.#known;
    const isKept = known && this.deps.clock.steadyMs() - known.atMs < NAMED_KEPT_MS;
    for (const oid of oids) {
      if (isKept) known.since.add(oid);
      if (this.#reading) this.#sinceReading.add(oid);
    }
  }

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
    const isStuck = this.deps.clock.steadyMs() - this.#stuckMs < NAMED_KEPT_MS;
    if (!this.#named || this.#closed || this.#releasing || isStuck || !this.#isTooMuch()) return;
    this.release().catch((error: unknown) => {
      this.deps.log.warn('grace time could not be ended', { error });
    });
  }

  /** Gives disk space back, oldest first, never what is named; returns how many bytes came free. */
  async giveBack(bytes: number): Promise<number> {
    if (!this.#named) return 0;
    const freedBytes = await this.#giveBack(bytes, this.#named);
    if (freedBytes >= bytes || this.#closed || !this.#isKnownSince(READ_AGAIN_MS)) return freedBytes;
    // What was known of the rows is seconds old: before a write is refused for it they are read again.
    this.#known = undefined;
    return freedBytes + (await this.#giveBack(bytes - freedBytes, this.#named));
  }

  async #giveBack(bytes: number, named: NamedChunks): Promise<number> {
    const { cache, pinned } = this.deps;
    let freedBytes = 0;
    for (const [oid, file] of pinned.entriesOf('grace')) {
      if (this.#closed || freedBytes >= bytes) break;
      if (await this.#isNeeded(oid, named)) continue;
      await pinned.release(oid, file);
      freedBytes += await cache.shrink(bytes - freedBytes);
    }
    return freedBytes;
  }

  /** Rows were read, and that is so long ago. */
  #isKnownSince(ms: number): boolean {
    return this.#known !== undefined && this.deps.clock.steadyMs() - this.#known.atMs >= ms;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort(new Error('closed'));
    await this.#releasing?.catch(() => {});
  }

  async #release(): Promise<number> {
    const { clock, graceMs, pinned } = this.deps;
    if (!this.#named) return 0;
    let released = 0;
    for (const [oid, file] of pinned.entriesOf('grace')) {
      const isOver = file.touchedMs + graceMs <= clock.steadyMs();
      // Oldest first: the next ones are younger still.
      if (this.#closed || (!isOver && !this.#isTooMuch())) break;
      if (await this.#isNeeded(oid, this.#named)) continue;
      await pinned.release(oid, file);
      released += 1;
    }
    // All that is left is named, or of other buckets: not looked at again with every change.
    if (this.#isTooMuch()) {
      this.#stuckMs = clock.steadyMs();
      this.#lookAgainMs = released > 0 ? NAMED_KEPT_MS : Math.min(LOOK_AGAIN_MAX_MS, 2 * this.#lookAgainMs);
      this.#lookAgain();
    } else this.#lookAgainMs = NAMED_KEPT_MS / 2;
    return released;
  }

  /** By then more may have landed, with nothing after it that would look: seldomer where that did not help. */
  #lookAgain(): void {
    if (this.#isPlanned || this.#closed) return;
    this.#isPlanned = true;
    this.deps.clock.sleep(this.#lookAgainMs, this.#closing.signal).then(
      () => {
        this.#isPlanned = false;
        this.changed();
      },
      () => {},
    );
  }

  #isTooMuch(): boolean {
    const { cache, pinned, pinnedMaxBytes } = this.deps;
    return pinned.unsentBytes + pinned.graceBytes > pinnedMaxBytes || cache.graceBytes > cache.graceMaxBytes;
  }

  async #isNeeded(oid: Oid, named: NamedChunks): Promise<boolean> {
    const { holds } = this.deps;
    if (holds.has(oid)) return true;
    const known = await this.#namedNow(named);
    // Again: a request may have begun or ended while the rows were read.
    return known.oids.has(oid) || holds.has(oid) || known.since.has(oid);
  }

  async #namedNow(named: NamedChunks): Promise<Known> {
    const known = this.#known;
    if (known && this.deps.clock.steadyMs() - known.atMs < NAMED_KEPT_MS) return known;
    this.#reading ??= this.#read(named).finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read(named: NamedChunks): Promise<Known> {
    const atMs = this.deps.clock.steadyMs();
    const since = new Set<string>();
    this.#sinceReading = since;
    const known = { oids: await named(), since, atMs };
    this.#known = known;
    return known;
  }
}
