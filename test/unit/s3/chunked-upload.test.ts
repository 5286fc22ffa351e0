import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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
    },
  ) {
    const headers = await app.client.signedHeaders({
      method: 'PUT',
      path: `/images/${key}`,
      payloadHash: mode,
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': String(options.decodedLength ?? whole.length),
        ...(options.trailer ? { 'x-amz-trailer': Object.keys(options.trailer).join(',') } : {}),
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

  it.each([
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

  it('keeps the other content codings of an aws-chunked upload', async () => {
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
      'InvalidRequest',
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
      'InvalidRequest',
    ],
    [
      'a chunk size that is no number',
      SIGNED,
      { signed: true, damage: (b) => Buffer.concat([Buffer.from('zz'), b]) },
      'InvalidRequest',
    ],
    ['unsigned chunks where signed ones were announced', SIGNED, {}, 'InvalidRequest'],
  ];
  it.each(damaged)('stores nothing for %s', async (_what, mode, options, code) => {
    const answer = await upload('never', mode, options);
    expect(answer.xml('Code')).toBe(code);
    expect(app.objects.keys()).not.toContain('never');
  });

  it('asks for x-amz-decoded-content-length', async () => {
    const headers = await app.client.signedHeaders({ method: 'PUT', path: '/images/n', payloadHash: SIGNED });
    expect((await app.client.raw('PUT', '/images/n', headers, 'x')).status).toBe(411);
  });

  it('says of other streaming modes that they are not implemented', async () => {
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
