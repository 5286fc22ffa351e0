/**
 * The state of one bucket as the objects layer sees it: base index, overlay and journal as one. Implemented by
 * the classes of src/journal and src/index, put together in src/server/compose.ts.
 */
import type { Extent } from '../format/extent.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import type { NewObject, ObjectBody, ObjectRecord } from '../index/object-record.js';
import type { UploadCompletion, UploadStore } from './upload-store.js';

/** One acknowledged change of one key. */
export type Change =
  | { readonly kind: 'put'; readonly key: ObjectKey; readonly object: NewObject }
  | { readonly kind: 'delete'; readonly key: ObjectKey };

export interface AppendOptions {
  /** Local keys live in the overlay only and never in a commit. All changes of one call are of one sort. */
  readonly local?: boolean;
  /** The upload that ends with these changes, in the same durable commit; where it can't, nothing is written. */
  readonly completes?: UploadCompletion;
}

/** How far a key's newest change has come. */
export interface ChangeState {
  readonly seq: number;
  /** When the newest change of this key was first appended, steady milliseconds of the clock. */
  readonly appendedMs: number;
  readonly state: 'pending' | 'landed' | 'quarantined' | 'local';
}

/**
 * What a look at the branch has found: what others had written is `seen`, or nobody had; `elsewhere`: somebody has, and
 * it could not be brought here in time; `unknown`: Gitee gave no answer in time, or one that is older than what is known.
 */
export type Look = 'seen' | 'elsewhere' | 'unknown';

/** A change that was set aside: the newest of its key, or one that a newer change had replaced already. */
export type SetAside = 'newest' | 'replaced';

export interface BucketStatus {
  readonly bucket: string;
  readonly repository: string;
  readonly branch: string;
  readonly head: CommitId | null;
  readonly pendingChanges: number;
  /** For people: by the wall clock as it is now. */
  readonly oldestPendingMs: number | undefined;
  /** Bytes of the objects that these write: no commit on Gitee names them yet. */
  readonly pendingBytes: number;
  readonly quarantinedChanges: number;
  readonly quarantinedBytes: number;
  /** Objects of the branch whose files are damaged: not shown. */
  readonly damagedObjects: number;
  /**
   * Changes that wait for single LFS objects which Gitee does not take at the moment, or until their own bytes are cut
   * anew, and why the first of them does.
   */
  readonly doubtful:
    | {
        readonly changes: number;
        readonly code: string;
        readonly message: string;
        readonly sinceMs: number;
      }
    | undefined;
  /** Gitee accepted a push, and the branch does not show it yet; nothing else lands before that is decided. */
  readonly unseen: { readonly code: string; readonly message: string; readonly sinceMs: number } | undefined;
  readonly lastLandedMs: number | undefined;
  /** RemoteCause and message of what keeps the committer from landing changes. */
  readonly paused: { readonly code: string; readonly message: string; readonly sinceMs: number } | undefined;
  /** Set where the remote history is not ours to follow without accept-remote. */
  readonly frozen: { readonly reason: string; readonly sinceMs: number } | undefined;
  readonly ready: boolean;
}

export interface BucketState {
  /** Newest record of the key: overlay over base. */
  get(key: ObjectKey): Promise<ObjectRecord | undefined>;
  openBody(record: ObjectRecord): Promise<ObjectBody>;
  /** Keys with start <= key < end (UTF-8 byte order; end undefined: to the last key), at most limit. */
  page(
    start: string,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; record: ObjectRecord }[]>;
  /**
   * Makes changes durable (fsync) and visible, all or none; resolves with the last change's seq, or undefined
   * where the upload that was to end is not as it was read. Rejects with StorageError (read-only, disk-full).
   */
  append(changes: readonly Change[], options?: AppendOptions): Promise<number | undefined>;
  changeState(key: ObjectKey): Promise<ChangeState | undefined>;
  /**
   * Reads the branch: what others had written there when this was called is seen afterwards. `followMs`: so long it may
   * take to follow a branch that has moved, also behind a push that is under way. Rejects with the signal's reason only.
   */
  lookAtBranch(options: { timeoutMs: number; followMs: number; signal: AbortSignal }): Promise<Look>;
  /** Asks for a commit now and waits; true once the change is on Gitee (or set aside), false at the time-out. */
  waitLanded(seq: number, options: { timeoutMs: number; signal: AbortSignal }): Promise<boolean>;
  /** Of a change that waits no more: undefined where Gitee has got it. Asked soon after waitLanded(). */
  setAsideAs(seq: number): SetAside | undefined;
  /** Local keys that were written since the time. */
  localKeysSince(sinceMs: number): AsyncIterable<ObjectKey>;
  /** Deletes the overlay's local keys that were last written before the time and are not kept; returns how many. */
  expireLocalKeys(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number>;
  /**
   * Extents of everything that the overlay names: local keys, pending and quarantined changes. What stands here
   * after garbage collection began may be missing; the grace time of the chunk store covers that.
   */
  overlayExtents(): AsyncIterable<Extent>;
  /** Of these chunks, those that objects of the branch name. Reads the whole index. @throws StorageError not-ready */
  namedOnBranch(oids: ReadonlySet<string>): Promise<ReadonlySet<string>>;
  /**
   * Makes a change that was set aside pending again, where nothing newer has come to its key here or on the branch;
   * resolves with its new seq, undefined where there is nothing to try again.
   */
  retrySetAside(key: ObjectKey): Promise<number | undefined>;
  readonly uploads: UploadStore;
  status(): BucketStatus;
}
