import type { Clock } from '../async/clock.js';
import { KeyLock } from '../async/key-lock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { ChunkHold } from '../chunks/api.js';
import type { ObjectKey } from '../format/ids.js';
import { isLocalKey } from '../format/tree-layout.js';
import type { ObjectMeta } from '../index/object-record.js';
import type {
  BucketInfo,
  CompleteRequest,
  Conditions,
  CopyRequest,
  CopyResult,
  GetResult,
  HeadResult,
  ListRequest,
  ListResult,
  ObjectsApi,
  PutResult,
  RequestBody,
  RequestContext,
} from './api.js';
import { checkBody, digestsFor } from './body-check.js';
import { holding, keepUpToBytes, meltExtents, pushOf } from './body.js';
import type { Bucket, Buckets } from './bucket.js';
import { checkSourceConditions, checkWriteConditions, isUnconditional } from './conditions.js';
import { CopySource } from './copy-source.js';
import { ObjectError } from './errors.js';
import { rollUp } from './listing.js';
import { Multipart, noSuchUpload, PART_MAX_BYTES } from './multipart.js';
import { findRecord, getObject, headObject, type ReadOptions } from './object-reader.js';
import { ObjectWriter } from './object-writer.js';
import { translated } from './translate-error.js';
import { listUploads, type UploadListRequest } from './upload-listing.js';
import { WriteConcern, type Write } from './write-concern.js';

/** Stands for an ETag where a key was deleted. */
const DELETED = 'deleted';

/** The objects layer: every S3 operation in terms of buckets and keys. One per gateway. */
export class ObjectService implements ObjectsApi {
  readonly multipart: Multipart;
  readonly #locks = new KeyLock();
  readonly #writer: ObjectWriter;
  readonly #concern: WriteConcern;

  constructor(
    private readonly buckets: Buckets,
    deps: { clock: Clock; log: Log; metrics: Metrics },
  ) {
    this.#concern = new WriteConcern(deps);
    this.#writer = new ObjectWriter({ clock: deps.clock, locks: this.#locks, concern: this.#concern });
    this.multipart = new Multipart({ clock: deps.clock, locks: this.#locks, writer: this.#writer });
  }

  async listBuckets(): Promise<BucketInfo[]> {
    return this.buckets.list().map(({ name, createdMs }) => ({ name, createdMs }));
  }

  async headBucket(name: string): Promise<BucketInfo> {
    const bucket = this.buckets.get(name);
    return { name, createdMs: bucket.createdMs };
  }

  createBucket(name: string, owner: string, context: RequestContext): Promise<void> {
    return translated(() => this.buckets.create(name, owner, context.signal));
  }

  deleteBucket(name: string, context: RequestContext): Promise<void> {
    return translated(() => this.buckets.delete(name, context.signal));
  }

  putObject(
    bucketName: string,
    key: ObjectKey,
    body: RequestBody,
    options: { meta: ObjectMeta; conditions: Conditions },
    context: RequestContext,
  ): Promise<PutResult> {
    return this.#acknowledged(bucketName, context, async (bucket, hold) => {
      if ((body.promise.lengthBytes ?? 0) > PART_MAX_BYTES) {
        throw new ObjectError(
          'entity-too-large',
          'a single PUT may have at most 5 GiB: use a multipart upload',
          {
            fields: { maxSizeAllowed: PART_MAX_BYTES, proposedSize: body.promise.lengthBytes ?? 0 },
          },
        );
      }
      await this.#checkEarly(bucket, key, options.conditions, context.signal);
      const { lengthBytes } = body.promise;
      const asked = { lengthBytes, keepUpToBytes: keepUpToBytes(bucket.rules, key) };
      const room = await bucket.chunks.reserve(asked, context.signal);
      const ingested = await bucket.chunks.ingest(body.bytes, room, {
        digests: digestsFor(body.promise, true),
        signal: context.signal,
        push: pushOf(bucket.rules, key),
        hold,
        isLarge: (lengthBytes ?? 0) > bucket.rules.chunkSizeBytes,
      });
      const checksum = checkBody(ingested, body.promise);
      const written = await this.#writer.write(
        bucket,
        key,
        {
          sizeBytes: ingested.sizeBytes,
          etag: Buffer.from(ingested.digests.get('md5')!).toString('hex'),
          meta: options.meta,
          body: ingested.bytes
            ? { kind: 'plain', bytes: ingested.bytes }
            : ingested.sizeBytes === 0
              ? { kind: 'plain', bytes: new Uint8Array(0) }
              : { kind: 'extents', extents: ingested.extents },
          ...(ingested.bytes ? {} : { extentsAgain: () => asyncOf(ingested.extents) }),
          ...(checksum ? { checksum } : {}),
        },
        { conditions: options.conditions, signal: context.signal },
      );
      const answer = { etag: written.etag, ...(checksum ? { checksum } : {}) };
      return { answer, keys: [key], ...written };
    });
  }

  headObject(bucket: string, key: ObjectKey, options: ReadOptions): Promise<HeadResult> {
    return translated(() => headObject(this.buckets.get(bucket), key, options));
  }

  getObject(
    bucket: string,
    key: ObjectKey,
    options: ReadOptions,
    context: RequestContext,
  ): Promise<GetResult> {
    return translated(() => getObject(this.buckets.get(bucket), key, options, context));
  }

  deleteObject(
    bucketName: string,
    key: ObjectKey,
    conditions: Conditions,
    context: RequestContext,
  ): Promise<void> {
    return this.#acknowledged(bucketName, context, async (bucket) => {
      const remove = async (isLooked: boolean) => {
        const current = await bucket.state.get(key);
        if (!isLooked && !(current && isUnconditional(conditions))) return undefined;
        checkWriteConditions(current, conditions);
        if (!current) return false;
        await bucket.state.append([{ kind: 'delete', key }], { local: isLocalKey(bucket.rules, key) });
        return true;
      };
      const appended = await this.#lookedAt(bucket, [key], context.signal, remove);
      return { answer: undefined, keys: [key], etag: DELETED, appended };
    });
  }

  deleteObjects(
    bucketName: string,
    keys: readonly ObjectKey[],
    context: RequestContext,
  ): Promise<(Error | undefined)[]> {
    return this.#acknowledged(bucketName, context, async (bucket) => {
      const locks = [...new Set(keys)].sort();
      const appended = await this.#lookedAt(bucket, locks, context.signal, (isLooked) =>
        this.#deletePresent(bucket, locks, isLooked, context.signal),
      );
      return { answer: keys.map(() => undefined), keys: locks, etag: DELETED, appended };
    });
  }

  copyObject(
    bucketName: string,
    key: ObjectKey,
    request: CopyRequest,
    context: RequestContext,
  ): Promise<CopyResult> {
    return this.#acknowledged(bucketName, context, async (bucket, hold) => {
      if (request.sourceBucket === bucketName && request.sourceKey === key)
        await this.#concern.lookAgain(bucket, [key], context.signal);
      const source = await this.#source(request);
      const { record } = source;
      const plain = source.plainBytes;
      const toOther = request.sourceBucket !== bucketName;
      // Into another bucket the bytes are stored once; within one, the list is walked again where needed.
      const moved = toOther && !plain ? [...(await collect(source, bucket, context, hold))] : undefined;
      const again = async function* () {
        yield* meltExtents(moved ?? (await source.extents(bucket, context.signal, hold)));
      };
      // AWS CopyObject: tags have a directive of their own, so new metadata does not take them away; the storage
      // class is the request's own.
      const tags = request.tags ?? record.meta.tags ?? {};
      const { tags: _, storageClass: _class, ...metaOnly } = request.meta ?? record.meta;
      const storageClass = request.meta ? request.meta.storageClass : request.storageClass;
      const { checksumAlgorithm } = request;
      const checksum = checksumAlgorithm
        ? await source.checksum(checksumAlgorithm, context.signal)
        : record.checksum;
      const written = await this.#writer.write(
        bucket,
        key,
        {
          sizeBytes: record.sizeBytes,
          etag: record.etag,
          meta: {
            ...metaOnly,
            ...(storageClass === undefined ? {} : { storageClass }),
            ...(Object.keys(tags).length > 0 ? { tags } : {}),
          },
          body: plain ? { kind: 'plain', bytes: plain } : { kind: 'extents', extents: again() },
          ...(plain ? {} : { extentsAgain: again }),
          ...(checksum ? { checksum } : {}),
        },
        { conditions: request.conditions, signal: context.signal },
      );
      const { etag, lastModifiedMs } = written;
      return { answer: { etag, lastModifiedMs, ...(checksum ? { checksum } : {}) }, keys: [key], ...written };
    });
  }

  setTags(
    bucketName: string,
    key: ObjectKey,
    tags: Readonly<Record<string, string>> | undefined,
    context: RequestContext,
  ): Promise<void> {
    return this.#acknowledged(bucketName, context, async (bucket) => {
      // The whole object is written anew: not with bytes that others have replaced since.
      await this.#concern.lookAgain(bucket, [key], context.signal);
      await this.#locks.run(
        `${bucketName}/${key}`,
        async () => {
          const record = await findRecord(bucket, key);
          const body = await bucket.state.openBody(record);
          const { tags: _, ...meta } = record.meta;
          await bucket.state.append(
            [
              {
                kind: 'put',
                key,
                object: {
                  ...record,
                  meta: { ...meta, ...(tags ? { tags } : {}) },
                  body:
                    body.kind === 'plain'
                      ? body
                      : { kind: 'extents', extents: body.list.range(0, record.sizeBytes) },
                },
              },
            ],
            { local: isLocalKey(bucket.rules, key) },
          );
        },
        context.signal,
      );
      return { answer: undefined, keys: [key], etag: `tags ${JSON.stringify(tags ?? {})}`, appended: true };
    });
  }

  listObjects(bucketName: string, request: ListRequest): Promise<ListResult> {
    return translated(async () => {
      const { state } = this.buckets.get(bucketName);
      const page = await rollUp(
        async (start, end, limit) =>
          (await state.page(start, end, limit)).map(({ key, record }) => ({ key, item: record })),
        request,
      );
      return {
        objects: page.items.map(({ key, item }) => ({ key: key as ObjectKey, record: item })),
        commonPrefixes: page.commonPrefixes,
        truncated: page.truncated,
        ...(page.last !== undefined ? { last: page.last } : {}),
      };
    });
  }

  createMultipartUpload(
    bucket: string,
    key: ObjectKey,
    options: Parameters<ObjectsApi['createMultipartUpload']>[2],
  ): Promise<{ uploadId: string }> {
    return translated(() => this.multipart.create(this.buckets.get(bucket), key, options));
  }

  uploadPart(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: RequestBody,
    context: RequestContext,
  ): Promise<PutResult> {
    return translated(() =>
      this.multipart.uploadPart(this.buckets.get(bucket), key, uploadId, partNumber, body, context),
    );
  }

  uploadPartCopy(
    bucketName: string,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    request: Parameters<ObjectsApi['uploadPartCopy']>[4],
    context: RequestContext,
  ): Promise<CopyResult> {
    return translated(async () => {
      const bucket = this.buckets.get(bucketName);
      const source = await this.#source(request);
      return this.multipart.uploadPartCopy(bucket, key, uploadId, partNumber, source, context);
    });
  }

  completeMultipartUpload(
    bucketName: string,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
    context: RequestContext,
  ): Promise<PutResult> {
    return this.#acknowledged(bucketName, context, async (bucket) => {
      const { appended, isRepeated, ...answer } = await this.multipart.complete(
        bucket,
        key,
        uploadId,
        request,
        context,
      );
      if (isRepeated) await this.#demandSame(bucket, key, answer.etag, uploadId, context.signal);
      return { answer, keys: [key], etag: answer.etag, appended };
    });
  }

  abortMultipartUpload(bucket: string, key: ObjectKey, uploadId: string): Promise<void> {
    return translated(() => this.multipart.abort(this.buckets.get(bucket), key, uploadId));
  }

  listParts(
    bucket: string,
    key: ObjectKey,
    uploadId: string,
    options: { afterPartNumber: number; limit: number },
  ): ReturnType<ObjectsApi['listParts']> {
    return translated(() => this.multipart.listParts(this.buckets.get(bucket), key, uploadId, options));
  }

  listMultipartUploads(
    bucket: string,
    options: UploadListRequest,
  ): ReturnType<ObjectsApi['listMultipartUploads']> {
    return translated(() => listUploads(this.buckets.get(bucket).state.uploads, options));
  }

  /**
   * The one way for whatever changes a bucket: changes it, then waits for what its write concern asks, with no lock
   * held. The answer exists only afterwards.
   */
  #acknowledged<T>(
    bucketName: string,
    context: RequestContext,
    change: (bucket: Bucket, hold: ChunkHold) => Promise<Write & { readonly answer: T }>,
  ): Promise<T> {
    return translated(async () => {
      const bucket = this.buckets.get(bucketName);
      const { answer, ...write } = await holding(bucket.chunks, (hold) => change(bucket, hold));
      await this.#concern.settle(bucket, write, context.signal);
      return answer;
    });
  }

  /**
   * What an earlier try has completed may have been replaced since, or have come to nothing: dropped by an operator, or of
   * a restored snapshot. @throws ObjectError no-such-upload
   */
  async #demandSame(
    bucket: Bucket,
    key: ObjectKey,
    etag: string,
    uploadId: string,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#concern.lookAgain(bucket, [key], signal);
    if ((await bucket.state.get(key))?.etag !== etag) throw noSuchUpload(uploadId);
  }

  /** Asked before the body is read too, so that a large body is not sent in vain; decided under the lock. */
  async #checkEarly(
    bucket: Bucket,
    key: ObjectKey,
    conditions: Conditions,
    signal: AbortSignal,
  ): Promise<void> {
    if (isUnconditional(conditions)) return;
    const check = async () => checkWriteConditions(await bucket.state.get(key), conditions);
    try {
      await check();
    } catch (error) {
      // Somebody else may have changed that since; whether nobody has is asked when it is decided.
      if (!(await this.#concern.lookAgain(bucket, [key], signal))) throw error;
      await check();
    }
  }

  /**
   * Runs with the keys locked all at once, in one order for everybody: a conditional write sees an object before or
   * after. Where nothing seems to be left to do for one of them, or a condition asks what stands there (undefined), the
   * branch is looked at, and it runs again.
   * That may take long and would keep all others of these keys waiting one after the other: no lock is held meanwhile.
   */
  async #lookedAt(
    bucket: Bucket,
    keys: readonly ObjectKey[],
    signal: AbortSignal,
    run: (isLooked: boolean) => Promise<boolean | undefined>,
  ): Promise<boolean> {
    const names = keys.map((key) => `${bucket.name}/${key}`);
    const first = await this.#lockAll(names, () => run(false), signal);
    if (first !== undefined) return first;
    await this.#concern.lookAgain(bucket, keys, signal);
    return (await this.#lockAll(names, () => run(true), signal))!;
  }

  /** Deletes what is there. True where that was anything; undefined where something is not, and nobody has looked. */
  async #deletePresent(
    bucket: Bucket,
    keys: readonly ObjectKey[],
    isLooked: boolean,
    signal: AbortSignal,
  ): Promise<boolean | undefined> {
    const local: ObjectKey[] = [];
    const committed: ObjectKey[] = [];
    for (const key of keys) {
      signal.throwIfAborted();
      if (await bucket.state.get(key)) (isLocalKey(bucket.rules, key) ? local : committed).push(key);
      else if (!isLooked) return undefined;
    }
    // Two journal entries at most for a thousand keys: what is deleted together lands together.
    for (const list of [local, committed]) {
      if (list.length === 0) continue;
      await bucket.state.append(
        list.map((key) => ({ kind: 'delete', key })),
        { local: list === local },
      );
    }
    return local.length + committed.length > 0;
  }

  #lockAll<T>(names: readonly string[], fn: () => Promise<T>, signal: AbortSignal, at = 0): Promise<T> {
    const name = names[at];
    if (name === undefined) return fn();
    return this.#locks.run(name, () => this.#lockAll(names, fn, signal, at + 1), signal);
  }

  async #source(
    request: Pick<CopyRequest, 'sourceBucket' | 'sourceKey' | 'sourceConditions'> & {
      range?: { startBytes: number; endInclusiveBytes: number };
    },
  ): Promise<CopySource> {
    const bucket = this.buckets.get(request.sourceBucket);
    const record = await findRecord(bucket, request.sourceKey);
    checkSourceConditions(record, request.sourceConditions);
    const { range } = request;
    if (
      range &&
      (range.startBytes > range.endInclusiveBytes || range.endInclusiveBytes >= record.sizeBytes)
    ) {
      throw new ObjectError(
        'invalid-argument',
        `range specified is not valid for source object of size: ${record.sizeBytes}`,
        { fields: { argumentName: 'x-amz-copy-source-range' } },
      );
    }
    const body = await bucket.state.openBody(record);
    return new CopySource(
      bucket,
      record,
      body,
      range?.startBytes ?? 0,
      range ? range.endInclusiveBytes + 1 : record.sizeBytes,
    );
  }
}

async function* asyncOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

async function collect(source: CopySource, bucket: Bucket, context: RequestContext, hold: ChunkHold) {
  const list = [];
  for await (const extent of await source.extents(bucket, context.signal, hold)) list.push(extent);
  return list;
}
