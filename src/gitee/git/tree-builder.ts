import { RemoteError } from '../errors.js';
import {
  EMPTY_TREE,
  formatTree,
  fromByteName,
  isRegularFile,
  MODE_FILE,
  MODE_TREE,
  type ObjectType,
  type Tree,
  type TreeEntry,
} from './git-object.js';
import { putsOf, type EditNode } from './path-edits.js';

/** Contents that are loaded and written at the same time (invariant 5). */
const CONTENTS_IN_FLIGHT_MAX = 8;

export interface BuiltTree {
  readonly tree: string;
  /** Every path that differs (one character per byte) to the id of its new blob; undefined: removed. */
  readonly changes: ReadonlyMap<string, string | undefined>;
  /** Trees of the old head in whose place others stand now, or none. */
  readonly replaced: ReadonlySet<string>;
}

/** Where the trees of the old head come from (ObjectStore). */
export interface TreeSource {
  /** The caller's own. */
  readTree(id: string): Promise<Tree>;
  /** Not to be changed. */
  treeBytes(id: string): Promise<Buffer>;
  /** The new state of a tree that was there. */
  keepTree(id: string, body: Buffer): void;
}

/** Where new objects go (CommitPack). */
export interface ObjectSink {
  /** `base`: a tree of the old head that this one came from. */
  add(
    type: ObjectType,
    body: Uint8Array,
    base?: { readonly id: string; readonly body: Buffer },
  ): Promise<string>;
}

/**
 * Makes the tree that a plan asks for out of an old one, for one commit. Only trees on the way to a change are read and written,
 * one path of the tree in memory at a time.
 */
export class TreeBuilder {
  readonly #replaced = new Set<string>();

  constructor(
    readonly store: TreeSource,
    readonly sink: ObjectSink,
    /** Told of each new tree, and of the directory that it is (one character per byte, '' for the root). */
    readonly onTree: (path: string, id: string, body: Buffer) => void = () => {},
  ) {}

  /**
   * @param base tree id of the old head's root; null where there is none.
   * @throws RemoteError `content-refused` where a path would be a file and a directory.
   */
  async build(base: string | null, plan: EditNode): Promise<BuiltTree> {
    await this.#writeContents(plan);
    const changes = new Map<string, string | undefined>();
    const tree = await this.#directory(plan, base ?? undefined, false, '', changes);
    return {
      tree: tree ?? (await this.#writeTree(new Map(), undefined, '')),
      changes,
      replaced: this.#replaced,
    };
  }

  async #writeContents(plan: EditNode): Promise<void> {
    const puts = putsOf(plan);
    const worker = async () => {
      for (const put of puts) put.blobId = await this.sink.add('blob', await put.content());
    };
    await Promise.all(Array.from({ length: CONTENTS_IN_FLIGHT_MAX }, worker));
  }

  /** The new tree of a directory, or undefined where nothing is left in it. */
  async #directory(
    node: EditNode,
    old: string | undefined,
    cleared: boolean,
    path: string,
    changes: Map<string, string | undefined>,
  ): Promise<string | undefined> {
    if (node.children.size === 0 && (!cleared || old === undefined)) return old;
    const tree = await this.store.readTree(old ?? EMPTY_TREE);
    let changed = false;
    if (cleared) {
      for (const [name, entry] of [...tree]) {
        if (node.children.has(name)) continue;
        await this.#recordRemoval(entry, join(path, name), changes);
        tree.delete(name);
        changed = true;
      }
    }
    for (const [name, child] of node.children) {
      const before = tree.get(name);
      const after = await this.#entry(child, before, cleared, join(path, name), changes);
      if (after?.id === before?.id && after?.mode === before?.mode) continue;
      changed = true;
      if (after) tree.set(name, after);
      else tree.delete(name);
    }
    if (!changed) return old;
    if (old !== undefined) this.#replaced.add(old);
    return tree.size === 0 ? undefined : this.#writeTree(tree, old, path);
  }

  async #writeTree(tree: Tree, old: string | undefined, path: string): Promise<string> {
    const body = formatTree(tree);
    const base =
      old === undefined || old === EMPTY_TREE
        ? undefined
        : { id: old, body: await this.store.treeBytes(old) };
    const id = await this.sink.add('tree', body, base);
    // One that is new here is most often the last directory before a file, and never touched again.
    if (base) this.store.keepTree(id, body);
    this.onTree(path, id, body);
    return id;
  }

  /** What stands at a path afterwards. */
  async #entry(
    node: EditNode,
    old: TreeEntry | undefined,
    cleared: boolean,
    path: string,
    changes: Map<string, string | undefined>,
  ): Promise<TreeEntry | undefined> {
    const oldTree = old?.mode === MODE_TREE ? old.id : undefined;
    const oldFile = old?.mode === MODE_TREE ? undefined : old;
    const file = fileAfter(node, oldFile, cleared);
    if (file?.id !== oldFile?.id || file?.mode !== oldFile?.mode) changes.set(path, file?.id);
    const tree = await this.#directory(node, oldTree, cleared || node.cleared, path, changes);
    if (file && tree !== undefined)
      throw new RemoteError(
        'content-refused',
        `the path ${JSON.stringify(fromByteName(path) ?? path)} would be a file and a directory at once`,
      );
    return file ?? (tree === undefined ? undefined : { mode: MODE_TREE, id: tree });
  }

  async #recordRemoval(
    entry: TreeEntry,
    path: string,
    changes: Map<string, string | undefined>,
  ): Promise<void> {
    if (entry.mode !== MODE_TREE) {
      changes.set(path, undefined);
      return;
    }
    for (const [name, child] of await this.store.readTree(entry.id))
      await this.#recordRemoval(child, join(path, name), changes);
  }
}

function fileAfter(node: EditNode, old: TreeEntry | undefined, cleared: boolean): TreeEntry | undefined {
  if (node.file === 'remove') return undefined;
  if (node.file === 'keep') return cleared ? undefined : old;
  const id = node.file.blobId;
  if (id === undefined) throw new Error('a blob was not written before its tree');
  // The executable bit is somebody's own doing: it is not ours to take away.
  return { mode: old && isRegularFile(old.mode) ? old.mode : MODE_FILE, id };
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}
