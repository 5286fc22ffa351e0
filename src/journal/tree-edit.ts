/**
 * What a batch of changes means for the tree at a given head: which files stand where afterwards. Worked out anew
 * for every head, since whether `a` stands as a file or as `a%object` depends on whether there is any `a/…`.
 *
 * Half of invariant 2 is kept here: a pointer is only ever written for a whole chunk that was confirmed to be on
 * Gitee; it is asserted for every pointer of the batch.
 */
import { isWholeChunk, type Chunk } from '../format/extent.js';
import type { ObjectKey, TreePath } from '../format/ids.js';
import { escapeKey } from '../format/key-escape.js';
import { formatPointer } from '../format/lfs-pointer.js';
import { encodeMeta } from '../format/meta.js';
import { isOnePointer } from '../format/object-form.js';
import { chunkPath, hasMeta, pathsOf, type LayoutRules } from '../format/tree-layout.js';
import type { PathEdit } from '../gitee/remote.js';
import { gitBlobId } from '../index/git-blob-id.js';
import { nextKey, utf8 } from '../index/key-bytes.js';
import type { KeyIndex } from '../index/key-index.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import { StorageError } from '../index/errors.js';

/** The last change of a key in a batch. */
export interface NetChange {
  readonly key: ObjectKey;
  /** undefined: a deletion. */
  readonly object: { readonly record: ObjectRecord; readonly body: ObjectBody } | undefined;
}

export interface TreeEditSource {
  readonly rules: LayoutRules;
  /** The base at exactly the head that the edits are for. */
  readonly base: KeyIndex;
  /** True where ensureRemote has confirmed the chunk in this round. */
  readonly isConfirmed: (oid: string) => boolean;
}

export interface TreeEdits {
  /** In the order in which they take effect: first what goes, then what comes. */
  readonly edits: PathEdit[];
  /**
   * Files go that are no object of the base, for directories that are needed. What is left of their keys afterwards is
   * read from the tree: another file of the same key may be an object then.
   */
  readonly gaveWay: boolean;
}

/** Works out the edits for the base's head. */
export async function treeEdits(
  source: TreeEditSource,
  net: ReadonlyMap<ObjectKey, NetChange>,
): Promise<TreeEdits> {
  const tree = new DirectoryView(source.base, net);
  const edits = new Edits(source);
  for (const change of net.values()) {
    if (!change.object) edits.remove(change.key);
    else await edits.place(change.key, change.object, await tree.isDirectory(change.key));
  }
  for (const key of await tree.filesInTheWay()) {
    const record = await source.base.get(key);
    if (!record) continue;
    await edits.move(key, record, await source.base.openBody(record));
  }
  return { edits: edits.inOrder(), gaveWay: await edits.removesForeign() };
}

class Edits {
  readonly #removals: PathEdit[] = [];
  readonly #puts: PathEdit[] = [];
  /** Directories that the puts need. */
  readonly #directories = new Set<string>();

  constructor(private readonly source: TreeEditSource) {}

  inOrder(): PathEdit[] {
    return [...this.#removals, ...this.#puts];
  }

  /** Something that is known to be no object stands where the edits take something away. */
  async removesForeign(): Promise<boolean> {
    const asked = new Set<string>();
    for (const { kind, path } of this.#removals) {
      if (asked.has(`${kind} ${path}`)) continue;
      asked.add(`${kind} ${path}`);
      if (await this.source.base.hasForeignAt(path, kind === 'remove-tree')) return true;
    }
    return false;
  }

  /**
   * Puts a file. Objects have made room for its directories by now; whatever else is a file there (damaged, a link, of
   * nobody's key) gives way: it would keep an acknowledged write off the branch, and history keeps it.
   */
  #put(path: TreePath, content: () => Promise<Uint8Array>): void {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const directory = path.slice(0, at) as TreePath;
      if (this.#directories.has(directory)) break;
      this.#directories.add(directory);
      this.#removals.push({ kind: 'remove-file', path: directory });
    }
    this.#puts.push({ kind: 'put', path, content });
  }

  /** As #put, where no key has anything below the path. */
  #putOver(path: TreePath, content: () => Promise<Uint8Array>): void {
    this.#removals.push({ kind: 'remove-tree', path });
    this.#put(path, content);
  }

  remove(key: ObjectKey): void {
    const paths = pathsOf(key);
    this.#removals.push(
      { kind: 'remove-file', path: paths.plain },
      { kind: 'remove-file', path: paths.object },
      { kind: 'remove-tree', path: paths.chunksDir },
    );
    if (hasMeta(this.source.rules, key)) this.#removals.push({ kind: 'remove-file', path: paths.meta });
  }

  async place(
    key: ObjectKey,
    object: { record: ObjectRecord; body: ObjectBody },
    asObject: boolean,
  ): Promise<void> {
    const { record, body } = object;
    const oids = await this.#placeBody(key, body, asObject, this.source.isConfirmed);
    if (!hasMeta(this.source.rules, key)) return;
    const describes = body.kind === 'plain' ? { blobId: gitBlobId(body.bytes) } : { oids };
    const content = async () =>
      encodeMeta({
        etag: record.etag,
        lastModifiedMs: record.lastModifiedMs,
        meta: record.meta,
        ...(record.checksum ? { checksum: record.checksum } : {}),
        ...(record.partSizesBytes ? { partSizesBytes: record.partSizesBytes } : {}),
        ...(record.partChecksums ? { partChecksums: record.partChecksums } : {}),
        describes: { ...describes, sizeBytes: record.sizeBytes },
      });
    this.#putOver(pathsOf(key).meta, content);
  }

  /** An object of the head that must leave its place for a directory. Its chunks are named there already. */
  async move(key: ObjectKey, _record: ObjectRecord, body: ObjectBody): Promise<void> {
    // Several chunks are a directory of their own, which is in nobody's way.
    if (body.kind === 'extents' && body.list.count > 1) return;
    await this.#placeBody(key, body, true, () => true);
  }

  /** Returns the oids of an object that has chunks. */
  async #placeBody(
    key: ObjectKey,
    body: ObjectBody,
    asObject: boolean,
    isConfirmed: (oid: string) => boolean,
  ): Promise<string[]> {
    const paths = pathsOf(key);
    const file = asObject ? paths.object : paths.plain;
    const otherFile = asObject ? paths.plain : paths.object;
    if (body.kind === 'plain') {
      this.#removals.push(
        { kind: 'remove-file', path: otherFile },
        { kind: 'remove-tree', path: paths.chunksDir },
      );
      this.#putFile(file, asObject, async () => body.bytes);
      return [];
    }
    const chunks = await wholeChunks(key, body, isConfirmed);
    if (isOnePointer(this.source.rules, key, chunks.length)) {
      this.#removals.push(
        { kind: 'remove-file', path: otherFile },
        { kind: 'remove-tree', path: paths.chunksDir },
      );
      const chunk = chunks[0]!;
      this.#putFile(file, asObject, async () => formatPointer(chunk));
    } else {
      this.#removals.push(
        { kind: 'remove-file', path: paths.plain },
        { kind: 'remove-file', path: paths.object },
        { kind: 'remove-tree', path: paths.chunksDir },
      );
      chunks.forEach((chunk, i) => this.#put(chunkPath(key, i), async () => formatPointer(chunk)));
    }
    return chunks.map((chunk) => chunk.oid);
  }

  #putFile(path: TreePath, asObject: boolean, content: () => Promise<Uint8Array>): void {
    if (asObject) this.#putOver(path, content);
    else this.#put(path, content);
  }
}

async function wholeChunks(
  key: ObjectKey,
  body: Extract<ObjectBody, { kind: 'extents' }>,
  isConfirmed: (oid: string) => boolean,
): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const extent of body.list.range(0, body.list.sizeBytes)) {
    if (!isWholeChunk(extent))
      throw new StorageError('broken-invariant', `${key} would be committed with a part of a chunk`);
    if (!isConfirmed(extent.oid))
      throw new StorageError(
        'broken-invariant',
        `${key} would be committed with chunk ${extent.oid}, which was not confirmed to be on Gitee`,
      );
    chunks.push({ oid: extent.oid, sizeBytes: extent.chunkLengthBytes, volume: extent.volume });
  }
  return chunks;
}

/** Which keys have others below them once the batch is committed. */
class DirectoryView {
  /** Keys that the batch writes, in byte order. */
  readonly #puts: readonly Uint8Array[];

  constructor(
    private readonly base: KeyIndex,
    private readonly net: ReadonlyMap<ObjectKey, NetChange>,
  ) {
    this.#puts = [...net.values()]
      .filter((change) => change.object)
      .map((change) => utf8(change.key))
      .sort((a, b) => Buffer.compare(a, b));
  }

  async isDirectory(key: ObjectKey): Promise<boolean> {
    const start = utf8(`${key}/`);
    const end = utf8(`${key}0`); // '0' is the character after '/'
    const first = this.#puts[this.#firstPutFrom(start)];
    if (first && Buffer.compare(first, end) < 0) return true;
    if (await this.#hasSurvivor(start, end)) return true;
    return this.base.hasForeignBelow(escapeKey(key));
  }

  /** Keys of the base that stand as files where a key of the batch needs a directory. */
  async filesInTheWay(): Promise<ObjectKey[]> {
    const seen = new Set<string>();
    const found: ObjectKey[] = [];
    for (const change of this.net.values()) {
      if (!change.object) continue;
      for (let at = change.key.indexOf('/'); at >= 0; at = change.key.indexOf('/', at + 1)) {
        const ancestor = change.key.slice(0, at) as ObjectKey;
        if (ancestor === '' || seen.has(ancestor)) continue;
        seen.add(ancestor);
        // What the batch itself writes or deletes has been placed already.
        if (!this.net.has(ancestor) && (await this.base.get(ancestor))) found.push(ancestor);
      }
    }
    return found;
  }

  async #hasSurvivor(start: Uint8Array, end: Uint8Array): Promise<boolean> {
    for (let from = start; ;) {
      const page = await this.base.page(from, end, from === start ? 1 : 100);
      if (page.some(({ key }) => !this.#isDeleted(key))) return true;
      const last = page.at(-1);
      if (!last) return false;
      from = nextKey(utf8(last.key));
    }
  }

  #isDeleted(key: ObjectKey): boolean {
    const change = this.net.get(key);
    return change !== undefined && !change.object;
  }

  #firstPutFrom(start: Uint8Array): number {
    let low = 0;
    let high = this.#puts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.#puts[middle]!, start) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
