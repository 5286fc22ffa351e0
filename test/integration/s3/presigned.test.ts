// AWS: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { ANSWER_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;

describe('presigned links', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const Key = 'by link/中文 +%2F';
  const BODY = bytesOf(6 * MIB, 'link');
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test('PUT, GET, HEAD and DELETE by links alone', async () => {
    const put = await getSignedUrl(bucket.s3, new PutObjectCommand({ Bucket, Key, ContentType: 'text/x' }), {
      expiresIn: 60,
    });
    expect(
      (await fetch(put, { method: 'PUT', body: BODY, headers: { 'content-type': 'text/x' } })).status,
    ).toBe(200);
    const get = await getSignedUrl(
      bucket.s3,
      new GetObjectCommand({
        Bucket,
        Key,
        ResponseContentDisposition: "attachment; filename*=UTF-8''%E6%96%87.bin",
      }),
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

  test('a list and a part too', async () => {
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

  test('a signed header must come as it was signed', async () => {
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

  test('POST too: a multipart upload is begun, completed and listed by links alone', async () => {
    const path = '/files/by-post';
    const send = async (method: string, query: Record<string, string>, body?: string) =>
      bucket.wire.raw(method, await bucket.wire.presign({ method, path, query }), {}, body);
    const uploadId = (await send('POST', { uploads: '' })).xml('UploadId')!;
    const { headers } = await send('PUT', { uploadId, partNumber: '1' }, 'by link');
    const list = `<Part><PartNumber>1</PartNumber><ETag>${headers.etag!}</ETag></Part>`;
    const body = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
    const done = await send('POST', { uploadId }, body);
    expect([done.status, done.xml('Location')]).toEqual([200, `${bucket.wire.target.endpoint}${path}`]);
    expect((await send('GET', {})).text).toBe('by link');
  });

  test('"X-Amz-Expires: the minimum value is 1, and the maximum is 604800 (seven days)"', async () => {
    const get = { method: 'GET', path: '/files/by-post' } as const;
    // By a clock that is ahead, within what is allowed: a second from now is over before a busy machine has asked.
    const ahead = { ...get, now: new Date(Date.now() + ANSWER_LIMIT_MS) };
    for (const expires of [1, 604_800])
      expect((await bucket.wire.raw('GET', await bucket.wire.presign(ahead, expires))).status).toBe(200);
    for (const expires of ['0', '-1', '604801', 'week', '']) {
      const link = (await bucket.wire.presign(get)).replace(/X-Amz-Expires=\d+/, `X-Amz-Expires=${expires}`);
      const answer = await bucket.wire.raw('GET', link);
      expect([expires, answer.status, answer.xml('Code')]).toEqual([
        expires,
        400,
        'AuthorizationQueryParametersError',
      ]);
    }
  });

  test('a link is good from its date, with 15 minutes for clocks, to its end', async () => {
    const at = (minutes: number, expires: number) =>
      bucket.wire.presign(
        { method: 'GET', path: '/files/by-post', now: new Date(Date.now() + minutes * 60_000) },
        expires,
      );
    const early = await bucket.wire.raw('GET', await at(16, 3600));
    expect([early.status, early.xml('Code'), early.xml('Message')]).toEqual([
      403,
      'AccessDenied',
      'Request is not valid yet',
    ]);
    expect((await bucket.wire.raw('GET', await at(14, 3600))).status).toBe(200);
    // A link of yesterday is no skew: it holds as long as it says.
    expect((await bucket.wire.raw('GET', await at(-24 * 60, 25 * 3600))).status).toBe(200);
    const late = await bucket.wire.raw('GET', await at(-24 * 60, 3600));
    expect([late.status, late.xml('Code'), late.xml('Message'), late.xml('X-Amz-Expires')]).toEqual([
      403,
      'AccessDenied',
      'Request has expired',
      '3600',
    ]);
    expect(late.xml('Expires')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(late.xml('ServerTime')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test('headers that an SDK hoists into the query count as headers', async () => {
    const put = await getSignedUrl(
      bucket.s3,
      new PutObjectCommand({
        Bucket,
        Key: 'hoisted',
        Metadata: { colour: '蓝' },
        StorageClass: 'STANDARD_IA',
        Tagging: 'a=1',
      }),
    );
    // The SDK's default: the CRC32 of an empty body, since it signs without one. S3 does not check it either.
    const hoisted = new URL(put).searchParams;
    expect([hoisted.get('x-amz-checksum-crc32'), hoisted.get('x-amz-sdk-checksum-algorithm')]).toEqual([
      'AAAAAA==',
      'CRC32',
    ]);
    expect((await fetch(put, { method: 'PUT', body: 'not empty' })).status).toBe(200);
    const { headers } = await bucket.wire.send({ method: 'HEAD', path: '/files/hoisted' });
    expect([
      Buffer.from(headers['x-amz-meta-colour'] as string, 'latin1').toString(),
      headers['x-amz-storage-class'],
      headers['x-amz-tagging-count'],
      headers['content-length'],
    ]).toEqual(['蓝', 'STANDARD_IA', '1', '9']);
  });

  test('a presigned CopyObject copies, and does not put an empty object', async () => {
    const copy = await getSignedUrl(
      bucket.s3,
      new CopyObjectCommand({ Bucket, Key: 'copied', CopySource: 'files/hoisted' }),
    );
    expect(copy).toContain('x-amz-copy-source=');
    const answer = await fetch(copy, { method: 'PUT' });
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('<CopyObjectResult')]);
    expect((await bucket.wire.send({ method: 'GET', path: '/files/copied' })).text).toBe('not empty');
  });

  test('a checksum that is sent as a header with the link is checked', async () => {
    const wrong = { 'x-amz-checksum-crc32': 'AAAAAA==' };
    const link = await bucket.wire.presign({ method: 'PUT', path: '/files/summed', headers: wrong });
    const answer = await bucket.wire.raw('PUT', link, wrong, 'not empty');
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'BadDigest']);
  });

  test('a header that is not signed cannot be added to a link', async () => {
    const link = await bucket.wire.presign({ method: 'PUT', path: '/files/added' });
    const answer = await bucket.wire.raw('PUT', link, { 'x-amz-meta-a': '1' }, 'x');
    expect([answer.status, answer.xml('Code'), answer.xml('HeadersNotSigned')]).toEqual([
      403,
      'AccessDenied',
      'x-amz-meta-a',
    ]);
  });

  test('response-* is part of what is signed: it cannot be added, changed or taken away', async () => {
    const query = { 'response-content-type': 'text/plain' };
    const signed = await bucket.wire.presign({ method: 'GET', path: '/files/hoisted', query });
    const answer = await bucket.wire.raw('GET', signed);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/plain']);
    const plain = await bucket.wire.presign({ method: 'GET', path: '/files/hoisted' });
    for (const link of [
      `${plain}&response-content-type=text%2Fhtml`,
      signed.replace('text%2Fplain', 'text%2Fhtml'),
      signed.replace(/response-content-type=[^&]*&?/, ''),
    ])
      expect((await bucket.wire.raw('GET', link)).xml('Code')).toBe('SignatureDoesNotMatch');
  });

  test('a session token is refused, and not repeated', async () => {
    const link = await bucket.wire.presign({
      method: 'GET',
      path: '/files/hoisted',
      query: { 'X-Amz-Security-Token': 'a-token-of-somebody' },
    });
    const answer = await bucket.wire.raw('GET', link);
    expect([answer.status, answer.xml('Code'), answer.text.includes('a-token-of-somebody')]).toEqual([
      400,
      'InvalidToken',
      false,
    ]);
  });

  test('a link holds over a restart until it expires', async () => {
    const get = await bucket.wire.presign({ method: 'GET', path: '/files/signed-header' }, 60);
    await bucket.stack.gateway.restart();
    expect((await bucket.wire.raw('GET', get)).text).toBe('x');
  });
});
