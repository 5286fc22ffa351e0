/**
 * Brings the base to a head of the branch, or finds out that this branch may not be followed. Only the base is
 * touched: what is pending stands in the overlay and lands on top (last writer wins, per key).
 *
 * All methods that work on a head are called by one caller at a time (the bucket's head lock).
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Observer } from '../async/observer.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import { FORMAT_PATH, type LayoutRules } from '../format/tree-layout.js';
import { decodeFormat, FormatError } from '../format/version.js';
import type { HeadRemote } from '../gitee/remote.js';
import { changesBetween, countRemoved, type KnownObject } from '../index/apply-diff.js';
import type { BaseDirectory } from '../index/base-directory.js';
import { tellBase, told, type ChunkCensus } from '../index/chunk-census.js';
import { KeyIndex } from '../index/key-index.js';
import { LmdbStore } from '../index/lmdb-store.js';
import { fillBase } from '../index/rebuild.js';
import type { BaseHolder } from './base-holder.js';
import type { Condition } from './condition.js';
import type { GatewayIdentity } from './gateway-identity.js';
import type { Journal } from './journal.js';
import type { Landings } from './landings.js';
import type { JournalEntry } from './overlay-rows.js';

/** A foreign change may remove so many objects, or this share of all, before the bucket freezes. */
const REMOVED_MAX = 100;
const REMOVED_SHARE_MAX = 0.05;

export interface HeadSyncDeps {
  readonly bucket: string;
  readonly repositoryId: () => number;
  readonly rules: LayoutRules;
  readonly remote: HeadRemote;
  readonly journal: Journal;
  readonly identity: GatewayIdentity;
  readonly bases: BaseHolder;
  readonly directory: BaseDirectory;
  readonly condition: Condition;
  readonly landings: Landings;
  /** Told every chunk that the branch names. */
  readonly census?: ChunkCensus | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
}

export class HeadSync {
  /** Changes up to here were pending when this process began: only they can be a snapshot's. */
  readonly #seqAtStart: number;

  constructor(private readonly deps: HeadSyncDeps) {
    this.#seqAtStart = deps.journal.lastSeq;
  }

  /** Asks the server for the head and follows it. */
  async fetch(signal?: AbortSignal): Promise<void> {
    await this.follow(await this.deps.remote.fetch(signal));
  }

  /** Brings the base to a head that has been fetched; freezes the bucket where that is not allowed. */
  async follow(head: CommitId | null): Promise<void> {
    const { bases, condition } = this.deps;
    if (condition.frozen && condition.frozen.code !== 'format') return;
    const index = bases.peek;
    const from = index?.marker?.head ?? null;
    if (index && from === head) {
      if (condition.frozen) await condition.thaw();
      await this.#countBase(index);
      return;
    }
    if (!(await this.#mayFollow(index, from, head))) return;
    const ownSeq = await this.#ownSeq(head);
    if (!index || head === null || (from === null && ownSeq === 0)) {
      await this.#build(head, ownSeq);
      return;
    }
    if (from !== null && (await this.#removesTooMuch(index, from, head))) return;
    await this.#apply(index, from, head, ownSeq);
    await this.#countBase(index);
  }

  /** The operator's word that the branch as it is now is the truth. */
  async accept(signal?: AbortSignal): Promise<void> {
    const { condition, remote } = this.deps;
    const head = await remote.fetch(signal);
    if (!(await this.#hasOurFormat(head, true))) return;
    const ownSeq = await this.#ownSeq(head);
    // From scratch: of a history that is not ours the old head's objects may be gone.
    await this.#build(head, ownSeq);
    await condition.thaw();
  }

  /** Builds the base anew from one fetch and swaps it in. Readers keep the old one until then. */
  async rebuild(signal?: AbortSignal): Promise<void> {
    const head = await this.deps.remote.fetch(signal);
    const { bases, condition } = this.deps;
    if (condition.frozen) return;
    if (!(await this.#mayFollow(bases.peek, bases.peek?.marker?.head ?? null, head))) return;
    await this.#build(head, await this.#ownSeq(head));
  }

  async #mayFollow(
    index: KeyIndex | undefined,
    from: CommitId | null,
    head: CommitId | null,
  ): Promise<boolean> {
    const { condition, remote } = this.deps;
    if (index && from !== null) {
      if (head === null) {
        await remote.keep(from);
        await condition.freeze('branch-gone', `the branch is gone; it was at ${from}`, head);
        return false;
      }
      if (from !== head && !(await remote.isAncestor(from, head))) {
        await remote.keep(from);
        await condition.freeze(
          'diverged',
          `the branch is at ${head}, which does not descend from ${from}: its history was rewritten`,
          head,
        );
        return false;
      }
    }
    return this.#hasOurFormat(head, false);
  }

  async #hasOurFormat(head: CommitId | null, isAccepted: boolean): Promise<boolean> {
    const { condition, remote } = this.deps;
    const bytes = head === null ? undefined : await remote.readFile(head, FORMAT_PATH);
    try {
      const repositoryId = bytes && decodeFormat(bytes).repositoryId;
      if (repositoryId !== undefined && repositoryId !== this.deps.repositoryId() && !isAccepted) {
        await condition.freeze(
          'foreign-bucket',
          `format.json says that this bucket is of repository ${repositoryId}, this one is ${this.deps.repositoryId()}: a copy`,
          head,
        );
        return false;
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      await condition.freeze('format', error.message, head);
      return false;
    }
    if (condition.frozen?.code === 'format') await condition.thaw();
    return true;
  }

  /** The highest seq of ours on the branch. Finds out whether this state is older than the branch. */
  async #ownSeq(head: CommitId | null): Promise<number> {
    const { identity, journal, landings, log, remote } = this.deps;
    if (head === null) return 0;
    const seq = await remote.lastSeqOf(head, identity.id);
    if (seq <= identity.attemptedSeq) return seq;
    log.error('this state is an older snapshot: what was pending is quarantined, never replayed', {
      bucket: this.deps.bucket,
      branchSeq: seq,
      ownSeq: identity.attemptedSeq,
    });
    const reason = {
      code: 'restored-snapshot',
      message: `pending in a snapshot that knows seq ${identity.attemptedSeq}; the branch has seq ${seq}`,
    };
    for await (const entry of journal.entries(this.#seqAtStart))
      await journal.quarantine(entry, reason, true);
    await journal.pass(this.#seqAtStart);
    landings.advance(this.#seqAtStart);
    await identity.renew();
    return 0;
  }

  async #removesTooMuch(index: KeyIndex, from: CommitId, head: CommitId): Promise<boolean> {
    const { condition, journal, remote } = this.deps;
    const limit = Math.max(REMOVED_MAX, Math.floor(index.count * REMOVED_SHARE_MAX));
    const removed = await countRemoved(remote, from, head, {
      limit,
      isCounted: async (key) => {
        if (!(await index.get(key))) return false;
        // What we deleted ourselves and may have landed in this very difference.
        const newest = await journal.newest(key);
        return !newest || newest.record !== undefined;
      },
    });
    if (removed <= limit) return false;
    await remote.keep(from);
    await condition.freeze(
      'mass-delete',
      `a change by somebody else removes ${removed} of ${index.count} objects, more than ${limit}`,
      head,
    );
    return true;
  }

  async #apply(index: KeyIndex, from: CommitId | null, head: CommitId, ownSeq: number): Promise<void> {
    const { census, journal, log, remote, rules } = this.deps;
    const landedSeq = Math.max(ownSeq, journal.landedSeq, index.marker?.landedSeq ?? 0);
    const own = new Map<ObjectKey, JournalEntry>();
    for await (const entry of journal.entries(landedSeq)) own.set(entry.key, entry);
    const known = (key: ObjectKey) => knownObjects(journal, index, own, key);
    const changes = changesBetween({ remote, rules, log, known }, from, head);
    await index.apply(census ? told(changes, census) : changes, { head, landedSeq });
    await this.#landed(landedSeq);
    log.info('followed the branch', { bucket: this.deps.bucket, from, head });
  }

  async #build(head: CommitId | null, ownSeq: number): Promise<void> {
    const { bases, bucket, census, clock, directory, journal, log, observer, remote, rules } = this.deps;
    const path = await directory.fresh();
    const index = await KeyIndex.open(LmdbStore.open(path), clock);
    let counted = 0;
    const onProgress = (keys: number) => {
      observer.count('gateway_rebuild_keys_total', { bucket }, keys - counted);
      counted = keys;
    };
    const landedSeq = Math.max(ownSeq, journal.landedSeq);
    try {
      await fillBase({ remote, rules, log, onProgress, census }, index, { head, landedSeq });
      await census?.complete();
    } catch (error) {
      await index.close();
      throw error;
    }
    await directory.makeCurrent(path);
    await bases.replace(index);
    await this.#landed(landedSeq);
    log.info('the index is built from the branch', { bucket, head, keys: index.count });
  }

  /** A base from before the chunks were counted; once. */
  async #countBase(index: KeyIndex): Promise<void> {
    const { census } = this.deps;
    if (census && !census.isComplete) await tellBase(index, census);
  }

  async #landed(seq: number): Promise<void> {
    await this.deps.journal.drop(seq);
    this.deps.landings.advance(seq);
  }
}

async function* knownObjects(
  journal: Journal,
  index: KeyIndex,
  own: ReadonlyMap<ObjectKey, JournalEntry>,
  key: ObjectKey,
): AsyncGenerator<KnownObject> {
  const record = own.get(key)?.record;
  if (record) yield { record, body: await journal.bodies.open(record.body, record.sizeBytes) };
  const base = await index.get(key);
  if (base) yield { record: base, body: await index.openBody(base) };
}
