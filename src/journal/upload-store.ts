/**
 * Open multipart uploads of one bucket, and their parts. What the objects layer keeps of them is kept exactly, names and
 * values of user metadata too, and is durable as soon as a call has resolved: a restart loses no open upload.
 */
import { randomBytes } from 'node:crypto';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import type { ObjectMeta, StoredChecksum } from '../index/object-record.js';

/** What an upload was created for. */
export interface Upload {
  readonly key: ObjectKey;
  readonly uploadId: string;
  readonly initiatedMs: number;
  /** When it was created, or a part of it was last put. */
  readonly touchedMs: number;
  readonly meta: ObjectMeta;
  readonly checksumAlgorithm?: StoredChecksum['algorithm'];
  readonly checksumType?: StoredChecksum['type'];
}

/** An upload as it was read. */
export interface OpenUpload extends Upload {
  /** Grows with each part that is put. */
  readonly revision: number;
}

export interface UploadedPart {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly checksum?: StoredChecksum;
  readonly extents: readonly Extent[];
}

/** What is remembered of an upload after its end, for a client that asks for the same end again. */
export interface CompletedUpload {
  readonly key: ObjectKey;
  readonly etag: string;
  readonly checksum?: StoredChecksum;
  /** ETags and numbers of the parts, hashed. */
  readonly partsDigest: string;
  readonly completedMs: number;
}

/** The end of an upload. It holds only if no part was put, and nobody has ended it, since the upload was read. */
export interface UploadCompletion {
  readonly upload: OpenUpload;
  readonly completed: CompletedUpload;
}

/** All writes reject with StorageError `disk-full` or `failed`; what was read is as new as the last write told of. */
export interface UploadStore {
  create(upload: Upload): Promise<void>;
  /** undefined: there is none of this key, or it has ended. */
  find(key: ObjectKey, uploadId: string): Promise<OpenUpload | undefined>;
  /** Uploads from `start` on, before `end` in bytes, at most `limit`, in the order of their names (nameOfUpload). */
  page(start: string, end: Uint8Array | undefined, limit: number): Promise<OpenUpload[]>;
  all(): AsyncIterable<OpenUpload>;
  /**
   * Puts a part in the place of one with its number.
   * @returns false where the upload is not open any more: nothing was written
   */
  putPart(upload: Upload, part: UploadedPart, nowMs: number): Promise<boolean>;
  part(uploadId: string, partNumber: number): Promise<UploadedPart | undefined>;
  /** Parts with a number above, in order, at most `limit`. */
  parts(uploadId: string, afterPartNumber: number, limit: number): Promise<UploadedPart[]>;
  /** Every part of every upload of this bucket. */
  allParts(): AsyncIterable<UploadedPart>;
  /**
   * Ends an upload of which nothing is to be written; one whose object is goes with it (AppendOptions.completes).
   * @returns false where the upload is not as it was read
   */
  complete(completion: UploadCompletion): Promise<boolean>;
  completed(uploadId: string): Promise<CompletedUpload | undefined>;
  /** Forgets uploads that were completed before the time. */
  expireCompleted(beforeMs: number): Promise<void>;
  /** Ends an upload without an object, and deletes its parts. */
  remove(upload: Upload): Promise<void>;
}

/** A new upload id: 12 hex digits of the time in ms, then 128 random bits. Ids of one key are in order of their start. */
export function newUploadId(nowMs: number): string {
  return nowMs.toString(16).padStart(12, '0') + randomBytes(16).toString('hex');
}

/** Uploads are in the order of the UTF-8 bytes of this: by key, those of one key by their start. */
export function nameOfUpload({ key, uploadId }: Pick<Upload, 'key' | 'uploadId'>): string {
  return `${key}\0${uploadId}`;
}
