/**
 * Brings the base to a head of the branch, or finds out that this branch may not be followed. Only the base is
 * touched: what is pending stands in the overlay and lands on top (last writer wins, per key).
 *
 * All methods that work on a head are called by one caller at a time (the bucket's head lock).
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import { FORMAT_FILE_BYTES_MAX } from '../format/bounds.js';
import { FORMAT_PATH, type LayoutRules } from '../format/tree-layout.js';
import { decodeFormat, FormatError } from '../format/version.js';
import { RemoteError } from '../gitee/errors.js';
import type { HeadRemote } from '../gitee/remote.js';
import { UnknownRefusals } from '../gitee/unknown-refusals.js';
import { changesBetween, type KnownObject } from '../index/apply-diff.js';
import type { BaseDirectory } from '../index/base-directory.js';
import { tellBase, told, type ChunkCensus } from '../index/chunk-census.js';
import { KeyIndex, type BaseMarker } from '../index/key-index.js';
import { StorageError } from '../index/errors.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import { fillBase } from '../index/rebuild.js';
import type { BaseHolder } from './base-holder.js';
import type { Condition } from './condition.js';
import type { ChangeLog, ClaimLog, LogIdentity } from './change-log.js';
import { findOwnWork, landedSeqs, snapshotSeq, type OwnWork } from './own-work.js';
import type { JournalEntry } from './overlay-rows.js';
import { removedByOthers } from './removals.js';
import { SeqSet } from './seq-set.js';

/** A foreign change may remove so many objects, or this share of all, before the bucket freezes. */
const REMOVED_MAX = 100;
const REMOVED_SHARE_MAX = 0.05;

export interface HeadSyncDeps {
  readonly bucket: string;
  readonly repositoryId: () => number;
  readonly rules: LayoutRules;
  readonly remote: HeadRemote;
  readonly journal: ChangeLog;
  readonly identity: LogIdentity;
  readonly claims: ClaimLog;
  readonly bases: BaseHolder;
  readonly directory: BaseDirectory;
  /** Of every base that is built. */
  readonly stores: StoreOptions;
  readonly condition: Condition;
  /**
   * So long a branch that seems to have gone back, or to be gone, may be a copy of the repository that lags: hosts spread
   * reads over such copies. It is not followed; it freezes the bucket where it stays so.
   */
  readonly lagMaxMs: number;
  /** Told every chunk that the branch names. */
  readonly census?: ChunkCensus | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

export class HeadSync {
  /** Since when the server shows nothing but what comes before the base, steady. */
  #behindSinceMs: number | undefined;
  readonly #refusals = new UnknownRefusals();

  constructor(private readonly deps: HeadSyncDeps) {}

  /** Asks the server for the head and follows it. */
  async fetch(signal?: AbortSignal): Promise<void> {
    const { remote } = this.deps;
    const known = remote.knownHead();
    await this.follow(await this.#refusals.of(() => remote.fetch(signal)), known);
  }

  /** True where readers see what this head has. */
  isAt(head: CommitId | null): boolean {
    const { bases } = this.deps;
    return bases.ready && (bases.peek?.marker?.head ?? null) === head;
  }

  /** True where the head comes before what readers see. */
  async isBehind(head: CommitId | null): Promise<boolean> {
    const from = this.deps.bases.peek?.marker?.head ?? null;
    return from !== null && (head === null || (await this.#isBefore(head, from)));
  }

  /**
   * Brings the base to a head that has been fetched; freezes the bucket where that is not allowed.
   * @param known the newest head that was known before that
   */
  async follow(head: CommitId | null, known: CommitId | null = null): Promise<void> {
    const { bases, condition } = this.deps;
    const index = bases.peek;
    const from = index?.marker?.head ?? null;
    if (this.#staysFrozen(head, index !== undefined && from !== null)) return;
    if (index && from === head) {
      this.#behindSinceMs = undefined;
      if (condition.frozen) await condition.thaw();
      if (this.#hasOverlooked(head)) await this.#landed(await this.#ownWork(head, null));
      await this.#countBase(index);
      return;
    }
    if (from === null) await this.#checkBeginning(known, head);
    if (!(await this.#mayFollow(index, from, head))) return;
    const work = await this.#ownWork(head, this.#hasOverlooked(from) ? null : from);
    const isNew = from === null && work.seq === 0 && work.landed.length === 0;
    if (!index || head === null || isNew) {
      if (condition.frozen) await condition.thaw();
      await this.#build(head, work);
      return;
    }
    if (from !== null && (await this.#removesTooMuch(index, from, head))) return;
    if (condition.frozen) await condition.thaw();
    await this.#apply(index, from, head, work);
    await this.#countBase(index);
  }

  /**
   * The operator's word that the branch as it is now is the truth.
   * @throws RemoteError also where it comes before what is known, and was not seen to stay so
   */
  async accept(signal?: AbortSignal): Promise<void> {
    const { bases, condition, remote } = this.deps;
    const known = remote.knownHead();
    const head = await remote.fetch(signal);
    const newest = bases.peek?.marker?.head ?? known;
    const isSeen = condition.frozen !== undefined && condition.frozen.head === head;
    if (newest !== null && !isSeen) await this.#checkLag(newest, head);
    if (!(await this.#hasOurFormat(head, true))) return;
    const work = await this.#ownWork(head, null);
    // From scratch: of a history that is not ours the old head's objects may be gone.
    await this.#build(head, work);
    // For buckets that begin on this branch: what was set back is not ahead of it any more.
    if (known !== head && remote.knownHead() === known) await remote.believe(head);
    await condition.thaw();
  }

  /** Builds the base anew from one fetch and swaps it in. Readers keep the old one until then. */
  async rebuild(signal?: AbortSignal): Promise<void> {
    const { bases, condition, remote } = this.deps;
    const known = remote.knownHead();
    const head = await remote.fetch(signal);
    if (condition.frozen) return;
    const from = bases.peek?.marker?.head ?? null;
    if (from === null) await this.#checkBeginning(known, head);
    if (!(await this.#mayFollow(bases.peek, from, head))) return;
    await this.#build(head, await this.#ownWork(head, null));
  }

  /**
   * A freeze ends by itself when the branch is again one that may be followed: set back to where it was, or mended on
   * top of that. Nothing but another head says so; without a base to compare it with only the format file does.
   */
  #staysFrozen(head: CommitId | null, hasBase: boolean): boolean {
    const { frozen } = this.deps.condition;
    if (!frozen || frozen.code === 'format') return false;
    return frozen.head === head || !(hasBase || frozen.code === 'foreign-bucket');
  }

  async #mayFollow(
    index: KeyIndex | undefined,
    from: CommitId | null,
    head: CommitId | null,
  ): Promise<boolean> {
    const { condition, remote } = this.deps;
    if (index && from !== null) {
      if (head === null) {
        await this.#checkLag(from, head);
        await remote.keep(from);
        await condition.freeze('branch-gone', `the branch is gone; it was at ${from}`, head);
        return false;
      }
      if (from !== head && !(await remote.isAncestor(from, head))) {
        await this.#checkLag(from, head);
        await remote.keep(from);
        await condition.freeze(
          'diverged',
          `the branch is at ${head}, which does not descend from ${from}: its history was rewritten`,
          head,
        );
        return false;
      }
      this.#behindSinceMs = undefined;
    }
    return this.#hasOurFormat(head, false);
  }

  /** @throws RemoteError where the server shows the branch as it was earlier, and has not done so for long. */
  async #checkLag(from: CommitId, head: CommitId | null): Promise<void> {
    const { clock, lagMaxMs } = this.deps;
    if (head === from || (head !== null && !(await this.#isBefore(head, from)))) {
      this.#behindSinceMs = undefined;
      return;
    }
    const nowMs = clock.steadyMs();
    this.#behindSinceMs ??= nowMs;
    if (nowMs - this.#behindSinceMs >= lagMaxMs) return;
    throw new RemoteError(
      'server-fault',
      `the server shows the branch ${head === null ? 'as missing' : `at ${head}`}, and it was at ${from}: a copy of the ` +
        `repository lags, or somebody set it back. It is looked at again, and believed after ${lagMaxMs / 1000} s`,
    );
  }

  /**
   * A bucket without an index, a new one or one that has lost it, does not begin with what comes before the head that
   * other buckets on the branch, or an earlier run, have seen: what was deleted there would be back. However long the
   * branch stays so: for the others that is a freeze, and the operator's word ends both.
   * @throws RemoteError
   */
  async #checkBeginning(known: CommitId | null, head: CommitId | null): Promise<void> {
    const { clock, condition, lagMaxMs, remote } = this.deps;
    // A local repository that was dropped meanwhile knows nothing.
    const isKnown = known !== null && remote.knownHead() !== null;
    if (!isKnown || head === known || (head !== null && !(await this.#isBefore(head, known)))) {
      this.#behindSinceMs = undefined;
      return;
    }
    const error = new RemoteError(
      'server-fault',
      `the server shows the branch ${head === null ? 'as missing' : `at ${head}`}, and it was at ${known}: a copy of the ` +
        'repository lags, or somebody set it back. It is looked at again; accept-remote takes it as it is',
    );
    const nowMs = clock.steadyMs();
    this.#behindSinceMs ??= nowMs;
    if (nowMs - this.#behindSinceMs >= lagMaxMs) condition.pause('fetch', error);
    throw error;
  }

  async #isBefore(head: CommitId, from: CommitId): Promise<boolean> {
    try {
      return await this.deps.remote.isAncestor(head, from);
    } catch (error) {
      // Of a local repository that was dropped, what is known of the base is gone.
      if (error instanceof RemoteError && error.code === 'head-moved') return false;
      throw error;
    }
  }

  async #hasOurFormat(head: CommitId | null, isAccepted: boolean): Promise<boolean> {
    const { condition, remote } = this.deps;
    const bytes = head === null ? undefined : await remote.readFile(head, FORMAT_PATH, FORMAT_FILE_BYTES_MAX);
    try {
      if (bytes === null)
        throw new FormatError('malformed', `format.json is larger than ${FORMAT_FILE_BYTES_MAX} bytes`);
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

  /** A claim that was not decided when the base moved past its head (a failure in between). */
  #hasOverlooked(head: CommitId | null): boolean {
    return this.deps.claims.undecided.some(({ base }) => base !== head);
  }

  /** What of ours is on the branch. Finds out whether this state is older than the branch. */
  async #ownWork(head: CommitId | null, since: CommitId | null): Promise<OwnWork> {
    const work = await findOwnWork(this.deps, head, since);
    if (work.unknown === undefined || head === null) return work;
    const { claims, identity, journal, log } = this.deps;
    log.error('this state is an older snapshot: what was pending is quarantined, never replayed', {
      bucket: this.deps.bucket,
      unknown: work.unknown,
      ownSeq: identity.attemptedSeq,
    });
    const reason = {
      code: 'restored-snapshot',
      message: `pending in a snapshot that knows nothing of ${work.unknown}, which is on the branch`,
    };
    const landed = [...landedSeqs(work)];
    const upToSeq = await snapshotSeq(this.deps, head);
    for await (const entry of journal.entries(upToSeq))
      if (!landed.some((seqs) => seqs.has(entry.seq))) await journal.quarantine(entry, reason, true);
    // What the snapshot had set aside is as old: readers see the branch, and it is not tried again by itself.
    for await (const row of journal.quarantinedRows())
      if (row.shown && row.seq <= upToSeq) await journal.unshowSetAside(row, true);
    await identity.renew();
    await claims.forgetAll();
    return { ...work, dead: [] };
  }

  async #removesTooMuch(index: KeyIndex, from: CommitId, head: CommitId): Promise<boolean> {
    const { condition, journal, remote } = this.deps;
    const limit = Math.max(REMOVED_MAX, Math.floor(index.count * REMOVED_SHARE_MAX));
    const removed = await removedByOthers({ journal, remote, index, limit }, from, head);
    if (removed <= limit) return false;
    await remote.keep(from);
    await condition.freeze(
      'mass-delete',
      `a change by somebody else removes ${removed} of ${index.count} objects, more than ${limit}`,
      head,
    );
    return true;
  }

  async #apply(index: KeyIndex, from: CommitId | null, head: CommitId, work: OwnWork): Promise<void> {
    const { census, journal, log, remote, rules } = this.deps;
    const own = new Map<ObjectKey, JournalEntry>();
    for (const seqs of landedSeqs(work))
      for await (const entry of journal.entriesOf(seqs)) own.set(entry.key, entry);
    const known = (key: ObjectKey) => knownObjects(journal, index, own, key);
    const changes = changesBetween({ remote, rules, log, known }, from, head);
    const marker = this.#marker(head, work, index.marker?.landedSeq);
    await index.apply(census ? told(changes, census) : changes, marker);
    await this.#landed(work);
    log.info('followed the branch', { bucket: this.deps.bucket, from, head });
  }

  async #build(head: CommitId | null, work: OwnWork): Promise<void> {
    const { bases, bucket, census, clock, directory, log, metrics, remote, rules, stores } = this.deps;
    const path = await directory.fresh();
    const index = await KeyIndex.open(openStore(path, stores), clock);
    let counted = 0;
    const onProgress = (keys: number) => {
      metrics.count('gateway_rebuild_keys_total', { bucket }, keys - counted);
      counted = keys;
    };
    const marker = this.#marker(head, work);
    try {
      await fillBase({ remote, rules, log, onProgress, census }, index, marker);
      await census?.complete();
    } catch (error) {
      await index.close();
      throw error;
    }
    await directory.makeCurrent(path);
    await bases.replace(index);
    await this.#landed(work);
    log.info('the index is built from the branch', { bucket, head, keys: index.count });
  }

  /** A base from before the chunks were counted; once. */
  async #countBase(index: KeyIndex): Promise<void> {
    const { census } = this.deps;
    if (census && !census.isComplete) await tellBase(index, census);
  }

  #marker(head: CommitId | null, work: OwnWork, landedSeq = 0): BaseMarker {
    return {
      head,
      landedSeq: Math.max(work.seq, this.deps.journal.floorSeq, landedSeq),
      batches: work.landed.map(({ id }) => id),
    };
  }

  /** After the base has taken it. */
  async #landed(work: OwnWork): Promise<void> {
    const { claims, journal } = this.deps;
    if (work.seq > 0) await journal.drop(SeqSet.range(0, work.seq));
    await claims.land(work.landed);
    await claims.bury(work.dead);
  }
}

async function* knownObjects(
  journal: ChangeLog,
  index: KeyIndex,
  own: ReadonlyMap<ObjectKey, JournalEntry>,
  key: ObjectKey,
): AsyncGenerator<KnownObject> {
  const record = own.get(key)?.record;
  if (record) yield* readable(record, () => journal.openBody(record));
  const base = await index.get(key);
  if (base) yield* readable(base, () => index.openBody(base));
}

/** What has rotted here tells nothing of what stands in the tree. */
async function* readable(record: ObjectRecord, open: () => Promise<ObjectBody>): AsyncGenerator<KnownObject> {
  let body: ObjectBody;
  try {
    body = await open();
  } catch (error) {
    if (error instanceof StorageError && error.code === 'corrupt') return;
    throw error;
  }
  yield { record, body };
}
