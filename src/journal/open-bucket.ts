/** Puts the storage classes of one bucket together. Serves reads from what is there while Gitee is down. */
import { join } from 'node:path';
import { makeDurableDirectory } from '../disk/durable.js';
import type { ChunksApi } from '../chunks/api.js';
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { Semaphore } from '../async/semaphore.js';
import type { ObjectKey } from '../format/ids.js';
import type { LayoutRules } from '../format/tree-layout.js';
import type { HeadRemote } from '../gitee/remote.js';
import { BaseDirectory } from '../index/base-directory.js';
import type { ChunkCensus } from '../index/chunk-census.js';
import { KeyIndex, type BaseMarker } from '../index/key-index.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import { previewAccept, type AcceptPreview } from './accept-preview.js';
import { BaseHolder } from './base-holder.js';
import { StorageError } from '../index/errors.js';
import type { ChangeLog, ChangeLogs, ClaimLog } from './change-log.js';
import { checkBucket, type CheckOptions, type CheckStep } from './check.js';
import { Committer, type CommitterTimings } from './committer.js';
import { Condition } from './condition.js';
import { Doubts } from './doubts.js';
import { HeadFollower } from './head-follower.js';
import { HeadSync } from './head-sync.js';
import { InStep } from './in-step.js';
import { JournaledBucket } from './journaled-bucket.js';
import { Landings } from './landings.js';
import type { QuarantineRow } from './overlay-rows.js';
import type { Admits } from './room.js';
import { refuseResting, restingOn } from './rests-on-it.js';
import { SeqSet } from './seq-set.js';
import { SetAsideAgain } from './set-aside-again.js';
import { checkBinding, readBinding, writeBinding } from './state-binding.js';

interface BucketPlace {
  readonly name: string;
  /**
   * Name of its part of the state directory and of the overlay, where that is not `name`: a bucket that is made
   * again under a name that another one had must begin with an empty state.
   */
  readonly stateName?: string;
  /** `owner/name`, for status and logs. */
  readonly repository: string;
  /** Numeric id of the repository; a function where it must be asked for, called again until it answers. */
  readonly repositoryId: number | (() => Promise<number>);
  readonly branch: string;
  readonly pathPrefix: string;
  readonly layout: LayoutRules;
  /** See CommitterDeps. */
  readonly isStrictOrder?: boolean;
}

export interface BucketTimings extends CommitterTimings {
  /** How often the branch is looked at. */
  readonly pollMs: number;
  /** The same while the bucket is frozen. */
  readonly frozenPollMs: number;
  /** See HeadSyncDeps. */
  readonly lagMaxMs: number;
  /** How often bodies that nothing names any more are deleted. */
  readonly sweepMs: number;
}

const DEFAULT_TIMINGS: BucketTimings = {
  maxAgeMs: 60_000,
  maxChanges: 10_000,
  retryMaxMs: 30_000,
  pausedRetryMs: 30_000,
  missingForMs: 10 * 60_000,
  refusedForMs: 30_000,
  pollMs: 60_000,
  frozenPollMs: 5_000,
  lagMaxMs: 60_000,
  sweepMs: 3600_000,
};

export interface OpenBucketDeps {
  readonly bucket: BucketPlace;
  /** The gateway's; the bucket's own is `buckets/<name>` in it. Somebody holds its lease. */
  readonly stateDirectory: string;
  /** Of all buckets; closed by whoever opened it, after the buckets. */
  readonly logs: ChangeLogs;
  readonly chunks: ChunksApi;
  readonly head: HeadRemote;
  /** Of all buckets on the branch; by default the bucket has it for itself. */
  readonly step?: InStep;
  /** Told every chunk that the branch names. */
  readonly census?: ChunkCensus;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly failpoints: Failpoints;
  readonly timings?: Partial<BucketTimings>;
  /** Called with a broken invariant: the process must stop; a restart recovers. */
  readonly onFatal: (error: unknown) => void;
  /** See StoreOptions. */
  readonly makeRoom?: () => Promise<boolean>;
  /** See StoreOptions; also asked before each push. */
  readonly checkLease?: () => void;
  readonly admits?: Admits;
}

export interface OpenBucket {
  readonly state: JournaledBucket;
  readonly committer: Committer;
  readonly follower: HeadFollower;
  /** Starts to follow the branch and to commit. */
  start(): void;
  /** Commits what is pending within the grace time, then stops. Reads go on until close(). */
  stop(graceMs: number): Promise<void>;
  /** Commits what is pending now; true once it is on Gitee (or set aside), false at the time-out. */
  settle(options: { timeoutMs: number; signal: AbortSignal }): Promise<boolean>;
  close(): Promise<void>;
  /** What failed may work again (a new token, an operator): try now. */
  kick(): void;
  /** The branch may have moved (webhook): look now. */
  hint(): void;
  /** Takes the branch as it is for the truth and ends a freeze. */
  acceptRemote(): Promise<void>;
  /** What that would do. @throws RemoteError */
  previewAccept(): Promise<AcceptPreview>;
  /** Builds the base anew from the branch. */
  rebuild(): Promise<void>;
  check(options?: CheckOptions): Promise<CheckStep[]>;
  /** What Gitee does not take, for operators. */
  readonly setAside: SetAsideAccess;
  /** Keys of the last known commit; 0 while it is not known. */
  keyCount(): number;
}

interface SetAsideAccess {
  rows(): AsyncIterable<QuarantineRow>;
  row(key: ObjectKey): Promise<QuarantineRow | undefined>;
  /** See BucketState.retrySetAside. */
  retry(key: ObjectKey): Promise<number | undefined>;
  /**
   * Gives it up; false where it is not set aside any more.
   * @throws RangeError where others rest on it, which would land without it
   */
  drop(row: QuarantineRow): Promise<boolean>;
}

/** @throws StorageError not-ready where the state belongs to another bucket. */
export async function openBucket(deps: OpenBucketDeps): Promise<OpenBucket> {
  const { bucket, chunks, clock, failpoints, metrics, head: remote } = deps;
  const timings = { ...DEFAULT_TIMINGS, ...deps.timings };
  const log = deps.log.child({ bucket: bucket.name });
  const stateName = bucket.stateName ?? bucket.name;
  const own = join(deps.stateDirectory, 'buckets', stateName);
  // The base and the binding in it are synced by those who write them; its own name is not.
  await makeDurableDirectory(own);
  const repository = new Repository(bucket, own);
  await repository.open();

  const {
    changes: journal,
    claims,
    identity,
    uploads,
  } = await deps.logs.open(stateName, {
    ...{ clock, failpoints, admits: deps.admits },
  });
  journal.onLanding = (oid) => chunks.landed(oid);
  const directory = new BaseDirectory(own);
  const stores: StoreOptions = {
    onFailed: deps.onFatal,
    ...(deps.makeRoom ? { makeRoom: deps.makeRoom } : {}),
    ...(deps.checkLease ? { checkLease: deps.checkLease } : {}),
  };
  const bases = new BaseHolder(await fitting(await openBase(directory, clock, stores), journal, claims, log));
  await finishLanding(journal, claims, bases.peek?.marker);
  const condition = new Condition(bucket.name, identity, { clock, log, metrics });
  const landings = new Landings(journal, clock);
  const doubts = new Doubts({ clock, waitMaxMs: timings.retryMaxMs });
  landings.onSettled = (isSettled) => doubts.settled(isSettled);
  const headLock = new Semaphore(1);
  const shared = {
    bucket: bucket.name,
    repositoryId: () => repository.id,
    rules: bucket.layout,
    isStrictOrder: bucket.isStrictOrder,
    ...{ remote, journal, identity, claims, bases, condition, landings, doubts, clock, log, metrics },
  };
  const sync = new HeadSync({
    ...{ ...shared, directory, stores, census: deps.census },
    lagMaxMs: timings.lagMaxMs,
  });
  const committer = new Committer({
    ...shared,
    ...{ chunks, sync, headLock, timings, failpoints },
    onLanded: () => state.report(),
    onFatal: deps.onFatal,
    checkLease: deps.checkLease,
  });
  const state: JournaledBucket = new JournaledBucket({
    ...{ bucket: bucket.name, repository: bucket.repository, branch: bucket.branch },
    ...{ journal, uploads, bases, landings, doubts, condition, clock, log, metrics },
    onWork: () => committer.wake(),
    look: () => follower.look(),
    whereIsIt: () => follower.whereIsIt(),
    lastLandedMs: () => committer.lastLandedMs,
    unseen: () => committer.unseen,
  });
  const sweep = every(clock, timings.sweepMs, async () => {
    await journal.sweepBodies();
    await bases.peek?.bodies.sweep();
  });
  const follower = new HeadFollower({
    ...{ bucket: bucket.name, sync, remote, headLock, condition, clock, log },
    step: deps.step ?? new InStep(clock),
    ...{ pollMs: timings.pollMs, frozenPollMs: timings.frozenPollMs, retryMaxMs: timings.retryMaxMs },
    prepare: () => repository.prepare(),
    onIdle: async () => {
      await remote.maintain();
      await sweep();
      state.report();
    },
    onFollowed: () => {
      committer.wake();
      again.atStart();
    },
    onFatal: deps.onFatal,
  });
  const again = new SetAsideAgain({
    ...{ journal, state, condition, clock, log },
    registryRoot: bucket.layout.registryRoot,
  });
  /** For an operator, who looks on. @throws RemoteError */
  const locked = async <T>(run: () => Promise<T>) => {
    // Behind those who wait for a Gitee that does not answer it would be minutes until that is said.
    await remote.readHead();
    return headLock.run(async () => {
      await repository.prepare();
      return run();
    });
  };
  return {
    ...{ state, committer, follower },
    start: () => {
      follower.start();
      committer.start();
    },
    stop: async (graceMs) => {
      committer.flush();
      const signal = new AbortController().signal;
      await landings.waitUpTo(journal.lastPendingSeq, { timeoutMs: graceMs, signal });
      await Promise.all([committer.stop(), follower.stop(), again.stop()]);
    },
    settle: (options) => {
      if (landings.wantUpTo(journal.lastPendingSeq)) committer.wake();
      return landings.waitUpTo(journal.lastPendingSeq, options);
    },
    close: async () => {
      await again.stop();
      await bases.close();
    },
    kick: () => {
      committer.kick();
      follower.hint();
      again.now();
    },
    hint: () => follower.hint(),
    acceptRemote: async () => {
      await locked(() => sync.accept());
      committer.kick();
      again.atStart();
    },
    previewAccept: () => locked(() => previewAccept({ bases, journal, remote, rules: bucket.layout })),
    rebuild: () => locked(() => sync.rebuild()),
    setAside: {
      rows: () => journal.quarantinedRows(),
      row: (key) => journal.setAsideRow(key),
      retry: (key) => state.retrySetAside(key),
      drop: async (row) => {
        const { preset, registryRoot } = bucket.layout;
        if (preset === 'registry' && row.shown)
          refuseResting(row.key, await restingOn(row.key, { bases, chunks, clock, journal, registryRoot }));
        const isDropped = await journal.unshowSetAside(row, false);
        state.report();
        return isDropped;
      },
    },
    keyCount: () => bases.peek?.count ?? 0,
    check: (options) =>
      checkBucket({ journal, chunks, bases, remote, rules: bucket.layout, headLock, clock, log }, options),
  };
}

async function openBase(
  directory: BaseDirectory,
  clock: Clock,
  stores: StoreOptions,
): Promise<KeyIndex | undefined> {
  await directory.removeOthers();
  const path = await directory.current();
  if (path === undefined) return undefined;
  const index = await KeyIndex.open(openStore(path, stores), clock);
  if (index.marker) return index;
  await index.close(); // an empty environment where a base was: it is built anew
  return undefined;
}

/**
 * A base that knows of changes which the log has not made yet is of a later time: an old overlay was put back beside it,
 * or both were copied while they were written. By its numbers what is written from now on would count as landed; so it
 * is built anew from the branch, which tells that the log is old.
 */
async function fitting(
  base: KeyIndex | undefined,
  journal: ChangeLog,
  claims: ClaimLog,
  log: Log,
): Promise<KeyIndex | undefined> {
  const marker = base?.marker;
  if (!marker) return base;
  const isKnown = (marker.batches ?? []).every((id) => claims.isEmpty || claims.find(id) !== 'unknown');
  if (marker.landedSeq <= journal.lastSeq && isKnown) return base;
  log.error(
    'the journal is older than the index, which is built anew from the branch: an old copy was put back',
    {
      landedSeq: marker.landedSeq,
      lastSeq: journal.lastSeq,
    },
  );
  await base?.close();
  return undefined;
}

/** Killed after the base took a batch and before the overlay let go of it. */
async function finishLanding(
  journal: ChangeLog,
  claims: ClaimLog,
  marker: BaseMarker | undefined,
): Promise<void> {
  if (!marker) return;
  if (marker.landedSeq > journal.floorSeq) await journal.drop(SeqSet.range(0, marker.landedSeq));
  for (const id of marker.batches ?? []) {
    const claim = claims.get(id);
    if (claim && claim.state !== 'landed') await claims.land([claim]);
  }
}

/** Runs at most once per interval. */
function every(clock: Clock, intervalMs: number, run: () => Promise<void>): () => Promise<void> {
  let nextMs = clock.steadyMs() + intervalMs;
  return async () => {
    if (clock.steadyMs() < nextMs) return;
    nextMs = clock.steadyMs() + intervalMs;
    await run();
  };
}

/** Which repository the state belongs to, as far as that is known while Gitee is down. */
class Repository {
  #id: number | undefined;
  #isPrepared = false;

  constructor(
    private readonly bucket: BucketPlace,
    private readonly directory: string,
  ) {}

  /** @throws StorageError not-ready before Gitee was asked for the first time. */
  get id(): number {
    if (this.#id === undefined)
      throw new StorageError('not-ready', 'the id of the repository is not known yet');
    return this.#id;
  }

  async open(): Promise<void> {
    const bound = await readBinding(this.directory);
    const { repositoryId } = this.bucket;
    if (typeof repositoryId === 'number') this.#id = repositoryId;
    if (!bound) return;
    checkBinding(bound, { ...this.bucket, repositoryId: this.#id });
    this.#id = bound.repositoryId;
  }

  /** Asks for the id and binds a new state; once. */
  async prepare(): Promise<void> {
    if (this.#isPrepared) return;
    const { repositoryId, repository, branch, pathPrefix } = this.bucket;
    const id = typeof repositoryId === 'number' ? repositoryId : await repositoryId();
    const bound = await readBinding(this.directory);
    if (bound) checkBinding(bound, { repositoryId: id, branch, pathPrefix });
    else await writeBinding(this.directory, { format: 1, repositoryId: id, repository, branch, pathPrefix });
    this.#id = id;
    this.#isPrepared = true;
  }
}
