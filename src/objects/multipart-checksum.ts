import { BodyDigests } from '../chunks/digests.js';
import type { StoredChecksum } from '../index/object-record.js';
import type { ChecksumAlgorithm } from './api.js';
import { DIGEST_OF } from './body-check.js';
import { combineCrc } from './crc-combine.js';
import { ObjectError } from './errors.js';

interface PartChecksum {
  readonly sizeBytes: number;
  readonly checksum?: StoredChecksum;
}

/** AWS: sums of parts that are no CRC can't be joined, CRC64NVME only exists for the whole object. */
export function defaultChecksumType(algorithm: ChecksumAlgorithm): StoredChecksum['type'] {
  return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
}

/**
 * The checksum of an object from those of its parts (AWS "Checking object integrity"): COMPOSITE is the
 * checksum of the parts' raw checksums and `-<parts>`; FULL_OBJECT joins CRCs without reading the bytes.
 * @returns undefined where none was asked for, or a copied part has none.
 * @throws ObjectError checksum-mismatch where the client's value for the whole differs.
 */
export function multipartChecksum(
  upload: { checksumAlgorithm?: ChecksumAlgorithm; checksumType?: 'FULL_OBJECT' | 'COMPOSITE' },
  parts: readonly PartChecksum[],
  promised: { algorithm: ChecksumAlgorithm; value: string } | undefined,
): StoredChecksum | undefined {
  const algorithm = upload.checksumAlgorithm;
  if (!algorithm || parts.length === 0) return undefined;
  const sums: { raw: Buffer; sizeBytes: number }[] = [];
  for (const part of parts) {
    if (part.checksum?.algorithm !== algorithm) return undefined;
    sums.push({ raw: Buffer.from(part.checksum.value, 'base64'), sizeBytes: part.sizeBytes });
  }
  const type = upload.checksumType ?? 'COMPOSITE';
  const value = type === 'FULL_OBJECT' ? fullObject(algorithm, sums) : composite(algorithm, sums);
  // A composite value may be named with or without the number of parts.
  if (
    promised?.algorithm === algorithm &&
    promised.value !== value &&
    promised.value !== value.replace(/-\d+$/, '')
  ) {
    throw new ObjectError(
      'checksum-mismatch',
      `the ${algorithm} you specified for the whole object does not match its parts`,
      { fields: { algorithm } },
    );
  }
  return { algorithm, type, value };
}

/** What is kept of an object's part checksums, so that records of many parts stay small: 1,489 of SHA-256. */
const PART_CHECKSUMS_CHARS_MAX = 64 * 1024;

/**
 * The checksums of the parts behind a composite one, for whoever asks for a part or for the parts.
 * @returns nothing where there is no composite checksum, or where they are too many to be kept.
 */
export function partChecksumsOf(
  whole: StoredChecksum | undefined,
  parts: readonly PartChecksum[],
): { partChecksums?: readonly string[] } {
  if (whole?.type !== 'COMPOSITE') return {};
  const values = parts.flatMap(({ checksum }) => (checksum ? [checksum.value] : []));
  const chars = values.reduce((sum, value) => sum + value.length, 0);
  return values.length === parts.length && chars <= PART_CHECKSUMS_CHARS_MAX ? { partChecksums: values } : {};
}

function composite(algorithm: ChecksumAlgorithm, sums: readonly { raw: Buffer }[]): string {
  const joined = Buffer.concat(sums.map((sum) => sum.raw));
  return `${hashOf(algorithm, joined).toString('base64')}-${sums.length}`;
}

function hashOf(algorithm: ChecksumAlgorithm, bytes: Buffer): Buffer {
  if (algorithm === 'CRC64NVME')
    throw new ObjectError('invalid-argument', 'CRC64NVME has no composite form: use FULL_OBJECT');
  const name = DIGEST_OF[algorithm];
  const digests = new BodyDigests([name]);
  digests.update(bytes);
  return Buffer.from(digests.finish().get(name)!);
}

/** AWS: only CRCs of parts can be joined. */
const isCrc = (algorithm: ChecksumAlgorithm) =>
  algorithm === 'CRC32' || algorithm === 'CRC32C' || algorithm === 'CRC64NVME';

function fullObject(
  algorithm: ChecksumAlgorithm,
  sums: readonly { raw: Buffer; sizeBytes: number }[],
): string {
  if (!isCrc(algorithm)) {
    throw new ObjectError('invalid-argument', `${algorithm} has no full-object form for multipart uploads`);
  }
  let total = sums[0]!.raw;
  for (const sum of sums.slice(1)) total = combineCrc(algorithm, total, sum.raw, sum.sizeBytes);
  return total.toString('base64');
}
