import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { SECRET_KEY, startTestApp, type TestApp } from '../../support/s3-app.js';

const crc32Base64 = (bytes: Buffer): string => {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(crc32(bytes) >>> 0);
  return word.toString('base64');
};

describe('aws-chunked uploads', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const chunks = [Buffer.alloc(70_000, 'a'), Buffer.from('the rest')];
  const whole = Buffer.concat(chunks);

  async function upload(
    key: string,
    mode: string,
    options: {
      signed?: boolean;
      trailer?: Record<string, string>;
      decodedLength?: number;
      damage?: (body: Buffer) => Buffer;
      headers?: Record<string, string>;
      lineEnd?: string;
      end?: string;
      announced?: string;
    },
  ) {
    const headers = await app.client.signedHeaders({
      method: 'PUT',
      path: `/images/${key}`,
      payloadHash: mode,
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': String(options.decodedLength ?? whole.length),
        ...(options.trailer
          ? { 'x-amz-trailer': options.announced ?? Object.keys(options.trailer).join(',') }
          : {}),
        ...options.headers,
      },
    });
    const signer = {
      secret: SECRET_KEY,
      region: 'us-east-1',
      timestamp: headers['x-amz-date']!,
      seed: /Signature=(\w+)/.exec(headers['authorization']!)![1]!,
    };
    const body = chunkedBody(chunks, {
      ...(options.signed ? { signer } : {}),
      ...(options.trailer ? { trailer: options.trailer } : {}),
      ...(options.lineEnd === undefined ? {} : { lineEnd: options.lineEnd }),
      ...(options.end === undefined ? {} : { end: options.end }),
    });
    return await app.client.raw(
      'PUT',
      `/images/${key}`,
      headers,
      options.damage ? options.damage(body) : body,
    );
  }

  const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
  const SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
  const UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
  const trailer = { 'x-amz-checksum-crc32': crc32Base64(whole) };

  test.each([
    [SIGNED, { signed: true }],
    [SIGNED_TRAILER, { signed: true, trailer }],
    [UNSIGNED_TRAILER, { trailer }],
  ])('stores what %s carries, without the chunk headers', async (mode, options) => {
    const answer = await upload('k', mode, options);
    expect(answer.text).toBe('');
    expect(answer.status).toBe(200);
    const stored = await app.client.send({ method: 'GET', path: '/images/k' });
    expect(stored.body.equals(whole)).toBe(true);
    expect(stored.headers).not.toHaveProperty('content-encoding');
    if ('trailer' in options)
      expect(answer.headers['x-amz-checksum-crc32']).toBe(trailer['x-amz-checksum-crc32']);
  });

  // minio/minio-go#1705 and OpenStack Swift's test/s3api/test_input_errors.py, both checked against AWS.
  test.each([
    ['lines that end with LF CRLF, signed (minio-go)', SIGNED_TRAILER, { signed: true, lineEnd: '\n\r\n' }],
    ['lines that end with LF CRLF, unsigned (minio-go over TLS)', UNSIGNED_TRAILER, { lineEnd: '\n\r\n' }],
    ['no empty line at the end (Swift)', UNSIGNED_TRAILER, { end: '' }],
    ['no empty line at the end, signed (aws-sdk-java)', SIGNED_TRAILER, { signed: true, end: '' }],
    ['more empty lines at the end', UNSIGNED_TRAILER, { end: '\r\n\r\n' }],
    ['something after the empty line', UNSIGNED_TRAILER, { end: '\r\nrest' }],
    ['a comma after the announced name', UNSIGNED_TRAILER, { announced: 'x-amz-checksum-crc32,' }],
  ])('takes a trailer with %s, and refuses a wrong value in it', async (_, mode, options) => {
    const answer = await upload('t', mode, { ...options, trailer });
    expect([answer.status, answer.headers['x-amz-checksum-crc32']]).toEqual([
      200,
      trailer['x-amz-checksum-crc32'],
    ]);
    const wrong = { 'x-amz-checksum-crc32': 'AAAAAA==' };
    const refused = await upload('never', mode, { ...options, trailer: wrong });
    expect(refused.xml('Code')).toBe('BadDigest');
    expect(app.objects.keys()).not.toContain('never');
  });

  test('takes a body without a trailer where none is announced', async () => {
    const answer = await upload('t', UNSIGNED_TRAILER, {});
    expect(answer.status).toBe(200);
  });

  test('keeps the other content codings of an aws-chunked upload', async () => {
    await upload('gz', SIGNED, { signed: true, headers: { 'content-encoding': 'aws-chunked,gzip' } });
    expect((await app.client.send({ method: 'HEAD', path: '/images/gz' })).headers['content-encoding']).toBe(
      'gzip',
    );
  });

  const damaged: [string, string, Parameters<typeof upload>[2], string][] = [
    [
      'a changed byte under a chunk signature',
      SIGNED,
      { signed: true, damage: (b) => flip(b, 1000) },
      'SignatureDoesNotMatch',
    ],
    [
      'a changed byte under an unsigned trailer checksum',
      UNSIGNED_TRAILER,
      { trailer, damage: (b) => flip(b, 1000) },
      'BadDigest',
    ],
    [
      'a wrong trailer signature',
      SIGNED_TRAILER,
      { signed: true, trailer, damage: (b) => flip(b, b.length - 6) },
      'SignatureDoesNotMatch',
    ],
    [
      'a missing trailer checksum',
      UNSIGNED_TRAILER,
      {
        trailer,
        damage: (b) => Buffer.from(b.toString('latin1').replace(/x-amz-checksum.*\r\n/, ''), 'latin1'),
      },
      'MalformedTrailerError',
    ],
    [
      'a decoded length that is too short',
      SIGNED,
      { signed: true, decodedLength: whole.length - 1 },
      'IncompleteBody',
    ],
    [
      'a decoded length that is too long',
      SIGNED,
      { signed: true, decodedLength: whole.length + 1 },
      'IncompleteBody',
    ],
    [
      'a body cut before its last chunk',
      SIGNED,
      { signed: true, damage: (b) => b.subarray(0, b.length - 90) },
      'IncompleteBody',
    ],
    [
      'bytes after the last chunk',
      SIGNED,
      { signed: true, damage: (b) => Buffer.concat([b, Buffer.from('more')]) },
      'IncompleteBody',
    ],
    [
      'a chunk size that is no number',
      SIGNED,
      { signed: true, damage: (b) => Buffer.concat([Buffer.from('zz'), b]) },
      'IncompleteBody',
    ],
    // scality/Arsenal#2596, versitygw#1600, #1626, #1691: what AWS answers.
    [
      'a trailer that was not announced',
      UNSIGNED_TRAILER,
      { trailer, announced: '' },
      'MalformedTrailerError',
    ],
    [
      'another trailer than the announced one',
      UNSIGNED_TRAILER,
      { trailer, announced: 'x-amz-checksum-crc32c' },
      'MalformedTrailerError',
    ],
    [
      'a second trailer, not announced, that is wrong',
      UNSIGNED_TRAILER,
      { trailer: { ...trailer, 'x-amz-checksum-sha256': 'AAAA' }, announced: 'x-amz-checksum-crc32' },
      'MalformedTrailerError',
    ],
    [
      'a trailer without a name',
      UNSIGNED_TRAILER,
      { trailer: { '': 'AAAAAA==' }, announced: 'x-amz-checksum-crc32' },
      'MalformedTrailerError',
    ],
    [
      'an empty line before the trailer',
      UNSIGNED_TRAILER,
      {
        trailer,
        damage: (b) => Buffer.from(b.toString('latin1').replace('\r\nx-amz', '\r\n\r\nx-amz'), 'latin1'),
      },
      'MalformedTrailerError',
    ],
    [
      'a trailer line that ends with LF alone',
      UNSIGNED_TRAILER,
      { trailer, lineEnd: '\n', end: '' },
      'IncompleteBody',
    ],
    [
      'a trailer line that does not end',
      UNSIGNED_TRAILER,
      { trailer, lineEnd: '', end: '' },
      'IncompleteBody',
    ],
    [
      'a trailer that cannot be checked',
      UNSIGNED_TRAILER,
      { trailer: { 'x-amz-checksum-foo': 'AAAA' } },
      'InvalidRequest',
    ],
    [
      'two announced trailers',
      UNSIGNED_TRAILER,
      { trailer: { ...trailer, 'x-amz-checksum-sha256': 'AAAA' } },
      'InvalidRequest',
    ],
    [
      'a trailer where the payload has no place for one',
      SIGNED,
      { signed: true, headers: { 'x-amz-trailer': 'x-amz-checksum-crc32' } },
      'MalformedTrailerError',
    ],
    [
      'a signature of a trailer that is not announced',
      SIGNED_TRAILER,
      { signed: true, trailer: {}, announced: '' },
      'IncompleteBody',
    ],
    ['unsigned chunks where signed ones were announced', SIGNED, {}, 'IncompleteBody'],
  ];
  test.each(damaged)('stores nothing for %s', async (_what, mode, options, code) => {
    const answer = await upload('never', mode, options);
    expect(answer.xml('Code')).toBe(code);
    expect(app.objects.keys()).not.toContain('never');
  });

  test('asks for x-amz-decoded-content-length', async () => {
    const headers = await app.client.signedHeaders({ method: 'PUT', path: '/images/n', payloadHash: SIGNED });
    expect((await app.client.raw('PUT', '/images/n', headers, 'x')).status).toBe(411);
  });

  test('says of other streaming modes that they are not implemented', async () => {
    const mode = 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD';
    const answer = await app.client.send({ method: 'PUT', path: '/images/n', body: 'x', payloadHash: mode });
    expect([answer.status, answer.xml('Code')]).toEqual([501, 'NotImplemented']);
  });
});

function flip(body: Buffer, at: number): Buffer {
  const copy = Buffer.from(body);
  copy[at] = copy[at]! ^ 1;
  return copy;
}
