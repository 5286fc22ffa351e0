/**
 * Rows of open multipart uploads in the overlay. They are durable with the answer that acknowledged them, so a
 * restart of the gateway loses no open upload.
 *
 * Below overlayKey('upload'): 0x00 key 0x00 uploadId -> upload; 0x01 uploadId -> a completed upload, kept for a
 * repeated Complete. Below overlayKey('part'): uploadId 0x00 part number (2 bytes) -> part. Upload ids begin
 * with the time, so uploads of one key are in order of their start (AWS ListMultipartUploads).
 */
import { randomBytes } from 'node:crypto';
import { Packr } from 'msgpackr';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import type { Precondition, Rows, Write } from '../index/key-value-store.js';
import type { ObjectMeta, StoredChecksum } from '../index/object-record.js';
import type { BucketState } from '../journal/bucket-state.js';
import type { ChecksumAlgorithm } from './api.js';
import { afterKey, keyBytes } from './key-order.js';

export interface UploadRow {
  readonly key: ObjectKey;
  readonly uploadId: string;
  readonly initiatedMs: number;
  readonly touchedMs: number;
  readonly meta: ObjectMeta;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  readonly checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface PartRow {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly checksum?: StoredChecksum;
  readonly extents: readonly Extent[];
}

export interface CompletedRow {
  readonly key: ObjectKey;
  readonly etag: string;
  readonly checksum?: StoredChecksum;
  /** ETags and numbers of the parts, hashed. */
  readonly partsDigest: string;
  readonly completedMs: number;
}

const OPEN = 0x00;
const DONE = 0x01;
/** Two bytes; a larger number would begin again at 0. Part numbers end at 10,000. */
const PART_KEY_MAX = 0xffff;
const UPLOAD_ID = /^[0-9a-f]{12}[0-9a-f]{32}$/;
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

type UserMap = Readonly<Record<string, string>>;

/** msgpackr renames a key `__proto__`, a legal name of user metadata and of a tag: such a map stands as pairs. */
const packedMap = (map: UserMap): UserMap | [string, string][] =>
  Object.hasOwn(map, '__proto__') ? Object.entries(map) : map;
const unpackedMap = (map: UserMap | [string, string][]): UserMap =>
  Array.isArray(map) ? Object.fromEntries(map) : map;

function packUpload(row: UploadRow): Uint8Array {
  const { tags, userMetadata } = row.meta;
  if (!tags && !userMetadata) return packr.pack(row);
  const meta = {
    ...row.meta,
    ...(userMetadata ? { userMetadata: packedMap(userMetadata) } : {}),
    ...(tags ? { tags: packedMap(tags) } : {}),
  };
  return packr.pack({ ...row, meta });
}

function unpackUpload(value: Uint8Array): UploadRow {
  const row = packr.unpack(value) as UploadRow;
  const { tags, userMetadata } = row.meta;
  if (!tags && !userMetadata) return row;
  const meta = {
    ...row.meta,
    ...(userMetadata ? { userMetadata: unpackedMap(userMetadata) } : {}),
    ...(tags ? { tags: unpackedMap(tags) } : {}),
  };
  return { ...row, meta };
}

/** A new upload id: 12 hex digits of the time in ms, then 128 random bits. */
export function newUploadId(nowMs: number): string {
  return nowMs.toString(16).padStart(12, '0') + randomBytes(16).toString('hex');
}

/** The multipart tables of one bucket. */
export class UploadTable {
  readonly #store: Rows;
  readonly #uploads: Uint8Array;
  readonly #parts: Uint8Array;

  constructor(state: BucketState) {
    this.#store = state.overlay;
    this.#uploads = state.overlayKey('upload');
    this.#parts = state.overlayKey('part');
  }

  get store(): Rows {
    return this.#store;
  }

  async find(key: ObjectKey, uploadId: string): Promise<UploadRow | undefined> {
    if (!UPLOAD_ID.test(uploadId)) return undefined;
    const value = await this.#store.get(this.#uploadKey(key, uploadId));
    return value && unpackUpload(value);
  }

  putUpload(row: UploadRow): Write {
    return { key: this.#uploadKey(row.key, row.uploadId), value: packUpload(row) };
  }

  /** Holds as long as nobody else has completed or aborted the upload. */
  unchanged(row: UploadRow): Precondition {
    return { key: this.#uploadKey(row.key, row.uploadId), value: packUpload(row) };
  }

  deleteUpload(row: UploadRow): Write {
    return { key: this.#uploadKey(row.key, row.uploadId), value: undefined };
  }

  putPart(uploadId: string, part: PartRow): Write {
    return { key: this.#partKey(uploadId, part.partNumber), value: packr.pack(part) };
  }

  deletePart(uploadId: string, partNumber: number): Write {
    return { key: this.#partKey(uploadId, partNumber), value: undefined };
  }

  async part(uploadId: string, partNumber: number): Promise<PartRow | undefined> {
    const value = await this.#store.get(this.#partKey(uploadId, partNumber));
    return value && (packr.unpack(value) as PartRow);
  }

  /** Parts with a number above, in order. */
  async parts(uploadId: string, afterPartNumber: number, limit: number): Promise<PartRow[]> {
    if (limit <= 0 || afterPartNumber >= PART_KEY_MAX) return [];
    const rows = await this.#store.page(
      this.#partKey(uploadId, afterPartNumber + 1),
      this.#partKey(uploadId, PART_KEY_MAX),
      limit,
    );
    return rows.map((row) => packr.unpack(row.value) as PartRow);
  }

  /** Every part row of this bucket, for garbage collection. */
  async *allParts(): AsyncGenerator<PartRow> {
    for await (const value of this.#all(this.#parts)) yield packr.unpack(value) as PartRow;
  }

  /** Every open upload of this bucket. */
  async *allUploads(): AsyncGenerator<UploadRow> {
    for await (const value of this.#all(concat(this.#uploads, [OPEN]))) yield unpackUpload(value);
  }

  /** Uploads with `start <= key`, before `end` in bytes, at most limit. */
  async uploads(start: string, end: Uint8Array | undefined, limit: number): Promise<UploadRow[]> {
    const from = concat(this.#uploads, [OPEN], keyBytes(start));
    const to = end ? concat(this.#uploads, [OPEN], end) : concat(this.#uploads, [DONE]);
    if (Buffer.compare(from, to) >= 0) return [];
    const rows = await this.#store.page(from, to, limit);
    return rows.map((row) => unpackUpload(row.value));
  }

  /** A start for `uploads` that stands right after this upload. */
  static afterUpload(key: string, uploadId: string): string {
    return afterKey(`${key}\0${uploadId}`);
  }

  putCompleted(uploadId: string, row: CompletedRow): Write {
    return { key: concat(this.#uploads, [DONE], keyBytes(uploadId)), value: packr.pack(row) };
  }

  async completed(uploadId: string): Promise<CompletedRow | undefined> {
    const value = await this.#store.get(concat(this.#uploads, [DONE], keyBytes(uploadId)));
    return value && (packr.unpack(value) as CompletedRow);
  }

  /** Deletes completed rows from before the time. */
  async expireCompleted(beforeMs: number): Promise<void> {
    // Ids begin with the start of the upload, which is never later than its completion.
    const from = concat(this.#uploads, [DONE]);
    const to = concat(this.#uploads, [DONE], keyBytes(beforeMs.toString(16).padStart(12, '0')));
    for (;;) {
      const rows = await this.#store.page(from, to, 500);
      if (rows.length === 0) return;
      await this.#store.commit(
        [],
        rows.map((row) => ({ key: row.key, value: undefined })),
      );
    }
  }

  #uploadKey(key: string, uploadId: string): Uint8Array {
    return concat(this.#uploads, [OPEN], keyBytes(key), [0], keyBytes(uploadId));
  }

  #partKey(uploadId: string, partNumber: number): Uint8Array {
    return concat(this.#parts, keyBytes(uploadId), [0, partNumber >> 8, partNumber & 0xff]);
  }

  async *#all(prefix: Uint8Array): AsyncGenerator<Uint8Array> {
    let from: Uint8Array = prefix;
    const to = concat(prefix, [0xff]);
    for (;;) {
      const rows = await this.#store.page(from, to, 200);
      for (const row of rows) yield row.value;
      const last = rows.at(-1);
      if (!last) return;
      from = concat(last.key, [0]);
    }
  }
}

function concat(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  return Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
}
