/**
 * KeyValueStore on LMDB. Commits that come while one is being written share the next transaction, and its fsync
 * (group commit). A transaction is written by another thread, which calls back into no JavaScript: a process that ends
 * in the middle of one has nothing to wait for. What is visible is durable (`overlappingSync` off).
 *
 * Keeps invariant 1 ("an acknowledged write is never lost") where the disk fails: after an fsync that failed the kernel
 * may count pages as written that never were, so nothing is acknowledged any more and the process must end
 * (https://wiki.postgresql.org/wiki/Fsync_Errors). LMDB refers to pages of completed transactions only, so that a
 * restart goes on from the last of them, whatever became of the pages of one that failed. A full disk is no such
 * failure: that transaction is undone, the next may hold.
 */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { open, type RootDatabase, type RootDatabaseOptions } from 'lmdb';
import { syncDirectoryAtOnce } from '../disk/durable.js';
import { GroupBuilder, type WaitingCommit } from './commit-group.js';
import { StorageError } from './errors.js';
import { asBuffer } from './key-bytes.js';
import type { Entry, KeyValueStore, Precondition, Write } from './key-value-store.js';

/** LMDB's limit for a key with pages of 4 KiB. */
const KEY_BYTES_MAX = 1978;
/** A few milliseconds' worth. */
const READS_WITHOUT_YIELD = 256;
/**
 * A transaction that is not over by then never will be, as far as anybody who waits is concerned. lmdb-js says nothing
 * at all where a transaction can't begin.
 */
const COMMIT_MAX_MS = 120_000;
/** Turns of the event loop in which a transaction waits for others to join it. */
const GATHERING_TURNS_MAX = 8;
/** With less free than this the disk is full. */
const FULL_BELOW_BYTES = 1024 * 1024;
/** What a transaction may take beside its bytes: pages that are written anew, for each change and for itself. */
const CHANGE_BYTES = 16 * 1024;
const TRANSACTION_BYTES = 64 * 1024;

export interface LmdbStoreOptions {
  /** Called once, when nothing can be written safely any more: the process must end, a restart recovers. */
  readonly onFailed?: (error: StorageError) => void;
  /**
   * Throws StorageError `failed` where another process has taken over what is written here. Asked before each
   * transaction, with nothing in between, and after it, before anybody is told that it holds.
   */
  readonly checkLease?: () => void;
  /** The disk is full. Resolves with true where room was made: the transaction is then tried once more. */
  readonly makeRoom?: () => Promise<boolean>;
  readonly commitMaxMs?: number;
  /** Bytes that are free on the disk of this directory; by default the system is asked. */
  readonly freeBytes?: (directory: string) => number;
}

export class LmdbStore implements KeyValueStore {
  #closing: Promise<void> | undefined;
  #readsSinceYield = 0;
  readonly #waiting: WaitingCommit[] = [];
  #writing: Promise<void> | undefined;
  #failure: StorageError | undefined;

  private constructor(
    private readonly directory: string,
    private readonly db: RootDatabase<Uint8Array, Uint8Array>,
    private readonly options: LmdbStoreOptions,
  ) {}

  /** Opens the environment in this directory, which is made where it is missing. */
  static open(directory: string, options: LmdbStoreOptions = {}): LmdbStore {
    mkdirSync(directory, { recursive: true });
    if (existsSync(join(directory, 'data.mdb'))) leaveUnsynced(directory);
    const db = open<Uint8Array, Uint8Array>({
      ...environment(directory),
      overlappingSync: false,
      // A rejected batch of an event turn is a promise that nobody can get at.
      eventTurnBatching: false,
    });
    // fsync(2): the fsync of a file need not reach its name, and LMDB syncs data.mdb only. Without these a power
    // cut may take the whole environment, everything acknowledged in it included.
    syncDirectoryAtOnce(directory);
    syncDirectoryAtOnce(dirname(directory));
    return new LmdbStore(directory, db, options);
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
    const entries: Entry[] = [];
    for (const entry of this.db.getRange({ ...range, limit })) entries.push(entry);
    return entries;
  }

  /** @throws StorageError `disk-full` (nothing was written), `failed` (see onFailed) */
  async commit(preconditions: readonly Precondition[], writes: readonly Write[]): Promise<boolean> {
    this.#checkOpen();
    for (const { key } of writes) checkKey(key);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ preconditions, writes, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen();
    const stats = this.db.getStats() as { lastPageNumber: number; pageSize: number };
    return (stats.lastPageNumber + 1) * stats.pageSize;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#writing;
    // After a failure LMDB's own locks may be held for ever: the process ends without asking for them.
    if (!this.#failure) await this.db.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const group = new GroupBuilder((key) => this.db.get(asBuffer(key))).take(this.#waiting);
      try {
        if (this.#failure) throw this.#failure;
        const { writes, held } = group.build();
        if (writes.length > 0) await this.#write(writes);
        group.members.forEach(({ resolve }, i) => resolve(held[i]!));
      } catch (error) {
        // Also those whose preconditions did not hold: what they saw may be of this group.
        for (const { reject } of group.members) reject(error);
      }
    }
    this.#writing = undefined;
  }

  /**
   * What is on its way here goes together: each transaction costs a sync, and the way to another thread and back. Waits
   * for no time, only while turns of the event loop bring more.
   */
  async #gather(): Promise<void> {
    await setImmediate(); // of the turn that has begun, the rest
    for (let turn = 0; turn < GATHERING_TURNS_MAX; turn += 1) {
      const count = this.#waiting.length;
      await setImmediate();
      if (this.#waiting.length === count) return;
    }
  }

  async #write(writes: readonly Write[]): Promise<void> {
    // LMDB must not meet the full disk: the text of its error does not fit its buffer (lmdb-js 3.5.6, mdb.c:
    // mdb_page_flush), and a process whose heap is overwritten ends in the middle of anything.
    const room = roomFor(writes);
    const hasRoom = () => this.#freeBytes() >= room;
    if (!hasRoom() && !((await this.#hasRoomMade()) && hasRoom())) throw diskFull();
    for (let isSecond = false; ; isSecond = true) {
      try {
        await this.#transaction(writes);
        return;
      } catch (error) {
        if (error instanceof StorageError) throw error;
        const reason = await reasonOf(error);
        if (!this.#isDiskFull(reason)) throw this.#fail(reason);
        if (!isSecond && (await this.#hasRoomMade())) continue;
        throw diskFull(reason);
      }
    }
  }

  async #transaction(writes: readonly Write[]): Promise<void> {
    const { checkLease, commitMaxMs: limitMs = COMMIT_MAX_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const unanswered = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`a transaction was not over after ${limitMs} ms`)), limitMs);
    });
    try {
      checkLease?.();
      const committed = this.db.batch(() => {
        for (const { key, value } of writes) this.#put(asBuffer(key), value);
      });
      await Promise.race([committed, unanswered]);
      checkLease?.();
    } finally {
      clearTimeout(timer);
    }
  }

  /** In a batch: what becomes of it the promise of the batch says. */
  #put(key: Buffer, value: Uint8Array | undefined): void {
    if (value === undefined) void this.db.remove(key);
    else void this.db.put(key, asBuffer(value));
  }

  async #hasRoomMade(): Promise<boolean> {
    try {
      return (await this.options.makeRoom?.()) ?? false;
    } catch {
      return false; // the disk is full all the same, which is what whoever commits must hear
    }
  }

  /**
   * LMDB calls a short write EIO, which is how a disk gets full: the disk itself is asked. One that can't even say how
   * full it is has failed.
   */
  #isDiskFull(reason: unknown): boolean {
    if (/ENOSPC|No space left|MDB_MAP_FULL|EDQUOT|quota exceeded/i.test(String(reason))) return true;
    if (!/Input\/output error/.test(String(reason))) return false;
    return this.#freeBytes() < FULL_BELOW_BYTES;
  }

  /**
   * Asks the system in the same step that writes: nothing comes in between, and a call of microseconds costs less than
   * its way to another thread. A disk that does not say so fails by what is done with it.
   */
  #freeBytes(): number {
    const { freeBytes = freeBytesOf } = this.options;
    try {
      return freeBytes(this.directory);
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }

  #fail(cause: unknown): StorageError {
    this.#failure = new StorageError(
      'failed',
      'the state directory could not be written, and what is in it is not known until a restart reads it',
      { cause },
    );
    this.options.onFailed?.(this.#failure);
    return this.#failure;
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

function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

function diskFull(cause?: unknown): StorageError {
  return new StorageError('disk-full', 'the disk of the state directory is full: nothing was written', {
    cause,
  });
}

/** Many changes share their pages: the bound is for one of them alone, and ends where the disk is not full. */
function roomFor(writes: readonly Write[]): number {
  const bytes = writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
  return TRANSACTION_BYTES + bytes + Math.min(writes.length * CHANGE_BYTES, FULL_BELOW_BYTES);
}

function environment(directory: string): RootDatabaseOptions & { path: string } {
  return { path: directory, noSubdir: false, keyEncoding: 'binary', encoder: BYTES, cache: false };
}

/**
 * Values as they are, as the encoding `binary` has them. That one makes memory of its own for each value that is read,
 * which costs more than all else of a row; these share blocks (Buffer.poolSize).
 */
const BYTES = {
  encode: (value: Uint8Array): Uint8Array => value,
  decode: (borrowed: Uint8Array): Uint8Array => {
    // lmdb-js lends its own buffer, which says how long the value is and has bytes of others behind it.
    const { length } = borrowed;
    const value = Buffer.allocUnsafe(length);
    value.set(borrowed.subarray(0, length));
    return value;
  },
};

/**
 * Up to 1.0 a transaction was visible before it was synced (`overlappingSync`). Where such a one was the last, its
 * pages may be in the kernel's memory and nowhere else; it was never acknowledged. The last synced one is found by the
 * mode that wrote them both; safeRestore: the same boot of the machine proves nothing, since an fsync may have failed.
 */
function leaveUnsynced(directory: string): void {
  const options = { ...environment(directory), overlappingSync: true, safeRestore: true };
  // Nothing waits to be written, so that it closes at once.
  void open<Uint8Array, Uint8Array>(options).close();
}

function checkKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX)
    throw new RangeError(`a key of the store has 1 to ${KEY_BYTES_MAX} bytes, this one has ${key.length}`);
}

/** lmdb-js rejects with "Commit failed" and puts the reason into a promise of its own. */
async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> };
  if (!commitError) return error;
  return commitError.then(
    () => error,
    (reason: unknown) => reason,
  );
}
