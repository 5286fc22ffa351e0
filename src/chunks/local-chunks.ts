/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 *
 * Opens chunks that are on this disk, checked before the first byte. A wrong file in the cache or in grace is
 * a miss, since Gitee has the chunk; a wrong file in unsent is the loss of the only copy, and said so.
 */
import type { FileHandle } from 'node:fs/promises';
import { readInto } from '../disk/durable.js';
import type { Metrics } from '../async/metrics.js';
import type { Chunk } from '../format/extent.js';
import { ChunkError } from './api.js';
import type { BlockPool } from './block-pool.js';
import type { ChunkCache } from './cache.js';
import type { ChunkSource } from './chunk-source.js';
import type { ChunkHome } from './paths.js';
import type { PinnedChunks, PinnedHome } from './pinned.js';

/** A chunk file that was checked: all its bytes may go out. */
class CheckedFile implements ChunkSource {
  readonly isVerified = true;

  constructor(
    private readonly handle: FileHandle,
    private readonly chunk: Chunk,
    private readonly blocks: BlockPool,
  ) {}

  async read(positionBytes: number, maxBytes: number): Promise<Uint8Array> {
    const bytes = await readInto(this.blocks.borrow(maxBytes), this.handle, positionBytes);
    if (bytes.length < maxBytes)
      throw new ChunkError('corrupt', `the file of chunk ${this.chunk.oid} was cut while it was read`);
    return bytes;
  }

  async verified(): Promise<void> {}

  async close(): Promise<void> {
    await this.handle.close();
  }
}

export class LocalChunks {
  constructor(
    private readonly pinned: PinnedChunks,
    private readonly cache: ChunkCache,
    private readonly metrics: Metrics,
  ) {}

  /** Whether a file of that name is here, without looking at it. */
  has(chunk: Chunk): boolean {
    return this.pinned.homeOf(chunk.oid) !== undefined || this.cache.has(chunk.oid);
  }

  /**
   * The checked file, or undefined where it is not here (any more).
   * @throws ChunkError `corrupt` where the only copy is wrong, or the chunk is longer or shorter than asked for
   */
  async open(chunk: Chunk): Promise<ChunkSource | undefined> {
    return (
      (await this.#spooled(await this.pinned.openFile(chunk.oid), chunk)) ??
      (await this.#cached(chunk)) ??
      (await this.#spooled(await this.pinned.openMoved(chunk.oid), chunk))
    );
  }

  async #spooled(
    file: { readonly handle: FileHandle; readonly home: PinnedHome } | undefined,
    chunk: Chunk,
  ): Promise<ChunkSource | undefined> {
    const source = file && (await this.#checked(file.handle, chunk, file.home));
    if (source) this.metrics.count('gateway_cache_reads_total', { result: 'spool' });
    return source;
  }

  async #cached(chunk: Chunk): Promise<ChunkSource | undefined> {
    const handle = await this.cache.openFile(chunk.oid);
    const source = handle && (await this.#checked(handle, chunk, 'cache'));
    if (source) this.metrics.count('gateway_cache_reads_total', { result: 'hit' });
    return source;
  }

  async #checked(handle: FileHandle, chunk: Chunk, home: ChunkHome): Promise<ChunkSource | undefined> {
    try {
      const check = await this.cache.files.check(handle, chunk.oid);
      if (!check.good) {
        if (home === 'unsent') {
          this.metrics.count('gateway_chunk_hash_failures_total', { where: home });
          throw new ChunkError('corrupt', `the only copy of chunk ${chunk.oid} does not hash to its name`);
        }
        if (home === 'cache') await this.cache.reject(chunk.oid, check.inode);
        else await this.pinned.reject(chunk.oid, home, check.inode);
        await handle.close();
        return undefined;
      }
      if (check.sizeBytes !== chunk.sizeBytes)
        throw new ChunkError(
          'corrupt',
          `chunk ${chunk.oid} has ${check.sizeBytes} bytes where the index says ${chunk.sizeBytes}`,
        );
      return new CheckedFile(handle, chunk, this.cache.blocks);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}
