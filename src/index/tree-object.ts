/**
 * An object as the tree of a commit shows it: its bytes, and what of its metadata still describes them.
 * docs/storage-format.md, "Reading a bucket".
 */
import { hash } from 'node:crypto';
import type { Log } from '../async/log.js';
import { wholeExtent, type Extent } from '../format/extent.js';
import type { CommitId, ObjectKey, TreePath } from '../format/ids.js';
import { boundedTimeMs, META_FILE_BYTES_MAX, PLAIN_FILE_BYTES_MAX } from '../format/bounds.js';
import { POINTER_BYTES_MAX } from '../format/lfs-pointer.js';
import { decodeMeta, describesBytes, type MetaDocument } from '../format/meta.js';
import { ChunkFiles, decodeObjectFile, type Damaged, type FileBody } from '../format/object-files.js';
import { classifyPath, hasMeta, pathsOf, type LayoutRules } from '../format/tree-layout.js';
import type { HeadRemote } from '../gitee/remote.js';
import { gitBlobId } from './git-blob-id.js';
import type { BaseChange } from './key-index.js';
import type { NewObject, ObjectBody, ObjectRecord } from './object-record.js';
import { oidEtag } from './oid-etag.js';

export type TreeBody =
  | { readonly kind: 'plain'; readonly bytes: Uint8Array }
  | { readonly kind: 'extents'; readonly extents: readonly Extent[] };

/** The body with extents for its chunks. */
export function treeBody(body: FileBody): TreeBody {
  return body.kind === 'plain' ? body : { kind: 'extents', extents: body.chunks.map(wholeExtent) };
}

/** The object that follows from the bytes alone. */
export function objectOfBody(body: TreeBody, lastModifiedMs: number): NewObject {
  if (body.kind === 'plain') {
    const etag = hash('md5', body.bytes);
    return { sizeBytes: body.bytes.length, etag, lastModifiedMs, meta: {}, body };
  }
  const sizeBytes = body.extents.reduce((sum, extent) => sum + extent.lengthBytes, 0);
  const etag = oidEtag(body.extents.map((extent) => extent.oid));
  return { sizeBytes, etag, lastModifiedMs, meta: {}, body };
}

/** The object with the metadata of its document, or undefined where the document is about other bytes. */
export async function withMeta<T extends ObjectRecord | NewObject>(
  object: T,
  body: ObjectBody | TreeBody,
  doc: MetaDocument,
): Promise<T | undefined> {
  const described =
    body.kind === 'plain'
      ? { blobId: gitBlobId(body.bytes), sizeBytes: object.sizeBytes }
      : { oids: await oidsOf(body), sizeBytes: object.sizeBytes };
  if (!describesBytes(doc, described)) return undefined;
  const { checksum: _checksum, partSizesBytes: _sizes, partChecksums: _checksums, ...rest } = object;
  return {
    ...rest,
    etag: doc.etag,
    lastModifiedMs: doc.lastModifiedMs,
    meta: doc.meta,
    ...(doc.checksum ? { checksum: doc.checksum } : {}),
    ...(doc.partSizesBytes ? { partSizesBytes: doc.partSizesBytes } : {}),
    ...(doc.partChecksums ? { partChecksums: doc.partChecksums } : {}),
  } as T;
}

/** True where both are the same bytes in the same chunks. */
export async function sameBody(stored: ObjectBody, tree: TreeBody): Promise<boolean> {
  if (stored.kind === 'plain' || tree.kind === 'plain')
    return stored.kind === 'plain' && tree.kind === 'plain' && Buffer.compare(stored.bytes, tree.bytes) === 0;
  if (stored.list.count !== tree.extents.length) return false;
  let i = 0;
  for await (const extent of stored.list.range(0, stored.list.sizeBytes)) {
    const other = tree.extents[i];
    if (extent.oid !== other?.oid || extent.lengthBytes !== other.lengthBytes) return false;
    i += 1;
  }
  return i === tree.extents.length;
}

/** What the base is told of a damaged object, and the operator. */
export function damagedChange(
  log: Log,
  key: ObjectKey,
  { reason }: Damaged,
): BaseChange & { kind: 'damaged' } {
  log.error('an object is damaged in the repository and is not shown', { key, reason });
  return { kind: 'damaged', key, reason };
}

type HistoryEntry = HeadRemote['history'] extends (head: CommitId) => AsyncIterable<infer E> ? E : never;

/** The history with times that can be written down, whatever its commits claim. */
export async function* historyOf(remote: HeadRemote, head: CommitId): AsyncGenerator<HistoryEntry> {
  for await (const entry of remote.history(head)) yield { ...entry, timeMs: boundedTimeMs(entry.timeMs) };
}

/** What the difference of two commits says of a key's files; undefined: not in the difference. */
export interface TouchedFiles {
  readonly plainBlobId?: string;
  readonly objectBlobId?: string;
}

/** Reads one key of a commit in whichever form it stands. */
export class TreeReader {
  constructor(
    private readonly remote: HeadRemote,
    private readonly rules: LayoutRules,
  ) {}

  /** undefined: the commit has no such object. The first form that is there counts, be it damaged or not. */
  async read(
    head: CommitId,
    key: ObjectKey,
    touched: TouchedFiles = {},
  ): Promise<TreeBody | Damaged | undefined> {
    const paths = pathsOf(key);
    const body =
      (await this.#file(head, paths.plain, touched.plainBlobId)) ??
      (await this.#file(head, paths.object, touched.objectBlobId)) ??
      (await this.#chunks(head, paths.chunksDir));
    return body === undefined || body.kind === 'damaged' ? body : treeBody(body);
  }

  /** The metadata that a reader may believe; none for keys that have none, whatever stands in the tree. */
  async meta(head: CommitId, key: ObjectKey): Promise<MetaDocument | undefined> {
    if (!hasMeta(this.rules, key)) return undefined;
    const bytes = await this.remote.readFile(head, pathsOf(key).meta, META_FILE_BYTES_MAX);
    return bytes ? decodeMeta(bytes) : undefined;
  }

  async #file(
    head: CommitId,
    path: TreePath,
    blobId: string | undefined,
  ): Promise<FileBody | Damaged | undefined> {
    if (blobId === undefined) {
      const bytes = await this.remote.readFile(head, path, PLAIN_FILE_BYTES_MAX);
      return bytes === undefined ? undefined : decodeObjectFile(bytes);
    }
    for await (const bytes of this.remote.blobs([blobId], PLAIN_FILE_BYTES_MAX))
      return decodeObjectFile(bytes);
    return undefined;
  }

  async #chunks(head: CommitId, chunksDir: TreePath): Promise<FileBody | Damaged | undefined> {
    const indexes: number[] = [];
    const ids: string[] = [];
    for await (const file of this.remote.files(head, chunksDir)) {
      // Any other name is a foreign file, here as anywhere.
      const what = classifyPath(file.path);
      if (what.kind !== 'chunk') continue;
      indexes.push(what.index);
      ids.push(file.blobId);
    }
    const files = new ChunkFiles();
    let at = 0;
    for await (const bytes of this.remote.blobs(ids, POINTER_BYTES_MAX)) files.add(indexes[at++]!, bytes);
    return files.body();
  }
}

async function oidsOf(body: Exclude<ObjectBody | TreeBody, { kind: 'plain' }>): Promise<string[]> {
  if ('extents' in body) return body.extents.map((extent) => extent.oid);
  const oids: string[] = [];
  for await (const extent of body.list.range(0, body.list.sizeBytes)) oids.push(extent.oid);
  return oids;
}
