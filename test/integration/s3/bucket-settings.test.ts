// AWS API reference, one operation after the other: what a GET of a bucket's setting answers for a bucket that has
// none. One file for all of them, since each is one answer; the name of the operation stands with its case.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const DOCUMENTS: readonly (readonly [operation: string, query: string, root: string, content: RegExp])[] = [
  ['GetBucketVersioning', 'versioning', 'VersioningConfiguration', /^$/],
  ['GetBucketAcl', 'acl', 'AccessControlPolicy', /<Permission>FULL_CONTROL<\/Permission>/],
  ['GetBucketLogging', 'logging', 'BucketLoggingStatus', /^$/],
  ['GetBucketNotificationConfiguration', 'notification', 'NotificationConfiguration', /^$/],
  ['GetBucketAccelerateConfiguration', 'accelerate', 'AccelerateConfiguration', /^$/],
  [
    'GetBucketRequestPayment',
    'requestPayment',
    'RequestPaymentConfiguration',
    /^<Payer>BucketOwner<\/Payer>$/,
  ],
];

const ABSENT: readonly (readonly [operation: string, query: string, code: string])[] = [
  ['GetBucketPolicy', 'policy', 'NoSuchBucketPolicy'],
  ['GetBucketPolicyStatus', 'policyStatus', 'NoSuchBucketPolicy'],
  ['GetBucketCors', 'cors', 'NoSuchCORSConfiguration'],
  ['GetBucketLifecycleConfiguration', 'lifecycle', 'NoSuchLifecycleConfiguration'],
  ['GetBucketTagging', 'tagging', 'NoSuchTagSet'],
  ['GetObjectLockConfiguration', 'object-lock', 'ObjectLockConfigurationNotFoundError'],
  ['GetBucketEncryption', 'encryption', 'ServerSideEncryptionConfigurationNotFoundError'],
  ['GetBucketWebsite', 'website', 'NoSuchWebsiteConfiguration'],
  ['GetBucketReplication', 'replication', 'ReplicationConfigurationNotFoundError'],
  ['GetBucketOwnershipControls', 'ownershipControls', 'OwnershipControlsNotFoundError'],
  ['GetPublicAccessBlock', 'publicAccessBlock', 'NoSuchPublicAccessBlockConfiguration'],
];

describe('settings of a bucket', () => {
  let bucket: S3Bucket;
  const ask = (query: string, path = '/files', method = 'GET') =>
    bucket.wire.send({ method, path, query: { [query]: '' } });
  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.wire.send({ method: 'PUT', path: '/files/object', body: 'x' });
  });
  afterAll(() => bucket.close());

  test.each(DOCUMENTS)('%s (?%s) is an empty or fixed %s', async (_operation, query, root, content) => {
    const answer = await ask(query);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/xml']);
    expect(answer.xml(root)).toMatch(content);
    expect(answer.text).toContain(`<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`);
  });

  test.each(ABSENT)('%s (?%s) is 404 %s, and names the bucket', async (_operation, query, code) => {
    const answer = await ask(query);
    expect([answer.status, answer.xml('Code'), answer.xml('BucketName')]).toEqual([404, code, 'files']);
  });

  test.each([...DOCUMENTS, ...ABSENT].map(([operation, query]) => [operation, query]))(
    '%s of a bucket that is not there is NoSuchBucket',
    async (_operation, query) => {
      const answer = await ask(query, '/nowhere');
      expect([answer.status, answer.xml('Code')]).toEqual([404, 'NoSuchBucket']);
    },
  );

  test('GetObjectAcl: the owner has full control; a missing key is NoSuchKey', async () => {
    const answer = await ask('acl', '/files/object');
    expect([answer.status, answer.xml('Permission')]).toEqual([200, 'FULL_CONTROL']);
    const missing = await ask('acl', '/files/none');
    expect([missing.status, missing.xml('Code')]).toEqual([404, 'NoSuchKey']);
  });

  test.each(['acl', 'policy', 'versioning', 'lifecycle', 'website', 'replication'])(
    'a setting cannot be changed: PUT ?%s is 501, and never a PutObject or CreateBucket',
    async (query) => {
      const answer = await ask(query, '/files', 'PUT');
      expect([answer.status, answer.xml('Code')]).toEqual([501, 'NotImplemented']);
    },
  );
});
