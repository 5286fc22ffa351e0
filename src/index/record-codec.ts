/**
 * Rows of the index as msgpack arrays that begin with a version. Maps of the user stand as pairs: msgpackr renames
 * a key `__proto__`, which is a legal name of user metadata.
 */
import { Packr } from 'msgpackr';
import { boundedTimeMs, TIME_MS_MAX } from '../format/bounds.js';
import { META_TEXT_NAMES, META_TEXTS, type MetaText } from '../format/object-meta.js';
import { StorageError } from './errors.js';
import { packExtents, unpackExtents } from './extent-codec.js';
import type { BodyRef, ObjectMeta, ObjectRecord, StoredChecksum } from './object-record.js';

const RECORD_VERSION = 1;
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

/** What stands for a record inside a row; plain data for msgpack. */
export type RecordTuple = readonly unknown[];

export type ChecksumTuple = readonly [StoredChecksum['algorithm'], StoredChecksum['type'], string];

export function packRow(row: readonly unknown[]): Uint8Array {
  return packr.pack(row);
}

/** @throws StorageError corrupt. */
export function unpackRow(bytes: Uint8Array): unknown[] {
  const row = unpackAny(bytes);
  if (!Array.isArray(row)) throw new StorageError('corrupt', 'a row of the index is no list');
  return row;
}

/** Also what is no list: rows of versions before theirs had one. @throws StorageError corrupt. */
export function unpackAny(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new StorageError('corrupt', 'a row of the index is damaged', { cause });
  }
}

export function encodeRecord(record: ObjectRecord): Uint8Array {
  return packRow(recordToTuple(record));
}

export function decodeRecord(bytes: Uint8Array): ObjectRecord {
  return recordFromTuple(unpackRow(bytes));
}

export function recordToTuple(record: ObjectRecord): RecordTuple {
  const tuple: unknown[] = [
    RECORD_VERSION,
    record.sizeBytes,
    record.etag,
    record.lastModifiedMs,
    bodyToTuple(record.body),
    metaToTuple(record.meta),
    checksumToTuple(record.checksum),
    record.partSizesBytes,
  ];
  // Only where there are some: other rows are as older versions write them, which look no further.
  if (record.partChecksums) tuple.push(record.partChecksums);
  return tuple;
}

export function recordFromTuple(tuple: RecordTuple): ObjectRecord {
  if (tuple[0] !== RECORD_VERSION)
    throw new StorageError('corrupt', `a record has version ${String(tuple[0])}, this gateway knows 1`);
  const [, sizeBytes, etag, lastModifiedMs, body, meta, checksum, partSizesBytes, partChecksums] = tuple as [
    number,
    number,
    string,
    number,
    RecordTuple,
    RecordTuple | null,
    ChecksumTuple | null,
    number[] | null,
    // Not in rows of older versions.
    (string[] | null)?,
  ];
  // Step by step: a page of a list has a thousand of these, and each spread makes objects that live for a moment.
  const record: { -readonly [K in keyof ObjectRecord]: ObjectRecord[K] } = {
    sizeBytes,
    etag,
    // Rows of versions that believed any time are still there until the next rebuild.
    lastModifiedMs: lastModifiedMs > TIME_MS_MAX ? boundedTimeMs(lastModifiedMs) : lastModifiedMs,
    meta: metaFromTuple(meta),
    body: bodyFromTuple(body),
  };
  if (checksum) record.checksum = checksumFromTuple(checksum);
  if (partSizesBytes) record.partSizesBytes = partSizesBytes;
  if (partChecksums) record.partChecksums = partChecksums;
  return record;
}

export function checksumToTuple(checksum: StoredChecksum | undefined): ChecksumTuple | undefined {
  return checksum && [checksum.algorithm, checksum.type, checksum.value];
}

export function checksumFromTuple([algorithm, type, value]: ChecksumTuple): StoredChecksum {
  return { algorithm, type, value };
}

function bodyToTuple(body: BodyRef): RecordTuple {
  if (body.kind === 'extents') return ['e', packExtents(body.extents)];
  if (body.kind === 'extent-list') return ['l', body.listId, body.count];
  const kind = body.at ? 'a' : 'p';
  const first = body.at ?? body.bytes ?? new Uint8Array(0);
  // Older versions look no further than the second field.
  return body.sha256 ? [kind, first, body.sha256] : [kind, first];
}

function bodyFromTuple(tuple: RecordTuple): BodyRef {
  const [kind, first, second] = tuple;
  if (kind === 'e') return { kind: 'extents', extents: unpackExtents(first as Uint8Array) };
  if (kind === 'l') return { kind: 'extent-list', listId: first as string, count: second as number };
  if (kind === 'a' || kind === 'p') {
    const bytes = first as Uint8Array;
    if (!(second instanceof Uint8Array))
      return kind === 'a' ? { kind: 'plain', at: bytes } : { kind: 'plain', bytes };
    return kind === 'a'
      ? { kind: 'plain', at: bytes, sha256: second }
      : { kind: 'plain', bytes, sha256: second };
  }
  throw new StorageError('corrupt', `a record has a body of kind ${String(kind)}`);
}

export function metaToTuple(meta: ObjectMeta): RecordTuple | undefined {
  // Most objects of a registry have none.
  if (Object.keys(meta).length === 0) return undefined;
  const fields: Record<string, string> = {};
  for (const name of META_TEXT_NAMES) {
    const value = meta[name];
    if (value !== undefined) fields[META_TEXTS[name].letter] = value;
  }
  const user = meta.userMetadata && Object.entries(meta.userMetadata);
  const tags = meta.tags && Object.entries(meta.tags);
  if (Object.keys(fields).length === 0 && !user && !tags) return undefined;
  return [fields, user, tags];
}

export function metaFromTuple(tuple: RecordTuple | null): ObjectMeta {
  if (!tuple) return {};
  const [fields, user, tags] = tuple as [
    Record<string, string>,
    [string, string][] | null,
    [string, string][] | null,
  ];
  const meta: Partial<Record<MetaText, string>> = {};
  for (const name of META_TEXT_NAMES) {
    const value = fields[META_TEXTS[name].letter];
    if (value !== undefined) meta[name] = value;
  }
  return {
    ...meta,
    ...(user ? { userMetadata: Object.fromEntries(user) } : {}),
    ...(tags ? { tags: Object.fromEntries(tags) } : {}),
  };
}
