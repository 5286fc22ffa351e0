/**
 * Writes chunk files so that a name never stands for bytes that are not there (invariant 1's share of this
 * layer: an acknowledged write is never lost): temporary file in the same file system, all bytes, fsync of the
 * file, rename to the hash, fsync of the directory. Only then may anybody be told.
 *
 * Invariant 5. Memory is bounded: a file in writing holds at most one block of bytes, and all of them together
 * hold no more than a share for all, however many senders stand still.
 */
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAll } from '../disk/durable.js';
import type { Failpoints } from '../async/failpoint.js';
import { BLOCK_BYTES, type BlockPool } from './block-pool.js';
import { explainDiskError } from './durable-files.js';

/** Of all files in writing of this process, each of which fills one. Above it each piece is written as it comes. */
const FILLING_BLOCKS_MAX = 64;

/** A chunk file that has no name yet. Ends with `seal` and a rename by its keeper, or with `discard`. */
export class UnnamedChunk {
  static #fillingBlocks = 0;

  /** Small pieces are written together: a system call per 64 KiB piece costs more than the copy. */
  #block: Buffer | undefined;
  #filledBytes = 0;
  #sizeBytes = 0;
  #open = true;

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly blocks: BlockPool,
    private readonly failpoints: Failpoints,
  ) {}

  /** @throws ChunkError `disk-full` */
  static async create(
    temporaryDirectory: string,
    blocks: BlockPool,
    failpoints: Failpoints,
  ): Promise<UnnamedChunk> {
    const path = join(temporaryDirectory, randomUUID());
    try {
      return new UnnamedChunk(path, await open(path, 'wx', 0o600), blocks, failpoints);
    } catch (error) {
      throw explainDiskError(error);
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Takes the bytes; then they are the caller's again. On failure the file is gone. @throws ChunkError `disk-full` */
  async write(bytes: Uint8Array): Promise<void> {
    this.#sizeBytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const rest = bytes.subarray(at);
      const isCopied = this.#block !== undefined || (rest.length < BLOCK_BYTES && this.#begin());
      at += isCopied ? this.#fill(rest) : rest.length;
      if (!isCopied) await this.#orDiscard(() => writeAll(this.handle, rest));
      else if (this.#filledBytes === BLOCK_BYTES) await this.#orDiscard(() => this.#flush());
    }
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
    const block = this.#takeBlock();
    if (block) this.blocks.giveBack(block);
    if (this.#open) {
      this.#open = false;
      // Nothing is lost with a file that nobody was told of.
      await this.handle.close().catch(() => {});
    }
    await unlink(this.path).catch(() => {});
  }

  /** False where all files together have as many as they may. */
  #begin(): boolean {
    if (UnnamedChunk.#fillingBlocks >= FILLING_BLOCKS_MAX) return false;
    UnnamedChunk.#fillingBlocks += 1;
    this.#block = this.blocks.borrow(BLOCK_BYTES);
    this.#filledBytes = 0;
    return true;
  }

  /** As many as there is room for in the block. */
  #fill(bytes: Uint8Array): number {
    const part = bytes.subarray(0, BLOCK_BYTES - this.#filledBytes);
    this.#block?.set(part, this.#filledBytes);
    this.#filledBytes += part.length;
    return part.length;
  }

  async #flush(): Promise<void> {
    const filledBytes = this.#filledBytes;
    const block = this.#takeBlock();
    if (!block) return;
    await writeAll(this.handle, block.subarray(0, filledBytes));
    // Not after a failure: the system may still have it.
    this.blocks.giveBack(block);
  }

  #takeBlock(): Buffer | undefined {
    const block = this.#block;
    if (!block) return undefined;
    UnnamedChunk.#fillingBlocks -= 1;
    this.#block = undefined;
    this.#filledBytes = 0;
    return block;
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
