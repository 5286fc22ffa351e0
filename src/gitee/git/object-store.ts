import { ByteCache } from '../../async/byte-cache.js';
import { SingleFlight } from '../../async/single-flight.js';
import type { CatFile } from './cat-file.js';
import { LocalDamageError } from './failures.js';
import { EMPTY_TREE, parseCommit, parseTree, treeOfCommit, type Commit, type Tree } from './git-object.js';

const COMMITS_MAX_BYTES = 2 << 20;
const BLOBS_MAX_BYTES = 1 << 20;
const KEPT_BLOB_MAX_BYTES = 4 << 10;

/**
 * Objects of the local repository, read through cat-file (what is new comes with commit-pack.ts). Trees that pushes
 * touch again and again are cached in their newest state, so that the cache grows with these and not with every push.
 */
export class ObjectStore {
  /** Commits that many buckets look at on their way to the same head. */
  readonly #commits = new ByteCache(COMMITS_MAX_BYTES);
  readonly #blobs = new ByteCache(BLOBS_MAX_BYTES);
  readonly #blobReads = new SingleFlight<string, Uint8Array | null>();
  /** Tree id to its bytes; parsed at each use, so that the bound in bytes is exact. */
  readonly #trees: ByteCache;

  constructor(
    readonly directory: string,
    readonly catFile: CatFile,
    treeCacheMaxBytes: number,
  ) {
    this.#trees = new ByteCache(treeCacheMaxBytes);
  }

  /** @throws LocalDamageError where it is missing or no tree. */
  async readTree(id: string): Promise<Tree> {
    return id === EMPTY_TREE ? new Map() : parseTree(await this.treeBytes(id));
  }

  /** The tree as git keeps it; not to be changed. @throws LocalDamageError where it is missing or no tree. */
  async treeBytes(id: string): Promise<Buffer> {
    const known = this.#trees.get(id);
    if (known) return known;
    const object = await this.catFile.read(id);
    if (object.type !== 'tree') throw new LocalDamageError(`object ${id} is a ${object.type}, not a tree`);
    this.#trees.set(id, object.body);
    return object.body;
  }

  /** The new state of a tree that was there: a later push likely builds on it. */
  keepTree(id: string, body: Buffer): void {
    this.#trees.set(id, body);
  }

  /** States that nothing builds on any more: they need not wait until they are the oldest. */
  forgetTrees(ids: Iterable<string>): void {
    for (const id of ids) this.#trees.delete(id);
  }

  /**
   * A small file, not to be changed: what was read before, or what `read` gives, once for all who ask meanwhile. What is
   * too large is not kept.
   */
  async smallBlob(
    id: string,
    maxBytes: number,
    read: () => Promise<Uint8Array | null>,
  ): Promise<Uint8Array | null> {
    const known = this.#blobs.get(id);
    if (known) return known.length > maxBytes ? null : known;
    return this.#blobReads.run(`${id} ${maxBytes}`, async () => {
      const bytes = await read();
      if (bytes && bytes.length <= KEPT_BLOB_MAX_BYTES) this.#blobs.set(id, bytes);
      return bytes;
    });
  }

  /** Trees that are cached now. @internal asked by tests */
  get keptTrees(): number {
    return this.#trees.size;
  }

  /** The root tree of a commit. */
  async readRoot(commit: string): Promise<string> {
    const object = await this.catFile.read(commit);
    if (object.type !== 'commit')
      throw new LocalDamageError(`object ${commit} is a ${object.type}, not a commit`);
    return treeOfCommit(object.body);
  }

  /** @throws LocalDamageError where it is missing or no commit. */
  async readCommit(id: string): Promise<Commit> {
    const known = this.#commits.get(id);
    if (known) return parseCommit(known);
    const object = await this.catFile.read(id);
    if (object.type !== 'commit')
      throw new LocalDamageError(`object ${id} is a ${object.type}, not a commit`);
    this.#commits.set(id, object.body);
    return parseCommit(object.body);
  }

  /** Forgets what was read: the repository behind it is another one now. */
  clear(): void {
    this.#trees.clear();
    this.#commits.clear();
    this.#blobs.clear();
  }
}
