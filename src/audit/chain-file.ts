/** The file that the chain is written to: knows how much of it is good, so that a failed write leaves no half line. */
import { copyFile, open, rename, rm, truncate, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory, syncFile } from '../disk/durable.js';
import { segmentName, type Segment } from './segments.js';

/** No segment has such a name; what a kill leaves under it the next start writes anew. */
const COPY = 'last-segment.copy';

/** One writer at a time calls this. */
export class ChainFile {
  #isDirty = false;
  #mayHaveRest = false;

  private constructor(
    readonly name: string,
    readonly day: string,
    private readonly handle: FileHandle,
    private goodBytes: number,
  ) {}

  static async create(directory: string, day: string, firstSeq: number): Promise<ChainFile> {
    const name = segmentName(day, firstSeq);
    // 'wx' not 'w': a file of that name would be a chain that is not ours to overwrite.
    const handle = await open(join(directory, name), 'wx', 0o600);
    try {
      await syncDirectory(directory);
    } catch (error) {
      // Or the next try would find the name taken.
      await handle.close();
      await rm(join(directory, name), { force: true });
      throw error;
    }
    return new ChainFile(name, day, handle, 0);
  }

  /**
   * Goes on with a file of before, in a copy that takes its name: a process that stands still in the middle of a write,
   * and looked at its lease just before, writes to what has no name any more. Where there is no room for a copy it is
   * the file itself.
   */
  static async takeOver(directory: string, segment: Segment, sizeBytes: number): Promise<ChainFile> {
    const copy = join(directory, COPY);
    try {
      await copyFile(segment.path, copy);
      // Without what was written while it was copied.
      await truncate(copy, sizeBytes);
      await syncFile(copy);
      await rename(copy, segment.path);
      await syncDirectory(directory);
    } catch {
      await rm(copy, { force: true, recursive: true });
    }
    return new ChainFile(segment.name, segment.day, await open(segment.path, 'r+'), sizeBytes);
  }

  get sizeBytes(): number {
    return this.goodBytes;
  }

  /** Writes all or, where it rejects, nothing that counts: the next append begins where this one did. */
  async append(bytes: Uint8Array): Promise<void> {
    if (this.#mayHaveRest) {
      await this.handle.truncate(this.goodBytes);
      this.#mayHaveRest = false;
    }
    this.#mayHaveRest = true;
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await this.handle.write(
        bytes,
        written,
        bytes.length - written,
        this.goodBytes + written,
      );
      written += bytesWritten;
    }
    this.goodBytes += written;
    this.#mayHaveRest = false;
    this.#isDirty = true;
  }

  /** fsync, where something was written since the last one. */
  async sync(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    await this.handle.datasync();
  }

  async close(): Promise<void> {
    try {
      // A half line must not stay for the next start to find, where it can be helped.
      if (this.#mayHaveRest) await this.handle.truncate(this.goodBytes);
      await this.sync();
    } finally {
      await this.handle.close();
    }
  }
}
