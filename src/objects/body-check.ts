import type { DigestName, Ingested } from '../chunks/api.js';
import type { StoredChecksum } from '../index/object-record.js';
import type { BodyPromise, ChecksumAlgorithm } from './api.js';
import { ObjectError } from './errors.js';

export const DIGEST_OF: Readonly<Record<ChecksumAlgorithm, DigestName>> = {
  CRC32: 'crc32',
  CRC32C: 'crc32c',
  CRC64NVME: 'crc64nvme',
  SHA1: 'sha1',
  SHA256: 'sha256',
  SHA512: 'sha512',
  MD5: 'md5',
  XXHASH64: 'xxhash64',
  XXHASH3: 'xxhash3',
  XXHASH128: 'xxhash128',
};

/** Digests that must be computed while the body streams by. */
export function digestsFor(promise: BodyPromise, needsMd5: boolean): DigestName[] {
  const names = new Set<DigestName>();
  if (needsMd5 || promise.md5) names.add('md5');
  if (promise.sha256Hex !== undefined) names.add('sha256');
  if (promise.checksumAlgorithm) names.add(DIGEST_OF[promise.checksumAlgorithm]);
  return [...names];
}

/**
 * Compares what arrived with what was promised, before anything is acknowledged.
 * @returns the checksum to keep with the object, if one was asked for.
 * @throws ObjectError incomplete-body, bad-digest, content-sha256-mismatch, checksum-mismatch.
 */
export function checkBody(ingested: Ingested, promise: BodyPromise): StoredChecksum | undefined {
  if (promise.lengthBytes !== undefined && ingested.sizeBytes !== promise.lengthBytes) {
    throw new ObjectError(
      'incomplete-body',
      `the body has ${ingested.sizeBytes} bytes, ${promise.lengthBytes} were announced`,
    );
  }
  const digest = (name: DigestName): Buffer => {
    const value = ingested.digests.get(name);
    if (!value) throw new ObjectError('internal', `digest ${name} was not computed`);
    return Buffer.from(value);
  };
  if (promise.md5 && !digest('md5').equals(promise.md5)) {
    throw new ObjectError('bad-digest', 'the Content-MD5 you specified did not match what we received', {
      fields: {
        expectedDigest: Buffer.from(promise.md5).toString('base64'),
        calculatedDigest: digest('md5').toString('base64'),
      },
    });
  }
  if (promise.sha256Hex !== undefined && digest('sha256').toString('hex') !== promise.sha256Hex) {
    throw new ObjectError(
      'content-sha256-mismatch',
      'the provided x-amz-content-sha256 header does not match what was computed',
      {
        fields: {
          clientComputedContentSHA256: promise.sha256Hex,
          s3ComputedContentSHA256: digest('sha256').toString('hex'),
        },
      },
    );
  }
  if (!promise.checksumAlgorithm) return undefined;
  const value = digest(DIGEST_OF[promise.checksumAlgorithm]).toString('base64');
  const promised = promise.checksumValue?.();
  if (promised !== undefined && promised !== value) {
    throw new ObjectError(
      'checksum-mismatch',
      `the ${promise.checksumAlgorithm} you specified did not match the calculated checksum`,
      { fields: { algorithm: promise.checksumAlgorithm } },
    );
  }
  return { algorithm: promise.checksumAlgorithm, type: 'FULL_OBJECT', value };
}
