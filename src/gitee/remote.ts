/**
 * What the storage layer may ask of a remote. Implemented by src/gitee/lfs and src/gitee/git; each has a
 * contract suite in test/contract. All failures are RemoteError; every call ends by its own deadline or by
 * the signal, whichever is first.
 */
import type { Readable } from 'node:stream';
import type { Chunk } from '../format/extent.js';
import type { CommitId, TreePath } from '../format/ids.js';

/** The bytes of a body on its way out. It ends early by `destroy`, or by `return`. */
export type BodySource = Readable | AsyncGenerator<Uint8Array>;

/** Where a download begins: what came before is here already. */
export interface ChunkOffset {
  readonly offsetBytes: number;
}

/** Told of a body while it goes out, and asked before each piece. */
export interface UploadFlow {
  /** To be waited for before a piece is handed over, whatever that takes; undefined: at once. */
  turn(pieceBytes: number): Promise<void> | undefined;
  /** So many more bytes were handed over. */
  sent(bytes: number): void;
  /** The chunk is asked for while its upload is being verified: worth a call where Gitee is far away. */
  readonly asksAtOnce?: boolean;
}

/** What became of an upload. */
export interface Stored {
  /** Bytes that crossed the line: 0 where the remote had the chunk already. */
  readonly sentBytes: number;
  /** It was asked for after it had been sent, and is offered for download. */
  readonly isSeen?: boolean;
}

/** A place that keeps chunks by their SHA-256. */
export interface ChunkRemote {
  /** Of these chunks, the ones that the remote does not have (any number; asked in batches). */
  missing(chunks: readonly Chunk[], signal?: AbortSignal): Promise<Chunk[]>;
  /**
   * Uploads one chunk, verified by the server where it offers that; idempotent. `open` may be called again
   * for a retry; a piece of what it gives is lent until the next one is asked for. `flow` may hold the body up; such a
   * pause counts for no deadline.
   */
  put(chunk: Chunk, open: () => BodySource, signal?: AbortSignal, flow?: UploadFlow): Promise<Stored>;
  /**
   * Streams one chunk from an offset on (below its size; the whole chunk without one). The caller checks the
   * hash. A cut body is an error event, never an early end.
   */
  get(chunk: Chunk, from?: ChunkOffset, signal?: AbortSignal): Promise<Readable>;
}

/** One path of a commit. */
export type PathEdit =
  | { readonly kind: 'put'; readonly path: TreePath; readonly content: () => Promise<Uint8Array> }
  /** Removes the file at this path; nothing where there is none or where it is a directory. */
  | { readonly kind: 'remove-file'; readonly path: TreePath }
  /** Removes the whole directory; nothing where there is none or where it is a file. */
  | { readonly kind: 'remove-tree'; readonly path: TreePath };

export interface TreeFile {
  readonly path: TreePath;
  /** Git blob id (40 hex). */
  readonly blobId: string;
  readonly sizeBytes?: number;
}

type Trailers = readonly (readonly [string, string])[];

export interface PushRequest {
  /** The head that the edits were worked out against; null for an empty repository or missing branch. */
  readonly expectedHead: CommitId | null;
  readonly edits: readonly PathEdit[];
  readonly subject: string;
  /** `Gateway-Id`, `Batch-Id` and others, in order: docs/storage-format.md. */
  readonly trailers: Trailers;
  /** Makes a commit also where the edits change nothing: once it landed, no earlier push can land any more. */
  readonly evenIfUnchanged?: boolean;
  /** Somebody waits for it. */
  readonly isWaited?: boolean;
  /**
   * For a branch that several buckets share. Called before anything is sent where the server will be told to move the
   * branch from another head (`base`) than the expected one, with commits of other buckets in between and nothing
   * else: the edits are right there as well. Also where the commit goes in one push with those of other buckets, on
   * the expected head or another one. May be called again. Without it the push is told of the moved branch.
   */
  readonly elsewhere?: (base: CommitId | null) => Promise<CommitTerms>;
}

/** What a commit says of itself, once it is known where the push begins. */
export interface CommitTerms {
  /** @param parent the head that the branch is moved from, or a commit of another bucket in the same push */
  readonly trailers: (parent: CommitId | null) => Trailers;
  readonly evenIfUnchanged: boolean;
}

/** A commit with its trailers: those of a gateway name its log of changes. */
export interface OwnCommit {
  readonly commit: CommitId;
  /** The first one; null for a commit without parents. */
  readonly parent: CommitId | null;
  /** Of its last paragraph only: a message that quotes another one is no commit of that log. */
  readonly trailers: ReadonlyMap<string, string>;
}

export type PushResult =
  | { readonly kind: 'landed'; readonly head: CommitId }
  /** The edits change nothing at the expected head, where the branch was just seen to stand: no commit was made. */
  | { readonly kind: 'unchanged'; readonly head: CommitId | null }
  /** The branch is elsewhere: fetch() has been done and `head` is there. Work the edits out anew. */
  | { readonly kind: 'moved'; readonly head: CommitId | null };

/** What changed between two heads, below `path_prefix`. */
export interface PathChange {
  readonly path: TreePath;
  /** undefined: removed. */
  readonly blobId: string | undefined;
}

/** The branch whose tree is the truth. The local repository behind it is a cache that may be dropped. */
export interface HeadRemote {
  /**
   * Reads the branch from the server and brings its objects here. null: the branch does not exist. What the server says
   * may be older than what it said before, where it is a copy that lags: that is the caller's to find out.
   */
  fetch(signal?: AbortSignal): Promise<CommitId | null>;
  /**
   * Where the server says that the branch stands, as fetch() does. Brings nothing here, and waits for no push or fetch
   * that is under way.
   */
  readHead(signal?: AbortSignal): Promise<CommitId | null>;
  /** The newest head seen, without asking the server; what comes before it is not newer, whenever it is seen. */
  knownHead(): CommitId | null;
  /** Takes a head that was fetched for the newest one, whatever was seen before: an operator says so. */
  believe(head: CommitId | null): Promise<void>;
  /**
   * Lands the edits as one commit on the expected head, or tells why not. After an unclear push it reads the
   * branch and looks for the commit before it answers; `outcome-unknown` only if even that failed. NotSentError where
   * no commit could be made of the edits, UnintendedChangeError where it would change something else. The head that it
   * tells has the edits, and may be beyond their commit by those of other buckets.
   */
  push(request: PushRequest, signal?: AbortSignal): Promise<PushResult>;
  /** All files below a path of a commit, in git's order, streamed. */
  files(head: CommitId, below?: TreePath): AsyncIterable<TreeFile>;
  /** Contents of blobs, in order; null where a blob is over `maxBytes` (it is then not read). */
  blobs(ids: AsyncIterable<string> | Iterable<string>, maxBytes: number): AsyncIterable<Uint8Array | null>;
  /** Content of one file at a commit, or undefined; null where it is over `maxBytes` (it is then not read). */
  readFile(head: CommitId, path: TreePath, maxBytes: number): Promise<Uint8Array | null | undefined>;
  /** Git blob id of one file at a commit, without reading it; undefined where there is none. */
  fileId(head: CommitId, path: TreePath): Promise<string | undefined>;
  /** Paths that differ between two commits. `from` null: everything. */
  diff(from: CommitId | null, to: CommitId): AsyncIterable<PathChange>;
  /** True where `ancestor` is reachable from `head`. */
  isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean>;
  /**
   * Newest first: which paths each commit touched, for Last-Modified after a rebuild. A commit of more than a
   * thousand paths comes in several entries, one after the other.
   */
  history(head: CommitId): AsyncIterable<{ commit: CommitId; timeMs: number; paths: TreePath[] }>;
  /**
   * Commits with this `Log-Id` or `Gateway-Id` that are reachable from the head and not from `since` (null: all),
   * newest first.
   */
  ownCommits(head: CommitId, logId: string, since: CommitId | null): AsyncIterable<OwnCommit>;
  /** Commits on the way from `head` back to `since`, each with the one that it was made on, newest first. */
  commitsSince(head: CommitId, since: CommitId): AsyncIterable<OwnCommit>;
  /** Keeps a commit alive under refs/gateway/keep/ in the local repository. */
  keep(commit: CommitId): Promise<void>;
  /** Forgets the local repository; the next fetch clones anew. */
  drop(): Promise<void>;
  /** Packs loose objects if there are many; called when idle. */
  maintain(): Promise<void>;
  close(): Promise<void>;
}
