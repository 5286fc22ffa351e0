import type { CommitId, TreePath } from '../../format/ids.js';
import { RemoteError } from '../errors.js';
import type { OwnCommit, PathChange, TreeFile } from '../remote.js';
import { readBlobs } from './bulk-blobs.js';
import { parseTrailers } from './commit-message.js';
import { LocalDamageError } from './failures.js';
import {
  EMPTY_TREE,
  fromByteName,
  isRegularFile,
  MODE_TREE,
  toByteName,
  type TreeEntry,
} from './git-object.js';
import type { LocalRepository } from './local-repository.js';
import { readRawDiff, readRawLog, readTreeListing, splitRecords } from './record-streams.js';

/** So many commits are read one by one, before a git program is asked. */
const LINE_MAX = 200;

/**
 * Reads commits of the local repository. Paths given and returned are relative to the prefix. Left out everywhere,
 * as if they were not there: symbolic links, submodules, and paths that are not UTF-8.
 */
export class CommitReader {
  constructor(
    readonly local: LocalRepository,
    readonly pathPrefix: string,
  ) {}

  /** @throws RemoteError `head-moved` where the commit is not here; LocalDamageError where it should be. */
  async require(commit: CommitId): Promise<void> {
    if (await this.local.has(commit)) return;
    if (commit === this.local.known) throw new LocalDamageError(`the head ${commit} cannot be read`);
    throw new RemoteError(
      'head-moved',
      `the commit ${commit} is not in the local repository: fetch, and start from its head`,
    );
  }

  async *files(head: CommitId, below?: TreePath): AsyncGenerator<TreeFile, void, undefined> {
    await this.require(head);
    const entry = await this.#entry(head, below ?? '');
    if (entry?.mode !== MODE_TREE) return;
    const lead = below === undefined || below === '' ? '' : `${below}/`;
    const listing = this.local.program.stream(['ls-tree', '-r', '-z', '--long', entry.id]);
    for await (const { mode, id, sizeBytes, path } of readTreeListing(listing)) {
      const text = isRegularFile(mode) ? fromByteName(path) : undefined;
      if (text !== undefined) yield { path: `${lead}${text}` as TreePath, blobId: id, sizeBytes };
    }
  }

  blobs(ids: AsyncIterable<string> | Iterable<string>, maxBytes: number): AsyncIterable<Uint8Array | null> {
    return readBlobs(this.local.program, ids, maxBytes);
  }

  async readFile(head: CommitId, path: TreePath, maxBytes: number): Promise<Uint8Array | null | undefined> {
    const id = await this.fileId(head, path);
    if (id === undefined) return undefined;
    // The same small files stand in every bucket of a branch, and at every head; all ask for them at once.
    return this.local.store.smallBlob(id, maxBytes, async () => {
      for await (const bytes of this.blobs([id], maxBytes)) return bytes;
      throw new LocalDamageError(`the blob ${id} cannot be read`);
    });
  }

  /** Costs no process, but for the trees on the way that are not cached. */
  async fileId(head: CommitId, path: TreePath): Promise<string | undefined> {
    await this.require(head);
    const entry = await this.#entry(head, path);
    return entry && isRegularFile(entry.mode) ? entry.id : undefined;
  }

  async *diff(from: CommitId | null, to: CommitId): AsyncGenerator<PathChange, void, undefined> {
    if (from !== null) await this.require(from);
    await this.require(to);
    const oldTree = from === null ? EMPTY_TREE : await this.#treeAtPrefix(from);
    const newTree = await this.#treeAtPrefix(to);
    if (oldTree === newTree) return;
    const args = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-abbrev', oldTree, newTree];
    for await (const change of readRawDiff(this.local.program.stream(args))) {
      const text = fromByteName(change.path);
      const is = isRegularFile(change.newMode);
      if (text === undefined || (!is && !isRegularFile(change.oldMode))) continue;
      yield { path: text as TreePath, blobId: is ? change.newId : undefined };
    }
  }

  /**
   * The first-parent line, each merge as one commit against its first parent: a path's time is when the branch
   * first showed it, not when somebody wrote it elsewhere.
   */
  async *history(
    head: CommitId,
  ): AsyncGenerator<{ commit: CommitId; timeMs: number; paths: TreePath[] }, void, undefined> {
    await this.require(head);
    const args = ['log', '--raw', '-z', '--no-renames', '--no-abbrev', '--format=%H,%ct', '--root'];
    const below = this.pathPrefix === '' ? [] : [this.pathPrefix];
    const log = this.local.program.stream([...args, '-m', '--first-parent', head, '--', ...below]);
    const lead = this.pathPrefix === '' ? '' : `${toByteName(this.pathPrefix)}/`;
    for await (const { commit, timeMs, changes } of readRawLog(log)) {
      const paths = changes
        .filter(({ path }) => path.startsWith(lead))
        .map(({ path }) => fromByteName(path.slice(lead.length)))
        .filter((path) => path !== undefined);
      yield { commit: commit as CommitId, timeMs, paths: paths as TreePath[] };
    }
  }

  async isAncestor(ancestor: CommitId, head: CommitId): Promise<boolean> {
    await this.require(head);
    if (!(await this.local.has(ancestor))) return this.#isInHistory(ancestor, head);
    // Mostly they are near to one another, and then no program is needed.
    if (await this.#line(head, ancestor)) return true;
    if (head !== ancestor && (await this.#line(ancestor, head))) return false;
    const result = await this.local.program.run(['merge-base', '--is-ancestor', ancestor, head]);
    if (result.exitCode === 0) return true;
    if (result.exitCode === 1) return false;
    throw new LocalDamageError(`merge-base: ${result.stderr.trim()}`);
  }

  /** The grep finds candidates; only a trailer counts, not a message that quotes one. */
  async *ownCommits(
    head: CommitId,
    logId: string,
    since: CommitId | null,
  ): AsyncGenerator<OwnCommit, void, undefined> {
    await this.require(head);
    if (since !== null) await this.require(since);
    const isOwn = ({ trailers }: OwnCommit) =>
      trailers.get('Log-Id') === logId || trailers.get('Gateway-Id') === logId;
    const line = since === null ? undefined : await this.#line(head, since);
    // A merge brings more than its first parent's line.
    if (line?.every(({ isMerge }) => !isMerge)) {
      for (const { commit } of line) if (isOwn(commit)) yield commit;
      return;
    }
    const outside = since === null ? [] : [`^${since}`];
    for await (const found of this.#log(['--fixed-strings', `--grep=-Id: ${logId}`, head, ...outside]))
      if (isOwn(found)) yield found;
  }

  async *commitsSince(head: CommitId, since: CommitId): AsyncGenerator<OwnCommit, void, undefined> {
    await this.require(head);
    await this.require(since);
    yield* this.#log(['--first-parent', head, `^${since}`]);
  }

  /**
   * The commits from a head back along first parents to one before it, which is left out, newest first; undefined
   * where that is not met within so many.
   */
  async #line(
    head: CommitId,
    since: CommitId,
  ): Promise<{ readonly commit: OwnCommit; readonly isMerge: boolean }[] | undefined> {
    const line: { commit: OwnCommit; isMerge: boolean }[] = [];
    for (let at = head; at !== since;) {
      if (line.length === LINE_MAX) return undefined;
      const { parents, message } = await this.local.store.readCommit(at);
      const parent = (parents[0] as CommitId | undefined) ?? null;
      line.push({
        commit: { commit: at, parent, trailers: parseTrailers(message) },
        isMerge: parents.length > 1,
      });
      if (parent === null) return undefined;
      at = parent;
    }
    return line;
  }

  async *#log(args: readonly string[]): AsyncGenerator<OwnCommit, void, undefined> {
    const log = this.local.program.stream(['log', '-z', '--format=%H %P%n%B', ...args, '--']);
    for await (const record of splitRecords(log, 0)) {
      const text = record.toString('utf8');
      const lineEnd = text.indexOf('\n');
      const [commit, parent] = text.slice(0, lineEnd).split(' ');
      const trailers = parseTrailers(text.slice(lineEnd + 1));
      yield { commit: commit as CommitId, parent: parent ? (parent as CommitId) : null, trailers };
    }
  }

  /**
   * For a commit that cannot be read: no, if a walk over the whole history does not meet it. Damage must not
   * look like a rewritten history, which would freeze the bucket.
   */
  async #isInHistory(commit: CommitId, head: CommitId): Promise<boolean> {
    for await (const line of splitRecords(this.local.program.stream(['rev-list', head, '--']), 0x0a))
      if (line.toString('latin1') === commit)
        throw new LocalDamageError(`the commit ${commit} cannot be read`);
    return false;
  }

  async #treeAtPrefix(commit: CommitId): Promise<string> {
    const entry = await this.#entry(commit, '');
    return entry?.mode === MODE_TREE ? entry.id : EMPTY_TREE;
  }

  /** What stands at a path below the prefix. */
  async #entry(commit: CommitId, path: string): Promise<TreeEntry | undefined> {
    let entry: TreeEntry = { mode: MODE_TREE, id: await this.local.store.readRoot(commit) };
    const components = [this.pathPrefix, path].filter((part) => part !== '').join('/');
    for (const component of components === '' ? [] : components.split('/')) {
      if (entry.mode !== MODE_TREE) return undefined;
      const next = (await this.local.store.readTree(entry.id)).get(toByteName(component));
      if (!next) return undefined;
      entry = next;
    }
    return entry;
  }
}
