/** Flexible checksums: x-amz-checksum-*, x-amz-sdk-checksum-algorithm, x-amz-trailer. AWS: "Checking object integrity". */
import type { ChecksumAlgorithm, StoredChecksum } from '../objects/api.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { element, type Xml } from './xml/write.js';

/** Length of the value in bytes, before base64. */
const LENGTH_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
  XXHASH64: 8,
  XXHASH3: 8,
  XXHASH128: 16,
};

export const CHECKSUM_ALGORITHMS = Object.keys(LENGTH_BYTES) as ChecksumAlgorithm[];

/** Header of a checksum, lower case. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** Headers that tell how a body travels, and what is promised of it. */
export const BODY_HEADERS: readonly string[] = [
  'x-amz-decoded-content-length',
  'x-amz-trailer',
  'x-amz-sdk-checksum-algorithm',
  ...CHECKSUM_ALGORITHMS.map(checksumHeader),
];

/** Element of a checksum in S3's documents, as ChecksumCRC32. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

/** @throws S3Error InvalidRequest where no such algorithm exists. */
export function readAlgorithm(text: string | undefined): ChecksumAlgorithm | undefined {
  if (text === undefined) return undefined;
  const algorithm = CHECKSUM_ALGORITHMS.find((a) => a === text.toUpperCase());
  if (!algorithm) throw new S3Error('InvalidRequest', `Checksum algorithm ${text} is not valid.`);
  return algorithm;
}

/** Headers that name the checksum that an object is to have. */
export const CHECKSUM_NAMES: readonly string[] = ['x-amz-checksum-algorithm', 'x-amz-checksum-type'];

/** @throws S3Error InvalidRequest */
export function readChecksumType(text: string | undefined): StoredChecksum['type'] | undefined {
  if (text === undefined || text === 'FULL_OBJECT' || text === 'COMPOSITE') return text;
  throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
}

/** True for base64 of the right number of bytes. */
export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  return isBase64Of(value, LENGTH_BYTES[algorithm]);
}

function isBase64Of(value: string, lengthBytes: number): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === lengthBytes && bytes.toString('base64') === value;
}

/** Checksum of a body that a request announces. */
export interface AnnouncedChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** undefined: it stands in the trailer, or is only to be computed. */
  readonly value?: string;
  readonly isInTrailer?: boolean;
}

/** The one checksum given in a header, checked for form. @throws S3Error InvalidRequest */
export function checksumInHeaders(
  headers: RequestHeaders,
  kind: 'of-bytes' | 'of-parts' = 'of-bytes',
): { algorithm: ChecksumAlgorithm; value: string } | undefined {
  const given = CHECKSUM_ALGORITHMS.filter((a) => headers.has(checksumHeader(a)));
  const algorithm = given[0];
  if (!algorithm) return undefined;
  if (given.length > 1) throw severalChecksums();
  const value = headers.get(checksumHeader(algorithm))!;
  // A composite one may say of how many parts it is.
  const bare = kind === 'of-parts' ? value.replace(/-\d{1,5}$/, '') : value;
  if (!isChecksumValue(algorithm, bare))
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  return { algorithm, value };
}

/**
 * @param hasTrailer the payload mode is one with trailers
 * @throws S3Error InvalidRequest where what is announced does not fit together; MalformedTrailerError for a trailer
 *   that the payload mode has no place for.
 */
export function announcedChecksum(
  headers: RequestHeaders,
  hasTrailer: boolean,
): AnnouncedChecksum | undefined {
  const inHeader = checksumInHeaders(headers);
  const inTrailer = announcedTrailer(headers, hasTrailer);
  const named = readAlgorithm(headers.get('x-amz-sdk-checksum-algorithm'));
  const asked = readAlgorithm(headers.get('x-amz-checksum-algorithm'));
  if (inTrailer && inHeader) throw severalChecksums();
  const given = inHeader ?? (inTrailer && { algorithm: inTrailer, isInTrailer: true });
  if (named && !given)
    throw new S3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  for (const [algorithm, header] of [
    [named, 'x-amz-sdk-checksum-algorithm'],
    [asked, 'x-amz-checksum-algorithm'],
  ] as const)
    if (algorithm && given && algorithm !== given.algorithm)
      throw new S3Error('InvalidRequest', `Value for ${header} header is invalid.`);
  return given ?? (asked && { algorithm: asked });
}

/** The checksum that x-amz-trailer announces. AWS takes commas after it, and nothing else beside it. */
function announcedTrailer(headers: RequestHeaders, hasTrailer: boolean): ChecksumAlgorithm | undefined {
  const name = headers.get('x-amz-trailer')?.trim().toLowerCase().replace(/,+$/, '');
  if (name === undefined || name === '') return undefined;
  const algorithm = CHECKSUM_ALGORITHMS.find((a) => checksumHeader(a) === name);
  if (!algorithm)
    throw new S3Error('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
  if (!hasTrailer) throw new S3Error('MalformedTrailerError');
  return algorithm;
}

const severalChecksums = (): S3Error =>
  new S3Error(
    'InvalidRequest',
    'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
  );

/** Bytes of Content-MD5. @throws S3Error InvalidDigest */
export function contentMd5(headers: RequestHeaders): Uint8Array | undefined {
  const value = headers.get('content-md5');
  if (value === undefined) return undefined;
  if (!isBase64Of(value, 16))
    throw new S3Error('InvalidDigest', undefined, { fields: { 'Content-MD5': value } });
  return Buffer.from(value, 'base64');
}

/** Elements that tell the checksum of an object. */
export function checksumElements(checksum: StoredChecksum | undefined): Xml[] {
  if (!checksum) return [];
  return [
    element(checksumElement(checksum.algorithm), checksum.value),
    element('ChecksumType', checksum.type),
  ];
}

/** Headers that tell a checksum. */
export function checksumHeaders(checksum: StoredChecksum | undefined): Record<string, string> {
  if (!checksum) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}
