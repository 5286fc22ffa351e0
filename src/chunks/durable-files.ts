/** The chunk store's directories: shards, what stands in them, and what it says of a full disk. */
import { opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDurableDirectory } from '../disk/durable.js';
import { isNoSpace, isNotFound } from '../disk/failures.js';
import type { Oid } from '../format/ids.js';
import { ChunkError } from './api.js';

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
