/**
 * The only place that knows both vocabularies: errors of the objects layer on one side, S3 codes on the other.
 */
import { ObjectError, type ObjectErrorCode } from '../objects/errors.js';
import { S3Error, type S3ErrorCode } from './errors.js';
import { headerOfText } from './headers.js';

/** Retry-After is in whole seconds (RFC 9110 §10.2.3), at least one. */
const retryAfter = (error: ObjectError, fallbackMs: number): Record<string, string> => ({
  'Retry-After': String(Math.max(1, Math.ceil((error.retryAfterMs ?? fallbackMs) / 1000))),
});

interface Target {
  readonly code: S3ErrorCode;
  /** Headers that the answer carries. */
  readonly headers?: Record<string, string>;
  /** The objects layer's sentence is for the client, not only for the log. */
  readonly tellsMessage?: boolean;
}

/** Exhaustive: a new ObjectErrorCode does not compile until it stands here. */
function targetOf(error: ObjectError): Target {
  const code: ObjectErrorCode = error.code;
  switch (code) {
    case 'no-such-bucket':
      return { code: 'NoSuchBucket' };
    case 'no-such-key':
      return { code: 'NoSuchKey' };
    case 'no-such-upload':
      return { code: 'NoSuchUpload' };
    case 'invalid-part':
      return { code: 'InvalidPart' };
    case 'invalid-part-order':
      return { code: 'InvalidPartOrder' };
    case 'part-too-small':
      return { code: 'EntityTooSmall' };
    case 'entity-too-large':
      return { code: 'EntityTooLarge' };
    case 'key-too-long':
      return { code: 'KeyTooLongError' };
    case 'invalid-range':
      if (error.fields['partNumber'] !== undefined) return { code: 'InvalidPartNumber' };
      return { code: 'InvalidRange', headers: contentRangeOfUnsatisfied(error) };
    case 'bad-digest':
      return { code: 'BadDigest' };
    case 'content-sha256-mismatch':
      return { code: 'XAmzContentSHA256Mismatch' };
    case 'checksum-mismatch':
      return { code: 'BadDigest', tellsMessage: true };
    case 'incomplete-body':
      return { code: 'IncompleteBody' };
    case 'precondition-failed':
      return { code: 'PreconditionFailed' };
    case 'not-modified':
      return { code: 'NotModified', headers: validatorsOf(error) };
    case 'conflict':
      return { code: 'ConditionalRequestConflict' };
    case 'invalid-request':
      return { code: 'InvalidRequest', tellsMessage: true };
    case 'invalid-argument':
      return { code: 'InvalidArgument', tellsMessage: true };
    case 'not-yet-remote':
      // No Retry-After: registry 2.7.1 would add it to each of its three retries, and docker would give up first.
      return { code: 'SlowDown', tellsMessage: true };
    case 'slow-down':
      return { code: 'SlowDown', headers: retryAfter(error, 1000), tellsMessage: true };
    case 'disk-full':
      return { code: 'SlowDown', headers: retryAfter(error, 5000), tellsMessage: true };
    case 'quota-full':
      return { code: 'QuotaExceeded', tellsMessage: true };
    case 'read-only':
    case 'unavailable':
    case 'remote-unavailable':
    case 'remote-down':
    case 'aborted':
      return { code: 'ServiceUnavailable', headers: retryAfter(error, 1000), tellsMessage: true };
    case 'corrupt':
    case 'internal':
      return { code: 'InternalError' };
    case 'bucket-already-exists':
      return { code: 'BucketAlreadyExists' };
    case 'bucket-not-empty':
      return { code: 'BucketNotEmpty' };
    case 'too-many-buckets':
      return { code: 'TooManyBuckets', tellsMessage: true };
    case 'forbidden':
      return { code: 'AccessDenied', tellsMessage: true };
    case 'not-implemented':
      return { code: 'NotImplemented', tellsMessage: true };
    default: {
      const missing: never = code;
      throw new Error(`no S3 code for ${String(missing)}`);
    }
  }
}

/** RFC 9110 §14.4: a 416 says how long the representation is. */
function contentRangeOfUnsatisfied(error: ObjectError): Record<string, string> {
  const size = error.fields['sizeBytes'];
  return size === undefined ? {} : { 'Content-Range': `bytes */${size}` };
}

const CACHING = [
  ['Cache-Control', 'cacheControl'],
  ['Expires', 'expires'],
] as const;

/** RFC 9110 §15.4.5: a 304 carries the validators that a 200 would have had, and what it would say of caching. */
function validatorsOf(error: ObjectError): Record<string, string> {
  const headers: Record<string, string> = {};
  const etag = error.fields['etag'];
  if (etag !== undefined) headers['ETag'] = `"${etag}"`;
  const modified = error.fields['lastModifiedMs'];
  if (typeof modified === 'number') headers['Last-Modified'] = new Date(modified).toUTCString();
  for (const [name, field] of CACHING) {
    const value = headerOfText(String(error.fields[field] ?? ''));
    if (value) headers[name] = value;
  }
  return headers;
}

/** Elements of S3's error documents that our fields can fill. */
const ELEMENTS: Readonly<Record<string, string>> = {
  bucket: 'BucketName',
  key: 'Key',
  uploadId: 'UploadId',
  partNumber: 'PartNumber',
  etag: 'ETag',
  sizeBytes: 'ProposedSize',
  minimumBytes: 'MinSizeAllowed',
  proposedSize: 'ProposedSize',
  maxSizeAllowed: 'MaxSizeAllowed',
  argumentName: 'ArgumentName',
  argumentValue: 'ArgumentValue',
  condition: 'Condition',
  expectedDigest: 'ExpectedDigest',
  calculatedDigest: 'CalculatedDigest',
  clientComputedContentSHA256: 'ClientComputedContentSHA256',
  s3ComputedContentSHA256: 'S3ComputedContentSHA256',
};

/** Fields that stand under another name in the document of one code. */
const ELEMENTS_BY_CODE: Readonly<Partial<Record<S3ErrorCode, Readonly<Record<string, string>>>>> = {
  InvalidRange: { sizeBytes: 'ActualObjectSize' },
  InvalidPartNumber: { partNumber: 'PartNumberRequested', partsCount: 'ActualPartCount' },
};

function elementsOf(error: ObjectError, code: S3ErrorCode): Record<string, string> {
  if (code === 'NotModified') return {};
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(error.fields)) {
    const element = ELEMENTS_BY_CODE[code]?.[name] ?? ELEMENTS[name];
    if (element !== undefined) fields[element] = String(value);
  }
  return fields;
}

/** Turns whatever was thrown into the S3 error to answer. Unknown errors say nothing of themselves to clients. */
export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (!(error instanceof ObjectError)) return new S3Error('InternalError', undefined, { cause: error });
  const target = targetOf(error);
  return new S3Error(target.code, target.tellsMessage === true ? error.message : undefined, {
    cause: error,
    headers: target.headers ?? {},
    fields: elementsOf(error, target.code),
  });
}
