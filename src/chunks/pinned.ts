/**
 * The chunks of one bucket that may not be evicted: those that only this disk has (unsent), and those that
 * Gitee has had for less than the grace time. What is here is decided by the files alone; the maps below are
 * built from them at start.
 *
 * Invariant 1 (this layer's share). An acknowledged write is never lost: `publish` returns after file and
 * directory are durable, and an unsent file leaves `unsent/` only by a confirmed upload or by `forget`.
 * Invariant 5. Memory is bounded: one entry per pinned file, and pinned bytes are bounded by spool_hard.
 */
import { open, rename, unlink, utimes, type FileHandle } from 'node:fs/promises';
import { makeDurableDirectory, syncDirectory } from '../disk/durable.js';
import { isNotFound } from '../disk/failures.js';
import { steadyTime, type Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import { KeyLock } from '../async/key-lock.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { ChunkError } from './api.js';
import type { ChunkCache } from './cache.js';
import { explainDiskError, resetDirectory, scanChunkFiles, Shards, type FoundFile } from './durable-files.js';
import type { PinnedPaths } from './paths.js';
import { UnnamedChunk } from './writer.js';

/** A commit follows most uploads within seconds: so much later, a restart must know of it too. */
const FILE_TIME_LAG_MS = 60_000;

export interface PinnedFile {
  readonly sizeBytes: number;
  /** Last written or referenced anew; for grace, the time of the confirmed upload, or of the commit. */
  readonly touchedMs: number;
}

export type PinnedHome = 'unsent' | 'grace';

export interface PinnedChunksDeps {
  readonly paths: PinnedPaths;
  readonly cache: ChunkCache;
  readonly clock: Clock;
  readonly failpoints: Failpoints;
  /** Called after every change of the figures. */
  readonly onChange: () => void;
}

export class PinnedChunks {
  readonly #unsent = new Map<Oid, PinnedFile>();
  /** In order of time: the first one is released first. */
  readonly #grace = new Map<Oid, PinnedFile>();
  readonly #locks = new KeyLock();
  readonly #shards: Readonly<Record<PinnedHome, Shards>>;
  #unsentBytes = 0;
  #graceBytes = 0;

  constructor(private readonly deps: PinnedChunksDeps) {
    this.#shards = {
      unsent: new Shards(deps.paths.unsent),
      grace: new Shards(deps.paths.grace),
    };
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }
  get graceBytes(): number {
    return this.#graceBytes;
  }
  get unsentChunks(): number {
    return this.#unsent.size;
  }

  /** Finds what earlier runs left, drops half-written files. */
  async open(): Promise<void> {
    const { paths } = this.deps;
    await makeDurableDirectory(paths.unsent);
    await makeDurableDirectory(paths.grace);
    await resetDirectory(paths.temporary);
    for await (const file of scanChunkFiles(paths.unsent)) {
      this.#set('unsent', file.oid, {
        sizeBytes: file.sizeBytes,
        touchedMs: steadyTime(this.deps.clock, file.modifiedMs),
      });
    }
    const grace: FoundFile[] = [];
    for await (const file of scanChunkFiles(paths.grace)) {
      // Both: a crash in the middle of an ingest of the same bytes. One copy is enough, the more careful class.
      if (this.#unsent.has(file.oid)) await unlink(file.path);
      else grace.push(file);
    }
    grace.sort((a, b) => a.modifiedMs - b.modifiedMs);
    for (const file of grace)
      this.#set('grace', file.oid, {
        sizeBytes: file.sizeBytes,
        touchedMs: steadyTime(this.deps.clock, file.modifiedMs),
      });
    this.deps.onChange();
  }

  homeOf(oid: Oid): PinnedHome | undefined {
    if (this.#unsent.has(oid)) return 'unsent';
    return this.#grace.has(oid) ? 'grace' : undefined;
  }

  isUnsent(oid: Oid): boolean {
    return this.#unsent.has(oid);
  }

  pathOf(oid: Oid, home: PinnedHome): string {
    return this.deps.paths.file(home, oid);
  }

  /** Walks over the entries; entries may come and go meanwhile. */
  entriesOf(home: PinnedHome): IterableIterator<[Oid, PinnedFile]> {
    return home === 'unsent' ? this.#unsent.entries() : this.#grace.entries();
  }

  /** A file to write a chunk into. @throws ChunkError `disk-full` */
  begin(): Promise<UnnamedChunk> {
    const { cache, failpoints, paths } = this.deps;
    return UnnamedChunk.create(paths.temporary, cache.blocks, failpoints);
  }

  /**
   * Gives a whole chunk its name; resolves when it is durable. The same bytes may be written twice at once.
   * A file of that name is replaced: its bytes may have rotted, these have just been hashed. A chunk within its
   * grace time stays there (Gitee has it), with the time counted anew; any other becomes unsent, even where
   * the cache has it, since the cache may evict it and another bucket's repository may be where it came from.
   */
  async publish(file: UnnamedChunk, oid: Oid): Promise<Chunk> {
    const sizeBytes = file.sizeBytes;
    // eslint-disable-next-line no-restricted-syntax -- kept: the file's time
    const nowMs = this.deps.clock.nowMs();
    try {
      if (sizeBytes === 0) throw new RangeError('an empty body has no chunk');
      const stats = await file.seal(nowMs);
      await this.#locks.run(oid, async () => {
        const home: PinnedHome = this.#grace.has(oid) ? 'grace' : 'unsent';
        const directory = await this.#shards[home].of(oid);
        await rename(file.path, this.pathOf(oid, home));
        this.deps.cache.files.noteWritten(stats, oid, sizeBytes);
        this.#set(home, oid, { sizeBytes, touchedMs: this.deps.clock.steadyMs() });
        await this.deps.failpoints.hit('chunks.afterRename');
        await syncDirectory(directory);
      });
    } catch (error) {
      await file.discard();
      throw explainDiskError(error);
    } finally {
      this.deps.onChange();
    }
    return { oid, sizeBytes, volume: 0 };
  }

  /** Opens the file, wherever it has moved to meanwhile; undefined where it is not pinned. Not yet checked. */
  async openFile(oid: Oid): Promise<{ handle: FileHandle; home: PinnedHome } | undefined> {
    // Files move from unsent to grace, so looking in this order misses none; twice for one that came back.
    for (let round = 0; round < 2 && this.homeOf(oid) !== undefined; round += 1) {
      for (const home of ['unsent', 'grace'] as const) {
        try {
          return { handle: await open(this.pathOf(oid, home), 'r'), home };
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
    }
    return undefined;
  }

  /** Once more, after whoever moves it at this moment: on its way from the cache it is in neither. */
  openMoved(oid: Oid): Promise<{ handle: FileHandle; home: PinnedHome } | undefined> {
    return this.#locks.run(oid, () => this.openFile(oid));
  }

  /** After a confirmed upload: the grace time begins. Nothing where the chunk is not unsent any more. */
  async markSent(oid: Oid): Promise<void> {
    await this.#locks.run(oid, async () => {
      const file = this.#unsent.get(oid);
      if (!file) return;
      // eslint-disable-next-line no-restricted-syntax -- kept: the file's time
      const nowMs = this.deps.clock.nowMs();
      await this.#shards.grace.of(oid);
      // The time first: a file in grace/ with an old time would be released at once after a crash.
      await utimes(this.pathOf(oid, 'unsent'), nowMs / 1000, nowMs / 1000);
      await rename(this.pathOf(oid, 'unsent'), this.pathOf(oid, 'grace'));
      this.#remove('unsent', oid);
      this.#set('grace', oid, { sizeBytes: file.sizeBytes, touchedMs: this.deps.clock.steadyMs() });
    });
    this.deps.onChange();
  }

  /**
   * Gitee lost a chunk that is still here: it is unsent again. Takes it from grace, or from the cache
   * (whose bytes the caller has checked). False where neither has it.
   */
  async markLost(oid: Oid, sizeBytes: number): Promise<boolean> {
    const back = await this.#locks.run(oid, async () => {
      if (this.#unsent.has(oid)) return true;
      const directory = await this.#shards.unsent.of(oid);
      const path = this.pathOf(oid, 'unsent');
      if (this.#grace.has(oid)) {
        await rename(this.pathOf(oid, 'grace'), path);
        this.#remove('grace', oid);
      } else if (!(await this.deps.cache.giveTo(oid, path))) return false;
      // At once: whoever finds it in neither home takes it for lost.
      this.#set('unsent', oid, { sizeBytes, touchedMs: this.deps.clock.steadyMs() });
      // Its time begins anew after a restart, too.
      // eslint-disable-next-line no-restricted-syntax -- kept: the file's time
      const nowMs = this.deps.clock.nowMs();
      await utimes(path, nowMs / 1000, nowMs / 1000);
      await syncDirectory(directory);
      return true;
    });
    this.deps.onChange();
    return back;
  }

  /** A commit names it: its grace time counts anew. Nothing where the chunk is not in its grace time. */
  async markLanded(oid: Oid): Promise<void> {
    await this.#locks.run(oid, async () => {
      const file = this.#grace.get(oid);
      if (!file) return;
      const touchedMs = this.deps.clock.steadyMs();
      this.#set('grace', oid, { sizeBytes: file.sizeBytes, touchedMs });
      if (touchedMs - file.touchedMs < FILE_TIME_LAG_MS) return;
      // eslint-disable-next-line no-restricted-syntax -- kept: the file's time
      const nowMs = this.deps.clock.nowMs();
      await utimes(this.pathOf(oid, 'grace'), nowMs / 1000, nowMs / 1000);
    });
  }

  /** Ends the grace time of a chunk, unless it began anew since `seen` was read: the cache takes the file over. */
  async release(oid: Oid, seen: PinnedFile): Promise<void> {
    await this.#locks.run(oid, async () => {
      const file = this.#grace.get(oid);
      if (!file || file !== seen) return;
      await this.deps.cache.adopt(this.pathOf(oid, 'grace'), oid, file.sizeBytes);
      this.#remove('grace', oid);
    });
    this.deps.onChange();
  }

  /**
   * Deletes an unsent chunk that nothing names, unless it was written anew since `seen` was read.
   * True where it was deleted.
   */
  async forget(oid: Oid, seen: PinnedFile): Promise<boolean> {
    const gone = await this.#locks.run(oid, async () => {
      if (this.#unsent.get(oid) !== seen) return false;
      await unlink(this.pathOf(oid, 'unsent'));
      this.#remove('unsent', oid);
      return true;
    });
    this.deps.onChange();
    return gone;
  }

  /** Takes a file with wrong bytes out. */
  async reject(oid: Oid, home: PinnedHome, inode: bigint): Promise<void> {
    await this.#locks.run(oid, async () => {
      if (await this.deps.cache.aside.take(this.pathOf(oid, home), oid, inode, home)) this.#remove(home, oid);
    });
    this.deps.onChange();
  }

  #set(home: PinnedHome, oid: Oid, file: PinnedFile): void {
    if (!Number.isSafeInteger(file.sizeBytes) || file.sizeBytes < 0)
      throw new ChunkError('corrupt', `chunk ${oid} has an impossible size`);
    this.#remove(home, oid);
    if (home === 'unsent') {
      this.#unsent.set(oid, file);
      this.#unsentBytes += file.sizeBytes;
    } else {
      this.#grace.set(oid, file);
      this.#graceBytes += file.sizeBytes;
    }
  }

  #remove(home: PinnedHome, oid: Oid): void {
    const map = home === 'unsent' ? this.#unsent : this.#grace;
    const file = map.get(oid);
    if (!file) return;
    map.delete(oid);
    if (home === 'unsent') this.#unsentBytes -= file.sizeBytes;
    else this.#graceBytes -= file.sizeBytes;
  }
}
