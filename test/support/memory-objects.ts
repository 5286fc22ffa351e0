/**
 * ObjectsApi in memory: what the tests of src/s3 speak to over HTTP. It keeps whole objects, so it is for small
 * ones; rules that belong to the objects layer (conditions, ranges, body checks) are taken from there.
 */
import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { BodyDigests } from '../../src/chunks/digests.js';
import type { ObjectKey } from '../../src/format/ids.js';
import type {
  BodyPromise,
  ChecksumAlgorithm,
  CompletePart,
  Conditions,
  CopyRequest,
  GetResult,
  HeadResult,
  ListRequest,
  ListResult,
  ObjectMeta,
  ObjectRecord,
  ObjectsApi,
  PartInfo,
  PutResult,
  ReadOptions,
  RequestBody,
  RequestContext,
  StoredChecksum,
  UploadInfo,
} from '../../src/objects/api.js';
import { DIGEST_OF } from '../../src/objects/body-check.js';
import {
  checkReadConditions,
  checkSourceConditions,
  checkWriteConditions,
} from '../../src/objects/conditions.js';
import { ObjectError } from '../../src/objects/errors.js';
import { resolveRange } from '../../src/objects/range.js';

interface Stored {
  record: ObjectRecord;
  bytes: Buffer;
}

interface Upload {
  info: UploadInfo;
  meta: ObjectMeta;
  parts: Map<number, { info: PartInfo; bytes: Buffer }>;
  sequence: number;
}

type Method = keyof ObjectsApi;

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Options of one store; all may be changed while it runs. */
export class MemoryObjects implements ObjectsApi {
  readonly #buckets = new Map<string, Map<string, Stored>>();
  readonly #uploads = new Map<string, Upload>();
  #sequence = 0;
  /** The next call of a method rejects with this, before it reads anything. */
  readonly failures = new Map<Method, Error>();
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
    const { record, bytes } = this.#object(bucket, key);
    checkReadConditions(record, options.conditions);
    const range = resolveRange(record, options);
    const { fault, gate } = this;
    const run = bytes.subarray(range.startBytes, range.endBytes);
    return { record, ...range, open: () => Readable.from(pieces(run, fault, gate), { objectMode: false }) };
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
    const tags = request.tags ?? source.record.meta.tags;
    const { etag, checksum } = source.record;
    return this.#store(objects, key, source.bytes, {
      etag,
      meta: tags ? { ...untagged, tags } : untagged,
      ...(checksum ? { checksum } : {}),
    });
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
    const found: { key: ObjectKey; record: ObjectRecord }[] = [];
    const prefixes: string[] = [];
    let last: string | undefined;
    if (request.limit === 0) return { objects: found, commonPrefixes: prefixes, truncated: false };
    for (const key of this.keys(bucket)) {
      if (!key.startsWith(request.prefix)) continue;
      const item = rollUp(key, request.prefix, request.delimiter);
      if (request.after !== undefined && byteOrder(item, request.after) <= 0) continue;
      if (item === last) continue;
      if (found.length + prefixes.length === request.limit)
        return { objects: found, commonPrefixes: prefixes, truncated: true, last: last! };
      last = item;
      if (item === key) found.push({ key: key as ObjectKey, record: objects.get(key)!.record });
      else prefixes.push(item);
    }
    return {
      objects: found,
      commonPrefixes: prefixes,
      truncated: false,
      ...(last === undefined ? {} : { last }),
    };
  }

  async createMultipartUpload(
    bucket: string,
    key: ObjectKey,
    options: {
      meta: ObjectMeta;
      checksumAlgorithm?: ChecksumAlgorithm;
      checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
    },
    context: RequestContext,
  ) {
    this.#enter('createMultipartUpload', context);
    this.#bucket(bucket);
    const uploadId = randomUUID();
    const { meta, ...checksum } = options;
    this.#uploads.set(`${bucket}/${uploadId}`, {
      info: { key, uploadId, initiatedMs: this.nowMs(), ...checksum },
      meta,
      parts: new Map(),
      sequence: (this.#sequence += 1),
    });
    return { uploadId };
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
    const upload = this.#upload(bucket, key, uploadId);
    const { bytes, checksum } = await receive(body);
    return { etag: this.#addPart(upload, partNumber, bytes, checksum), ...(checksum ? { checksum } : {}) };
  }

  async uploadPartCopy(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    source: Pick<CopyRequest, 'sourceBucket' | 'sourceKey' | 'sourceConditions'> & {
      range?: { startBytes: number; endInclusiveBytes: number };
    },
    context: RequestContext,
  ) {
    this.#enter('uploadPartCopy', context);
    const upload = this.#upload(bucket, key, uploadId);
    const { record, bytes } = this.#object(source.sourceBucket, source.sourceKey);
    checkSourceConditions(record, source.sourceConditions);
    const { range } = source;
    if (range && range.endInclusiveBytes >= bytes.length)
      throw new ObjectError('invalid-range', 'the range lies outside the source');
    const run = range ? bytes.subarray(range.startBytes, range.endInclusiveBytes + 1) : bytes;
    return { etag: this.#addPart(upload, partNumber, run), lastModifiedMs: this.nowMs() };
  }

  async completeMultipartUpload(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    request: { parts: readonly CompletePart[]; conditions: Conditions },
    context: RequestContext,
  ): Promise<PutResult> {
    this.#enter('completeMultipartUpload', context);
    const upload = this.#upload(bucket, key, uploadId);
    let before = 0;
    const parts = request.parts.map((asked) => {
      const part = upload.parts.get(asked.partNumber);
      if (part?.info.etag !== asked.etag)
        throw new ObjectError('invalid-part', 'no such part', { fields: { partNumber: asked.partNumber } });
      if (asked.partNumber <= before) throw new ObjectError('invalid-part-order', 'parts are not in order');
      before = asked.partNumber;
      return part;
    });
    const objects = this.#bucket(bucket);
    checkWriteConditions(objects.get(key)?.record, request.conditions);
    const digests = Buffer.concat(parts.map((p) => Buffer.from(p.info.etag, 'hex')));
    const etag = `${md5(digests)}-${parts.length}`;
    this.#store(objects, key, Buffer.concat(parts.map((p) => p.bytes)), {
      etag,
      meta: upload.meta,
      partSizesBytes: parts.map((p) => p.bytes.length),
    });
    this.#uploads.delete(`${bucket}/${uploadId}`);
    return { etag };
  }

  async abortMultipartUpload(bucket: string, key: ObjectKey, uploadId: string, context: RequestContext) {
    this.#enter('abortMultipartUpload', context);
    this.#upload(bucket, key, uploadId);
    this.#uploads.delete(`${bucket}/${uploadId}`);
  }

  async listParts(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    options: { afterPartNumber: number; limit: number },
    context: RequestContext,
  ) {
    this.#enter('listParts', context);
    const upload = this.#upload(bucket, key, uploadId);
    const all = [...upload.parts.values()]
      .map((p) => p.info)
      .filter((p) => p.partNumber > options.afterPartNumber)
      .sort((a, b) => a.partNumber - b.partNumber);
    return { upload: upload.info, parts: all.slice(0, options.limit), truncated: all.length > options.limit };
  }

  async listMultipartUploads(
    bucket: string,
    options: {
      prefix: string;
      delimiter?: string;
      keyMarker?: string;
      uploadIdMarker?: string;
      limit: number;
    },
    context: RequestContext,
  ) {
    this.#enter('listMultipartUploads', context);
    this.#bucket(bucket);
    const { prefix, delimiter, keyMarker, uploadIdMarker, limit } = options;
    const marker =
      uploadIdMarker === undefined ? undefined : this.#uploads.get(`${bucket}/${uploadIdMarker}`);
    const isAfter = ({ info, sequence }: Upload): boolean => {
      if (marker)
        return (
          byteOrder(info.key, marker.info.key) > 0 ||
          (info.key === marker.info.key && sequence > marker.sequence)
        );
      return keyMarker === undefined || byteOrder(info.key, keyMarker) > 0;
    };
    const sorted = [...this.#uploads.entries()]
      .filter(([id, u]) => id.startsWith(`${bucket}/`) && u.info.key.startsWith(prefix) && isAfter(u))
      .map(([, u]) => u)
      .sort((a, b) => byteOrder(a.info.key, b.info.key) || a.sequence - b.sequence);
    const prefixes = new Set<string>();
    const uploads = sorted.filter((u) => {
      const item = rollUp(u.info.key, prefix, delimiter);
      if (item === u.info.key) return true;
      prefixes.add(item);
      return false;
    });
    const page = uploads.slice(0, limit).map((u) => u.info);
    const last = page.at(-1);
    const truncated = uploads.length > page.length;
    return {
      uploads: page,
      commonPrefixes: [...prefixes],
      truncated,
      ...(truncated && last ? { nextKeyMarker: last.key, nextUploadIdMarker: last.uploadId } : {}),
    };
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

  #upload(bucket: string, key: string, uploadId: string): Upload {
    this.#bucket(bucket);
    const upload = this.#uploads.get(`${bucket}/${uploadId}`);
    if (upload?.info.key !== key) throw new ObjectError('no-such-upload', 'no such upload');
    return upload;
  }

  #addPart(upload: Upload, partNumber: number, bytes: Buffer, checksum?: StoredChecksum): string {
    const etag = md5(bytes);
    upload.parts.set(partNumber, {
      info: {
        partNumber,
        etag,
        sizeBytes: bytes.length,
        lastModifiedMs: this.nowMs(),
        ...(checksum ? { checksum } : {}),
      },
      bytes,
    });
    return etag;
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

function rollUp(key: string, prefix: string, delimiter: string | undefined): string {
  const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? key : key.slice(0, at + delimiter!.length);
}

const PIECE_BYTES = 64 * 1024;

async function* pieces(
  bytes: Buffer,
  fault: MemoryObjects['fault'],
  gate: Promise<void> | undefined,
): AsyncGenerator<Buffer> {
  await gate;
  const end = fault ? Math.min(fault.afterBytes, bytes.length) : bytes.length;
  for (let at = 0; at < end; at += PIECE_BYTES) yield bytes.subarray(at, Math.min(at + PIECE_BYTES, end));
  if (fault?.kind === 'error') throw new ObjectError('remote-unavailable', 'the source broke off');
}

/** Reads a body to its end and checks it; nothing is stored where it rejects. */
async function receive(body: RequestBody): Promise<{ bytes: Buffer; checksum: StoredChecksum | undefined }> {
  const received: Uint8Array[] = [];
  for await (const piece of body.bytes) received.push(piece);
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
  return { bytes, checksum: checksumOf(bytes, promise) };
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
