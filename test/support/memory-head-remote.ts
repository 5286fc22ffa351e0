/**
 * A HeadRemote in memory, for tests of the journal. It passes test/contract/head-remote.ts, as GitHeadRemote
 * does. A `MemoryRepository` is the server; several remotes may share one, as several gateways do.
 */
import { createHash } from 'node:crypto';
import { RemoteError } from '../../src/gitee/errors.js';
import type {
  HeadRemote,
  OwnCommit,
  PathChange,
  PathEdit,
  PushRequest,
  PushResult,
  TreeFile,
} from '../../src/gitee/remote.js';
import type { CommitId, TreePath } from '../../src/format/ids.js';

export interface MemoryCommit {
  readonly id: CommitId;
  readonly parent: CommitId | null;
  readonly subject: string;
  readonly trailers: readonly (readonly [string, string])[];
  readonly timeMs: number;
  /** Path to content; never changed once the commit exists. */
  readonly tree: ReadonlyMap<string, Uint8Array>;
}

/** What stands at a path after a foreign commit; null removes the file. */
export type ForeignFiles = Readonly<Record<string, string | Uint8Array | null>>;

/** The branch on the server and every commit that it ever had. */
export class MemoryRepository {
  head: CommitId | null = null;
  readonly commits = new Map<CommitId, MemoryCommit>();
  #made = 0;

  constructor(readonly nowMs: () => number = () => Date.now()) {}

  /** Adds a commit and moves the branch to it. */
  add(
    parent: CommitId | null,
    tree: ReadonlyMap<string, Uint8Array>,
    subject: string,
    trailers: readonly (readonly [string, string])[] = [],
  ): CommitId {
    this.#made += 1;
    const id = createHash('sha1')
      .update(`commit ${this.#made} ${parent} ${subject}`)
      .digest('hex') as CommitId;
    this.commits.set(id, { id, parent, subject, trailers, timeMs: this.nowMs(), tree });
    this.head = id;
    return id;
  }

  /** A commit of somebody else on top of the head. */
  foreignCommit(
    files: ForeignFiles,
    subject = 'edited by hand',
    trailers: readonly (readonly [string, string])[] = [],
  ): CommitId {
    const tree = new Map(this.head === null ? [] : this.commit(this.head).tree);
    for (const [path, content] of Object.entries(files)) {
      if (content === null) tree.delete(path);
      else tree.set(path, typeof content === 'string' ? new TextEncoder().encode(content) : content);
    }
    return this.add(this.head, tree, subject, trailers);
  }

  /** Moves the branch to a commit without parents with this tree (a forced push, a squash). */
  rewriteHistory(files: Readonly<Record<string, string | Uint8Array>>, subject = 'squashed'): CommitId {
    this.head = null;
    return this.foreignCommit(files, subject);
  }

  commit(id: CommitId): MemoryCommit {
    const commit = this.commits.get(id);
    if (!commit) throw new Error(`no commit ${id} in the memory repository`);
    return commit;
  }

  /** The tree at the head as texts, in order of paths, for assertions. */
  texts(): Map<string, string> {
    const tree = this.head === null ? new Map<string, Uint8Array>() : this.commit(this.head).tree;
    const paths = [...tree.keys()].sort(byBytes);
    return new Map(paths.map((path) => [path, new TextDecoder().decode(tree.get(path))]));
  }
}

type Operation = 'fetch' | 'push' | 'push-answer';

/** A gateway's view of a MemoryRepository, with failures that a test switches on. */
export class MemoryHeadRemote implements HeadRemote {
  readonly kept = new Set<CommitId>();
  /** Calls so far, failed ones included. */
  readonly calls = { fetch: 0, readHead: 0, push: 0, drop: 0, maintain: 0 };
  /** Runs inside push() before the head is compared: a test may move the branch here, or wait. */
  beforePush: () => Promise<void> = async () => {};
  /** So many commits the copy lags that a look at the branch meets. */
  lag: () => number = () => 0;
  /** What the server refuses for good, looked up for each path that a push changes. */
  refuse: (path: string, content: Uint8Array | undefined) => RemoteError | undefined = () => undefined;
  #known: CommitId | null = null;
  #closed = false;
  readonly #failures = new Map<Operation, { error: RemoteError; times: number }>();

  constructor(readonly repository: MemoryRepository = new MemoryRepository()) {}

  /**
   * The next `times` calls fail with this error (Infinity: until heal()). `push`: nothing lands.
   * `push-answer`: the commit lands, then the error is thrown (use `outcome-unknown`).
   */
  fail(operation: Operation, error: RemoteError, times = 1): void {
    this.#failures.set(operation, { error, times });
  }

  /** Takes back every fail(). */
  heal(): void {
    this.#failures.clear();
  }

  async fetch(signal?: AbortSignal): Promise<CommitId | null> {
    this.calls.fetch += 1;
    this.#check(signal);
    this.#failIfAsked('fetch');
    return this.#see(this.#shown());
  }

  async readHead(signal?: AbortSignal): Promise<CommitId | null> {
    this.calls.readHead += 1;
    this.#check(signal);
    this.#failIfAsked('fetch');
    return this.#shown();
  }

  knownHead(): CommitId | null {
    return this.#known;
  }

  async believe(head: CommitId | null): Promise<void> {
    this.#known = head;
  }

  async push(request: PushRequest, signal?: AbortSignal): Promise<PushResult> {
    this.calls.push += 1;
    this.#check(signal);
    const { expectedHead } = request;
    const old =
      expectedHead === null ? new Map<string, Uint8Array>() : this.repository.commit(expectedHead).tree;
    const tree = await applyEdits(old, request.edits);
    const changed = changedPaths(old, tree);
    if (changed.length === 0 && !request.evenIfUnchanged) {
      this.#failIfAsked('fetch');
      const head = this.#see(this.repository.head);
      return { kind: head === expectedHead ? 'unchanged' : 'moved', head };
    }
    await this.beforePush();
    this.#check(signal);
    this.#failIfAsked('push');
    for (const path of changed) {
      const refusal = this.refuse(path, tree.get(path));
      if (refusal) throw refusal;
    }
    if (this.repository.head !== expectedHead) {
      return { kind: 'moved', head: this.#see(this.#shown()) };
    }
    const head = this.repository.add(expectedHead, tree, request.subject, request.trailers);
    this.#failIfAsked('push-answer');
    this.#known = head;
    return { kind: 'landed', head };
  }

  async *files(head: CommitId, below?: TreePath): AsyncIterable<TreeFile> {
    const prefix = below === undefined || below === '' ? '' : `${below}/`;
    const tree = this.repository.commit(head).tree;
    for (const path of [...tree.keys()].filter((p) => p.startsWith(prefix)).sort(byBytes)) {
      const bytes = tree.get(path)!;
      yield { path: path as TreePath, blobId: blobId(bytes), sizeBytes: bytes.length };
    }
  }

  async *blobs(
    ids: AsyncIterable<string> | Iterable<string>,
    maxBytes: number,
  ): AsyncIterable<Uint8Array | null> {
    const byId = new Map<string, Uint8Array>();
    for (const commit of this.repository.commits.values())
      for (const bytes of commit.tree.values()) byId.set(blobId(bytes), bytes);
    for await (const id of ids) {
      const bytes = byId.get(id);
      if (!bytes) throw new Error(`no blob ${id} in the memory repository`);
      yield bytes.length > maxBytes ? null : bytes;
    }
  }

  async readFile(head: CommitId, path: TreePath, maxBytes: number): Promise<Uint8Array | null | undefined> {
    const bytes = this.repository.commit(head).tree.get(path);
    return bytes && bytes.length > maxBytes ? null : bytes;
  }

  async fileId(head: CommitId, path: TreePath): Promise<string | undefined> {
    const bytes = this.repository.commit(head).tree.get(path);
    return bytes && blobId(bytes);
  }

  async *diff(from: CommitId | null, to: CommitId): AsyncIterable<PathChange> {
    const old = from === null ? new Map<string, Uint8Array>() : this.repository.commit(from).tree;
    const tree = this.repository.commit(to).tree;
    for (const path of changedPaths(old, tree)) {
      const bytes = tree.get(path);
      yield { path: path as TreePath, blobId: bytes && blobId(bytes) };
    }
  }

  async isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean> {
    for (const commit of this.#line(head)) if (commit.id === ancestor) return true;
    return false;
  }

  async *history(head: CommitId): AsyncIterable<{ commit: CommitId; timeMs: number; paths: TreePath[] }> {
    for (const { id, parent, timeMs, tree } of this.#line(head)) {
      const old = parent === null ? new Map<string, Uint8Array>() : this.repository.commit(parent).tree;
      yield { commit: id, timeMs, paths: changedPaths(old, tree) as TreePath[] };
    }
  }

  async *ownCommits(head: CommitId, logId: string, since: CommitId | null): AsyncIterable<OwnCommit> {
    const outside = new Set(since === null ? [] : [...this.#line(since)].map(({ id }) => id));
    for (const { id, parent, trailers } of this.#line(head)) {
      if (outside.has(id)) return;
      const named = new Map(trailers);
      if (named.get('Log-Id') === logId || named.get('Gateway-Id') === logId)
        yield { commit: id, parent, trailers: named };
    }
  }

  async *commitsSince(head: CommitId, since: CommitId): AsyncIterable<OwnCommit> {
    for (const { id, parent, trailers } of this.#line(head)) {
      if (id === since) return;
      yield { commit: id, parent, trailers: new Map(trailers) };
    }
  }

  async keep(commit: CommitId): Promise<void> {
    this.kept.add(commit);
  }

  async drop(): Promise<void> {
    this.calls.drop += 1;
    this.#known = null;
  }

  async maintain(): Promise<void> {
    this.calls.maintain += 1;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** What comes before the newest one is seen and not known. */
  #see(head: CommitId | null): CommitId | null {
    const known = this.#known === null ? [] : [...this.#line(this.#known)].map(({ id }) => id);
    if (head !== null && !known.includes(head)) this.#known = head;
    return head;
  }

  #shown(): CommitId | null {
    let { head } = this.repository;
    for (let left = this.lag(); left > 0 && head !== null; left -= 1)
      head = this.repository.commit(head).parent;
    return head;
  }

  *#line(head: CommitId): Generator<MemoryCommit> {
    for (let at: CommitId | null = head; at !== null; at = this.repository.commit(at).parent)
      yield this.repository.commit(at);
  }

  #check(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new RemoteError('unreachable', 'the remote has been closed');
  }

  #failIfAsked(operation: Operation): void {
    const failure = this.#failures.get(operation);
    if (!failure || failure.times <= 0) return;
    failure.times -= 1;
    throw failure.error;
  }
}

/** The plain model of a push: the last edit of a path counts, and what stands at the end must be a tree. */
export async function applyEdits(
  old: ReadonlyMap<string, Uint8Array>,
  edits: readonly PathEdit[],
): Promise<Map<string, Uint8Array>> {
  const tree = new Map(old);
  for (const edit of edits) {
    const bad = edit.path.split('/').find((name) => /^(|\.|\.\.|\.git)$/i.test(name));
    if (bad !== undefined)
      throw new RemoteError(
        'content-refused',
        `path ${JSON.stringify(edit.path)} has a component git refuses`,
      );
    if (edit.kind === 'put') tree.set(edit.path, await edit.content());
    else if (edit.kind === 'remove-file') tree.delete(edit.path);
    else for (const path of [...tree.keys()]) if (path.startsWith(`${edit.path}/`)) tree.delete(path);
  }
  const directories = new Set<string>();
  for (const path of tree.keys())
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      directories.add(path.slice(0, at));
  for (const path of tree.keys())
    if (directories.has(path))
      throw new RemoteError('content-refused', `${JSON.stringify(path)} would be a file and a directory`);
  return tree;
}

/** Paths whose content differs, in byte order. */
function changedPaths(old: ReadonlyMap<string, Uint8Array>, tree: ReadonlyMap<string, Uint8Array>): string[] {
  const changed = [...old.keys()].filter((path) => !tree.has(path));
  for (const [path, bytes] of tree) {
    const before = old.get(path);
    if (!before || Buffer.compare(before, bytes) !== 0) changed.push(path);
  }
  return changed.sort(byBytes);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function blobId(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
