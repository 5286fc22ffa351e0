/**
 * The log of a bucket's changes: what was acknowledged and is not on Gitee yet, what lies on this side only (local keys,
 * uploads), and what is known of the batches that were sent. It alone gives changes their numbers and says in which
 * order they are; who stands above sees neither rows nor transactions, so that another engine may keep it.
 *
 * - *Durable.* What a call has resolved with outlives the process and a power cut, and is what every later call reads.
 *   A call that rejects has written all of it or nothing, and which of both is not known; after `failed` no call writes
 *   anything any more.
 * - *Order.* Numbers grow in the order in which changes become durable. Calls of append() that name the same key take
 *   effect in the order in which they were made; a call that is made after another one has resolved has the higher
 *   numbers, whatever they name. No number is given twice; those of what did not come about are lost.
 * - *Conditions* are decided where the change is written: nothing comes between.
 * - *Errors* are StorageError: `disk-full` (nothing was written, later calls may hold), `failed` (the process must end:
 *   the disk has failed, or another process has taken over), `corrupt`, `broken-invariant`, `not-ready` (closed).
 */
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { CommitId, ObjectKey, Oid } from '../format/ids.js';
import type { NewObject, ObjectBody, ObjectRecord } from '../index/object-record.js';
import type { UnnamedBodies } from '../index/unnamed-bodies.js';
import type { Change, SetAside } from './bucket-state.js';
import type { JournalEntry, NewestRow, QuarantineRow } from './overlay-rows.js';
import type { Admits } from './room.js';
import type { SeqSet } from './seq-set.js';
import type { SetAsideReason } from './set-aside-rows.js';
import type { UploadCompletion, UploadStore } from './upload-store.js';

export interface LogAppendOptions {
  /** Local keys are never in a commit: they have a number, and wait for nothing. */
  readonly local?: boolean;
  /** For a local key, whether the base has it, so that its deletion must be remembered. */
  readonly hidesBase?: (key: ObjectKey) => boolean;
  /** The upload that ends with these changes. */
  readonly completes?: UploadCompletion;
}

export interface ChangeLog {
  /**
   * Writes changes, all or none, visible at once; each takes the next number. Resolves with the last of them, undefined
   * where the upload that was to end is not as it was read.
   */
  append(changes: readonly Change[], options?: LogAppendOptions): Promise<number | undefined>;

  /** Number of the last change. */
  readonly lastSeq: number;
  /** Every change up to here is durable or was never acknowledged: a batch that ends here misses none. */
  readonly closableSeq: number;
  /** Every change up to here has left the log; so may have others after it. */
  readonly floorSeq: number;
  /** Number of the last change that had to be committed; local ones are not. */
  readonly lastPendingSeq: number;
  /**
   * A pending change may rest on one that comes after it, up to this number: what was set aside is tried again under a
   * new one, or written anew, or had been written once more before; and what rests on it may have been written between.
   * Grows before a reader can see such a change.
   */
  readonly triedAgainUpToSeq: number;
  readonly pendingCount: number;
  /** Of the objects that pending changes write. */
  readonly pendingBytes: number;
  readonly quarantinedCount: number;
  /** Of the objects that were set aside and not written anew since. */
  readonly quarantinedBytes: number;
  /** When the oldest pending change was appended, steady milliseconds. */
  readonly oldestPendingSteadyMs: number | undefined;
  /** When the change of this row was appended, steady milliseconds. */
  steadyMsOf(row: { readonly seq: number; readonly appendedMs: number }): number;

  /** The newest change of a key that the log has; undefined where it has none. */
  newest(key: string): Promise<NewestRow | undefined>;
  /** As newest, of keys with `start <= key < end` in bytes, at most `limit`. */
  newestPage(
    start: Uint8Array,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; row: NewestRow }[]>;
  newestRows(): AsyncIterable<{ key: ObjectKey; row: NewestRow }>;
  /** Pending changes between two numbers, in order. */
  entries(lastSeq: number, firstSeq?: number): AsyncIterable<JournalEntry>;
  /** Of these changes, those that are pending still, in order. */
  entriesOf(seqs: SeqSet): AsyncIterable<JournalEntry>;
  /** The pending change with this number, as it is now. */
  entry(seq: number): Promise<JournalEntry | undefined>;
  isPending(seq: number): Promise<boolean>;
  /** @throws StorageError corrupt where the bytes are gone, or others than were written. */
  openBody(record: ObjectRecord): Promise<ObjectBody>;
  /** Whether the log has the bytes that this record speaks of. */
  ownsBody(record: ObjectRecord): boolean;

  /**
   * Gives a pending change another body with the same bytes. Resolves with the change as it is now, undefined where it
   * is not pending any more.
   */
  replaceBody(entry: JournalEntry, object: NewObject): Promise<JournalEntry | undefined>;
  /** These changes are on Gitee and in the base: they leave the log, except as what readers see if written since. */
  drop(seqs: SeqSet): Promise<void>;
  /**
   * Sets a pending change aside: it is not tried again by itself. It stays what readers see, unless `hide`.
   * @returns false where it was not set aside, or is not pending any more
   */
  quarantine(entry: JournalEntry, reason: SetAsideReason, hide?: boolean): Promise<boolean>;
  /** Whether this change was set aside in the life of this process, and how. */
  setAsideAs(seq: number): SetAside | undefined;
  /** True where a change of this key was set aside and none was written since. */
  isSetAside(key: ObjectKey): Promise<boolean>;
  setAsideRow(key: ObjectKey): Promise<QuarantineRow | undefined>;
  quarantinedRows(): AsyncIterable<QuarantineRow>;
  /**
   * Makes a change that was set aside pending again, as the newest of its key; resolves with its new number, undefined
   * where it is not set aside any more, or not what readers see.
   */
  retrySetAside(change: Pick<QuarantineRow, 'key' | 'seq'>): Promise<number | undefined>;
  /**
   * Takes a change that was set aside out for good, or (`keep`) only out of what readers see.
   * @returns false where it is not set aside any more
   */
  unshowSetAside(change: Pick<QuarantineRow, 'key' | 'seq'>, keep: boolean): Promise<boolean>;
  /** Deletes local keys that were last written before the time and are not kept; returns how many. */
  expireLocal(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number>;
  /** Deletes bodies that nothing has named for a day. */
  sweepBodies(): Promise<number>;
  /** Bodies that nothing names and nobody will delete. */
  unnamedBodies(): Promise<UnnamedBodies>;

  /** Told of changes that are no longer pending; everything up to `floorSeq` is not. Must not throw. */
  onSettled: (seqs: SeqSet, floorSeq: number) => void;
  /** Told every chunk of a change before it leaves the log because it has landed. Must not fail. */
  onLanding: (oid: Oid) => Promise<void>;
}

export interface Claim {
  /** Grows by one per claim of a log. */
  readonly number: number;
  /** `<number>-<random>`: the trailer Batch-Id. */
  readonly id: string;
  /**
   * The head that the server is told to move the branch from; null: none. The commit is made on it, or on those of other
   * buckets that go in the same push.
   */
  readonly base: CommitId | null;
  readonly seqs: SeqSet;
  /** Once it landed, every change up to here has landed or was set aside; 0: not known. */
  readonly floorSeq: number;
  /** `dead`: no commit of it can land any more, or the only one was refused. Should one be found, it has landed. */
  readonly state: 'undecided' | 'landed' | 'dead';
}

/**
 * The batches that were sent, or may have been. A claim is durable before its commit is sent; claims are numbered in the
 * order of make(), each under a random id.
 */
export interface ClaimLog {
  /** Claims whose commit may be on the branch, or may still come there; oldest first. */
  readonly undecided: readonly Claim[];
  /** None is remembered: at the beginning, and under a new Log-Id. */
  readonly isEmpty: boolean;
  /** Must have resolved before the push begins. */
  make(base: CommitId | null, seqs: SeqSet, floorSeq: number): Promise<Claim>;
  /** What a Batch-Id on the branch is to this log. */
  find(batchId: string): Claim | 'forgotten' | 'unknown';
  /** As find, among those whose changes may still have to leave the log. */
  get(batchId: string): Claim | undefined;
  /**
   * Their commits are on the branch and in the base: exactly their changes leave the log, in the commit in which they
   * count as landed. `carriesRuns`: the branch has the ids of all runs now.
   */
  land(claims: readonly Claim[], options?: { readonly carriesRuns?: boolean }): Promise<void>;
  /** Their commits can't come to the branch any more, or were refused. */
  bury(claims: readonly Claim[]): Promise<void>;
  /** Under a new Log-Id none of them can be found any more. */
  forgetAll(): Promise<void>;
}

export type FreezeCode =
  /** The branch is not a descendant of the head that we know. */
  | 'diverged'
  /** Somebody removed more objects at once than a slip of the hand should be able to. */
  | 'mass-delete'
  | 'branch-gone'
  /** A newer storage format or an unknown feature: looked at again with every fetch. */
  | 'format'
  /** format.json names another repository. */
  | 'foreign-bucket';

export interface Freeze {
  readonly code: FreezeCode;
  readonly reason: string;
  readonly sinceMs: number;
  readonly head: CommitId | null;
}

/** One opening of the state. */
export interface Run {
  readonly id: string;
  /** The last change that it found. */
  readonly startSeq: number;
}

/** Who the log is towards the branch. Each opening is an epoch of its own, higher than all before. */
export interface LogIdentity {
  readonly id: string;
  readonly epoch: number;
  /** Its id was made by this opening. */
  readonly isNew: boolean;
  /** No commit of ours says that everything up to a higher number has landed. */
  readonly attemptedSeq: number;
  /** Openings since a commit of ours landed last, oldest first; the last one is this one. */
  readonly runs: readonly Run[];
  readonly frozen: Freeze | undefined;
  setFrozen(freeze: Freeze | undefined): Promise<void>;
  /** Becomes somebody else. */
  renew(): Promise<void>;
}

/** What is kept of one bucket, opened. */
export interface BucketLog {
  readonly changes: ChangeLog;
  readonly claims: ClaimLog;
  readonly identity: LogIdentity;
  readonly uploads: UploadStore;
}

export interface LogDeps {
  readonly clock: Clock;
  readonly failpoints: Failpoints;
  /** Asked before each write of a client; what frees room is not. */
  readonly admits?: Admits | undefined;
}

/** The logs of all buckets of a state directory. */
export interface ChangeLogs {
  /** Opens that of a bucket, or begins it. One opening of a bucket at a time. */
  open(bucket: string, deps: LogDeps): Promise<BucketLog>;
  /** Deletes all that is kept of a bucket, which is not open. What was cut short is repeated by another call. */
  wipe(bucket: string): Promise<void>;
  /** After the last call. */
  close(): Promise<void>;
}
