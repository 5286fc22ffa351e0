import { describe, expect, test } from '@jest/globals';
import { ObjectError, type ObjectErrorCode } from '../../../src/objects/errors.js';
import { toS3Error } from '../../../src/s3/error-map.js';
import { S3Error, type S3ErrorCode } from '../../../src/s3/errors.js';

const EXPECTED: Record<ObjectErrorCode, readonly [S3ErrorCode, number]> = {
  'no-such-bucket': ['NoSuchBucket', 404],
  'no-such-key': ['NoSuchKey', 404],
  'no-such-upload': ['NoSuchUpload', 404],
  'invalid-part': ['InvalidPart', 400],
  'invalid-part-order': ['InvalidPartOrder', 400],
  'part-too-small': ['EntityTooSmall', 400],
  'entity-too-large': ['EntityTooLarge', 400],
  'key-too-long': ['KeyTooLongError', 400],
  'invalid-range': ['InvalidRange', 416],
  'bad-digest': ['BadDigest', 400],
  'content-sha256-mismatch': ['XAmzContentSHA256Mismatch', 400],
  'checksum-mismatch': ['BadDigest', 400],
  'incomplete-body': ['IncompleteBody', 400],
  'precondition-failed': ['PreconditionFailed', 412],
  'not-modified': ['NotModified', 304],
  conflict: ['ConditionalRequestConflict', 409],
  'invalid-argument': ['InvalidArgument', 400],
  'invalid-request': ['InvalidRequest', 400],
  'not-yet-remote': ['SlowDown', 503],
  'slow-down': ['SlowDown', 503],
  'disk-full': ['SlowDown', 503],
  'quota-full': ['QuotaExceeded', 403],
  'read-only': ['ServiceUnavailable', 503],
  unavailable: ['ServiceUnavailable', 503],
  'remote-unavailable': ['ServiceUnavailable', 503],
  'remote-down': ['ServiceUnavailable', 503],
  corrupt: ['InternalError', 500],
  'bucket-already-exists': ['BucketAlreadyExists', 409],
  'too-many-buckets': ['TooManyBuckets', 400],
  forbidden: ['AccessDenied', 403],
  'bucket-not-empty': ['BucketNotEmpty', 409],
  'not-implemented': ['NotImplemented', 501],
  aborted: ['ServiceUnavailable', 503],
  internal: ['InternalError', 500],
};

describe('translation of errors', () => {
  test.each(Object.entries(EXPECTED))('%s is %j', (code, [s3Code, status]) => {
    const error = toS3Error(new ObjectError(code as ObjectErrorCode, 'why'));
    expect([error.code, error.status]).toEqual([s3Code, status]);
  });

  test('gives every 503 but not-yet-remote a Retry-After of whole seconds, at least one', () => {
    for (const [code, [, status]] of Object.entries(EXPECTED)) {
      const { headers } = toS3Error(new ObjectError(code as ObjectErrorCode, 'why', { retryAfterMs: 10 }));
      expect(headers['Retry-After']).toBe(status === 503 && code !== 'not-yet-remote' ? '1' : undefined);
    }
  });

  test('tells nothing of an error that it does not know', () => {
    const error = toS3Error(new Error('ENOENT /var/lib/secret-place'));
    expect(error.code).toBe('InternalError');
    expect(error.message).not.toContain('secret-place');
  });

  test('leaves an S3 error as it is', () => {
    const error = new S3Error('AccessDenied');
    expect(toS3Error(error)).toBe(error);
  });
});
