/**
 * KeyValueStore on LMDB. A commit is one asynchronous write transaction; concurrent ones share an fsync, since
 * lmdb-js batches what is queued while it writes. `transactionSync` is never used: it blocks the event loop for
 * the fsync. Callbacks inside a transaction stay in this file.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { open, type RootDatabase } from 'lmdb';
import { StorageError } from './errors.js';
import { sameBytes } from './key-bytes.js';
import type { Entry, KeyValueStore, Precondition, Write } from './key-value-store.js';

/** LMDB's limit for a key with pages of 4 KiB. */
const KEY_BYTES_MAX = 1978;
/** A few milliseconds' worth. */
const READS_WITHOUT_YIELD = 256;

export class LmdbStore implements KeyValueStore {
  #closing: Promise<void> | undefined;
  #readsSinceYield = 0;

  private constructor(private readonly db: RootDatabase<Uint8Array, Uint8Array>) {}

  /** Opens the environment in this directory, which is made where it is missing. */
  static open(directory: string): LmdbStore {
    mkdirSync(directory, { recursive: true });
    const db = open<Uint8Array, Uint8Array>({
      path: directory,
      noSubdir: false,
      keyEncoding: 'binary',
      encoding: 'binary',
      cache: false,
    });
    // fsync(2): the fsync of a file need not reach its name, and LMDB syncs data.mdb only. Without these a power
    // cut may take the whole environment, everything acknowledged in it included.
    syncNames(directory);
    syncNames(dirname(directory));
    return new LmdbStore(db);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    if (this.#mustYield(1)) await setImmediate();
    return this.db.get(asBuffer(key));
  }

  async page(
    start: Uint8Array,
    end: Uint8Array,
    limit: number,
    options: { reverse?: boolean } = {},
  ): Promise<Entry[]> {
    this.#checkOpen();
    if (limit <= 0 || Buffer.compare(start, end) >= 0) return [];
    if (this.#mustYield(1 + limit / 16)) await setImmediate();
    // Reversed, lmdb walks from `start` down to `end`: the ends of the interval change places with their sides.
    const range = options.reverse
      ? {
          start: asBuffer(end),
          exclusiveStart: true,
          end: asBuffer(start),
          inclusiveEnd: true,
          reverse: true,
        }
      : { start: asBuffer(start), end: asBuffer(end) };
    return this.db.getRange({ ...range, limit }).map(({ key, value }) => ({ key, value })).asArray;
  }

  async commit(preconditions: readonly Precondition[], writes: readonly Write[]): Promise<boolean> {
    this.#checkOpen();
    // An error inside the callback would not undo the writes before it, so all is checked first.
    for (const { key } of writes) checkKey(key);
    let held: boolean;
    try {
      held = await this.db.transaction(() => {
        for (const { key, value } of preconditions)
          if (!sameBytes(this.db.get(asBuffer(key)), value)) return false;
        for (const { key, value } of writes) this.#write(asBuffer(key), value);
        return true;
      });
      await this.db.flushed;
    } catch (error) {
      throw await storageError(error);
    }
    return held;
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen();
    const stats = this.db.getStats() as { lastPageNumber: number; pageSize: number };
    return (stats.lastPageNumber + 1) * stats.pageSize;
  }

  close(): Promise<void> {
    this.#closing ??= this.db.close();
    return this.#closing;
  }

  #write(key: Buffer, value: Uint8Array | undefined): void {
    // Inside a transaction both are done at once; the promises say nothing more than the transaction's own.
    if (value === undefined) void this.db.remove(key);
    else void this.db.put(key, asBuffer(value));
  }

  /**
   * LMDB reads from mapped memory at once, so that a long walk would be one run of microtasks: no request would be
   * served and no write would end until it is over.
   */
  #mustYield(cost: number): boolean {
    this.#readsSinceYield += cost;
    if (this.#readsSinceYield < READS_WITHOUT_YIELD) return false;
    this.#readsSinceYield = 0;
    return true;
  }

  #checkOpen(): void {
    if (this.#closing) throw new StorageError('not-ready', 'the store is closed');
  }
}

function syncNames(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** lmdb-js takes any other Uint8Array for a value to be encoded. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checkKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX)
    throw new RangeError(`a key of the store has 1 to ${KEY_BYTES_MAX} bytes, this one has ${key.length}`);
}

async function storageError(error: unknown): Promise<unknown> {
  // lmdb-js rejects each write with "Commit failed" and puts the reason into a promise of its own.
  const reason: unknown = await Promise.resolve((error as { commitError?: unknown }).commitError).catch(
    (e: unknown) => e,
  );
  const text = `${String(error)} ${reason instanceof Error ? reason.message : ''}`;
  if (/ENOSPC|No space left|MDB_MAP_FULL|EDQUOT|quota exceeded/i.test(text))
    return new StorageError('disk-full', 'the disk of the state directory is full: nothing was written', {
      cause: error,
    });
  return error;
}
