/** File system steps that the chunk store is made of, and what their failures mean. */
import { constants as fsConstants } from 'node:fs';
import { mkdir, open, opendir, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Oid } from '../format/ids.js';
import { ChunkError } from './api.js';

/** The system call's name for what went wrong (`ENOENT`), if it has one. Errors of another realm count too. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

export function isNotFound(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}

export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** ENOSPC and EDQUOT become ChunkError `disk-full`; everything else stays what it is. */
export function explainDiskError(error: unknown): unknown {
  if (!isNoSpace(error)) return error;
  return new ChunkError(
    'disk-full',
    'the disk of the chunk store is full: free space or lower cache.max_bytes',
    {
      cause: error,
    },
  );
}

/** Makes the names in a directory durable: without it a power cut may undo a rename. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a directory and those above it durable, where they are new. Idempotent. From the top down, each name synced
 * before anything is made below it: whoever is killed in the middle leaves at most the last name unsynced, so that
 * the last one is synced also where it is there already.
 */
export async function makeDurableDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent === path) return;
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (isNotFound(error)) {
      await makeDurableDirectory(parent);
      return makeDurableDirectory(path);
    }
    if (systemCode(error) !== 'EEXIST') throw error;
    await syncDirectory(parent).catch((cause: unknown) => {
      // A parent that may be passed through and not be read is somebody else's, who made this directory too.
      if (systemCode(cause) !== 'EACCES') throw cause;
    });
    return;
  }
  await syncDirectory(parent);
}

/** The shard directories below one directory, made when first needed. */
export class Shards {
  readonly #made = new Map<string, Promise<void>>();

  constructor(readonly directory: string) {}

  /** The directory for this oid, durable; its path. */
  async of(oid: Oid): Promise<string> {
    const shard = join(this.directory, oid.slice(0, 2));
    let made = this.#made.get(shard);
    if (!made) {
      made = makeDurableDirectory(shard);
      this.#made.set(shard, made);
      made.catch(() => this.#made.delete(shard));
    }
    await made;
    return shard;
  }
}

/** Empties a directory of half-written files; makes it where it is not. */
export async function resetDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await makeDurableDirectory(path);
}

/** Writes all bytes; a short write (a nearly full disk) is followed by the error it announces. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

/** Reads up to `lengthBytes` at a position; fewer only at the end of the file. */
export async function readAt(
  handle: FileHandle,
  positionBytes: number,
  lengthBytes: number,
): Promise<Buffer> {
  // Not from the pool: a slow reader would keep the whole slab alive for a few bytes.
  const buffer = Buffer.allocUnsafeSlow(lengthBytes);
  let filledBytes = 0;
  while (filledBytes < lengthBytes) {
    const { bytesRead } = await handle.read(
      buffer,
      filledBytes,
      lengthBytes - filledBytes,
      positionBytes + filledBytes,
    );
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return filledBytes === lengthBytes ? buffer : buffer.subarray(0, filledBytes);
}

/** A chunk file as found on disk. */
export interface FoundFile {
  readonly oid: Oid;
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly accessedMs: number;
}

const SHARD = /^[0-9a-f]{2}$/;
const OID = /^[0-9a-f]{64}$/;
const STATS_AT_ONCE = 32;

/** All chunk files below a directory, shard by shard; names that are no chunk's are passed over. */
export async function* scanChunkFiles(directory: string): AsyncGenerator<FoundFile> {
  for await (const shard of await opendir(directory)) {
    if (!shard.isDirectory() || !SHARD.test(shard.name)) continue;
    let batch: string[] = [];
    const shardPath = join(directory, shard.name);
    for await (const file of await opendir(shardPath)) {
      if (!file.isFile() || !OID.test(file.name) || !file.name.startsWith(shard.name)) continue;
      batch.push(file.name);
      if (batch.length < STATS_AT_ONCE) continue;
      yield* await statAll(shardPath, batch);
      batch = [];
    }
    yield* await statAll(shardPath, batch);
  }
}

async function statAll(shardPath: string, names: readonly string[]): Promise<FoundFile[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(shardPath, name);
      try {
        const s = await stat(path);
        return {
          oid: name as Oid,
          path,
          sizeBytes: s.size,
          modifiedMs: s.mtimeMs,
          accessedMs: Math.max(s.atimeMs, s.mtimeMs),
        };
      } catch (error) {
        // Evicted or moved on while we look: it is no longer here.
        if (isNotFound(error)) return undefined;
        throw error;
      }
    }),
  );
  return found.filter((f) => f !== undefined);
}
