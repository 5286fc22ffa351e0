// AWS API reference: HeadBucket. "returns a 200 OK if the bucket exists and you have permission to access it … 404 Not
// Found, 403 Forbidden … A message body is not included."
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WireClient } from '../../support/s3-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const READER = { access_key_id: 'AKREADER', secret_access_key: 'reader-secret-0123456789' };

describe('HeadBucket', () => {
  let bucket: S3Bucket;
  beforeAll(async () => {
    bucket = await startS3Bucket({ accessKeys: [{ ...READER, buckets: { files: 'read' } }] });
  });
  afterAll(() => bucket.close());

  test.each([
    ['/files', 'writer', 200],
    ['/files/', 'writer', 200],
    ['/files', 'reader', 200],
    ['/nowhere', 'writer', 404],
    ['/registry', 'reader', 403],
    // Who may not see a bucket does not learn whether it is there.
    ['/nowhere', 'reader', 403],
  ])('HEAD %s as %s is %d without a body', async (path, who, status) => {
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = READER;
    const { target } = bucket.wire;
    const client =
      who === 'writer' ? bucket.wire : new WireClient({ ...target, accessKeyId, secretAccessKey });
    const answer = await client.send({ method: 'HEAD', path });
    expect([answer.status, answer.body.length]).toEqual([status, 0]);
    if (status === 200) expect(answer.headers['x-amz-bucket-region']).toBe('us-east-1');
    expect(answer.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
  });
});
