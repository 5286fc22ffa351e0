/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 *
 * This file keeps its share for files on disk: a chunk file is hashed whole, through the very handle it will be
 * read by, before its first byte goes out; once per file and process. A file is known by inode, modification
 * time and size, so a replaced or rewritten file is hashed anew, and a renamed one is not.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { Semaphore } from '../async/semaphore.js';
import { SingleFlight } from '../async/single-flight.js';
import type { Oid } from '../format/ids.js';
import { readAt } from './durable-files.js';

const READ_BYTES = 1024 * 1024;
/** Invariant 5: so many files are read for hashing at once, 1 MiB each. */
const PASSES_AT_ONCE = 4;
/** Some 200 bytes each; a file that fell out is hashed once more. */
const REMEMBERED_FILES = 8_192;

/** SHA-256 of the first `lengthBytes` of an open file, hex. */
export async function hashOfFile(
  handle: FileHandle,
  lengthBytes = Number.POSITIVE_INFINITY,
): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < lengthBytes;) {
    const block = await readAt(handle, at, Math.min(READ_BYTES, lengthBytes - at));
    hash.update(block);
    at += block.length;
    if (block.length < READ_BYTES) break;
  }
  return hash.digest('hex');
}

export interface FileCheck {
  readonly good: boolean;
  readonly sizeBytes: number;
  readonly inode: bigint;
}

/** Remembers which files of this process's lifetime were hashed and found right. */
export class VerifiedFiles {
  readonly #good = new LRUCache<string, true>({ max: REMEMBERED_FILES });
  readonly #flights = new SingleFlight<string, boolean>();
  readonly #passes = new Semaphore(PASSES_AT_ONCE);

  /** Files hashed so far: a test tells "hashed once" by it. */
  hashedFiles = 0;

  /**
   * Whether the file's bytes hash to the oid. The caller keeps the handle open until this settles, since others
   * who ask for the same file wait for this pass.
   */
  async check(handle: FileHandle, oid: Oid): Promise<FileCheck> {
    const s = await handle.stat({ bigint: true });
    // In milliseconds: setting an access time writes the modification time back at no finer grain.
    const modifiedMs = (s.mtimeNs + 500_000n) / 1_000_000n;
    // As a digest: it is kept for long, and a text that was put together of pieces keeps all of them.
    const key = createHash('sha256')
      .update(`${oid} ${s.dev} ${s.ino} ${modifiedMs} ${s.size}`)
      .digest('base64url');
    const found = { sizeBytes: Number(s.size), inode: s.ino };
    if (this.#good.get(key)) return { good: true, ...found };
    const good = await this.#flights.run(key, () =>
      this.#passes.run(async () => {
        this.hashedFiles += 1;
        const right = (await hashOfFile(handle)) === oid;
        if (right) this.#good.set(key, true);
        return right;
      }),
    );
    return { good, ...found };
  }
}
