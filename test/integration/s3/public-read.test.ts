// AWS: "Bucket policy examples" (granting read-only permission to an anonymous user), with s3:ListBucket.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('a bucket with public_read', () => {
  let bucket: S3Bucket;
  let url: string;
  const code = async (answer: Response) => [answer.status, /<Code>(\w+)</.exec(await answer.text())?.[1]];
  beforeAll(async () => {
    bucket = await startS3Bucket({
      config: {
        buckets: [
          { name: 'files', repository: 'acme/files', public_read: true },
          { name: 'registry', repository: 'acme/images', preset: 'registry' },
        ],
      },
    });
    url = `${bucket.stack.gateway.endpoint}/files`;
    for (const Key of ['a/中 文.txt', 'b'])
      await bucket.s3.send(
        new PutObjectCommand({ Bucket: 'files', Key, Body: `of ${Key}`, ContentType: 'text/plain' }),
      );
  });
  afterAll(() => bucket.close());

  test('GetObject and HeadObject need no signature, ranges included', async () => {
    const whole = await fetch(`${url}/a/${encodeURIComponent('中 文.txt')}`);
    expect([whole.status, whole.headers.get('content-type'), await whole.text()]).toEqual([
      200,
      'text/plain',
      'of a/中 文.txt',
    ]);
    const part = await fetch(`${url}/b`, { headers: { range: 'bytes=-1' } });
    expect([part.status, await part.text()]).toEqual([206, 'b']);
    expect((await fetch(`${url}/b`, { method: 'HEAD' })).headers.get('content-length')).toBe('4');
  });

  test('ListObjects and ListObjectsV2 need none, page by page', async () => {
    const first = await (await fetch(`${url}?list-type=2&max-keys=1`)).text();
    const token = /<NextContinuationToken>([^<]+)</.exec(first)![1]!;
    const second = await (await fetch(`${url}?list-type=2&continuation-token=${token}`)).text();
    expect([first, second].map((t) => /<Key>([^<]+)</.exec(t)?.[1])).toEqual(['a/中 文.txt', 'b']);
    expect(await (await fetch(`${url}?prefix=b`)).text()).toContain('<Key>b</Key>');
  });

  test('HeadBucket and GetBucketLocation need none', async () => {
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    expect((await fetch(`${url}?location`)).status).toBe(200);
  });

  test('PutObject, DeleteObject, uploads and their list are AccessDenied, and nothing changes', async () => {
    expect(await code(await fetch(`${url}/b`, { method: 'PUT', body: 'x' }))).toEqual([403, 'AccessDenied']);
    expect(await code(await fetch(`${url}/b`, { method: 'DELETE' }))).toEqual([403, 'AccessDenied']);
    expect(await code(await fetch(`${url}/b?uploads`, { method: 'POST' }))).toEqual([403, 'AccessDenied']);
    expect(await code(await fetch(`${url}?uploads`))).toEqual([403, 'AccessDenied']);
    expect((await bucket.listing()).map((o) => o.key)).toEqual(['a/中 文.txt', 'b']);
  });

  test('response-* without a signature is InvalidRequest', async () => {
    expect(await code(await fetch(`${url}/b?response-content-type=text/html`))).toEqual([
      400,
      'InvalidRequest',
    ]);
  });

  test('a wrong signature is refused, although nobody would have had to sign', async () => {
    const link = await bucket.wire.presign({ method: 'GET', path: '/files/b' });
    const wrong = link.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    expect(await code(await fetch(bucket.stack.gateway.endpoint + wrong))).toEqual([
      403,
      'SignatureDoesNotMatch',
    ]);
  });

  test('the bucket beside it stays private', async () => {
    expect(await code(await fetch(`${bucket.stack.gateway.endpoint}/registry?list-type=2`))).toEqual([
      403,
      'AccessDenied',
    ]);
  });
});
