/** Multipart uploads of one bucket in memory, for MemoryObjects; the rules are those of src/objects. */
import { createHash } from 'node:crypto';
import type { ObjectKey } from '../../src/format/ids.js';
import { isLocalKey, type LayoutRules } from '../../src/format/tree-layout.js';
import {
  nameOfUpload,
  newUploadId,
  type OpenUpload,
  type UploadedPart,
} from '../../src/journal/upload-store.js';
import type {
  CompleteRequest,
  ObjectRecord,
  ObjectsApi,
  PutResult,
  StoredChecksum,
} from '../../src/objects/api.js';
import { ObjectError } from '../../src/objects/errors.js';
import { multipartEtag } from '../../src/objects/etag.js';
import { compareKeys, keyBytes } from '../../src/objects/key-order.js';
import {
  defaultChecksumType,
  multipartChecksum,
  partChecksumsOf,
} from '../../src/objects/multipart-checksum.js';
import { noSuchUpload, uploadInfo } from '../../src/objects/multipart.js';
import { checkPartSizes, checkPromises, chosenPart } from '../../src/objects/upload-promises.js';

interface NewPart {
  readonly partNumber: number;
  readonly bytes: Buffer;
  readonly checksum?: StoredChecksum;
  /** Only Gitee has the bytes. */
  readonly isFar?: boolean | undefined;
}

type Part = Omit<UploadedPart, 'extents'> & NewPart;
type Joined = Pick<ObjectRecord, 'etag' | 'meta' | 'checksum' | 'partSizesBytes' | 'partChecksums'> & {
  readonly bytes: Buffer;
  readonly isFar: boolean;
};

/** Of these keys in order, those with `start <= key < end` in bytes, at most `limit`. */
export function rowsWithin<K extends string>(
  keys: readonly K[],
  start: string,
  end: Uint8Array | undefined,
  limit: number,
): K[] {
  const isWithin = (key: K) =>
    compareKeys(key, start) >= 0 && (!end || Buffer.compare(keyBytes(key), end) < 0);
  return keys.filter(isWithin).slice(0, limit);
}

class MemoryUpload {
  readonly #parts = new Map<number, Part>();

  constructor(readonly row: OpenUpload) {}

  put(part: NewPart, nowMs: number): PutResult {
    const etag = createHash('md5').update(part.bytes).digest('hex');
    const { bytes, checksum, partNumber } = part;
    this.#parts.set(partNumber, { ...part, etag, sizeBytes: bytes.length, lastModifiedMs: nowMs });
    return { etag, ...(checksum ? { checksum } : {}) };
  }

  list({ afterPartNumber, limit }: Parameters<ObjectsApi['listParts']>[3]) {
    const all = [...this.#parts.values()]
      .filter(({ partNumber }) => partNumber > afterPartNumber)
      .sort((a, b) => a.partNumber - b.partNumber)
      .map(({ bytes: _, isFar: _isFar, ...info }) => info);
    const truncated = limit > 0 && all.length > limit;
    return { upload: uploadInfo(this.row), parts: all.slice(0, limit), truncated };
  }

  /** The object that Complete makes of it. */
  joined(request: CompleteRequest, partMinBytes: number, rules: LayoutRules): Joined {
    const { parts: wanted } = request;
    if (wanted.length === 0 && !isLocalKey(rules, this.row.key))
      throw new ObjectError('invalid-argument', 'there must be at least one part');
    const parts = wanted.map(({ partNumber }, i) =>
      chosenPart(this.row, wanted, i, this.#parts.get(partNumber)),
    );
    checkPartSizes(parts, partMinBytes);
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    checkPromises(this.row, bytes.length, request);
    const checksum = multipartChecksum(this.row, parts, request.checksum);
    return {
      bytes,
      etag: multipartEtag(parts.map(({ etag }) => etag)),
      meta: this.row.meta,
      partSizesBytes: parts.map(({ sizeBytes }) => sizeBytes),
      ...(checksum ? { checksum } : {}),
      ...partChecksumsOf(checksum, parts),
      isFar: parts.some(({ isFar }) => isFar === true),
    };
  }
}

export class MemoryUploads {
  readonly #open = new Map<string, MemoryUpload>();
  readonly #completed = new Map<string, { key: string; parts: string; result: PutResult }>();
  /** Stands for the time in an id, so that ids are in the order of the calls. */
  #created = 0;

  create(key: ObjectKey, options: Parameters<ObjectsApi['createMultipartUpload']>[2], nowMs: number): string {
    const uploadId = newUploadId((this.#created += 1));
    const { checksumAlgorithm, checksumType, meta } = options;
    const row = { key, uploadId, initiatedMs: nowMs, touchedMs: nowMs, revision: 0, meta };
    const checksum = checksumAlgorithm && {
      checksumAlgorithm,
      checksumType: checksumType ?? defaultChecksumType(checksumAlgorithm),
    };
    this.#open.set(uploadId, new MemoryUpload({ ...row, ...checksum }));
    return uploadId;
  }

  /** @throws ObjectError no-such-upload */
  find(key: ObjectKey, uploadId: string): MemoryUpload {
    const upload = this.#open.get(uploadId);
    if (upload?.row.key !== key) throw noSuchUpload(uploadId);
    return upload;
  }

  abort(key: ObjectKey, uploadId: string): void {
    this.find(key, uploadId);
    this.#open.delete(uploadId);
  }

  complete(uploadId: string, { parts }: CompleteRequest, result: PutResult): PutResult {
    const { key } = this.#open.get(uploadId)!.row;
    this.#open.delete(uploadId);
    this.#completed.set(uploadId, { key, parts: JSON.stringify(parts), result });
    return result;
  }

  /** What an earlier try of the same has made. */
  completed(key: ObjectKey, uploadId: string, { parts }: CompleteRequest): PutResult | undefined {
    const done = this.#completed.get(uploadId);
    return done?.key === key && done.parts === JSON.stringify(parts) ? done.result : undefined;
  }

  /** As UploadStore.page. */
  async page(start: string, end: Uint8Array | undefined, limit: number): Promise<OpenUpload[]> {
    const rows = new Map([...this.#open.values()].map(({ row }) => [nameOfUpload(row), row]));
    return rowsWithin([...rows.keys()].sort(compareKeys), start, end, limit).map((name) => rows.get(name)!);
  }
}
