// AWS API reference: DeleteObjectTagging. "Removes the entire tag set from the specified object"; 204.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('DeleteObjectTagging', () => {
  let bucket: S3Bucket;
  const remove = (path: string, query: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'DELETE', path, query: { tagging: '', ...query } });
  const head = async (path: string) => (await bucket.wire.send({ method: 'HEAD', path })).headers;
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test('takes all tags away, and leaves the object as it is', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket: 'files', Key: 'k', Body: 'x', Tagging: 'a=1&b=2' }));
    const before = await head('/files/k');
    const answer = await remove('/files/k');
    expect([answer.status, answer.body.length]).toEqual([204, 0]);
    const after = await head('/files/k');
    expect([before['x-amz-tagging-count'], after['x-amz-tagging-count']]).toEqual(['2', undefined]);
    expect([after.etag, after['last-modified']]).toEqual([before.etag, before['last-modified']]);
    expect((await bucket.wire.send({ method: 'GET', path: '/files/k' })).text).toBe('x');
  });

  test('is no error where there are no tags', async () => {
    expect((await remove('/files/k')).status).toBe(204);
  });

  test('never takes the object itself: a missing key is NoSuchKey, another version NoSuchVersion', async () => {
    const missing = await remove('/files/none');
    expect([missing.status, missing.xml('Code')]).toEqual([404, 'NoSuchKey']);
    const version = await remove('/files/k', { versionId: 'abc' });
    expect([version.status, version.xml('Code')]).toEqual([404, 'NoSuchVersion']);
    expect((await bucket.listing()).map((o) => o.key)).toEqual(['k']);
  });
});
