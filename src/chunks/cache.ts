/**
 * The cache of chunks that Gitee has: content-addressed files, an LRU by bytes, shared by all buckets of a
 * gateway. Losing any of it costs a download.
 *
 * Invariant 5. Memory is bounded: one entry per file, at most `maxEntries`; files at most `maxBytes` on disk.
 * A file may be evicted while it is read: the open handle keeps its bytes until it is closed.
 */
import { open, rename, unlink, writeFile, type FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { makeDurableDirectory, syncFile } from '../disk/durable.js';
import { isNotFound } from '../disk/failures.js';
import { steadyTime, type Clock } from '../async/clock.js';
import { KeyLock } from '../async/key-lock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Oid } from '../format/ids.js';
import { AsideShelf } from './aside.js';
import { BlockPool } from './block-pool.js';
import { resetDirectory, scanChunkFiles, Shards, type FoundFile } from './durable-files.js';
import { ChunkGauges } from './gauges.js';
import { CachePaths } from './paths.js';
import { VerifiedFiles } from './verified-files.js';

/** The order of use is kept in the files' access times, refreshed at most this often. */
const TOUCH_INTERVAL_MS = 60_000;
const MAX_ENTRIES = 500_000;

interface CachedFile {
  readonly sizeBytes: number;
  touchedMs: number;
}

export interface ChunkCacheDeps {
  /** The chunk root, `<stateDir>/chunks`. */
  readonly directory: string;
  /** `cache.max_bytes` */
  readonly maxBytes: number;
  /** `cache.grace_max_bytes`: most bytes that stay pinned after their upload, of all buckets; no bound without it. */
  readonly graceMaxBytes?: number;
  readonly maxEntries?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What one bucket keeps pinned after its upload. */
export interface GraceShare {
  readonly bytes: () => number;
  /** Ends the grace time of chunks until so many bytes came free, if it can; returns how many did. */
  readonly giveBack: (bytes: number) => Promise<number>;
}

/** Shared by all buckets; `open()` before use, `close()` after the last bucket is closed. */
export class ChunkCache {
  readonly paths: CachePaths;
  readonly files: VerifiedFiles;
  readonly gauges: ChunkGauges;
  readonly aside: AsideShelf;
  readonly blocks = new BlockPool();
  readonly #lru: LRUCache<Oid, CachedFile>;
  readonly #locks = new KeyLock();
  readonly #shards: Shards;
  readonly #deletions = new Set<Promise<void>>();
  readonly #maxEntries: number;
  readonly #grace = new Set<GraceShare>();

  constructor(private readonly deps: ChunkCacheDeps) {
    this.paths = new CachePaths(deps.directory);
    this.files = new VerifiedFiles(deps.clock);
    this.gauges = new ChunkGauges(deps.clock, deps.metrics);
    this.aside = new AsideShelf(this.paths.aside, deps.log, deps.metrics);
    this.#shards = new Shards(this.paths.cache);
    this.#maxEntries = deps.maxEntries ?? MAX_ENTRIES;
    this.#lru = new LRUCache<Oid, CachedFile>({
      maxSize: Math.max(1, deps.maxBytes),
      // eslint-disable-next-line no-restricted-syntax -- files on disk, no memory
      sizeCalculation: (file) => Math.max(1, file.sizeBytes),
      // After, not while: the deletion asks whether the entry is still there.
      disposeAfter: (_file, oid, reason) => {
        if (reason !== 'evict') return;
        deps.metrics.count('gateway_cache_evictions_total');
        this.#deleteLater(oid);
      },
    });
    this.gauges.setCache(() => this.sizeBytes);
  }

  get sizeBytes(): number {
    return this.#lru.calculatedSize;
  }

  get maxBytes(): number {
    return this.deps.maxBytes;
  }

  get graceMaxBytes(): number {
    return this.deps.graceMaxBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes of all buckets that are pinned after their upload. */
  get graceBytes(): number {
    let bytes = 0;
    for (const share of this.#grace) bytes += share.bytes();
    return bytes;
  }

  /** Counts the grace bytes of one more bucket; returns what ends that. */
  addGrace(share: GraceShare): () => void {
    this.#grace.add(share);
    return () => this.#grace.delete(share);
  }

  /**
   * Gives disk space back, whichever bucket needs it: what is cached first, then chunks of all buckets within their
   * grace time, of the bucket with most of them first; never what is unsent.
   */
  async relieve(bytes: number): Promise<void> {
    let freedBytes = await this.shrink(bytes);
    for (const share of [...this.#grace].sort((a, b) => b.bytes() - a.bytes())) {
      if (freedBytes >= bytes) return;
      freedBytes += await share.giveBack(bytes - freedBytes);
    }
  }

  get entries(): number {
    return this.#lru.size;
  }

  /** Finds the files of earlier runs, oldest use first, and drops half-finished downloads. */
  async open(): Promise<void> {
    await makeDurableDirectory(this.paths.cache);
    await resetDirectory(this.paths.temporary);
    await writeFile(
      this.paths.tag,
      'Signature: 8a477f597d28d172789f06886806bc55\n# Chunks that Gitee has too.\n',
    );
    const found: FoundFile[] = [];
    for await (const file of scanChunkFiles(this.paths.cache)) {
      if (found.length < this.#maxEntries) found.push(file);
      else await unlink(file.path);
    }
    found.sort((a, b) => a.accessedMs - b.accessedMs);
    for (const file of found)
      this.#enter(file.oid, file.sizeBytes, steadyTime(this.deps.clock, file.accessedMs));
    this.gauges.changed();
  }

  has(oid: Oid): boolean {
    return this.#lru.has(oid);
  }

  /**
   * Opens a cached file and counts it as used (`look` does not); undefined where it is not here. Not yet
   * checked.
   */
  async openFile(oid: Oid, how: 'use' | 'look' = 'use'): Promise<FileHandle | undefined> {
    const entry = how === 'use' ? this.#lru.get(oid) : this.#lru.peek(oid);
    if (!entry) return undefined;
    const path = this.paths.file(oid);
    try {
      const handle = await open(path, 'r');
      if (how === 'use') await this.#touch(handle, entry);
      return handle;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Removed by hand, or evicted this moment.
      if (this.#lru.peek(oid) === entry) this.#lru.delete(oid);
      return undefined;
    }
  }

  /** Takes a whole, right file over by rename. Where the cache has this chunk already, the new file replaces it. */
  async adopt(path: string, oid: Oid, sizeBytes: number): Promise<void> {
    await this.#shards.of(oid);
    await this.#locks.run(oid, async () => {
      await rename(path, this.paths.file(oid));
      this.#enter(oid, sizeBytes, this.deps.clock.steadyMs());
    });
    this.gauges.changed();
  }

  /**
   * Gives a cached file away by rename, its bytes durable first (the cache itself never needs that); false
   * where it is not here. The caller has checked the bytes. Not a second link: renaming one link over the
   * other does nothing (rename(2)), and the file would be counted twice for ever.
   */
  async giveTo(oid: Oid, path: string): Promise<boolean> {
    return this.#locks.run(oid, async () => {
      if (!this.#lru.has(oid)) return false;
      try {
        await syncFile(this.paths.file(oid));
        await rename(this.paths.file(oid), path);
      } catch (error) {
        if (!isNotFound(error)) throw error;
        this.#lru.delete(oid);
        return false;
      }
      this.#lru.delete(oid);
      return true;
    });
  }

  /** Takes a file with wrong bytes out: from now on this chunk is a miss. */
  async reject(oid: Oid, inode: bigint): Promise<void> {
    await this.#locks.run(oid, async () => {
      if (await this.aside.take(this.paths.file(oid), oid, inode, 'cache')) this.#lru.delete(oid);
    });
    this.gauges.changed();
  }

  /** Evicts the longest unused until so many bytes are given back to the disk, or nothing is left. */
  async shrink(bytes: number): Promise<number> {
    const before = this.sizeBytes;
    while (before - this.sizeBytes < bytes && this.#lru.size > 0) this.#lru.pop();
    this.gauges.changed();
    await this.settled();
    return before - this.sizeBytes;
  }

  /** Oids in the cache at this moment, the longest unused first; for a walk over all files. */
  oids(): Oid[] {
    return [...this.#lru.rkeys()];
  }

  /** Resolves when the files of evicted entries are deleted. */
  async settled(): Promise<void> {
    await Promise.all(this.#deletions);
  }

  async close(): Promise<void> {
    this.gauges.close();
    await this.settled();
  }

  #enter(oid: Oid, sizeBytes: number, touchedMs: number): void {
    this.#lru.set(oid, { sizeBytes, touchedMs });
    // A file larger than the whole cache is not kept by the LRU, so its file must not stay either.
    if (!this.#lru.has(oid)) this.#deleteLater(oid);
    while (this.#lru.size > this.#maxEntries) this.#lru.pop();
  }

  #deleteLater(oid: Oid): void {
    const deletion = this.#locks
      .run(oid, async () => {
        // It may have come back since.
        if (!this.#lru.has(oid)) await unlink(this.paths.file(oid));
      })
      .catch((error: unknown) => {
        if (!isNotFound(error)) this.deps.log.warn('a cached chunk could not be deleted', { oid, error });
      })
      .finally(() => this.#deletions.delete(deletion));
    this.#deletions.add(deletion);
  }

  async #touch(handle: FileHandle, entry: CachedFile): Promise<void> {
    const { clock } = this.deps;
    if (clock.steadyMs() - entry.touchedMs < TOUCH_INTERVAL_MS) return;
    entry.touchedMs = clock.steadyMs();
    try {
      // The modification time stays: it is part of how a checked file is known.
      await handle.utimes(clock.nowMs() / 1000, (await handle.stat()).mtime);
    } catch (error) {
      // Only the order of eviction after a restart hangs on it.
      this.deps.log.debug('the access time of a cached chunk was not kept', { error });
    }
  }
}
