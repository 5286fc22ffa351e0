/**
 * A bucket's view of its branch on Gitee through the git program: paths are relative to its directory. The branch, its
 * local repository and the order of what is done on them are git-branch.ts, shared by all buckets on the branch. What a
 * commit looks like is tree-builder.ts, what the server's words mean is stderr.ts, what became of a push is
 * branch-push.ts, and invariant 2 is kept in exact-change.ts.
 */
import type { CommitId, TreePath } from '../../format/ids.js';
import { RemoteError } from '../errors.js';
import type { HeadRemote, OwnCommit, PathChange, PushRequest, PushResult, TreeFile } from '../remote.js';
import { CommitReader } from './commit-reader.js';
import { isDamage } from './failures.js';
import type { BranchMember, GitBranch } from './git-branch.js';
import type { GitPlaceSettings } from './settings.js';

export class GitHeadRemote implements HeadRemote {
  readonly #branch: GitBranch;
  readonly #reader: CommitReader;
  readonly #member: BranchMember;
  readonly #closing = new AbortController();

  constructor(
    private readonly place: GitPlaceSettings,
    branch: GitBranch,
  ) {
    this.#branch = branch;
    this.#reader = new CommitReader(branch.local, place.pathPrefix);
    this.#member = { keyCount: place.keyCount };
    branch.join(this.#member);
  }

  knownHead(): CommitId | null {
    return this.#branch.local.known;
  }

  /** For all buckets of the branch. */
  async believe(head: CommitId | null): Promise<void> {
    return this.#ended(this.#branch.believe(head, this.#either(undefined)));
  }

  async fetch(signal?: AbortSignal): Promise<CommitId | null> {
    return this.#ended(this.#branch.fetch(this.#either(signal)));
  }

  async readHead(signal?: AbortSignal): Promise<CommitId | null> {
    return this.#ended(this.#branch.readHead(this.#either(signal)));
  }

  async push(request: PushRequest, signal?: AbortSignal): Promise<PushResult> {
    return this.#ended(this.#branch.push(this.place.pathPrefix, request, this.#either(signal)));
  }

  files(head: CommitId, below?: TreePath): AsyncIterable<TreeFile> {
    return this.#readingStream(() => this.#reader.files(head, below));
  }

  blobs(ids: AsyncIterable<string> | Iterable<string>, maxBytes: number): AsyncIterable<Uint8Array | null> {
    return this.#readingStream(() => this.#reader.blobs(ids, maxBytes));
  }

  diff(from: CommitId | null, to: CommitId): AsyncIterable<PathChange> {
    return this.#readingStream(() => this.#reader.diff(from, to));
  }

  history(head: CommitId): AsyncIterable<{ commit: CommitId; timeMs: number; paths: TreePath[] }> {
    return this.#readingStream(() => this.#reader.history(head));
  }

  async readFile(head: CommitId, path: TreePath, maxBytes: number): Promise<Uint8Array | null | undefined> {
    return this.#reading(() => this.#reader.readFile(head, path, maxBytes));
  }

  async fileId(head: CommitId, path: TreePath): Promise<string | undefined> {
    return this.#reading(() => this.#reader.fileId(head, path));
  }

  async isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean> {
    return this.#reading(() => this.#reader.isAncestor(ancestor, head));
  }

  ownCommits(head: CommitId, logId: string, since: CommitId | null): AsyncIterable<OwnCommit> {
    return this.#readingStream(() => this.#reader.ownCommits(head, logId, since));
  }

  commitsSince(head: CommitId, since: CommitId): AsyncIterable<OwnCommit> {
    return this.#readingStream(() => this.#reader.commitsSince(head, since));
  }

  async keep(commit: CommitId): Promise<void> {
    return this.#ended(this.#branch.keep(commit, this.#either(undefined)));
  }

  /** Forgets it for all buckets of the branch. */
  async drop(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    return this.#branch.drop();
  }

  /**
   * Joins packs when there are many, beside pushes and fetches. Resolves after a second at most: what takes longer
   * goes on, and is seen in the metrics and the log.
   */
  async maintain(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    return this.#branch.maintain();
  }

  /** Resolves when no maintenance runs. */
  maintained(): Promise<void> {
    return this.#branch.maintained();
  }

  /** Stops everything that runs for this bucket, pushes included: their outcome is looked for at the next start. */
  async close(): Promise<void> {
    this.#closing.abort(new RemoteError('unreachable', 'the gateway is closing its remote'));
    await this.#branch.leave(this.#member);
  }

  #either(signal: AbortSignal | undefined): AbortSignal {
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    return signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
  }

  async #ended<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (e) {
      throw this.#outward(e);
    }
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      await this.#ready();
      return await read();
    } catch (e) {
      if (isDamage(e)) this.#branch.local.doubt(e.message);
      throw this.#outward(e);
    }
  }

  async *#readingStream<T>(read: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    try {
      await this.#ready();
      yield* read();
    } catch (e) {
      if (isDamage(e)) this.#branch.local.doubt(e.message);
      throw this.#outward(e);
    }
  }

  async #ready(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    await this.#branch.ready();
  }

  #outward(e: unknown): unknown {
    return this.#closing.signal.aborted ? this.#closing.signal.reason : this.#branch.outward(e);
  }
}
