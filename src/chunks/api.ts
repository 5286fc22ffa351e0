/** What objects and journal may ask of the chunk store of one bucket. Implemented by BucketChunks. */
import type { Readable } from 'node:stream';
import type { Chunk, Extent } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import type { ExtentList } from '../index/object-record.js';
import type { AskedBody, Reservation } from '../space/reservation.js';
import type { XxhashName } from './xxhash.js';

export type { Reservation };

export type DigestName = 'md5' | 'sha256' | 'sha1' | 'sha512' | 'crc32' | 'crc32c' | 'crc64nvme' | XxhashName;

export interface IngestOptions {
  readonly digests: readonly DigestName[];
  readonly signal: AbortSignal;
  /** Who shares the line alike with others of this bucket: a repository of the registry, an upload. */
  readonly push?: string;
  /** The object has more than one chunk for sure: it may be cut smaller, so that its bytes leave early. */
  readonly isLarge?: boolean;
  /** The client has sent all that it has, and waits for the answer: it goes first within its push. */
  readonly isTail?: boolean;
  /** Keeps the chunks on this disk until a row names them. */
  readonly hold?: ChunkHold;
}

/**
 * What a request has stored, until a row names it: it stays on this disk, whatever the bounds say. Ended by whoever
 * began it, once the row is durable or the request has failed.
 */
export interface ChunkHold {
  add(oid: Oid): void;
  end(): void;
}

export interface Ingested {
  readonly sizeBytes: number;
  /** Set instead of extents where the body is at most as large as its reservation keeps. */
  readonly bytes: Uint8Array | undefined;
  /** Whole chunks, durable on disk (file and directory fsync). */
  readonly extents: readonly Extent[];
  /** Raw digest bytes, big-endian for CRCs. */
  readonly digests: ReadonlyMap<DigestName, Uint8Array>;
}

/** Whether Gitee has chunks that it was told to have. */
export type KeptState =
  | { readonly kind: 'kept' }
  /** Some are neither there nor here. */
  | { readonly kind: 'lost'; readonly message: string }
  /** Some were sent again, and it does not keep them yet; another try is worth it after `retryAfterMs`. */
  | { readonly kind: 'unkept'; readonly message: string; readonly retryAfterMs: number }
  /** It could not be found out, or sent, and will not be until an operator acts: token, quota. */
  | { readonly kind: 'paused'; readonly message: string }
  /** It could not be found out, or sent, this time. */
  | { readonly kind: 'unknown'; readonly message: string };

export interface ChunkStats {
  readonly unsentBytes: number;
  readonly unsentChunks: number;
  readonly graceBytes: number;
  readonly cacheBytes: number;
  readonly uplinkBytesPerSecond: number;
}

/** `waited`: somebody has to be answered; `push`: it is time for a commit, and nobody has asked for it. */
export type WaitedClass = 'waited' | 'push';

export interface ChunksApi {
  /**
   * Asks for room for a body before it is read: at Gitee, on this disk and in the spool. Waits at most 5 s until less
   * than spool_soft is unsent.
   * @throws ChunkError `quota-full` where it needs LFS, Gitee's quota has no room for it and gitee.lfs_quota_action
   *   is refuse; `disk-full` at the disk reserve; `spool-full` after the wait
   */
  reserve(body: AskedBody, signal: AbortSignal): Promise<Reservation>;
  /**
   * Of an upload that begins, and brings bytes later: refused now rather than when they come.
   * @throws ChunkError `quota-full` as reserve
   */
  demandSpace(bytes: number): void;
  /**
   * Cuts, hashes and stores a body, read at the pace of the line where somebody will wait for Gitee; its chunks
   * go to Gitee meanwhile. A run of the body is lent until the next one is asked for. ChunkError `spool-full` also where
   * the line makes no progress for minutes.
   */
  ingest(body: AsyncIterable<Uint8Array>, room: Reservation, options: IngestOptions): Promise<Ingested>;
  /** Stores bytes that are already in memory (at most chunk_size) as one chunk. */
  store(bytes: Uint8Array, hold?: ChunkHold): Promise<Chunk>;
  /** Begins to hold what one request stores. */
  hold(): ChunkHold;
  /** A commit on Gitee's branch names this chunk from now on: its grace time counts from here. Does not fail. */
  landed(oid: Oid): Promise<void>;
  /** Bytes [startBytes, endBytes) of an object; the stream errors rather than end with wrong bytes. */
  read(list: ExtentList, startBytes: number, endBytes: number, signal?: AbortSignal): Readable;
  /**
   * Takes back a run of bytes that a stream of read() gave, to be used again: nobody may look at it any more, and no
   * write of it be under way. Nobody has to: what is kept is collected as any other buffer.
   */
  giveBack(bytes: Uint8Array): void;
  /**
   * Whole chunks that a commit may name for these extents: good ones stay, adjoining short or partial ones are
   * cut anew; exactly one chunk where the size allows it. Streamed, in order.
   */
  normalise(list: ExtentList, hold?: ChunkHold, signal?: AbortSignal): AsyncIterable<Chunk>;
  /** True where the only copy is on this disk: Gitee has not confirmed it. No I/O. */
  isUnsent(oid: Oid): boolean;
  /**
   * Uploads those of these chunks that are unsent; asks nothing afterwards. `waited`: ahead of everything that nobody
   * waits for; `push`: as what an open push sends already. One call is one group: what runs beside it gets its share.
   * Rejects with RemoteError when all have ended; where several will never be sent, one error names them all.
   */
  upload(chunks: readonly Chunk[], cls: WaitedClass, signal?: AbortSignal): Promise<void>;
  /**
   * Uploads what Gitee lacks, then asks Gitee once more for all of them. Rejects with RemoteError;
   * `chunk-missing` where a chunk is neither there nor here, `chunk-unkept` where it is here, and unsent again.
   */
  ensureRemote(chunks: readonly Chunk[], signal?: AbortSignal): Promise<void>;
  /** Whether a copy of it is on this disk; its bytes are not looked at. */
  hasCopy(chunk: Chunk): boolean;
  /** As ensureRemote, of what Gitee was not seen to have within the last minutes; tells what came of it. */
  ensureKept(chunks: readonly Chunk[], signal?: AbortSignal): Promise<KeptState>;
  /**
   * Forgets unsent chunks that nothing names any more and that were not touched within the grace time. `namedHere` is
   * asked once, which of those that are old enough the rows on this disk name; `namedOnBranch` once, for those that are
   * left: Gitee may have lost one of these, and this copy be the only one. Neither is asked where there are none.
   */
  collect(
    namedHere: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
    namedOnBranch: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
  ): Promise<{ removedChunks: number; removedBytes: number }>;
  /** Hashes every local file; wrong ones are moved aside. For fsck --deep. */
  verifyLocal(signal?: AbortSignal): AsyncIterable<{ oid: string; problem: string }>;
  stats(): ChunkStats;
  close(): Promise<void>;
}

export type ChunkErrorCode =
  | 'spool-full'
  | 'disk-full'
  | 'quota-full'
  | 'corrupt'
  | 'missing'
  | 'remote-unavailable'
  /** The same, and another try would be in vain: nothing at all comes through, or it has failed for half a minute. */
  | 'remote-down'
  | 'aborted';

/** A failure of the chunk store; `retryAfterMs` with spool-full. */
export class ChunkError extends Error {
  override readonly name = 'ChunkError';
  readonly retryAfterMs: number | undefined;
  constructor(
    readonly code: ChunkErrorCode,
    message: string,
    extra: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.retryAfterMs = extra.retryAfterMs;
  }
}
