/**
 * Which LFS objects Gitee keeps for us, as far as this gateway knows: a row per repository and oid, and their sum.
 * Gitee has no call that tells it, and keeps what the branch does not name any more, so nothing but a recount
 * takes a row out. An oid is a row, hence counted once however often it is sent or found. What only the branch says is
 * counted when Gitee has said so too (lfs-claims.ts).
 *
 * Memory is bounded: rows wait for a commit that many share, PENDING_MAX at most. What a kill takes with it comes
 * back by itself, since every start tells the chunks within their grace time again, and every chunk that is not
 * within it is sent, or asked for, anew.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import { Semaphore } from '../async/semaphore.js';
import type { Chunk } from '../format/extent.js';
import { toOid, type Oid } from '../format/ids.js';
import type { ChunkCensus } from '../index/chunk-census.js';
import { joinBytes, prefixEnd, readU64, u64, utf8 } from '../index/key-bytes.js';
import type { KeyValueStore, Write } from '../index/key-value-store.js';
import { walk } from '../index/walk.js';
import { LfsClaims, type AskMissing } from './lfs-claims.js';

const FLUSH_AFTER_MS = 1_000;
/** A rebuild commits so many at once: oids are random, so a small batch would rewrite as many pages. */
const PENDING_MAX = 16_384;
const RECOUNT_AT_ONCE = 1_000;
const OID_BYTES = 32;

const ROW = utf8('o');
const SUM = utf8('s');
const COMPLETE = utf8('c');
const CLAIM = utf8('p');
/** Of a census that is complete: Gitee was asked for what it told, or was not yet. */
const ASKED = new Uint8Array(0);
const NOT_ASKED = Uint8Array.of(1);
const END = Uint8Array.of(0);

export interface RepositoryLedgerDeps {
  readonly store: KeyValueStore;
  /** `owner/name`; buckets of one repository share its rows. */
  readonly repository: string;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

/** Space of one repository. */
export class RepositoryLedger {
  readonly #pending = new Map<Oid, number>();
  readonly #closed = new AbortController();
  /** A commit adds to the sum that the last one left. */
  readonly #commits = new Semaphore(1);
  #pendingBytes = 0;
  #isPlanned = false;
  /** Grows with each commit: what was read before it may be out of date. */
  #commitCount = 0;
  readonly #claims: LfsClaims;
  /** Censuses that are complete, but for what Gitee says to them. */
  readonly #notAsked = new Map<Uint8Array, () => Promise<void>>();

  private constructor(
    private readonly deps: RepositoryLedgerDeps,
    private kept: { bytes: number; objects: number },
  ) {
    const { store, repository } = deps;
    this.#claims = new LfsClaims({
      ...deps,
      prefix: joinBytes(CLAIM, utf8(repository), END),
      onFound: async (chunks) => {
        for (const chunk of chunks) await this.add(chunk);
        await this.flush();
      },
      onAsked: async () => {
        for (const [key, onComplete] of this.#notAsked) {
          await store.commit([], [{ key, value: ASKED }]);
          this.#notAsked.delete(key);
          await onComplete();
        }
      },
    });
  }

  static async open(deps: RepositoryLedgerDeps): Promise<RepositoryLedger> {
    const row = await deps.store.get(joinBytes(SUM, utf8(deps.repository)));
    const kept = row ? { bytes: readU64(row, 0), objects: readU64(row, 8) } : { bytes: 0, objects: 0 };
    return new RepositoryLedger(deps, kept);
  }

  get usedBytes(): number {
    return this.kept.bytes + this.#pendingBytes;
  }

  get objects(): number {
    return this.kept.objects + this.#pending.size;
  }

  /** Gitee has this chunk. Counted at once, durable a second later. @throws StorageError where the disk is full */
  async add(chunk: Chunk): Promise<void> {
    // Other volumes are not this repository's.
    if (chunk.volume !== 0) return;
    for (;;) {
      if (this.#pending.has(chunk.oid)) return;
      const commits = this.#commitCount;
      if (await this.deps.store.get(this.#rowKey(chunk.oid))) return;
      // Somebody may have added it meanwhile; and where there was a commit, its row may have come in with that.
      if (commits === this.#commitCount && !this.#pending.has(chunk.oid)) break;
    }
    this.#pending.set(chunk.oid, chunk.sizeBytes);
    this.#pendingBytes += chunk.sizeBytes;
    this.#plan();
    while (this.#pending.size >= PENDING_MAX) await this.flush();
  }

  /** Whom to ask for what the branch names. */
  askWith(missing: AskMissing): void {
    this.#claims.askWith(missing);
  }

  /** Makes durable what was counted up to now. */
  flush(): Promise<void> {
    return this.#commits.run(() => this.#flush());
  }

  /**
   * The counting of one bucket's branch. `bucket` names its state: a new one is counted anew. `onComplete` is called
   * when that was done for the first time, and Gitee was asked for all of it.
   */
  async censusOf(bucket: string, onComplete: () => Promise<void>): Promise<ChunkCensus> {
    const { store } = this.deps;
    const key = joinBytes(COMPLETE, utf8(this.deps.repository), END, utf8(bucket));
    const row = await store.get(key);
    let isComplete = row !== undefined;
    if (row && row.length > 0) this.#notAsked.set(key, onComplete);
    return {
      get isComplete() {
        return isComplete;
      },
      add: async (chunk) => {
        if (chunk.volume === 0 && !(await this.#isCounted(chunk.oid))) await this.#claims.add(chunk);
      },
      complete: async () => {
        await this.#claims.flush();
        if (isComplete) return;
        await store.commit([], [{ key, value: NOT_ASKED }]);
        isComplete = true;
        this.#notAsked.set(key, onComplete);
        this.#claims.wake();
      },
    };
  }

  /** Asks Gitee for every object and forgets what is not there: for after somebody deleted objects by hand. */
  async recount(
    missing: AskMissing,
  ): Promise<{ objects: number; removedObjects: number; removedBytes: number }> {
    await this.#claims.ask(missing);
    await this.flush();
    const removed = { objects: 0, bytes: 0 };
    let group: Chunk[] = [];
    const ask = async () => {
      const gone = await missing(group, this.#closed.signal);
      group = [];
      await this.#forget(gone);
      removed.objects += gone.length;
      removed.bytes += gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    };
    const start = this.#rowKey();
    for await (const { key, value } of walk(this.deps.store, start, prefixEnd(start))) {
      const oid = toOid(Buffer.from(key.subarray(key.length - OID_BYTES)).toString('hex'));
      group.push({ oid, sizeBytes: readU64(value, 0), volume: 0 });
      if (group.length >= RECOUNT_AT_ONCE) await ask();
    }
    if (group.length > 0) await ask();
    return { objects: this.objects, removedObjects: removed.objects, removedBytes: removed.bytes };
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the ledger is closed'));
    await this.#claims.close();
    await this.flush();
  }

  async #isCounted(oid: Oid): Promise<boolean> {
    return this.#pending.has(oid) || (await this.deps.store.get(this.#rowKey(oid))) !== undefined;
  }

  async #flush(): Promise<void> {
    const batch = [...this.#pending].sort(([a], [b]) => (a < b ? -1 : 1));
    if (batch.length === 0) return;
    const bytes = batch.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0);
    await this.#commit(
      batch.map(([oid, sizeBytes]) => ({ key: this.#rowKey(oid), value: u64(sizeBytes) })),
      { bytes: this.kept.bytes + bytes, objects: this.kept.objects + batch.length },
    );
    for (const [oid] of batch) this.#pending.delete(oid);
    this.#pendingBytes -= bytes;
  }

  #forget(gone: readonly Chunk[]): Promise<void> {
    if (gone.length === 0) return Promise.resolve();
    const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return this.#commits.run(() =>
      this.#commit(
        gone.map(({ oid }) => ({ key: this.#rowKey(oid), value: undefined })),
        { bytes: this.kept.bytes - bytes, objects: this.kept.objects - gone.length },
      ),
    );
  }

  async #commit(rows: readonly Write[], kept: { bytes: number; objects: number }): Promise<void> {
    const key = joinBytes(SUM, utf8(this.deps.repository));
    const value = joinBytes(u64(kept.bytes), u64(kept.objects));
    await this.deps.store.commit([], [...rows, { key, value }]);
    this.#commitCount += 1;
    this.kept = kept;
  }

  #plan(): void {
    if (this.#isPlanned || this.#closed.signal.aborted) return;
    this.#isPlanned = true;
    const { clock, log, repository } = this.deps;
    clock
      .sleep(FLUSH_AFTER_MS, this.#closed.signal)
      .then(() => this.flush())
      .catch((error: unknown) => {
        // Nothing is lost by it: it stays pending, and is tried again.
        if (!this.#closed.signal.aborted) log.warn('could not note what Gitee keeps', { repository, error });
      })
      .finally(() => {
        this.#isPlanned = false;
        if (this.#pending.size > 0) this.#plan();
      });
  }

  #rowKey(oid?: Oid): Uint8Array {
    const start = joinBytes(ROW, utf8(this.deps.repository), END);
    return oid === undefined ? start : joinBytes(start, Buffer.from(oid, 'hex'));
  }
}

/** The ledgers of all repositories, in one store of their own. */
export class LfsLedger {
  readonly #repositories = new Map<string, Promise<RepositoryLedger>>();
  readonly #open = new Set<RepositoryLedger>();

  constructor(private readonly deps: Omit<RepositoryLedgerDeps, 'repository'>) {}

  /** Sum over the repositories that this run uses. */
  get usedBytes(): number {
    let sum = 0;
    for (const ledger of this.#open) sum += ledger.usedBytes;
    return sum;
  }

  repository(repository: string): Promise<RepositoryLedger> {
    let ledger = this.#repositories.get(repository);
    if (!ledger) {
      ledger = RepositoryLedger.open({ ...this.deps, repository }).then((opened) => {
        this.#open.add(opened);
        return opened;
      });
      this.#repositories.set(repository, ledger);
    }
    return ledger;
  }

  async close(): Promise<void> {
    for (const ledger of this.#open) await ledger.close();
    await this.deps.store.close();
  }
}
