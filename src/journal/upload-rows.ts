/**
 * Rows of multipart uploads: msgpack arrays that begin with a version. Rows of earlier versions, which may be of uploads
 * that are open still, are maps: in them a map of the user with the name `__proto__`, which msgpackr renames, stands as
 * pairs.
 */
import type { ObjectKey } from '../format/ids.js';
import { StorageError } from '../index/errors.js';
import { packExtents, unpackExtents } from '../index/extent-codec.js';
import type { ObjectMeta, StoredChecksum } from '../index/object-record.js';
import {
  checksumFromTuple,
  checksumToTuple,
  metaFromTuple,
  metaToTuple,
  packRow,
  unpackAny,
  type ChecksumTuple,
  type RecordTuple,
} from '../index/record-codec.js';
import type { CompletedUpload, OpenUpload, UploadedPart } from './upload-store.js';

const ROW_VERSION = 1;

type Names = Readonly<Record<string, string>>;
type OldMeta = Omit<ObjectMeta, 'tags' | 'userMetadata'> & {
  readonly tags?: Names | [string, string][];
  readonly userMetadata?: Names | [string, string][];
};
type OldUpload = Omit<OpenUpload, 'meta' | 'revision'> & { readonly meta: OldMeta };
type Checksum = ChecksumTuple | null;

export function encodeUpload(upload: OpenUpload): Uint8Array {
  const { checksumAlgorithm, checksumType, initiatedMs, key, meta, revision, touchedMs, uploadId } = upload;
  return packRow([
    ...[ROW_VERSION, key, uploadId, initiatedMs, touchedMs, revision],
    ...[metaToTuple(meta), checksumAlgorithm, checksumType],
  ]);
}

/** @throws StorageError corrupt */
export function decodeUpload(bytes: Uint8Array): OpenUpload {
  const row = versioned<OldUpload>(bytes, 'meta');
  if (!Array.isArray(row)) return { ...row, meta: metaOfOld(row.meta), revision: 0 };
  const [, key, uploadId, initiatedMs, touchedMs, revision, meta, algorithm, type] = row as [
    ...[number, ObjectKey, string, number, number, number],
    ...[RecordTuple | null, StoredChecksum['algorithm'] | null, StoredChecksum['type'] | null],
  ];
  return {
    ...{ key, uploadId, initiatedMs, touchedMs, revision, meta: metaFromTuple(meta) },
    ...(algorithm ? { checksumAlgorithm: algorithm } : {}),
    ...(type ? { checksumType: type } : {}),
  };
}

export function encodePart(part: UploadedPart): Uint8Array {
  const { checksum, etag, extents, lastModifiedMs, partNumber, sizeBytes } = part;
  return packRow([
    ...[ROW_VERSION, partNumber, sizeBytes, etag, lastModifiedMs],
    ...[checksumToTuple(checksum), packExtents(extents)],
  ]);
}

/** @throws StorageError corrupt */
export function decodePart(bytes: Uint8Array): UploadedPart {
  const row = versioned<UploadedPart>(bytes, 'extents');
  if (!Array.isArray(row)) return row;
  const [, partNumber, sizeBytes, etag, lastModifiedMs, checksum, extents] = row as [
    ...[number, number, number, string, number],
    ...[Checksum, Uint8Array],
  ];
  return {
    ...{ partNumber, sizeBytes, etag, lastModifiedMs, extents: unpackExtents(extents) },
    ...checksumOf(checksum),
  };
}

export function encodeCompleted(completed: CompletedUpload): Uint8Array {
  const { checksum, completedMs, etag, key, partsDigest } = completed;
  return packRow([ROW_VERSION, key, etag, partsDigest, completedMs, checksumToTuple(checksum)]);
}

/** @throws StorageError corrupt */
export function decodeCompleted(bytes: Uint8Array): CompletedUpload {
  const row = versioned<CompletedUpload>(bytes, 'partsDigest');
  if (!Array.isArray(row)) return row;
  const [, key, etag, partsDigest, completedMs, checksum] = row as [
    ...[number, ObjectKey, string, string, number],
    Checksum,
  ];
  return { key, etag, partsDigest, completedMs, ...checksumOf(checksum) };
}

function checksumOf(tuple: Checksum): { checksum?: StoredChecksum } {
  return tuple ? { checksum: checksumFromTuple(tuple) } : {};
}

/** A list that begins with the version, or the map of an earlier one, which has this field. */
function versioned<Old extends object>(bytes: Uint8Array, field: keyof Old): unknown[] | Old {
  const row = unpackAny(bytes);
  if (Array.isArray(row) && row[0] === ROW_VERSION) return row as unknown[];
  if (typeof row === 'object' && row !== null && !Array.isArray(row) && field in row) return row as Old;
  throw new StorageError('corrupt', 'a row of a multipart upload is damaged, or of a newer version');
}

function metaOfOld({ tags, userMetadata, ...texts }: OldMeta): ObjectMeta {
  const mapOf = (map: Names | [string, string][]): Names =>
    Array.isArray(map) ? Object.fromEntries(map) : map;
  return {
    ...texts,
    ...(userMetadata ? { userMetadata: mapOf(userMetadata) } : {}),
    ...(tags ? { tags: mapOf(tags) } : {}),
  };
}
