/**
 * ObjectsApi in memory: what the tests of src/s3 speak to over HTTP. It keeps whole objects, so it is for small
 * ones; rules that belong to the objects layer (conditions, ranges, body checks) are taken from there.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { BodyDigests } from '../../src/chunks/digests.js';
import type { ObjectKey } from '../../src/format/ids.js';
import type { LayoutRules } from '../../src/format/tree-layout.js';
import type {
  BodyPromise,
  ChecksumAlgorithm,
  CompleteRequest,
  Conditions,
  CopyRequest,
  GetResult,
  HeadResult,
  ListRequest,
  ListResult,
  ObjectMeta,
  ObjectRecord,
  ObjectsApi,
  PutResult,
  ReadOptions,
  RequestBody,
  RequestContext,
  StoredChecksum,
} from '../../src/objects/api.js';
import { DIGEST_OF } from '../../src/objects/body-check.js';
import {
  checkReadConditions,
  checkSourceConditions,
  checkWriteConditions,
} from '../../src/objects/conditions.js';
import { ObjectError } from '../../src/objects/errors.js';
import { rollUp } from '../../src/objects/listing.js';
import { resolveRange } from '../../src/objects/range.js';
import { listUploads, type UploadListRequest } from '../../src/objects/upload-listing.js';
import { checkPartAlgorithm, PART_MIN_BYTES } from '../../src/objects/upload-promises.js';
import { MemoryUploads, rowsWithin } from './memory-uploads.js';

interface Stored {
  /** Only Gitee has the bytes. */
  isFar?: boolean | undefined;
  record: ObjectRecord;
  bytes: Buffer;
}

type UploadOptions = Parameters<ObjectsApi['createMultipartUpload']>[2];
type Method = keyof ObjectsApi;

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Options of one store; all may be changed while it runs. */
export class MemoryObjects implements ObjectsApi {
  readonly #buckets = new Map<string, Map<string, Stored>>();
  readonly #uploads = new Map<string, MemoryUploads>();
  /** Of all its buckets. */
  rules: LayoutRules = {
    ...{ preset: 'generic', registryRoot: '' },
    ...{ inlineLimitBytes: 64, chunkSizeBytes: 1024 },
  };
  /** Parts but the last may not be shorter; lowered by tests of what stands above. */
  partMinBytes = PART_MIN_BYTES;
  /** The next call of a method rejects with this, before it reads anything. */
  readonly failures = new Map<Method, Error>();
  /** Gitee answers nothing: bytes that only it has are not to be had. */
  isAway = false;
  /** Makes the stream of GetObject fail, or end early, after so many bytes. */
  fault: { readonly afterBytes: number; readonly kind: 'error' | 'short' } | undefined;
  /** Signals of the calls made, by method. */
  readonly signals: AbortSignal[] = [];
  /** Calls made, in order. */
  readonly calls: Method[] = [];
  /** GetObject waits for this before its first byte. */
  gate: Promise<void> | undefined;

  constructor(
    buckets: readonly string[] = ['images'],
    private readonly nowMs: () => number = Date.now,
  ) {
    for (const bucket of buckets) this.#buckets.set(bucket, new Map());
  }

  /** Keys of a bucket in byte order. */
  keys(bucket = 'images'): string[] {
    return [...this.#bucket(bucket).keys()].sort(byteOrder);
  }

  /** An object whose bytes only Gitee has. */
  putRemoteOnly(bucket: string, key: ObjectKey, bytes: Uint8Array): void {
    const objects = this.#bucket(bucket);
    this.#store(objects, key, Buffer.from(bytes), { etag: md5(Buffer.from(bytes)), meta: {} });
    objects.get(key)!.isFar = true;
  }

  async listBuckets() {
    return [...this.#buckets.keys()].map((name) => ({ name, createdMs: 0 }));
  }

  async headBucket(bucket: string) {
    this.#enter('headBucket');
    this.#bucket(bucket);
    return { name: bucket, createdMs: 0 };
  }

  async createBucket(bucket: string, _owner: string, context: RequestContext) {
    this.#enter('createBucket', context);
    if (this.#buckets.has(bucket))
      throw new ObjectError('bucket-already-exists', `there is a bucket ${bucket}`);
    this.#buckets.set(bucket, new Map());
  }

  async deleteBucket(bucket: string, context: RequestContext) {
    this.#enter('deleteBucket', context);
    if (this.#bucket(bucket).size > 0)
      throw new ObjectError('bucket-not-empty', `bucket ${bucket} has objects`);
    this.#buckets.delete(bucket);
  }

  async putObject(
    bucket: string,
    key: ObjectKey,
    body: RequestBody,
    options: { meta: ObjectMeta; conditions: Conditions },
    context: RequestContext,
  ): Promise<PutResult> {
    this.#enter('putObject', context);
    const objects = this.#bucket(bucket);
    const { bytes, checksum } = await receive(body);
    checkWriteConditions(objects.get(key)?.record, options.conditions);
    const etag = md5(bytes);
    this.#store(objects, key, bytes, { etag, meta: options.meta, ...(checksum ? { checksum } : {}) });
    return { etag, ...(checksum ? { checksum } : {}) };
  }

  async headObject(
    bucket: string,
    key: ObjectKey,
    options: ReadOptions,
    context: RequestContext,
  ): Promise<HeadResult> {
    this.#enter('headObject', context);
    const { record } = this.#object(bucket, key);
    checkReadConditions(record, options.conditions);
    return { record, ...resolveRange(record, options) };
  }

  async getObject(
    bucket: string,
    key: ObjectKey,
    options: ReadOptions,
    context: RequestContext,
  ): Promise<GetResult> {
    this.#enter('getObject', context);
    const stored = this.#object(bucket, key);
    const { record, bytes } = stored;
    checkReadConditions(record, options.conditions);
    const range = resolveRange(record, options);
    const { fault, gate } = this;
    const run = bytes.subarray(range.startBytes, range.endBytes);
    const demand = () => this.#demandBytes(stored);
    const open = () => Readable.from(pieces(run, fault, gate, demand), { objectMode: false });
    return { record, ...range, open };
  }

  async deleteObject(bucket: string, key: ObjectKey, conditions: Conditions, context: RequestContext) {
    this.#enter('deleteObject', context);
    const objects = this.#bucket(bucket);
    checkWriteConditions(objects.get(key)?.record, conditions);
    objects.delete(key);
  }

  async deleteObjects(bucket: string, keys: readonly ObjectKey[], context: RequestContext) {
    this.#enter('deleteObjects', context);
    const objects = this.#bucket(bucket);
    return keys.map((key) => {
      objects.delete(key);
      return undefined;
    });
  }

  async copyObject(bucket: string, key: ObjectKey, request: CopyRequest, context: RequestContext) {
    this.#enter('copyObject', context);
    const source = this.#object(request.sourceBucket, request.sourceKey);
    checkSourceConditions(source.record, request.sourceConditions);
    const objects = this.#bucket(bucket);
    checkWriteConditions(objects.get(key)?.record, request.conditions);
    const { tags: _tags, storageClass: _class, ...plain } = request.meta ?? source.record.meta;
    const storageClass = request.meta ? request.meta.storageClass : request.storageClass;
    const untagged = { ...plain, ...(storageClass === undefined ? {} : { storageClass }) };
    const tags = request.tags ?? source.record.meta.tags ?? {};
    const { etag } = source.record;
    const { checksumAlgorithm: algorithm } = request;
    if (algorithm || request.sourceBucket !== bucket) this.#demandBytes(source);
    const checksum = algorithm
      ? checksumOf(source.bytes, { checksumAlgorithm: algorithm })
      : source.record.checksum;
    const summed = checksum ? { checksum } : {};
    const meta = Object.keys(tags).length > 0 ? { ...untagged, tags } : untagged;
    const stored = this.#store(objects, key, source.bytes, { etag, meta, ...summed });
    objects.get(key)!.isFar = source.isFar && request.sourceBucket === bucket;
    return { ...stored, ...summed };
  }

  async setTags(
    bucket: string,
    key: ObjectKey,
    tags: Readonly<Record<string, string>> | undefined,
    context: RequestContext,
  ) {
    this.#enter('setTags', context);
    const stored = this.#object(bucket, key);
    const { tags: _tags, ...meta } = stored.record.meta;
    stored.record = { ...stored.record, meta: tags ? { ...meta, tags } : meta };
  }

  async listObjects(bucket: string, request: ListRequest, context: RequestContext): Promise<ListResult> {
    this.#enter('listObjects', context);
    const objects = this.#bucket(bucket);
    const keys = this.keys(bucket) as ObjectKey[];
    const { items, last, ...page } = await rollUp(
      async (start, end, limit) =>
        rowsWithin(keys, start, end, limit).map((key) => ({ key, item: objects.get(key)!.record })),
      request,
    );
    return {
      ...page,
      objects: items.map(({ key, item }) => ({ key: key as ObjectKey, record: item })),
      ...(last === undefined ? {} : { last }),
    };
  }

  async createMultipartUpload(
    bucket: string,
    key: ObjectKey,
    options: UploadOptions,
    context: RequestContext,
  ) {
    this.#enter('createMultipartUpload', context);
    return { uploadId: this.#uploadsOf(bucket).create(key, options, this.nowMs()) };
  }

  async uploadPart(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: RequestBody,
    context: RequestContext,
  ): Promise<PutResult> {
    this.#enter('uploadPart', context);
    const upload = this.#uploadsOf(bucket).find(key, uploadId);
    checkPartAlgorithm(upload.row, body.promise.checksumAlgorithm);
    const { bytes, checksum } = await receive(body, upload.row.checksumAlgorithm);
    return upload.put({ partNumber, bytes, ...(checksum ? { checksum } : {}) }, this.nowMs());
  }

  async uploadPartCopy(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    source: Parameters<ObjectsApi['uploadPartCopy']>[4],
    context: RequestContext,
  ) {
    this.#enter('uploadPartCopy', context);
    const uploads = this.#uploadsOf(bucket);
    const stored = this.#object(source.sourceBucket, source.sourceKey);
    checkSourceConditions(stored.record, source.sourceConditions);
    const { range } = source;
    if (
      range &&
      (range.startBytes > range.endInclusiveBytes || range.endInclusiveBytes >= stored.bytes.length)
    )
      throw new ObjectError('invalid-argument', 'the range lies outside the source');
    const upload = uploads.find(key, uploadId);
    const algorithm = upload.row.checksumAlgorithm;
    if (algorithm || source.sourceBucket !== bucket) this.#demandBytes(stored);
    const bytes = range ? stored.bytes.subarray(range.startBytes, range.endInclusiveBytes + 1) : stored.bytes;
    const checksum = algorithm && checksumOf(bytes, { checksumAlgorithm: algorithm });
    const part = { partNumber, bytes, isFar: stored.isFar && source.sourceBucket === bucket };
    const put = upload.put({ ...part, ...(checksum ? { checksum } : {}) }, this.nowMs());
    return { ...put, lastModifiedMs: this.nowMs() };
  }

  async completeMultipartUpload(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
    context: RequestContext,
  ): Promise<PutResult> {
    this.#enter('completeMultipartUpload', context);
    const objects = this.#bucket(bucket);
    const uploads = this.#uploadsOf(bucket);
    const earlier = uploads.completed(key, uploadId, request);
    if (earlier) return earlier;
    const { isFar, bytes, meta, ...rest } = uploads
      .find(key, uploadId)
      .joined(request, this.partMinBytes, this.rules);
    checkWriteConditions(objects.get(key)?.record, request.conditions);
    // What is to stand as a file is read for that.
    if (bytes.length <= this.rules.inlineLimitBytes) this.#demandBytes({ isFar });
    this.#store(objects, key, bytes, { meta, ...rest });
    objects.get(key)!.isFar = isFar;
    const { checksum, etag } = rest;
    return uploads.complete(uploadId, request, { etag, ...(checksum ? { checksum } : {}) });
  }

  async abortMultipartUpload(bucket: string, key: ObjectKey, uploadId: string, context: RequestContext) {
    this.#enter('abortMultipartUpload', context);
    this.#uploadsOf(bucket).abort(key, uploadId);
  }

  async listParts(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    options: { afterPartNumber: number; limit: number },
    context: RequestContext,
  ) {
    this.#enter('listParts', context);
    return this.#uploadsOf(bucket).find(key, uploadId).list(options);
  }

  async listMultipartUploads(bucket: string, options: UploadListRequest, context: RequestContext) {
    this.#enter('listMultipartUploads', context);
    return listUploads(this.#uploadsOf(bucket), options);
  }

  #enter(method: Method, context?: RequestContext): void {
    this.calls.push(method);
    if (context) this.signals.push(context.signal);
    const failure = this.failures.get(method);
    if (!failure) return;
    this.failures.delete(method);
    throw failure;
  }

  #bucket(name: string): Map<string, Stored> {
    const objects = this.#buckets.get(name);
    if (!objects) throw new ObjectError('no-such-bucket', `no bucket ${name}`);
    return objects;
  }

  #object(bucket: string, key: string): Stored {
    const stored = this.#bucket(bucket).get(key);
    if (!stored) throw new ObjectError('no-such-key', `no key ${key}`);
    return stored;
  }

  #uploadsOf(bucket: string): MemoryUploads {
    this.#bucket(bucket);
    const uploads = this.#uploads.get(bucket) ?? new MemoryUploads();
    this.#uploads.set(bucket, uploads);
    return uploads;
  }

  /** Throws where these bytes are to be had from Gitee alone, and it is away. */
  #demandBytes({ isFar = false }: { readonly isFar?: boolean | undefined }): void {
    if (isFar && this.isAway) throw awayError();
  }

  #store(
    objects: Map<string, Stored>,
    key: string,
    bytes: Buffer,
    rest: Pick<ObjectRecord, 'etag' | 'meta' | 'checksum' | 'partSizesBytes'>,
  ): { etag: string; lastModifiedMs: number } {
    const record: ObjectRecord = {
      ...rest,
      sizeBytes: bytes.length,
      lastModifiedMs: this.nowMs(),
      body: { kind: 'plain' },
    };
    objects.set(key, { record, bytes });
    return { etag: record.etag, lastModifiedMs: record.lastModifiedMs };
  }
}

function awayError(): ObjectError {
  return new ObjectError('remote-unavailable', 'the bytes are not here, and Gitee is away', {
    retryAfterMs: 1_000,
  });
}

const PIECE_BYTES = 64 * 1024;

async function* pieces(
  bytes: Buffer,
  fault: MemoryObjects['fault'],
  gate: Promise<void> | undefined,
  demand: () => void,
): AsyncGenerator<Buffer> {
  await gate;
  demand();
  const end = fault ? Math.min(fault.afterBytes, bytes.length) : bytes.length;
  for (let at = 0; at < end; at += PIECE_BYTES) yield bytes.subarray(at, Math.min(at + PIECE_BYTES, end));
  if (fault?.kind === 'error') throw awayError();
}

/** Reads a body to its end and checks it; nothing is stored where it rejects. */
async function receive(
  body: RequestBody,
  algorithm?: ChecksumAlgorithm,
): Promise<{ bytes: Buffer; checksum: StoredChecksum | undefined }> {
  const received: Uint8Array[] = [];
  for await (const piece of body.bytes) received.push(Buffer.from(piece));
  const bytes = Buffer.concat(received);
  const { promise } = body;
  if (promise.lengthBytes !== undefined && promise.lengthBytes !== bytes.length)
    throw new ObjectError('incomplete-body', 'wrong length');
  if (promise.md5 && !createHash('md5').update(bytes).digest().equals(promise.md5))
    throw new ObjectError('bad-digest', 'wrong md5');
  if (
    promise.sha256Hex !== undefined &&
    createHash('sha256').update(bytes).digest('hex') !== promise.sha256Hex
  )
    throw new ObjectError('content-sha256-mismatch', 'wrong sha256');
  return {
    bytes,
    checksum: checksumOf(bytes, algorithm ? { ...promise, checksumAlgorithm: algorithm } : promise),
  };
}

function checksumOf(bytes: Buffer, promise: BodyPromise): StoredChecksum | undefined {
  const algorithm = promise.checksumAlgorithm;
  if (!algorithm) return undefined;
  const name = DIGEST_OF[algorithm];
  const digests = new BodyDigests([name]);
  digests.update(bytes);
  const value = Buffer.from(digests.finish().get(name)!).toString('base64');
  const promised = promise.checksumValue?.();
  if (promised !== undefined && promised !== value)
    throw new ObjectError('checksum-mismatch', `the ${algorithm} does not match`, { fields: { algorithm } });
  return { algorithm, type: 'FULL_OBJECT', value };
}
