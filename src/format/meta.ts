/**
 * `.gateway/meta/<escaped key>%meta`: what an object's bytes do not tell. It names the bytes that it describes and
 * counts only for those: after an edit by hand the old ETag must not stand beside new bytes.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { META_FILE_BYTES_MAX, OBJECT_BYTES_MAX, TIME_MS_MAX } from './bounds.js';
import { META_TEXT_NAMES, type MetaText, type ObjectMeta } from './object-meta.js';

/** Checksum algorithms of S3 (ChecksumAlgorithm of its model). */
const CHECKSUM_ALGORITHMS = [
  'CRC32',
  'CRC32C',
  'CRC64NVME',
  'SHA1',
  'SHA256',
  'SHA512',
  'MD5',
  'XXHASH64',
  'XXHASH3',
  'XXHASH128',
] as const;

export interface MetaChecksum {
  readonly algorithm: (typeof CHECKSUM_ALGORITHMS)[number];
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
  /** base64; composite ones with `-<parts>`. */
  readonly value: string;
}

/** With more chunks than this, a document holds a hash over the oids: its size must not follow the object's. */
const LISTED_OIDS_MAX = 1000;

/** Parts that a multipart upload may have (AWS: "Amazon S3 multipart upload limits"). */
const PARTS_MAX = 10_000;

/** The bytes that a document is about: a plain file by its git blob id, chunks by their oids in order. */
export interface DescribedBytes {
  readonly blobId?: string;
  readonly oids?: readonly string[];
  /** SHA-256 over the raw oids; what encodeMeta makes of a long list. Writers hand in `oids`. */
  readonly oidsSha256?: string;
  readonly sizeBytes: number;
}

export interface MetaDocument {
  /** Without quotes. */
  readonly etag: string;
  /** Milliseconds since 1970. */
  readonly lastModifiedMs: number;
  readonly meta: ObjectMeta;
  readonly checksum?: MetaChecksum;
  /** Sizes of the parts of a multipart upload. */
  readonly partSizesBytes?: readonly number[];
  /** Their checksums, where that of the object is composite: base64, as many as there are sizes. */
  readonly partChecksums?: readonly string[];
  readonly describes: DescribedBytes;
}

// Not z.record: it drops `__proto__`, which is a legal name of user metadata.
const stringMap = z.custom<Readonly<Record<string, string>>>(
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((v) => typeof v === 'string'),
);
const sizeBytes = z.int().min(0).max(OBJECT_BYTES_MAX);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().exactOptional();
const texts = Object.fromEntries(META_TEXT_NAMES.map((name) => [name, text])) as Record<
  MetaText,
  typeof text
>;

const document = z.object({
  // RFC 9110 §8.8.3, without what is not ASCII: it stands in a header and in documents as it is.
  etag: z.string().regex(/^[\x21\x23-\x7e]{1,256}$/),
  lastModifiedMs: z.int().min(0).max(TIME_MS_MAX),
  meta: z.object({
    ...texts,
    userMetadata: stringMap.exactOptional(),
    tags: stringMap.exactOptional(),
  }),
  checksum: z
    .object({
      algorithm: z.enum(CHECKSUM_ALGORITHMS),
      type: z.enum(['FULL_OBJECT', 'COMPOSITE']),
      value: z.string().regex(/^[A-Za-z0-9+/]{1,100}={0,2}(?:-\d{1,5})?$/),
    })
    .exactOptional(),
  partSizesBytes: z.array(sizeBytes).max(PARTS_MAX).exactOptional(),
  partChecksums: z
    .array(z.string().regex(/^[A-Za-z0-9+/]{1,100}={0,2}$/))
    .max(PARTS_MAX)
    .exactOptional(),
  describes: z.object({
    blobId: z
      .string()
      .regex(/^[0-9a-f]{40}$/)
      .exactOptional(),
    oids: z.array(sha256).exactOptional(),
    oidsSha256: sha256.exactOptional(),
    sizeBytes,
  }),
});

/** The file's bytes: the same for the same document, so that nothing is committed that changes nothing. */
export function encodeMeta(doc: MetaDocument): Uint8Array {
  const { meta, checksum } = doc;
  const { blobId, oids, oidsSha256, sizeBytes } = doc.describes;
  const listed = oids === undefined || oids.length <= LISTED_OIDS_MAX;
  // JSON.stringify leaves out what is undefined.
  const ordered = {
    etag: doc.etag,
    lastModifiedMs: doc.lastModifiedMs,
    meta: {
      ...Object.fromEntries(META_TEXT_NAMES.map((name) => [name, meta[name]])),
      userMetadata: sorted(meta.userMetadata),
      tags: sorted(meta.tags),
    },
    checksum: checksum && { algorithm: checksum.algorithm, type: checksum.type, value: checksum.value },
    partSizesBytes: doc.partSizesBytes,
    partChecksums: doc.partChecksums,
    describes: {
      blobId,
      ...(listed ? { oids, oidsSha256 } : { oidsSha256: hashOf(oids) }),
      sizeBytes,
    },
  };
  return Buffer.from(`${JSON.stringify(ordered, undefined, 1)}\n`);
}

/** Reads the file; undefined where it is damaged or out of bounds: the object is then as if it had none. */
export function decodeMeta(bytes: Uint8Array): MetaDocument | undefined {
  if (bytes.length > META_FILE_BYTES_MAX) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined; // somebody's edit; the bytes of the object are whole without it
  }
  const parsed = document.safeParse(json);
  if (!parsed.success) return undefined;
  const { partSizesBytes, partChecksums, describes } = parsed.data;
  // Parts that are not the object would answer ranges that it does not have.
  const isWhole = !partSizesBytes || sum(partSizesBytes) === describes.sizeBytes;
  const isPaired = !partChecksums || partChecksums.length === partSizesBytes?.length;
  return isWhole && isPaired ? parsed.data : undefined;
}

/** True where the document is about exactly these bytes (given with `oids` where they are chunks). */
export function describesBytes(doc: MetaDocument, bytes: DescribedBytes): boolean {
  const { blobId, oids, oidsSha256 } = doc.describes;
  if (doc.describes.sizeBytes !== bytes.sizeBytes) return false;
  if (blobId !== undefined) return blobId === bytes.blobId;
  if (bytes.oids === undefined) return false;
  if (oidsSha256 !== undefined) return oidsSha256 === hashOf(bytes.oids);
  return oids?.length === bytes.oids.length && oids.every((oid, i) => oid === bytes.oids?.[i]);
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

function hashOf(oids: readonly string[]): string {
  const hash = createHash('sha256');
  for (const oid of oids) hash.update(oid, 'hex');
  return hash.digest('hex');
}

function sorted(map: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined {
  return map && Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
