/**
 * An object as the tree of a commit shows it: its bytes, and what of its metadata still describes them.
 * docs/storage-format.md, "Reading a bucket".
 */
import { createHash } from 'node:crypto';
import type { Log } from '../async/log.js';
import { wholeExtent, type Chunk, type Extent } from '../format/extent.js';
import type { CommitId, ObjectKey, TreePath } from '../format/ids.js';
import { parsePointer } from '../format/lfs-pointer.js';
import { decodeMeta, describesBytes, type MetaDocument } from '../format/meta.js';
import { pathsOf } from '../format/tree-layout.js';
import type { HeadRemote } from '../gitee/remote.js';
import { gitBlobId } from './git-blob-id.js';
import type { NewObject, ObjectBody, ObjectRecord } from './object-record.js';
import { oidEtag } from './oid-etag.js';

/**
 * A plain file over this size is somebody's own commit without LFS: it is left alone and not shown, since a body
 * must fit into memory. Far above any `inline_limit`.
 */
export const PLAIN_FILE_BYTES_MAX = 16 * 1024 * 1024;

export type TreeBody =
  | { readonly kind: 'plain'; readonly bytes: Uint8Array }
  | { readonly kind: 'extents'; readonly extents: readonly Extent[] };

/** The body that a file of the tree stands for. */
export function bodyOfFile(bytes: Uint8Array): TreeBody {
  const chunk = parsePointer(bytes);
  if (!chunk) return { kind: 'plain', bytes };
  return bodyOfChunks(chunk.sizeBytes === 0 ? [] : [chunk]);
}

export function bodyOfChunks(chunks: readonly Chunk[]): TreeBody {
  if (chunks.length === 0) return { kind: 'plain', bytes: new Uint8Array(0) };
  return { kind: 'extents', extents: chunks.map(wholeExtent) };
}

/** The object that follows from the bytes alone. */
export function objectOfBody(body: TreeBody, lastModifiedMs: number): NewObject {
  if (body.kind === 'plain') {
    const etag = createHash('md5').update(body.bytes).digest('hex');
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
  const { checksum: _checksum, partSizesBytes: _partSizes, ...rest } = object;
  return {
    ...rest,
    etag: doc.etag,
    lastModifiedMs: doc.lastModifiedMs,
    meta: doc.meta,
    ...(doc.checksum ? { checksum: doc.checksum } : {}),
    ...(doc.partSizesBytes ? { partSizesBytes: doc.partSizesBytes } : {}),
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

/** What the difference of two commits says of a key's files; undefined: not in the difference. */
export interface TouchedFiles {
  readonly plainBlobId?: string;
  readonly objectBlobId?: string;
}

/** Reads one key of a commit in whichever form it stands. */
export class TreeReader {
  constructor(
    private readonly remote: HeadRemote,
    private readonly log: Log,
  ) {}

  /** undefined: the commit has no such object. */
  async read(head: CommitId, key: ObjectKey, touched: TouchedFiles = {}): Promise<TreeBody | undefined> {
    const paths = pathsOf(key);
    const file =
      (await this.#file(head, paths.plain, touched.plainBlobId)) ??
      (await this.#file(head, paths.object, touched.objectBlobId));
    return file ? bodyOfFile(file) : this.#chunks(head, key, paths.chunksDir);
  }

  async meta(head: CommitId, key: ObjectKey): Promise<MetaDocument | undefined> {
    const bytes = await this.remote.readFile(head, pathsOf(key).meta);
    return bytes && decodeMeta(bytes);
  }

  async #file(head: CommitId, path: TreePath, blobId: string | undefined): Promise<Uint8Array | undefined> {
    if (blobId === undefined) return this.remote.readFile(head, path);
    for await (const bytes of this.remote.blobs([blobId], PLAIN_FILE_BYTES_MAX)) {
      if (bytes) return bytes;
      this.log.warn('a plain file is too large to be an object and is not shown', { path });
    }
    return undefined;
  }

  async #chunks(head: CommitId, key: ObjectKey, chunksDir: TreePath): Promise<TreeBody | undefined> {
    const ids: string[] = [];
    for await (const file of this.remote.files(head, chunksDir)) ids.push(file.blobId);
    if (ids.length === 0) return undefined;
    const chunks: Chunk[] = [];
    for await (const bytes of this.remote.blobs(ids, 1024)) {
      const chunk = bytes ? parsePointer(bytes) : undefined;
      if (!chunk) {
        this.log.error('an object has a chunk that is no LFS pointer and is not shown', { key });
        return undefined;
      }
      chunks.push(chunk);
    }
    return bodyOfChunks(chunks);
  }
}

async function oidsOf(body: Exclude<ObjectBody | TreeBody, { kind: 'plain' }>): Promise<string[]> {
  if ('extents' in body) return body.extents.map((extent) => extent.oid);
  const oids: string[] = [];
  for await (const extent of body.list.range(0, body.list.sizeBytes)) oids.push(extent.oid);
  return oids;
}
