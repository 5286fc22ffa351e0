// AWS API reference: GetBucketLocation. "Buckets in Region us-east-1 have a LocationConstraint of null."
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WireClient } from '../../support/s3-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('GetBucketLocation', () => {
  let bucket: S3Bucket;
  const query = { location: '' };
  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { region: 'cn-north-1' } });
  });
  afterAll(() => bucket.close());

  test('names the region that requests are to be signed for', async () => {
    const wire = new WireClient({ ...bucket.wire.target, region: 'cn-north-1' });
    const answer = await wire.send({ method: 'GET', path: '/files', query });
    expect([answer.status, answer.xml('LocationConstraint')]).toEqual([200, 'cn-north-1']);
    const missing = await wire.send({ method: 'GET', path: '/nowhere', query });
    expect([missing.status, missing.xml('Code'), missing.xml('BucketName')]).toEqual([
      404,
      'NoSuchBucket',
      'nowhere',
    ]);
  });

  test('a client of another region learns the right one from the error, and HeadBucket tells it', async () => {
    const wrong = await bucket.wire.send({ method: 'GET', path: '/files', query });
    expect([wrong.status, wrong.xml('Code'), wrong.xml('Region')]).toEqual([
      400,
      'AuthorizationHeaderMalformed',
      'cn-north-1',
    ]);
  });
});
