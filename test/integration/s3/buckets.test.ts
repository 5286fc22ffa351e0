// AWS API reference: ListBuckets, HeadBucket, GetBucketLocation, and the settings of a bucket that has none.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WireClient } from '../../support/s3-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('buckets', () => {
  let bucket: S3Bucket;
  const reader = {
    access_key_id: 'AKREADER',
    secret_access_key: 'secret of the reader',
    buckets: { files: 'read' },
  };
  const get = (path: string, query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'GET', path, query });
  beforeAll(async () => {
    bucket = await startS3Bucket({ accessKeys: [reader] });
  });
  afterAll(() => bucket.close());

  test('ListBuckets names those of the configuration, with a time', async () => {
    const answer = await get('/');
    expect(answer.xmlAll('Name')).toEqual(['files', 'registry']);
    expect(answer.xml('CreationDate')).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test('ListBuckets shows a key only what it may read', async () => {
    const wire = new WireClient({
      ...bucket.wire.target,
      accessKeyId: reader.access_key_id,
      secretAccessKey: reader.secret_access_key,
    });
    expect((await wire.send({ method: 'GET', path: '/' })).xmlAll('Name')).toEqual(['files']);
    expect((await wire.send({ method: 'HEAD', path: '/registry' })).status).toBe(403);
  });

  test('HeadBucket is 200 with the region, 404 without a body where there is none', async () => {
    const there = await bucket.wire.send({ method: 'HEAD', path: '/files' });
    expect([there.status, there.headers['x-amz-bucket-region']]).toEqual([200, 'us-east-1']);
    const none = await bucket.wire.send({ method: 'HEAD', path: '/nothing' });
    expect([none.status, none.body.length]).toEqual([404, 0]);
  });

  test('CreateBucket is refused with the option to set, but for one that the key can use already', async () => {
    const refused = await bucket.wire.send({ method: 'PUT', path: '/new-one' });
    expect([refused.status, refused.xml('Code')]).toEqual([403, 'AccessDenied']);
    expect(refused.xml('Message')).toMatch(/create_buckets/);
    expect((await bucket.wire.send({ method: 'PUT', path: '/files' })).status).toBe(200);
    expect((await bucket.wire.send({ method: 'DELETE', path: '/files' })).status).toBe(403);
  });

  test('GetBucketLocation is empty for us-east-1', async () => {
    const answer = await get('/files', { location: '' });
    expect([
      answer.status,
      /<LocationConstraint[^>]*\/>|<LocationConstraint[^>]*><\/LocationConstraint>/.test(answer.text),
    ]).toEqual([200, true]);
  });

  test.each([
    ['versioning', 200, undefined],
    ['acl', 200, undefined],
    ['policyStatus', 404, 'NoSuchBucketPolicy'],
    ['policy', 404, 'NoSuchBucketPolicy'],
    ['cors', 404, 'NoSuchCORSConfiguration'],
    ['lifecycle', 404, 'NoSuchLifecycleConfiguration'],
    ['tagging', 404, 'NoSuchTagSet'],
    ['object-lock', 404, 'ObjectLockConfigurationNotFoundError'],
    ['encryption', 404, 'ServerSideEncryptionConfigurationNotFoundError'],
    ['logging', 200, undefined],
    ['website', 404, 'NoSuchWebsiteConfiguration'],
    ['replication', 404, 'ReplicationConfigurationNotFoundError'],
    ['notification', 200, undefined],
    ['requestPayment', 200, undefined],
  ])('GET ?%s is answered as for a bucket that has none', async (name, status, code) => {
    const answer = await get('/files', { [name]: '' });
    expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
  });
});
