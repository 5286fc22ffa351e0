/**
 * Writes chunk files so that a name never stands for bytes that are not there (invariant 1's share of this
 * layer: an acknowledged write is never lost): temporary file in the same file system, all bytes, fsync of the
 * file, rename to the hash, fsync of the directory. Only then may anybody be told.
 *
 * Invariant 5. Memory is bounded: a file in writing holds at most one batch of bytes, and all of them together
 * hold no more than a share for all, however many senders stand still.
 */
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { writePieces } from '../disk/durable.js';
import type { Failpoints } from '../async/failpoint.js';
import { explainDiskError } from './durable-files.js';

/** Small pieces are written together: a system call per 64 KiB piece costs more than the copy. */
const BATCH_BYTES = 512 * 1024;
/** Of all files in writing of this process. Above it each piece is written as it comes. */
const ALL_BATCHES_BYTES = 32 * 1024 * 1024;

/** A chunk file that has no name yet. Ends with `seal` and a rename by its keeper, or with `discard`. */
export class UnnamedChunk {
  /** Bytes that all files in writing hold. */
  static #allBatchesBytes = 0;

  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #sizeBytes = 0;
  #open = true;

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly failpoints: Failpoints,
  ) {}

  /** @throws ChunkError `disk-full` */
  static async create(temporaryDirectory: string, failpoints: Failpoints): Promise<UnnamedChunk> {
    const path = join(temporaryDirectory, randomUUID());
    try {
      return new UnnamedChunk(path, await open(path, 'wx', 0o600), failpoints);
    } catch (error) {
      throw explainDiskError(error);
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Takes the bytes (they must not change any more). On failure the file is gone. @throws ChunkError `disk-full` */
  async write(bytes: Uint8Array): Promise<void> {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    UnnamedChunk.#allBatchesBytes += bytes.length;
    this.#sizeBytes += bytes.length;
    if (this.#batchBytes >= BATCH_BYTES || UnnamedChunk.#allBatchesBytes > ALL_BATCHES_BYTES)
      await this.#orDiscard(() => this.#flush());
  }

  /**
   * Makes the bytes durable and closes the file; it still has no name. `timeMs` becomes its mtime. On failure
   * the file is gone: an fsync that failed once is never asked again, the kernel may have dropped the pages.
   * @returns what the system says of the file
   */
  async seal(timeMs: number): Promise<BigIntStats> {
    return this.#orDiscard(async () => {
      await this.#flush();
      await this.handle.utimes(timeMs / 1000, timeMs / 1000);
      await this.failpoints.hit('chunks.beforeSync');
      await this.handle.sync();
      await this.failpoints.hit('chunks.afterSync');
      const stats = await this.handle.stat({ bigint: true });
      this.#open = false;
      await this.handle.close();
      return stats;
    });
  }

  /** Removes the file. May be called at any time, twice, and after the rename (it then does nothing). */
  async discard(): Promise<void> {
    this.#takeBatch();
    if (this.#open) {
      this.#open = false;
      // Nothing is lost with a file that nobody was told of.
      await this.handle.close().catch(() => {});
    }
    await unlink(this.path).catch(() => {});
  }

  async #flush(): Promise<void> {
    const batch = this.#takeBatch();
    if (batch.length === 0) return;
    await writePieces(this.handle, batch);
  }

  #takeBatch(): Uint8Array[] {
    const batch = this.#batch;
    UnnamedChunk.#allBatchesBytes -= this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    return batch;
  }

  async #orDiscard<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      await this.discard();
      throw explainDiskError(error);
    }
  }
}
