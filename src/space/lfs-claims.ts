/**
 * LFS objects that files on the branch name, and of which Gitee was not asked yet. Anybody who may push can write any
 * size into a pointer: what nobody has seen there takes no space of the quota. A claim is a row until Gitee was asked for
 * it, in the background; what is there, of that size, is counted from then on, and the others are forgotten until the
 * branch names them again.
 *
 * Memory is bounded: rows wait for a commit that many share, PENDING_MAX at most, and are asked for page by page.
 * Every question ends: what fails as a whole is asked again after a pause that grows, with jitter.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import { Semaphore } from '../async/semaphore.js';
import type { Chunk } from '../format/extent.js';
import { toOid, type Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import { joinBytes, nextKey, prefixEnd, readU64, u64 } from '../index/key-bytes.js';
import type { KeyValueStore } from '../index/key-value-store.js';

/** As a rebuild tells them: many share a commit. */
const PENDING_MAX = 16_384;
const ASKED_AT_ONCE = 1_000;
const ASK_AFTER_MS = 1_000;
/** Between two pages where nobody waits for it: what somebody committed is not to take the line, or Gitee's patience. */
const PAGE_PAUSE_MS = 1_000;
const RETRY_BASE_MS = 5_000;
const RETRY_MAX_MS = 3_600_000;
const OID_BYTES = 32;

/** Those that Gitee does not have with that size. @throws RemoteError, which names the objects that were refused */
export type AskMissing = (chunks: readonly Chunk[], signal: AbortSignal) => Promise<readonly Chunk[]>;

export interface LfsClaimsDeps {
  readonly store: KeyValueStore;
  /** Begin of the keys of its rows. */
  readonly prefix: Uint8Array;
  readonly repository: string;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1), for jitter. */
  readonly random?: (() => number) | undefined;
  /** Gitee has these; durable when it resolves. */
  readonly onFound: (chunks: readonly Chunk[]) => Promise<void>;
  /** Gitee was asked for every claim that there was. */
  readonly onAsked: () => Promise<void>;
}

export class LfsClaims {
  readonly #pending = new Map<Oid, number>();
  readonly #closed = new AbortController();
  readonly #commits = new Semaphore(1);
  readonly #asking = new Semaphore(1);
  #missing: AskMissing | undefined;
  #planned: Promise<void> | undefined;
  /** Since they were asked for last there are new ones, or some for which there was no answer. */
  #isDue = true;
  #failures = 0;

  constructor(private readonly deps: LfsClaimsDeps) {}

  /** Whom to ask: the first one stays. From now on claims are asked for by themselves. */
  askWith(missing: AskMissing): void {
    this.#missing ??= missing;
    this.#plan(ASK_AFTER_MS);
  }

  /** Durable with flush(), at the latest when Gitee is asked. @throws StorageError where the disk is full */
  async add({ oid, sizeBytes }: Chunk): Promise<void> {
    // Of two sizes that are claimed of one object the first is asked for: one answer is owed to each object.
    if (this.#pending.has(oid)) return;
    this.#pending.set(oid, sizeBytes);
    this.wake();
    while (this.#pending.size >= PENDING_MAX) await this.flush();
  }

  /** They are asked for soon. */
  wake(): void {
    this.#isDue = true;
    this.#plan(ASK_AFTER_MS);
  }

  flush(): Promise<void> {
    return this.#commits.run(async () => {
      const batch = [...this.#pending];
      if (batch.length === 0) return;
      const { store } = this.deps;
      await store.commit(
        [],
        batch.map(([oid, sizeBytes]) => ({ key: this.#key(oid), value: u64(sizeBytes) })),
      );
      for (const [oid] of batch) this.#pending.delete(oid);
    });
  }

  /**
   * Asks for all of them, now.
   * @param pauseMs between two pages
   * @throws RemoteError where Gitee gives no answer: what was not asked for stays; StorageError
   */
  ask(missing: AskMissing, pauseMs = 0): Promise<void> {
    return this.#asking.run(async () => {
      await this.flush();
      this.#isDue = false;
      try {
        await this.#askAll(missing, pauseMs);
      } catch (error) {
        this.#isDue = true;
        throw error;
      }
      await this.deps.onAsked();
    });
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the ledger is closed'));
    await this.#planned;
    await this.flush();
  }

  async #askAll(missing: AskMissing, pauseMs: number): Promise<void> {
    const { clock, log, prefix, repository, store } = this.deps;
    const end = prefixEnd(prefix);
    let start = prefix;
    let nowhere = 0;
    for (;;) {
      const page = await store.page(start, end, ASKED_AT_ONCE);
      const last = page.at(-1);
      if (!last) break;
      start = nextKey(last.key);
      const claimed = page.map(({ key, value }) => chunkOf(key, value));
      const { found, unanswered } = await this.#askFor(claimed, missing);
      await this.deps.onFound(found);
      const settled = claimed.filter((chunk) => !unanswered.has(chunk.oid));
      await store.commit(
        [],
        settled.map(({ oid }) => ({ key: this.#key(oid), value: undefined })),
      );
      nowhere += settled.length - found.length;
      if (unanswered.size > 0) this.#isDue = true;
      if (page.length < ASKED_AT_ONCE) break;
      if (pauseMs > 0) await clock.sleep(pauseMs, this.#closed.signal);
    }
    if (nowhere > 0)
      log.warn('the branch names LFS objects that Gitee does not have: they count as no space', {
        repository,
        objects: nowhere,
      });
  }

  /** What is said of one object holds up no other. */
  async #askFor(
    claimed: readonly Chunk[],
    missing: AskMissing,
  ): Promise<{ found: readonly Chunk[]; unanswered: ReadonlySet<Oid> }> {
    const unanswered = new Set<Oid>();
    for (let open = claimed; ;) {
      try {
        const gone = new Set((await missing(open, this.#closed.signal)).map(({ oid }) => oid));
        return { found: open.filter(({ oid }) => !gone.has(oid)), unanswered };
      } catch (error) {
        if (!(error instanceof RemoteError)) throw error;
        const named = new Set<string>(error.oids);
        const rest = open.filter(({ oid }) => !named.has(oid));
        if (rest.length === open.length) throw error;
        // A refusal is an answer: it is not there as it was claimed.
        if (error.isTransient || error.pauses)
          for (const { oid } of open) if (named.has(oid)) unanswered.add(oid);
        open = rest;
      }
    }
  }

  #plan(ms: number): void {
    const missing = this.#missing;
    if (!missing || this.#planned || this.#closed.signal.aborted) return;
    this.#planned = this.#askAfter(ms, missing).finally(() => {
      this.#planned = undefined;
      if (this.#isDue) this.#plan(this.#failures > 0 ? this.#pauseMs() : ASK_AFTER_MS);
    });
  }

  async #askAfter(ms: number, missing: AskMissing): Promise<void> {
    const { clock, log, repository } = this.deps;
    try {
      await clock.sleep(ms, this.#closed.signal);
      if (!this.#isDue) return;
      await this.ask(missing, PAGE_PAUSE_MS);
      this.#failures = this.#isDue ? this.#failures + 1 : 0;
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      this.#failures += 1;
      log.info('Gitee could not be asked for LFS objects that the branch names', { repository, error });
    }
  }

  #pauseMs(): number {
    const { random = Math.random } = this.deps;
    const ceilingMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(this.#failures - 1, 16));
    return ceilingMs * (0.5 + 0.5 * random());
  }

  #key(oid: Oid): Uint8Array {
    return joinBytes(this.deps.prefix, Buffer.from(oid, 'hex'));
  }
}

function chunkOf(key: Uint8Array, value: Uint8Array): Chunk {
  const oid = toOid(Buffer.from(key.subarray(key.length - OID_BYTES)).toString('hex'));
  return { oid, sizeBytes: readU64(value, 0), volume: 0 };
}
