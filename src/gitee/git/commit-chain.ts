/**
 * Commits of several buckets on top of one another, as one pack: each changes the directory of its own bucket and is
 * checked by itself (exact-change.ts), and the server takes all of them or none.
 */
import type { CommitId } from '../../format/ids.js';
import type { CommitTerms, PathEdit } from '../remote.js';
import { CommitPack, type StoredPack } from './commit-pack.js';
import { formatMessage } from './commit-message.js';
import { assertExactChange } from './exact-change.js';
import { EMPTY_TREE, formatCommit, parseTree, toByteName, type Tree } from './git-object.js';
import type { GitProgram } from './git-process.js';
import type { ObjectStore } from './object-store.js';
import { planEdits } from './path-edits.js';
import { TreeBuilder, type BuiltTree, type TreeSource } from './tree-builder.js';

/** Each is a git program. */
const CHECKS_AT_ONCE = 4;

/** What one bucket wants committed. */
export interface LinkRequest {
  readonly pathPrefix: string;
  readonly edits: readonly PathEdit[];
  readonly subject: string;
  readonly terms: CommitTerms;
}

export interface StoredChain {
  readonly pack: StoredPack;
  readonly last: CommitId;
  /** Trees in whose place others stand now. */
  readonly replaced: ReadonlySet<string>;
}

export interface ChainStart {
  /** null: the branch does not exist yet. */
  readonly parent: CommitId | null;
  /** The root tree of the parent. */
  readonly tree: string | null;
  /** Author and committer, with the time: git-object.ts. */
  readonly signature: string;
}

/** At the end `abandon` must be called, or what `store` gave be landed or discarded. */
export class CommitChain {
  readonly #objects: CommitPack;
  readonly #trees: ChainTrees;
  readonly #links: (BuiltTree & { readonly oldTree: string })[] = [];
  #parent: CommitId | null;
  #tree: string | null;

  constructor(
    private readonly program: GitProgram,
    store: ObjectStore,
    private readonly start: ChainStart,
  ) {
    this.#objects = new CommitPack(store.directory);
    this.#trees = new ChainTrees(store);
    this.#parent = start.parent;
    this.#tree = start.tree;
  }

  /** False where the edits change nothing, and no commit was asked for nevertheless. */
  async add({ pathPrefix, edits, subject, terms }: LinkRequest): Promise<boolean> {
    const plan = planEdits(edits, pathPrefix);
    const below = toByteName(pathPrefix);
    const built = await new TreeBuilder(this.#trees, this.#objects, (path, id, body) => {
      if (path === '' || below.startsWith(`${path}/`)) this.#trees.made(id, body);
    }).build(this.#tree, plan);
    if (built.changes.size === 0 && !terms.evenIfUnchanged) return false;
    const message = formatMessage(subject, terms.trailers(this.#parent));
    const { signature } = this.start;
    const body = formatCommit({ tree: built.tree, parent: this.#parent, signature, message });
    this.#links.push({ ...built, oldTree: this.#tree ?? EMPTY_TREE });
    this.#parent = (await this.#objects.add('commit', body)) as CommitId;
    this.#tree = built.tree;
    return true;
  }

  /** Puts the pack in its place. undefined: there is no commit. */
  async store(): Promise<StoredChain | undefined> {
    if (this.#links.length === 0) {
      await this.abandon();
      return undefined;
    }
    const last = this.#parent!;
    const replaced = new Set(this.#links.flatMap((link) => [...link.replaced]));
    return { pack: await this.#objects.store(last), last, replaced };
  }

  /** Has git compare each commit with what was asked for, after store(). @throws UnintendedChangeError */
  async check(signal: AbortSignal): Promise<void> {
    const links = [...this.#links];
    const worker = async () => {
      for (let link = links.shift(); link; link = links.shift())
        await assertExactChange(this.program, link.oldTree, link.tree, link.changes, signal);
    };
    await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, worker));
  }

  async abandon(): Promise<void> {
    await this.#objects.abandon();
  }
}

/**
 * Trees of the branch, and of those that commits of this chain put in their place the ones that the next commit builds
 * on, above the directories of the buckets: git has them once they are stored.
 */
class ChainTrees implements TreeSource {
  readonly #made = new Map<string, Buffer>();

  constructor(private readonly store: ObjectStore) {}

  async readTree(id: string): Promise<Tree> {
    const made = this.#made.get(id);
    return made ? parseTree(made) : this.store.readTree(id);
  }

  async treeBytes(id: string): Promise<Buffer> {
    return this.#made.get(id) ?? this.store.treeBytes(id);
  }

  keepTree(id: string, body: Buffer): void {
    this.store.keepTree(id, body);
  }

  made(id: string, body: Buffer): void {
    this.#made.set(id, body);
  }
}
