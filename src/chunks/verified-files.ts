/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 *
 * This file keeps its share for files on disk: a chunk file is hashed whole, through the very handle it will be
 * read by, before its first byte goes out. A file is known by inode, modification time and size, so a replaced or
 * rewritten file is hashed anew, and a renamed one is not. Bytes that rot change none of these: what was idle is hashed
 * anew before it is read again, since the kernel may have forgotten it and ask the disk; what is read all the time is
 * hashed once an hour, so that nothing is served wrong for longer. A file that this process has just written counts as
 * hashed: its bytes were, on their way to the disk, and a second pass would read the same pages of the kernel's.
 */
import { createHash, hash as digestOf } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { readInto } from '../disk/durable.js';
import type { Clock } from '../async/clock.js';
import { Semaphore } from '../async/semaphore.js';
import { SingleFlight } from '../async/single-flight.js';
import type { Oid } from '../format/ids.js';

const READ_BYTES = 1024 * 1024;
/** Invariant 5: so many files are read for hashing at once, 1 MiB each. */
const PASSES_AT_ONCE = 4;
/** Some 200 bytes each; a file that fell out is hashed once more. */
const REMEMBERED_FILES = 2_048;
const IDLE_MAX_MS = 10 * 60_000;
const CHECK_MAX_AGE_MS = 3_600_000;

/** SHA-256 of the first `lengthBytes` of an open file, hex. */
export async function hashOfFile(
  handle: FileHandle,
  lengthBytes = Number.POSITIVE_INFINITY,
): Promise<string> {
  const hash = createHash('sha256');
  // One for the whole file: the hash is done with a block when it is asked to take the next.
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, lengthBytes));
  for (let at = 0; at < lengthBytes;) {
    const block = await readInto(buffer.subarray(0, Math.min(READ_BYTES, lengthBytes - at)), handle, at);
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

/** When a file was found right, and when it was read last; steady milliseconds. */
interface Found {
  readonly checkedMs: number;
  readMs: number;
}

/** Changes with the file and with whatever is written to it. */
function keyOf({ dev, ino, mtimeNs, size }: BigIntStats, oid: Oid): string {
  // In milliseconds: setting an access time writes the modification time back at no finer grain.
  const modifiedMs = (mtimeNs + 500_000n) / 1_000_000n;
  // As a digest: it is kept for long, and a text that was put together of pieces keeps all of them.
  return digestOf('sha256', `${oid} ${dev} ${ino} ${modifiedMs} ${size}`, 'base64url');
}

/** Remembers which files were hashed a short while ago and found right. */
export class VerifiedFiles {
  readonly #good = new LRUCache<string, Found>({ max: REMEMBERED_FILES });
  readonly #flights = new SingleFlight<string, boolean>();
  readonly #passes = new Semaphore(PASSES_AT_ONCE);

  constructor(private readonly clock: Clock) {}

  /** Files hashed so far: a test tells "hashed once" by it. */
  hashedFiles = 0;

  /**
   * Whether the file's bytes hash to the oid. The caller keeps the handle open until this settles, since others
   * who ask for the same file wait for this pass.
   */
  async check(handle: FileHandle, oid: Oid): Promise<FileCheck> {
    const s = await handle.stat({ bigint: true });
    const key = keyOf(s, oid);
    const found = { sizeBytes: Number(s.size), inode: s.ino };
    if (this.#isFresh(key)) return { good: true, ...found };
    const good = await this.#flights.run(key, () =>
      this.#passes.run(async () => {
        this.hashedFiles += 1;
        const nowMs = this.clock.steadyMs();
        const right = (await hashOfFile(handle)) === oid;
        if (right) this.#good.set(key, { checkedMs: nowMs, readMs: nowMs });
        else this.#good.delete(key);
        return right;
      }),
    );
    return { good, ...found };
  }

  /** A file of so many bytes was written, synced and closed, and its bytes hashed to the oid as they were written. */
  noteWritten(stats: BigIntStats, oid: Oid, sizeBytes: number): void {
    if (stats.size !== BigInt(sizeBytes)) return; // whoever reads it finds out why
    const nowMs = this.clock.steadyMs();
    this.#good.set(keyOf(stats, oid), { checkedMs: nowMs, readMs: nowMs });
  }

  #isFresh(key: string): boolean {
    const found = this.#good.get(key);
    if (!found) return false;
    const nowMs = this.clock.steadyMs();
    if (nowMs - found.readMs > IDLE_MAX_MS || nowMs - found.checkedMs > CHECK_MAX_AGE_MS) return false;
    found.readMs = nowMs;
    return true;
  }
}
