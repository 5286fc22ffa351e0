import { createHash } from 'node:crypto';
import type { Clock } from '../async/clock.js';
import type { KeyLock } from '../async/key-lock.js';
import type { IngestOptions } from '../chunks/api.js';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { isLocalKey, isRegistryOwnKey } from '../format/tree-layout.js';
import type { ObjectMeta } from '../index/object-record.js';
import {
  newUploadId,
  type OpenUpload,
  type Upload,
  type UploadedPart,
  type UploadStore,
} from '../journal/upload-store.js';
import type {
  ChecksumAlgorithm,
  CompletePart,
  CompleteRequest,
  CopyResult,
  PartInfo,
  PutResult,
  RequestBody,
  RequestContext,
  UploadInfo,
} from './api.js';
import { checkBody, digestsFor } from './body-check.js';
import { holding, meltExtents, pushOf } from './body.js';
import type { Bucket } from './bucket.js';
import type { CopySource } from './copy-source.js';
import { ObjectError } from './errors.js';
import { multipartEtag } from './etag.js';
import { defaultChecksumType, multipartChecksum, partChecksumsOf } from './multipart-checksum.js';
import type { Draft, ObjectWriter } from './object-writer.js';
import {
  checkPartAlgorithm,
  checkPartSizes,
  checkPromises,
  chosenPart,
  type ListedPart,
} from './upload-promises.js';

/** AWS "Amazon S3 multipart upload limits". */
const OBJECT_MAX_BYTES = 5 * 1024 ** 4;
const MIB = 1024 ** 2;
export const PART_MAX_BYTES = 5 * 1024 ** 3;

/** What Complete has done, or an earlier try of it. */
export interface Completed extends PutResult {
  readonly appended: boolean;
  /** It was an earlier one: what stands at the key now was not looked at. */
  readonly isRepeated: boolean;
}

/** Multipart uploads of all buckets. Parts are data in the chunk store plus a row; Complete moves no bytes. */
export class Multipart {
  constructor(private readonly deps: { clock: Clock; locks: KeyLock; writer: ObjectWriter }) {}

  async create(
    bucket: Bucket,
    key: ObjectKey,
    options: {
      meta: ObjectMeta;
      checksumAlgorithm?: ChecksumAlgorithm;
      checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
    },
  ): Promise<{ uploadId: string }> {
    // A layer is refused when it begins: registry 2.7.1 answers 202 although a part was refused. Other uploads may
    // be copies of what is there, as that of a whole layer to its place: only their new parts need room.
    if (isLocalKey(bucket.rules, key)) bucket.chunks.demandSpace(1);
    const nowMs = this.deps.clock.nowMs();
    const uploadId = newUploadId(nowMs);
    const { checksumAlgorithm } = options;
    await bucket.state.uploads.create({
      key,
      uploadId,
      initiatedMs: nowMs,
      touchedMs: nowMs,
      meta: options.meta,
      ...(checksumAlgorithm
        ? { checksumAlgorithm, checksumType: options.checksumType ?? defaultChecksumType(checksumAlgorithm) }
        : {}),
    });
    return { uploadId };
  }

  async uploadPart(
    bucket: Bucket,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: RequestBody,
    context: RequestContext,
  ): Promise<PutResult> {
    const upload = await this.#find(bucket, key, uploadId);
    if ((body.promise.lengthBytes ?? 0) > PART_MAX_BYTES) tooLarge('a part', PART_MAX_BYTES);
    checkPartAlgorithm(upload, body.promise.checksumAlgorithm);
    // A FULL_OBJECT checksum is computed for every part, whether or not the client sends it along.
    const promise =
      body.promise.checksumAlgorithm || !upload.checksumAlgorithm
        ? body.promise
        : { ...body.promise, checksumAlgorithm: upload.checksumAlgorithm };
    const asked = { lengthBytes: body.promise.lengthBytes, keepUpToBytes: -1 };
    const room = await bucket.chunks.reserve(asked, context.signal);
    return holding(bucket.chunks, async (hold) => {
      const ingested = await bucket.chunks.ingest(body.bytes, room, {
        digests: digestsFor(promise, true),
        signal: context.signal,
        push: pushOf(bucket.rules, key),
        hold,
        ...partHints(partNumber, body.promise.lengthBytes, bucket.rules.chunkSizeBytes),
      });
      const checksum = checkBody(ingested, promise);
      const etag = Buffer.from(ingested.digests.get('md5')!).toString('hex');
      await this.#putPart(bucket, upload, {
        partNumber,
        sizeBytes: ingested.sizeBytes,
        etag,
        lastModifiedMs: this.deps.clock.nowMs(),
        ...(checksum ? { checksum } : {}),
        extents: ingested.extents,
      });
      return { etag, ...(checksum ? { checksum } : {}) };
    });
  }

  /**
   * A part by reference: no data moves within a bucket. Its ETag is made from the extents, S3's is opaque too.
   * The bytes are read where the upload asks for checksums that the source does not have.
   */
  async uploadPartCopy(
    bucket: Bucket,
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    source: CopySource,
    context: RequestContext,
  ): Promise<CopyResult> {
    const upload = await this.#find(bucket, key, uploadId);
    if (source.sizeBytes > PART_MAX_BYTES) tooLarge('a copied part', PART_MAX_BYTES);
    return holding(bucket.chunks, async (hold) => {
      const extents: Extent[] = [];
      const hash = createHash('md5');
      for await (const extent of meltExtents(await source.extents(bucket, context.signal, hold))) {
        extents.push(extent);
        hash.update(`${extent.oid}:${extent.offsetBytes}:${extent.lengthBytes};`);
      }
      const lastModifiedMs = this.deps.clock.nowMs();
      const etag = hash.digest('hex');
      const checksum =
        upload.checksumAlgorithm && (await source.checksum(upload.checksumAlgorithm, context.signal));
      await this.#putPart(bucket, upload, {
        partNumber,
        sizeBytes: source.sizeBytes,
        etag,
        lastModifiedMs,
        ...(checksum ? { checksum } : {}),
        extents,
      });
      return { etag, lastModifiedMs, ...(checksum ? { checksum } : {}) };
    });
  }

  async complete(
    bucket: Bucket,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
    context: RequestContext,
  ): Promise<Completed> {
    return this.deps.locks.run(`upload/${uploadId}`, () =>
      this.#complete(bucket, key, uploadId, request, context),
    );
  }

  async #complete(
    bucket: Bucket,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
    context: RequestContext,
  ): Promise<Completed> {
    const { uploads } = bucket.state;
    const upload = await uploads.find(key, uploadId);
    if (!upload) return this.#repeatedComplete(uploads, key, uploadId, request);

    const chosen = await this.#chooseParts(bucket, upload, request.parts);
    const sizeBytes = chosen.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (sizeBytes > OBJECT_MAX_BYTES) tooLarge('an object', OBJECT_MAX_BYTES);
    checkPromises(upload, sizeBytes, request);
    const checksum = multipartChecksum(upload, chosen, request.checksum);
    const etag = multipartEtag(chosen.map((part) => part.etag));
    const extentsAgain = () => this.#extentsOf(uploads, uploadId, chosen);
    const draft: Draft = {
      sizeBytes,
      etag,
      meta: upload.meta,
      body:
        sizeBytes === 0
          ? { kind: 'plain', bytes: new Uint8Array(0) }
          : { kind: 'extents', extents: extentsAgain() },
      extentsAgain,
      ...(checksum ? { checksum } : {}),
      ...(chosen.length > 0 && !isRegistryOwnKey(bucket.rules, key) && !isLocalKey(bucket.rules, key)
        ? { partSizesBytes: chosen.map((part) => part.sizeBytes), ...partChecksumsOf(checksum, chosen) }
        : {}),
    };
    const written = await this.deps.writer.write(bucket, key, draft, {
      conditions: request.conditions,
      signal: context.signal,
      completes: (etagOfObject) => ({
        upload,
        completed: {
          key,
          etag: etagOfObject,
          ...(checksum ? { checksum } : {}),
          partsDigest: digestOf(request.parts),
          completedMs: this.deps.clock.nowMs(),
        },
      }),
    });
    const { appended } = written;
    return { etag: written.etag, appended, isRepeated: false, ...(checksum ? { checksum } : {}) };
  }

  async abort(bucket: Bucket, key: ObjectKey, uploadId: string): Promise<void> {
    await this.deps.locks.run(`upload/${uploadId}`, async () => {
      await bucket.state.uploads.remove(await this.#find(bucket, key, uploadId));
    });
  }

  async listParts(
    bucket: Bucket,
    key: ObjectKey,
    uploadId: string,
    options: { afterPartNumber: number; limit: number },
  ): Promise<{ upload: UploadInfo; parts: PartInfo[]; truncated: boolean }> {
    const upload = await this.#find(bucket, key, uploadId);
    const { uploads } = bucket.state;
    const parts: PartInfo[] = [];
    let after = options.afterPartNumber;
    // In steps, since a row holds its extents and the page may have 10,000 rows.
    while (parts.length <= options.limit) {
      const page = await uploads.parts(uploadId, after, Math.min(500, options.limit + 1 - parts.length));
      for (const { extents: _, ...info } of page) parts.push(info);
      const last = page.at(-1);
      if (!last) break;
      after = last.partNumber;
    }
    // A page of no parts is the last one: nobody could go on from it.
    const truncated = options.limit > 0 && parts.length > options.limit;
    return { upload: uploadInfo(upload), parts: parts.slice(0, options.limit), truncated };
  }

  /** Keys of uploads that somebody touched since the time. */
  async *keysTouchedSince(bucket: Bucket, sinceMs: number): AsyncGenerator<ObjectKey> {
    for await (const { key, touchedMs } of bucket.state.uploads.all()) if (touchedMs >= sinceMs) yield key;
  }

  /** Aborts uploads that nobody touched since the time and that are not kept. */
  async expire(bucket: Bucket, beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number> {
    const { uploads } = bucket.state;
    let expired = 0;
    for await (const upload of uploads.all()) {
      if (upload.touchedMs >= beforeMs || isKept(upload.key)) continue;
      await this.deps.locks.run(`upload/${upload.uploadId}`, async () => {
        const again = await uploads.find(upload.key, upload.uploadId);
        if (!again || again.touchedMs >= beforeMs) return;
        await uploads.remove(again);
        expired += 1;
      });
    }
    await uploads.expireCompleted(beforeMs);
    return expired;
  }

  /** An end of the upload that is under way chooses among the parts that are there: it is not disturbed. */
  async #putPart(bucket: Bucket, upload: Upload, part: UploadedPart): Promise<void> {
    const { uploadId } = upload;
    const isPut = await this.deps.locks.run(`upload/${uploadId}`, () =>
      bucket.state.uploads.putPart(upload, part, this.deps.clock.nowMs()),
    );
    if (!isPut) throw noSuchUpload(uploadId);
  }

  async #find(bucket: Bucket, key: ObjectKey, uploadId: string): Promise<OpenUpload> {
    const upload = await bucket.state.uploads.find(key, uploadId);
    if (!upload) throw noSuchUpload(uploadId);
    return upload;
  }

  async #chooseParts(bucket: Bucket, upload: Upload, wanted: readonly CompletePart[]): Promise<ListedPart[]> {
    if (wanted.length === 0 && !isLocalKey(bucket.rules, upload.key)) {
      throw new ObjectError('invalid-argument', 'CompleteMultipartUpload needs at least one part');
    }
    const { uploads } = bucket.state;
    const chosen: ListedPart[] = [];
    for (const [i, part] of wanted.entries()) {
      const row = await uploads.part(upload.uploadId, part.partNumber);
      const { extents: _, ...rest } = chosenPart(upload, wanted, i, row);
      chosen.push(rest);
    }
    checkPartSizes(chosen);
    return chosen;
  }

  async *#extentsOf(
    uploads: UploadStore,
    uploadId: string,
    chosen: readonly ListedPart[],
  ): AsyncGenerator<Extent> {
    const all = async function* () {
      for (const part of chosen) {
        const row = await uploads.part(uploadId, part.partNumber);
        if (!row || row.etag !== part.etag) {
          throw new ObjectError(
            'conflict',
            `part ${part.partNumber} was replaced while the upload was completed`,
          );
        }
        yield* row.extents;
      }
    };
    yield* meltExtents(all());
  }

  async #repeatedComplete(
    uploads: UploadStore,
    key: ObjectKey,
    uploadId: string,
    request: CompleteRequest,
  ): Promise<Completed> {
    const done = await uploads.completed(uploadId);
    // AWS CompleteMultipartUpload is idempotent for the same parts.
    if (done && done.key === key && done.partsDigest === digestOf(request.parts)) {
      const { checksum, etag } = done;
      return { etag, appended: false, isRepeated: true, ...(checksum ? { checksum } : {}) };
    }
    throw noSuchUpload(uploadId);
  }
}

export function noSuchUpload(uploadId: string): ObjectError {
  return new ObjectError(
    'no-such-upload',
    'the specified upload does not exist: it may have been completed, aborted, or expired',
    { fields: { uploadId } },
  );
}

/** An upload as a listing shows it. */
export function uploadInfo(row: Upload): UploadInfo {
  return {
    key: row.key,
    uploadId: row.uploadId,
    initiatedMs: row.initiatedMs,
    ...(row.meta.storageClass ? { storageClass: row.meta.storageClass } : {}),
    ...(row.checksumAlgorithm ? { checksumAlgorithm: row.checksumAlgorithm } : {}),
    ...(row.checksumType ? { checksumType: row.checksumType } : {}),
  };
}

function digestOf(parts: readonly CompletePart[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.partNumber}:${part.etag};`);
  return hash.digest('hex');
}

function tooLarge(what: string, maxBytes: number): never {
  throw new ObjectError('entity-too-large', `${what} may have at most ${maxBytes} bytes`, {
    fields: { maxSizeAllowed: maxBytes },
  });
}

/**
 * What a part says of its object. The registry's driver sends parts of one size, a number of MiB, and the last
 * one with the rest in it, when the client has sent all and waits. A first part that fills a chunk is nearly always
 * followed by others: five layers at once begin with forty MiB of such parts, and whole they are half a minute of a slow
 * line in one or two bodies. An object of just that size is one chunk all the same (normalise), and over a slow line its
 * bytes cross twice.
 */
function partHints(
  partNumber: number,
  lengthBytes: number | undefined,
  chunkSizeBytes: number,
): Pick<IngestOptions, 'isLarge' | 'isTail'> {
  if (lengthBytes === undefined) return { isLarge: partNumber > 1 };
  return {
    isLarge: partNumber > 1 || lengthBytes >= chunkSizeBytes,
    isTail: lengthBytes % MIB !== 0,
  };
}
