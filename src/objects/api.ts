/**
 * What the protocol layer may ask of the objects layer. Every call may reject with ObjectError; every call
 * ends within its stated bound. Implemented by ObjectService (object-service.ts).
 */
import type { Readable } from 'node:stream';
import type { ObjectKey } from '../format/ids.js';
import type { ObjectMeta, ObjectRecord, StoredChecksum } from '../index/object-record.js';

export type { ObjectMeta, ObjectRecord, StoredChecksum } from '../index/object-record.js';

export type ChecksumAlgorithm = StoredChecksum['algorithm'];

/** What the client promised of its body; checked before anything is stored. */
export interface BodyPromise {
  /** Decoded length, if the client said one. */
  readonly lengthBytes?: number;
  /** 16 bytes, from Content-MD5. */
  readonly md5?: Uint8Array;
  /** Hex, from x-amz-content-sha256. */
  readonly sha256Hex?: string;
  /** Checksum that is to be computed and kept. */
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  /** base64; called after the body has ended, since it may stand in a trailer. */
  readonly checksumValue?: () => string | undefined;
}

/**
 * The bytes and what was promised of them. Iterating may reject (signature, truncated, too long). A run is lent until
 * the next one is asked for: whoever needs it for longer copies it.
 */
export interface RequestBody {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly promise: BodyPromise;
}

/** RFC 9110 §13.1 conditions on the object as it is; times in milliseconds. */
export interface Conditions {
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
  readonly ifModifiedSinceMs?: number;
  readonly ifUnmodifiedSinceMs?: number;
}

export interface RequestContext {
  readonly signal: AbortSignal;
  readonly requestId: string;
}

/** Byte range as asked for; `suffix` is "the last n bytes", `from` without `to` is open. */
export type RangeRequest =
  | { readonly kind: 'suffix'; readonly lengthBytes: number }
  | { readonly kind: 'from'; readonly startBytes: number; readonly endInclusiveBytes?: number }
  | { readonly kind: 'part'; readonly partNumber: number };

/** RFC 9110 §13.1.5: the object that a range is to be of, by entity tag or by time. */
export type RangeValidator = { readonly etags: readonly string[] } | { readonly lastModifiedMs: number };

export interface ReadOptions {
  readonly range?: RangeRequest;
  /** Where it does not name the object as it is, the range is left out of account. */
  readonly ifRange?: RangeValidator;
  readonly conditions: Conditions;
}

export interface HeadResult {
  readonly record: ObjectRecord;
  /** True where the answer is about the range that was asked for, and not about the whole. */
  readonly isPartial: boolean;
  /** Resolved range [start, end); whole object where none was asked for. */
  readonly startBytes: number;
  readonly endBytes: number;
  readonly partsCount?: number;
}

export interface GetResult extends HeadResult {
  /** Bytes of the range. Destroy it when the client goes away. */
  open(): Readable;
  /** The same, where they are in memory already and checked. */
  readonly bytes?: Uint8Array;
  /** Takes back a piece of the stream of which nobody needs the bytes any more, nor writes them; see ChunksApi. */
  readonly giveBack?: (piece: Uint8Array) => void;
}

export interface PutResult {
  readonly etag: string;
  readonly checksum?: StoredChecksum;
}

export interface CopyRequest {
  readonly sourceBucket: string;
  readonly sourceKey: ObjectKey;
  readonly sourceConditions: Conditions;
  /** undefined: keep the source's metadata (directive COPY), all but the storage class. */
  readonly meta?: ObjectMeta;
  /** Of the copy, where `meta` is not given: AWS never takes it from the source. */
  readonly storageClass?: string;
  /** The copy is to have this checksum, whatever the source has. */
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  /** undefined: keep the source's tags, with new metadata too (tagging directive COPY). */
  readonly tags?: Readonly<Record<string, string>>;
  readonly conditions: Conditions;
}

export interface CopyResult {
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly checksum?: StoredChecksum;
}

export interface ListRequest {
  readonly prefix: string;
  readonly delimiter?: string;
  /** Only keys (and common prefixes) strictly after this one. */
  readonly after?: string;
  readonly limit: number;
}

export interface ListResult {
  readonly objects: readonly { key: ObjectKey; record: ObjectRecord }[];
  readonly commonPrefixes: readonly string[];
  readonly truncated: boolean;
  /** The last key or common prefix of this page: `after` of the next one. */
  readonly last?: string;
}

export interface UploadInfo {
  readonly key: ObjectKey;
  readonly uploadId: string;
  readonly initiatedMs: number;
  readonly storageClass?: string;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  readonly checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface PartInfo {
  readonly partNumber: number;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
  readonly checksum?: StoredChecksum;
}

export interface CompletePart {
  readonly partNumber: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
}

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

export interface CompleteRequest {
  readonly parts: readonly CompletePart[];
  readonly conditions: Conditions;
  /** Of the whole object, as the client knows it. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
  /** What the client takes the upload for. */
  readonly checksumType?: StoredChecksum['type'];
  /** Size of the whole object, as the client knows it. */
  readonly objectSizeBytes?: number;
}

export interface ObjectsApi {
  /** Every bucket. Rejects with unavailable while it is not known which there are. */
  listBuckets(): Promise<BucketInfo[]>;
  /** Rejects with no-such-bucket. */
  headBucket(bucket: string): Promise<BucketInfo>;
  /**
   * The bucket is usable when this resolves. `owner`: the access key that may use it from now on.
   * Rejects with bucket-already-exists, too-many-buckets, forbidden.
   */
  createBucket(bucket: string, owner: string, context: RequestContext): Promise<void>;
  /** Rejects with bucket-not-empty, no-such-bucket, not-yet-remote, forbidden. */
  deleteBucket(bucket: string, context: RequestContext): Promise<void>;

  putObject(
    bucket: string,
    key: ObjectKey,
    body: RequestBody,
    options: { meta: ObjectMeta; conditions: Conditions },
    context: RequestContext,
  ): Promise<PutResult>;
  headObject(
    bucket: string,
    key: ObjectKey,
    options: ReadOptions,
    context: RequestContext,
  ): Promise<HeadResult>;
  getObject(
    bucket: string,
    key: ObjectKey,
    options: ReadOptions,
    context: RequestContext,
  ): Promise<GetResult>;
  /** No error for what is not there. */
  deleteObject(
    bucket: string,
    key: ObjectKey,
    conditions: Conditions,
    context: RequestContext,
  ): Promise<void>;
  /** One result per key, in order; undefined = deleted (or was not there). */
  deleteObjects(
    bucket: string,
    keys: readonly ObjectKey[],
    context: RequestContext,
  ): Promise<(Error | undefined)[]>;
  copyObject(
    bucket: string,
    key: ObjectKey,
    request: CopyRequest,
    context: RequestContext,
  ): Promise<CopyResult>;
  /** Replaces tags (undefined: removes them) without touching bytes, ETag or Last-Modified. */
  setTags(
    bucket: string,
    key: ObjectKey,
    tags: Readonly<Record<string, string>> | undefined,
    context: RequestContext,
  ): Promise<void>;
  listObjects(bucket: string, request: ListRequest, context: RequestContext): Promise<ListResult>;

  createMultipartUpload(
    bucket: string,
    key: ObjectKey,
    options: {
      meta: ObjectMeta;
      checksumAlgorithm?: ChecksumAlgorithm;
      checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
    },
    context: RequestContext,
  ): Promise<{ uploadId: string }>;
  uploadPart(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: RequestBody,
    context: RequestContext,
  ): Promise<PutResult>;
  uploadPartCopy(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    source: Pick<CopyRequest, 'sourceBucket' | 'sourceKey' | 'sourceConditions'> & {
      range?: { startBytes: number; endInclusiveBytes: number };
    },
    context: RequestContext,
  ): Promise<CopyResult>;
  completeMultipartUpload(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
    context: RequestContext,
  ): Promise<PutResult>;
  abortMultipartUpload(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    context: RequestContext,
  ): Promise<void>;
  /** Parts with number > afterPartNumber, at most limit. */
  listParts(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    options: { afterPartNumber: number; limit: number },
    context: RequestContext,
  ): Promise<{ upload: UploadInfo; parts: PartInfo[]; truncated: boolean }>;
  /** Uploads in order of key, then time; strictly after the markers (uploadId alone is allowed: 3.x sends that). */
  listMultipartUploads(
    bucket: string,
    options: {
      prefix: string;
      delimiter?: string;
      keyMarker?: string;
      uploadIdMarker?: string;
      limit: number;
    },
    context: RequestContext,
  ): Promise<{
    uploads: UploadInfo[];
    commonPrefixes: string[];
    truncated: boolean;
    nextKeyMarker?: string;
    nextUploadIdMarker?: string;
  }>;
}
