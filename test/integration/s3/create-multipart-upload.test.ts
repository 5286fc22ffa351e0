// AWS API reference: CreateMultipartUpload; user guide: "Checking object integrity in Amazon S3".
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { MultipartClient } from '../../support/multipart-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const FIRST = bytesOf(5 * 1024 * 1024, 'first');

describe('CreateMultipartUpload', () => {
  let bucket: S3Bucket;
  let multipart: MultipartClient;
  const Bucket = 'files';
  beforeAll(async () => {
    bucket = await startS3Bucket();
    multipart = new MultipartClient(bucket);
  });
  afterAll(() => bucket.close());

  /** Exactly these headers, and no default of an SDK. */
  const create = (key: string, headers: Record<string, string>) =>
    bucket.wire.send({ method: 'POST', path: `/files/${key}`, query: { uploads: '' }, headers });

  test('answers bucket, key and a new upload id each time', async () => {
    const [one, two] = [await create('a%20b', {}), await create('a%20b', {})];
    expect([one.status, one.xml('Bucket'), one.xml('Key')]).toEqual([200, 'files', 'a b']);
    expect(one.xml('UploadId')).toMatch(/^\S{16,}$/);
    expect(one.xml('UploadId')).not.toBe(two.xml('UploadId'));
  });

  test('what it says of the object is kept until Complete, over a restart', async () => {
    const Key = 'kept';
    const id = await multipart.create(Key, {
      ContentType: 'a/b',
      ContentEncoding: 'gzip',
      ContentDisposition: 'attachment; filename="x"',
      ContentLanguage: 'zh-CN',
      CacheControl: 'no-store',
      Expires: new Date('2031-01-01T00:00:00Z'),
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue', empty: '' },
      Tagging: 'k=v&x=%2F',
      ChecksumAlgorithm: 'SHA256',
    });
    const first = await multipart.part(Key, id, 1, FIRST, { ChecksumAlgorithm: 'SHA256' });
    await bucket.stack.gateway.restart();
    const last = await multipart.part(Key, id, 2, 'last', { ChecksumAlgorithm: 'SHA256' });
    const done = await multipart.complete(Key, id, [first, last]);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    expect(head).toMatchObject({
      ETag: done.ETag,
      ContentType: 'a/b',
      ContentEncoding: 'gzip',
      ContentDisposition: 'attachment; filename="x"',
      ContentLanguage: 'zh-CN',
      CacheControl: 'no-store',
      ExpiresString: 'Wed, 01 Jan 2031 00:00:00 GMT',
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue', empty: '' },
      TagCount: 2,
      ChecksumSHA256: expect.stringMatching(/=-2$/),
      ChecksumType: 'COMPOSITE',
    });
    const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key }));
    expect(tags.TagSet).toEqual([
      { Key: 'k', Value: 'v' },
      { Key: 'x', Value: '/' },
    ]);
  });

  test.each([
    ['CRC32', 'COMPOSITE'],
    ['CRC32C', 'COMPOSITE'],
    ['SHA1', 'COMPOSITE'],
    ['SHA256', 'COMPOSITE'],
    ['CRC64NVME', 'FULL_OBJECT'],
  ])('%s is %s where no type is asked for, and listings say so', async (algorithm, type) => {
    const Key = `type-${algorithm}`;
    const answer = await create(Key, { 'x-amz-checksum-algorithm': algorithm });
    expect([answer.headers['x-amz-checksum-algorithm'], answer.headers['x-amz-checksum-type']]).toEqual([
      algorithm,
      type,
    ]);
    const UploadId = answer.xml('UploadId')!;
    const parts = await bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
    const uploads = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
    for (const said of [parts, uploads.Uploads![0]!])
      expect([said.ChecksumAlgorithm, said.ChecksumType]).toEqual([algorithm, type]);
  });

  test.each([
    [{ 'x-amz-checksum-algorithm': 'MD4' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-type': 'COMPOSITE' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'PARTIAL' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-algorithm': 'SHA1', 'x-amz-checksum-type': 'FULL_OBJECT' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-algorithm': 'CRC64NVME', 'x-amz-checksum-type': 'COMPOSITE' }, 400, 'InvalidRequest'],
    [{ 'x-amz-storage-class': 'PAPER' }, 400, 'InvalidStorageClass'],
    [{ 'x-amz-tagging': 'a=1&a=2' }, 400, 'InvalidTag'],
    [{ 'x-amz-meta-long': 'x'.repeat(2049) }, 400, 'MetadataTooLarge'],
    [{ 'x-amz-object-lock-mode': 'GOVERNANCE' }, 501, 'NotImplemented'],
    [{ 'x-amz-website-redirect-location': '/x' }, 501, 'NotImplemented'],
  ] as [Record<string, string>, number, string][])(
    'refuses %j at once: %d %s',
    async (headers, status, code) => {
      const answer = await create('refused', headers);
      expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
      const uploads = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'refused' }));
      expect(uploads.Uploads).toBeUndefined();
    },
  );

  test('is refused in a bucket that is not there', async () => {
    const answer = await bucket.wire.send({ method: 'POST', path: '/nothing/x', query: { uploads: '' } });
    expect([answer.status, answer.xml('Code')]).toEqual([404, 'NoSuchBucket']);
  });

  test('the SDK sees the same', async () => {
    const answer = await bucket.s3.send(
      new CreateMultipartUploadCommand({
        Bucket,
        Key: 'sdk',
        ChecksumAlgorithm: 'CRC32C',
        ChecksumType: 'FULL_OBJECT',
      }),
    );
    expect([answer.ChecksumAlgorithm, answer.ChecksumType]).toEqual(['CRC32C', 'FULL_OBJECT']);
  });
});
