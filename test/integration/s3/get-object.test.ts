// AWS API reference: GetObject; RFC 9110 §13 (conditions), §14 (ranges), §15.4.5 (304), §15.5.17 (416).
// That HEAD has the same headers is shown in head-object.test.ts.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const BODY = bytesOf(17 * MIB + 3, 'get');

describe('GetObject', () => {
  let bucket: S3Bucket;
  let etag: string;
  let smallEtag: string;
  let smallModified: string;
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
    await bucket.s3.send(
      new PutObjectCommand({ Bucket: 'files', Key: 'small', Body: '0123456789', CacheControl: 'no-cache' }),
    );
    await new Upload({
      client: bucket.s3,
      partSize: 6 * MIB,
      params: { Bucket: 'files', Key: 'parts', Body: BODY },
    }).done();
    etag = (await head()).headers.etag!;
    const small = await head({}, {}, '/files/small');
    smallEtag = small.headers.etag!;
    smallModified = small.headers['last-modified']!;
  });
  afterAll(() => bucket.close());

  test.each([
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

  test.each([
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
    expect([answer.xml('RangeRequested'), answer.xml('ActualObjectSize')]).toEqual([range, String(size)]);
  });

  test.each(['bytes=5-2', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,4-5'])(
    'RFC 9110 §14.2: the range %s is ignored',
    async (range) => {
      const answer = await get({ range }, {}, '/files/small');
      expect([answer.status, answer.text]).toEqual([200, '0123456789']);
    },
  );

  test.each([
    ['If-Match with the ETag', () => ({ 'if-match': smallEtag }), 200],
    ['If-Match with *', () => ({ 'if-match': '*' }), 200],
    ['If-Match with another', () => ({ 'if-match': '"x"' }), 412],
    ['If-None-Match with the ETag', () => ({ 'if-none-match': smallEtag }), 304],
    ['If-None-Match with the weak ETag', () => ({ 'if-none-match': `"x", W/${smallEtag}` }), 304],
    ['If-None-Match with another', () => ({ 'if-none-match': '"x"' }), 200],
    ['If-Modified-Since its time', () => ({ 'if-modified-since': smallModified }), 304],
    ['If-Modified-Since long ago', () => ({ 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }), 200],
    ['If-Unmodified-Since its time', () => ({ 'if-unmodified-since': smallModified }), 200],
    ['If-Unmodified-Since long ago', () => ({ 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }), 412],
    [
      'If-Match true wins over If-Unmodified-Since false',
      () => ({ 'if-match': smallEtag, 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }),
      200,
    ],
    [
      'If-None-Match false wins over If-Modified-Since true',
      () => ({ 'if-none-match': smallEtag, 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }),
      304,
    ],
  ])('%s', async (_name, headers, status) => {
    const got = await get(headers(), {}, '/files/small');
    expect(got.status).toBe(status);
    if (status === 304) expect([got.headers.etag, got.body.length]).toEqual([smallEtag, 0]);
    if (status === 412) expect(got.xml('Code')).toBe('PreconditionFailed');
  });

  test.each([
    ['its ETag', () => smallEtag, 206],
    ['its time', () => smallModified, 206],
    ['another ETag', () => '"x"', 200],
    ['its ETag as a weak one', () => `W/${smallEtag}`, 200],
    ['an earlier time', () => 'Sat, 01 Jan 2000 00:00:00 GMT', 200],
    // RFC 9110 §13.1.5: the date must be that of the representation, not a later one.
    ['a later time', () => 'Fri, 01 Jan 2100 00:00:00 GMT', 200],
  ])('If-Range with %s', async (_name, ifRange, status) => {
    const answer = await get({ range: 'bytes=0-3', 'if-range': ifRange() }, {}, '/files/small');
    expect([answer.status, answer.text]).toEqual([status, status === 206 ? '0123' : '0123456789']);
    // A range beyond the end is one of another object, and so no error.
    const beyond = await get({ range: 'bytes=10-', 'if-range': ifRange() }, {}, '/files/small');
    expect(beyond.status).toBe(status === 206 ? 416 : 200);
  });

  test('a 304 says of caching what the 200 would have said', async () => {
    const { status, headers, body } = await get({ 'if-none-match': smallEtag }, {}, '/files/small');
    expect([status, headers['cache-control'], headers.etag, headers['last-modified']]).toEqual([
      304,
      'no-cache',
      smallEtag,
      smallModified,
    ]);
    expect([body.length, headers['content-length'], headers['content-type']]).toEqual([
      0,
      undefined,
      undefined,
    ]);
  });

  test('response-* overrides the headers of that answer', async () => {
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
    const empty = await get(
      {},
      { 'response-content-type': '', 'response-cache-control': '' },
      '/files/small',
    );
    expect([empty.headers['content-type'], empty.headers['cache-control']]).toEqual([
      'application/octet-stream',
      'no-cache',
    ]);
  });

  test('partNumber gives one part, and how many there are', async () => {
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
    expect([missing.xml('PartNumberRequested'), missing.xml('ActualPartCount')]).toEqual(['4', '3']);
  });

  test('an object that was not put in parts is its own part 1', async () => {
    const answer = await get({}, { partNumber: '1' }, '/files/small');
    expect([answer.status, answer.headers['content-range'], answer.headers['x-amz-mp-parts-count']]).toEqual([
      206,
      'bytes 0-9/10',
      undefined,
    ]);
    // RFC 9110 §15.3.7: a 206 has a Content-Range, and of no bytes there is none.
    const empty = await get({}, { partNumber: '1' }, '/files/empty');
    expect([empty.status, empty.headers['content-length'], empty.headers['content-range']]).toEqual([
      200,
      '0',
      undefined,
    ]);
  });

  test.each([
    ['0', 'InvalidArgument'],
    ['10001', 'InvalidArgument'],
    ['one', 'InvalidArgument'],
  ])('partNumber %s is %s: "must be an integer between 1 and 10000, inclusive"', async (partNumber, code) => {
    const answer = await get({}, { partNumber }, '/files/parts');
    expect([
      answer.status,
      answer.xml('Code'),
      answer.xml('ArgumentName'),
      answer.xml('ArgumentValue'),
    ]).toEqual([400, code, 'partNumber', partNumber]);
  });

  test('"Cannot specify both Range header and partNumber query parameter"', async () => {
    const answer = await get({ range: 'bytes=0-1' }, { partNumber: '1' }, '/files/parts');
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidRequest']);
  });

  test('there is one version, null', async () => {
    expect((await get({}, { versionId: 'null' }, '/files/small')).text).toBe('0123456789');
    const other = await get({}, { versionId: 'abc' }, '/files/small');
    expect([other.status, other.xml('Code'), other.xml('Key'), other.xml('VersionId')]).toEqual([
      404,
      'NoSuchVersion',
      'small',
      'abc',
    ]);
  });

  test('a missing key is NoSuchKey in GET, and 404 without a body in HEAD', async () => {
    const [got, headed] = [await get({}, {}, '/files/none'), await head({}, {}, '/files/none')];
    expect([got.status, got.xml('Code'), got.xml('Key'), got.xml('BucketName')]).toEqual([
      404,
      'NoSuchKey',
      'none',
      undefined,
    ]);
    expect([headed.status, headed.body.length]).toEqual([404, 0]);
  });

  test('reads the same with an empty cache, from Gitee, and a range needs the chunks of the range only', async () => {
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
  });
});
