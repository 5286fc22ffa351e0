// AWS: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;

describe('presigned links', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const Key = 'by link/中文 +%2F';
  const BODY = bytesOf(6 * MIB, 'link');
  beforeAll(async () => {
    bucket = await startS3Bucket();
  }, 60_000);
  afterAll(() => bucket.close());

  it('PUT, GET, HEAD and DELETE by links alone', async () => {
    const put = await getSignedUrl(bucket.s3, new PutObjectCommand({ Bucket, Key, ContentType: 'text/x' }), {
      expiresIn: 60,
    });
    expect(
      (await fetch(put, { method: 'PUT', body: BODY, headers: { 'content-type': 'text/x' } })).status,
    ).toBe(200);
    const get = await getSignedUrl(
      bucket.s3,
      new GetObjectCommand({ Bucket, Key, ResponseContentDisposition: 'attachment; filename="文.bin"' }),
    );
    const answer = await fetch(get);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/x']);
    expect(Buffer.from(await answer.arrayBuffer()).equals(BODY)).toBe(true);
    const range = await fetch(get, { headers: { range: 'bytes=3-5' } });
    expect([range.status, Buffer.from(await range.arrayBuffer())]).toEqual([206, BODY.subarray(3, 6)]);
    const head = await getSignedUrl(bucket.s3, new HeadObjectCommand({ Bucket, Key }));
    expect((await fetch(head, { method: 'HEAD' })).headers.get('content-length')).toBe(String(BODY.length));
    const remove = await getSignedUrl(bucket.s3, new DeleteObjectCommand({ Bucket, Key }));
    expect((await fetch(remove, { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(get)).status).toBe(404);
  });

  it('a list and a part too', async () => {
    const created = await bucket.wire.send({ method: 'POST', path: '/files/parts', query: { uploads: '' } });
    const UploadId = created.xml('UploadId')!;
    const part = await getSignedUrl(
      bucket.s3,
      new UploadPartCommand({ Bucket, Key: 'parts', UploadId, PartNumber: 1 }),
    );
    expect((await fetch(part, { method: 'PUT', body: 'part' })).status).toBe(200);
    const parts = await bucket.wire.presign({
      method: 'GET',
      path: '/files/parts',
      query: { uploadId: UploadId },
    });
    expect((await bucket.wire.raw('GET', parts)).xml('PartNumber')).toBe('1');
    const list = await bucket.wire.presign({ method: 'GET', path: '/files', query: { 'list-type': '2' } });
    expect((await bucket.wire.raw('GET', list)).xml('KeyCount')).toBe('0');
  });

  it('a signed header must come as it was signed', async () => {
    const link = await bucket.wire.presign({
      method: 'PUT',
      path: '/files/signed-header',
      headers: { 'content-type': 'text/plain', 'x-amz-meta-a': '1' },
    });
    const right = { 'content-type': 'text/plain', 'x-amz-meta-a': '1' };
    const wrong = await bucket.wire.raw('PUT', link, { ...right, 'x-amz-meta-a': '2' }, 'x');
    expect([wrong.status, wrong.xml('Code')]).toEqual([403, 'SignatureDoesNotMatch']);
    expect((await bucket.wire.raw('PUT', link, right, 'x')).status).toBe(200);
    const { headers } = await bucket.wire.send({ method: 'HEAD', path: '/files/signed-header' });
    expect([headers['content-type'], headers['x-amz-meta-a']]).toEqual(['text/plain', '1']);
  });

  it('a link holds over a restart until it expires', async () => {
    const get = await bucket.wire.presign({ method: 'GET', path: '/files/signed-header' }, 60);
    await bucket.stack.gateway.restart();
    expect((await bucket.wire.raw('GET', get)).text).toBe('x');
  }, 60_000);
});
