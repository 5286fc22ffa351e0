// AWS API reference: PutObject, HeadObject; user guide: "Working with object metadata".
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { bytesOf, md5Hex, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12345\n`;

describe('PutObject', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test.each([
    ['nothing', 0],
    ['one byte', 1],
    ['the inline limit', 64 * 1024],
    ['a byte over the inline limit', 64 * 1024 + 1],
    ['one chunk', 8 * MIB],
    ['a byte over one chunk', 8 * MIB + 1],
    ['20 MiB', 20 * MIB],
  ])('keeps %s, and its ETag is the MD5', async (_name, sizeBytes) => {
    const Body = bytesOf(sizeBytes, `size ${sizeBytes}`);
    const put = await bucket.s3.send(new PutObjectCommand({ Bucket, Key: `size/${sizeBytes}`, Body }));
    expect(put.ETag).toBe(`"${md5Hex(Body)}"`);
    const got = await bucket.wire.send({ method: 'GET', path: `/files/size/${sizeBytes}` });
    expect([got.status, got.headers.etag, got.headers['content-length']]).toEqual([
      200,
      put.ETag,
      String(sizeBytes),
    ]);
    expect(got.body.equals(Body)).toBe(true);
  });

  test('keeps and returns every header that belongs to an object', async () => {
    const headers = {
      ContentType: 'text/html; charset=utf-8',
      ContentEncoding: 'gzip',
      ContentDisposition: 'attachment; filename="a b.html"',
      ContentLanguage: 'zh-CN',
      CacheControl: 'max-age=60, must-revalidate',
      StorageClass: 'STANDARD_IA',
      Metadata: { colour: 'blue', 'with-dash': 'a  b' },
    } as const;
    const Expires = new Date('2030-01-02T03:04:05Z');
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'headers', Body: 'x', Expires, ...headers }));
    for (const Command of [HeadObjectCommand, GetObjectCommand]) {
      const answer = await bucket.s3.send(new Command({ Bucket, Key: 'headers' }));
      expect(answer).toMatchObject(headers);
      expect(answer.ExpiresString).toBe('Wed, 02 Jan 2030 03:04:05 GMT');
    }
  });

  test('has S3 defaults where the client says nothing', async () => {
    await bucket.wire.send({ method: 'PUT', path: '/files/plain', body: 'x' });
    const { headers } = await bucket.wire.send({ method: 'HEAD', path: '/files/plain' });
    expect(headers['content-type']).toBe('binary/octet-stream');
    expect(headers['accept-ranges']).toBe('bytes');
    expect(Object.keys(headers).filter((n) => /^x-amz-(meta|storage|tagging|checksum)/.test(n))).toEqual([]);
  });

  test.each([
    ['aws-chunked', undefined],
    ['aws-chunked,gzip', 'gzip'],
    ['gzip, aws-chunked', 'gzip'],
    ['br', 'br'],
  ])('"aws-chunked … is not stored": Content-Encoding %s comes back as %s', async (encoding, kept) => {
    const path = '/files/encoded';
    const put = await bucket.wire.send({
      method: 'PUT',
      path,
      body: 'x',
      headers: { 'content-encoding': encoding },
    });
    expect(put.status).toBe(200);
    expect((await bucket.wire.send({ method: 'HEAD', path })).headers['content-encoding']).toBe(kept);
  });

  test('"user-defined metadata is limited to 2 KB", names and values together', async () => {
    const path = '/files/metadata';
    const put = (sizeBytes: number) =>
      bucket.wire.send({
        method: 'PUT',
        path,
        body: 'x',
        headers: { 'x-amz-meta-name': 'v'.repeat(sizeBytes - 'name'.length) },
      });
    expect((await put(2048)).status).toBe(200);
    const over = await put(2049);
    expect([over.status, over.xml('Code'), over.xml('Size'), over.xml('MaxSizeAllowed')]).toEqual([
      400,
      'MetadataTooLarge',
      '2049',
      '2048',
    ]);
  });

  test('"metadata names are lower-cased, and values of one name are joined"', async () => {
    const path = '/files/names';
    const link = await bucket.wire.signedHeaders({
      method: 'PUT',
      path,
      body: 'x',
      headers: { 'X-Amz-Meta-Upper': 'Kept As It Is' },
    });
    expect((await bucket.wire.raw('PUT', path, link, 'x')).status).toBe(200);
    const { rawHeaders } = await bucket.wire.send({ method: 'HEAD', path });
    expect(rawHeaders).toEqual(expect.arrayContaining(['x-amz-meta-upper', 'Kept As It Is']));
  });

  test.each([
    ['x-amz-website-redirect-location', '/elsewhere'],
    ['x-amz-object-lock-mode', 'GOVERNANCE'],
    ['x-amz-server-side-encryption', 'aws:kms'],
    ['x-amz-server-side-encryption-customer-algorithm', 'AES256'],
    ['x-amz-write-offset-bytes', '0'],
  ])('%s is refused and named, never ignored', async (name, value) => {
    const path = '/files/refused';
    const answer = await bucket.wire.send({ method: 'PUT', path, body: 'x', headers: { [name]: value } });
    expect([answer.status, answer.xml('Code'), answer.xml('Header')]).toEqual([501, 'NotImplemented', name]);
    expect((await bucket.wire.send({ method: 'HEAD', path })).status).toBe(404);
  });

  test('replaces an object whole, its headers too', async () => {
    const Key = 'replaced';
    await bucket.s3.send(
      new PutObjectCommand({ Bucket, Key, Body: bytesOf(100_000), Metadata: { a: '1' }, CacheControl: 'x' }),
    );
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'new' }));
    const answer = await bucket.s3.send(new GetObjectCommand({ Bucket, Key }));
    expect([await answer.Body!.transformToString(), answer.Metadata, answer.CacheControl]).toEqual([
      'new',
      {},
      undefined,
    ]);
  });

  test('Last-Modified is the time of the write, the same in GET, HEAD and list', async () => {
    const startMs = Math.floor(Date.now() / 1000) * 1000;
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'time', Body: 'x' }));
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key: 'time' }));
    const listed = (await bucket.listing('time'))[0]!;
    expect(head.LastModified!.getTime()).toBeGreaterThanOrEqual(startMs);
    expect(head.LastModified!.getTime()).toBeLessThanOrEqual(Date.now());
    expect(Math.floor(Date.parse(listed.lastModified) / 1000) * 1000).toBe(head.LastModified!.getTime());
    expect(listed.etag).toBe(head.ETag);
  });

  test('returns bytes that are a Git LFS pointer as they are', async () => {
    await bucket.wire.send({ method: 'PUT', path: '/files/pointer', body: POINTER });
    expect((await bucket.wire.send({ method: 'GET', path: '/files/pointer' })).text).toBe(POINTER);
  });

  test.each([
    ' a  b ',
    'a+b',
    'a%2Fb',
    'a%252Fb',
    '//double//slash//',
    '/leading',
    'trailing/',
    '.',
    '..',
    'a/./b',
    'a/../b',
    '中文/文件.txt',
    `quotes'"\`<>&`,
    'back\\slash',
    'new\nline\ttab\u0001',
    '.git/config',
    'GIT~1/x',
    '.gitattributes',
    '.gateway/format.json',
    'name%chunks/000000',
    'name%object',
    '🐳/emoji',
    'x'.repeat(1024),
    `${'好'.repeat(341)}a`,
    'a/'.repeat(512),
  ])('keeps the key %j apart from all others', async (key) => {
    const path = `/files/${key.split('/').map(encodeStrictly).join('/')}`;
    expect((await bucket.wire.send({ method: 'PUT', path, body: key })).status).toBe(200);
    const got = await bucket.wire.send({ method: 'GET', path });
    expect([got.status, got.text]).toEqual([200, key]);
    const list = await bucket.wire.send({
      method: 'GET',
      path: '/files',
      query: { 'list-type': '2', 'encoding-type': 'url', prefix: key },
    });
    expect(list.xmlAll('Key').map(decodeURIComponent)).toContain(key);
  });

  test('a file and a directory of one name are two objects', async () => {
    for (const key of ['both', 'both/inside', 'both/', 'both%object'])
      await bucket.s3.send(new PutObjectCommand({ Bucket, Key: key, Body: `I am ${key}` }));
    for (const key of ['both', 'both/inside', 'both/', 'both%object']) {
      const answer = await bucket.s3.send(new GetObjectCommand({ Bucket, Key: key }));
      expect(await answer.Body!.transformToString()).toBe(`I am ${key}`);
    }
  });
});

function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
