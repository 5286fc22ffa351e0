import { createHash, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAll } from '../disk/durable.js';
import type { Chunk } from '../format/extent.js';

/** The bytes came whole but are not the chunk's. */
export class WrongBytes extends Error {}

/** What readers were given of an earlier file that was dropped: the next one must begin with the same bytes. */
export interface Prefix {
  readonly lengthBytes: number;
  readonly sha256: string;
}

/**
 * A chunk on its way to the cache: one file that grows over several tries, hashed while it grows. After a failed
 * write it is in doubt and must be dropped.
 */
export class PartialFile {
  readonly #hash = createHash('sha256');
  #receivedBytes = 0;
  #isCompared: boolean;

  private constructor(
    private readonly chunk: Chunk,
    readonly path: string,
    readonly handle: FileHandle,
    private readonly prefix: Prefix | undefined,
  ) {
    this.#isCompared = prefix === undefined;
  }

  static async create(chunk: Chunk, directory: string, prefix: Prefix | undefined): Promise<PartialFile> {
    const path = join(directory, randomUUID());
    return new PartialFile(chunk, path, await open(path, 'wx+', 0o600), prefix);
  }

  /** Where the next try goes on. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** What readers may see: nothing before it has been compared with what they were given before. */
  get visibleBytes(): number {
    return this.#isCompared ? this.#receivedBytes : 0;
  }

  /** @throws WrongBytes, or the disk's error */
  async append(block: Uint8Array): Promise<void> {
    if (block.length === 0) return;
    if (this.#receivedBytes + block.length > this.chunk.sizeBytes)
      throw new WrongBytes('more bytes than the chunk has');
    const { prefix } = this;
    if (!this.#isCompared && prefix && this.#receivedBytes + block.length >= prefix.lengthBytes) {
      const split = prefix.lengthBytes - this.#receivedBytes;
      this.#hash.update(block.subarray(0, split));
      if (this.#hash.copy().digest('hex') !== prefix.sha256)
        throw new WrongBytes('two attempts brought different bytes');
      this.#hash.update(block.subarray(split));
      await writeAll(this.handle, block);
      this.#isCompared = true;
    } else {
      this.#hash.update(block);
      await writeAll(this.handle, block);
    }
    this.#receivedBytes += block.length;
  }

  /** @throws WrongBytes where this is not the whole chunk */
  check(): void {
    if (this.#receivedBytes !== this.chunk.sizeBytes)
      throw new WrongBytes(`${this.#receivedBytes} bytes instead of ${this.chunk.sizeBytes}`);
    if (this.#hash.digest('hex') !== this.chunk.oid) throw new WrongBytes('the bytes do not hash to the oid');
  }

  /** Takes the name away; the handle stays for those who read. */
  async unlink(): Promise<void> {
    await unlink(this.path).catch(() => {
      // Renamed before the failure.
    });
  }
}
