// AWS API reference: GetObject, HeadObject; RFC 9110 §13 (conditions) and §14 (ranges).
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { S3Answer } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const BODY = bytesOf(17 * MIB + 3, 'get');

describe('GetObject and HeadObject', () => {
  let bucket: S3Bucket;
  let etag: string;
  let modified: string;
  const get = (
    headers: Record<string, string> = {},
    query: Record<string, string> = {},
    path = '/files/big',
  ) => bucket.wire.send({ method: 'GET', path, headers, query });
  const head = (
    headers: Record<string, string> = {},
    query: Record<string, string> = {},
    path = '/files/big',
  ) => bucket.wire.send({ method: 'HEAD', path, headers, query });

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '500ms' } } });
    await bucket.s3.send(
      new PutObjectCommand({
        Bucket: 'files',
        Key: 'big',
        Body: BODY,
        ContentType: 'text/plain',
        CacheControl: 'no-cache',
        Metadata: { a: 'b' },
      }),
    );
    await bucket.s3.send(new PutObjectCommand({ Bucket: 'files', Key: 'empty', Body: Buffer.alloc(0) }));
    await new Upload({
      client: bucket.s3,
      partSize: 6 * MIB,
      params: { Bucket: 'files', Key: 'parts', Body: BODY },
    }).done();
    const answer = await head();
    etag = answer.headers.etag!;
    modified = answer.headers['last-modified']!;
  }, 60_000);
  afterAll(() => bucket.close());

  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=5-9', 5, 9],
    [`bytes=${8 * MIB - 2}-${8 * MIB + 1}`, 8 * MIB - 2, 8 * MIB + 1],
    [`bytes=${BODY.length - 5}-`, BODY.length - 5, BODY.length - 1],
    ['bytes=-7', BODY.length - 7, BODY.length - 1],
    [`bytes=-${BODY.length + 10}`, 0, BODY.length - 1],
    [`bytes=${MIB}-${100 * MIB}`, MIB, BODY.length - 1],
  ])('the range %s has these bytes, of a plain put and of parts', async (range, first, last) => {
    for (const path of ['/files/big', '/files/parts']) {
      const answer = await get({ range }, {}, path);
      expect([answer.status, answer.headers['content-range'], answer.headers['content-length']]).toEqual([
        206,
        `bytes ${first}-${last}/${BODY.length}`,
        String(last - first + 1),
      ]);
      expect(answer.body.equals(BODY.subarray(first, last + 1))).toBe(true);
    }
  });

  it.each([
    [`bytes=${BODY.length}-`, '/files/big', BODY.length],
    ['bytes=-0', '/files/big', BODY.length],
    ['bytes=0-0', '/files/empty', 0],
  ])('the range %s of %s is InvalidRange', async (range, path, size) => {
    const answer = await get({ range }, {}, path);
    expect([answer.status, answer.xml('Code'), answer.headers['content-range']]).toEqual([
      416,
      'InvalidRange',
      `bytes */${size}`,
    ]);
  });

  it.each(['bytes=5-2', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,4-5'])(
    'RFC 9110 §14.2: the range %s is ignored',
    async (range) => {
      const answer = await get({ range });
      expect([answer.status, answer.body.length]).toEqual([200, BODY.length]);
    },
  );

  it.each([
    ['If-Match with the ETag', () => ({ 'if-match': etag }), 200],
    ['If-Match with *', () => ({ 'if-match': '*' }), 200],
    ['If-Match with another', () => ({ 'if-match': '"x"' }), 412],
    ['If-None-Match with the ETag', () => ({ 'if-none-match': etag }), 304],
    ['If-None-Match with the weak ETag', () => ({ 'if-none-match': `"x", W/${etag}` }), 304],
    ['If-None-Match with another', () => ({ 'if-none-match': '"x"' }), 200],
    ['If-Modified-Since its time', () => ({ 'if-modified-since': modified }), 304],
    ['If-Modified-Since long ago', () => ({ 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }), 200],
    ['If-Unmodified-Since its time', () => ({ 'if-unmodified-since': modified }), 200],
    ['If-Unmodified-Since long ago', () => ({ 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }), 412],
    [
      'If-Match true wins over If-Unmodified-Since false',
      () => ({ 'if-match': etag, 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }),
      200,
    ],
    [
      'If-None-Match false wins over If-Modified-Since true',
      () => ({ 'if-none-match': etag, 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }),
      304,
    ],
  ])('%s', async (_name, headers, status) => {
    const [got, headed] = [await get(headers()), await head(headers())];
    expect([got.status, headed.status]).toEqual([status, status]);
    if (status === 304) expect([got.headers.etag, got.body.length]).toEqual([etag, 0]);
    if (status === 412) expect(got.xml('Code')).toBe('PreconditionFailed');
  });

  it('If-Range gives the range only of the same object', async () => {
    expect((await get({ range: 'bytes=0-3', 'if-range': etag })).status).toBe(206);
    expect((await get({ range: 'bytes=0-3', 'if-range': '"x"' })).status).toBe(200);
  });

  it('response-* overrides the headers of that answer', async () => {
    const answer = await get(
      {},
      {
        'response-content-type': 'image/png',
        'response-content-disposition': 'attachment; filename="x.png"',
        'response-cache-control': 'no-store',
        'response-content-language': 'de',
        'response-content-encoding': 'identity',
        'response-expires': 'Thu, 01 Dec 2033 16:00:00 GMT',
      },
    );
    expect(answer.headers).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': 'attachment; filename="x.png"',
      'cache-control': 'no-store',
      'content-language': 'de',
      'content-encoding': 'identity',
      expires: 'Thu, 01 Dec 2033 16:00:00 GMT',
    });
    expect((await head()).headers['content-type']).toBe('text/plain');
  });

  it('partNumber gives one part, and how many there are', async () => {
    for (const [partNumber, first, last] of [
      [1, 0, 6 * MIB - 1],
      [2, 6 * MIB, 12 * MIB - 1],
      [3, 12 * MIB, BODY.length - 1],
    ] as const) {
      const answer = await get({}, { partNumber: String(partNumber) }, '/files/parts');
      expect([
        answer.status,
        answer.headers['content-range'],
        answer.headers['x-amz-mp-parts-count'],
      ]).toEqual([206, `bytes ${first}-${last}/${BODY.length}`, '3']);
      expect(answer.body.equals(BODY.subarray(first, last + 1))).toBe(true);
    }
    const missing = await get({}, { partNumber: '4' }, '/files/parts');
    expect([missing.status, missing.xml('Code')]).toEqual([416, 'InvalidPartNumber']);
  });

  it.each([
    ['a whole object', {}, {}, '/files/big'],
    ['an empty one', {}, {}, '/files/empty'],
    ['a range', { range: 'bytes=1-2' }, {}, '/files/big'],
    ['a part', {}, { partNumber: '2' }, '/files/parts'],
    ['an override', {}, { 'response-content-type': 'a/b' }, '/files/big'],
    ['its checksum', { 'x-amz-checksum-mode': 'ENABLED' }, {}, '/files/parts'],
    ['versionId=null', {}, { versionId: 'null' }, '/files/big'],
  ])('HEAD has the headers of GET for %s', async (_name, headers, query, path) => {
    const [got, headed] = [await get(headers, query, path), await head(headers, query, path)];
    expect(headed.body.length).toBe(0);
    expect([headed.status, comparable(headed)]).toEqual([got.status, comparable(got)]);
  });

  it('a missing key is NoSuchKey in GET, and 404 without a body in HEAD', async () => {
    const [got, headed] = [await get({}, {}, '/files/none'), await head({}, {}, '/files/none')];
    expect([got.status, got.xml('Code'), got.xml('Key'), got.xml('BucketName')]).toEqual([
      404,
      'NoSuchKey',
      'none',
      undefined,
    ]);
    expect([headed.status, headed.body.length]).toEqual([404, 0]);
  });

  it('reads the same with an empty cache, from Gitee, and a range needs the chunks of the range only', async () => {
    const { gateway, gitee } = bucket.stack;
    await bucket.landed();
    await gateway.stop();
    await rm(path.join(gateway.stateDirectory, 'chunks'), { recursive: true });
    await gateway.start();
    const downloads = async () => (await gitee.stats()).repositories['acme/files']!.downloads;
    const before = await downloads();
    const range = await get({ range: `bytes=${BODY.length - 2}-` });
    expect(range.body.equals(BODY.subarray(-2))).toBe(true);
    expect((await downloads()) - before).toBe(1);
    const whole = await get();
    expect([whole.headers.etag, whole.body.equals(BODY)]).toEqual([etag, true]);
    expect((await downloads()) - before).toBe(3);
  }, 60_000);
});

/** Headers but those that every answer has of its own. */
function comparable(answer: S3Answer): unknown {
  const { date: _, 'x-amz-request-id': _id, 'x-amz-id-2': _id2, ...rest } = answer.headers;
  return rest;
}
