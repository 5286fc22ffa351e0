// RFC 9110 §10.1.1: a server that gets Expect: 100-continue answers 100 or, where the header fields suffice, with the
// final status. AWS PutObject: "use Expect: 100-continue … so that the body is not sent if the message is rejected".
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { WireClient, encodeQuery, sha256Hex, type S3Request } from '../../support/s3-client.js';

const READER = { access_key_id: 'AKREADER', secret_access_key: 'reader-secret-0123456789' };
const GIB = 1024 ** 3;

describe('Expect: 100-continue', () => {
  let bucket: S3Bucket;
  let reader: WireClient;
  const put = { method: 'PUT', path: '/files/kept' } as const;

  beforeAll(async () => {
    bucket = await startS3Bucket({ accessKeys: [{ ...READER, buckets: { files: 'read' } }] });
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = READER;
    reader = new WireClient({ ...bucket.wire.target, accessKeyId, secretAccessKey });
    await bucket.wire.send({ ...put, body: 'kept' });
  });
  afterAll(() => bucket.close());

  /** Sends the head of a request only, and gives all that comes until the server closes or asks for the body. */
  async function headOnly(
    request: S3Request & { readonly contentLength?: number | null },
    options: { client?: WireClient; spoil?: (headers: Record<string, string>) => void } = {},
  ): Promise<{ text: string; isClosed: boolean }> {
    const { contentLength = 4, ...rest } = request;
    const headers = await (options.client ?? bucket.wire).signedHeaders({
      payloadHash: sha256Hex('body'),
      ...rest,
    });
    options.spoil?.(headers);
    if (contentLength !== null) headers['content-length'] = String(contentLength);
    headers['expect'] = '100-continue';
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const { hostname, port } = new URL(bucket.wire.target.endpoint);
    return await new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      let text = '';
      socket.setEncoding('utf8');
      socket.on('error', reject);
      socket.on('data', (piece: string) => {
        text += piece;
        if (text.startsWith('HTTP/1.1 100')) {
          socket.destroy();
          resolve({ text, isClosed: false });
        }
      });
      socket.on('end', () => {
        socket.end();
        resolve({ text, isClosed: true });
      });
      socket.write(
        `${rest.method} ${rest.path}${encodeQuery(rest.query ?? {})} HTTP/1.1\r\n${lines.join('')}\r\n`,
      );
    });
  }

  const REFUSALS: readonly (readonly [
    name: string,
    status: number,
    code: string,
    request: Parameters<typeof headOnly>[0],
    options?: { who?: 'reader'; spoil?: (headers: Record<string, string>) => void },
  ])[] = [
    [
      'a wrong signature',
      403,
      'SignatureDoesNotMatch',
      put,
      { spoil: (h) => (h['authorization'] = h['authorization']!.replace(/.{8}$/, '00000000')) },
    ],
    ['no signature', 403, 'AccessDenied', put, { spoil: (h) => delete h['authorization'] }],
    [
      'an unknown access key',
      403,
      'InvalidAccessKeyId',
      put,
      {
        spoil: (h) =>
          (h['authorization'] = h['authorization']!.replace(/Credential=AK\w+/, 'Credential=AKNONE')),
      },
    ],
    ['a clock that is off', 403, 'RequestTimeTooSkewed', { ...put, now: new Date(Date.now() - 3_600_000) }],
    ['a session token', 400, 'InvalidToken', { ...put, headers: { 'x-amz-security-token': 'abc' } }],
    ['a key that may only read', 403, 'AccessDenied', put, { who: 'reader' }],
    ['no such bucket', 404, 'NoSuchBucket', { ...put, path: '/nowhere/key' }],
    [
      'no length',
      411,
      'MissingContentLength',
      { ...put, contentLength: null, headers: { 'transfer-encoding': 'chunked' } },
    ],
    ['more than 5 GiB', 400, 'EntityTooLarge', { ...put, contentLength: 5 * GIB + 1 }],
    ['a key of 1,025 bytes', 400, 'KeyTooLongError', { ...put, path: `/files/${'k'.repeat(1025)}` }],
    ['an MD5 that is none', 400, 'InvalidDigest', { ...put, headers: { 'content-md5': 'short' } }],
    ['a checksum that is none', 400, 'InvalidRequest', { ...put, headers: { 'x-amz-checksum-crc32': 'x' } }],
    [
      'a checksum that is not there',
      400,
      'InvalidRequest',
      { ...put, headers: { 'x-amz-sdk-checksum-algorithm': 'CRC32' } },
    ],
    ['a payload hash that is none', 400, 'InvalidArgument', { ...put, payloadHash: 'abc' }],
    [
      'If-None-Match: * over an object',
      412,
      'PreconditionFailed',
      { ...put, headers: { 'if-none-match': '*' } },
    ],
    ['If-Match of another object', 412, 'PreconditionFailed', { ...put, headers: { 'if-match': '"x"' } }],
    [
      'If-Match of a missing object',
      404,
      'NoSuchKey',
      { ...put, path: '/files/none', headers: { 'if-match': '"x"' } },
    ],
    [
      'a condition that a write cannot have',
      501,
      'NotImplemented',
      { ...put, headers: { 'if-none-match': '"x"' } },
    ],
    [
      'metadata over 2 KiB',
      400,
      'MetadataTooLarge',
      { ...put, headers: { 'x-amz-meta-a': 'x'.repeat(2048) } },
    ],
    [
      'an unknown storage class',
      400,
      'InvalidStorageClass',
      { ...put, headers: { 'x-amz-storage-class': 'TAPE' } },
    ],
    [
      'eleven tags',
      400,
      'InvalidTag',
      { ...put, headers: { 'x-amz-tagging': Array.from('abcdefghijk', (c) => `${c}=`).join('&') } },
    ],
    [
      'keys of the client',
      501,
      'NotImplemented',
      { ...put, headers: { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' } },
    ],
    ['no such upload', 404, 'NoSuchUpload', { ...put, query: { partNumber: '1', uploadId: 'none' } }],
    ['a part number of 0', 400, 'InvalidArgument', { ...put, query: { partNumber: '0', uploadId: 'none' } }],
    ['an unknown operation', 501, 'NotImplemented', { ...put, query: { acl: '' } }],
    ['a method that is none', 405, 'MethodNotAllowed', { ...put, method: 'PATCH' }],
    [
      'a list of deletes that nothing protects',
      400,
      'InvalidRequest',
      { method: 'POST', path: '/files', query: { delete: '' }, payloadHash: 'UNSIGNED-PAYLOAD' },
    ],
    [
      'a document over its size',
      400,
      'MalformedXML',
      { ...put, query: { tagging: '' }, contentLength: 65 * 1024 },
    ],
  ];

  test.each(REFUSALS)('%s is %d %s before the body, and the connection ends cleanly', async (...row) => {
    const [, status, code, request, options = {}] = row;
    const { text, isClosed } = await headOnly(request, {
      ...(options.who ? { client: reader } : {}),
      ...(options.spoil ? { spoil: options.spoil } : {}),
    });
    // The whole answer, and nothing before or after it: no 100, no second answer.
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect([head.split('\r\n')[0]!.split(' ')[1], /<Code>(\w+)<\/Code>/.exec(body)?.[1]]).toEqual([
      String(status),
      code,
    ]);
    expect(/^content-length: (\d+)$/im.exec(head)?.[1]).toBe(String(Buffer.byteLength(body)));
    expect(/^connection: close$/im.test(head)).toBe(true);
    expect(isClosed).toBe(true);
    const id = /^x-amz-request-id: (\w+)$/im.exec(head)?.[1];
    expect([id, body.includes(`<RequestId>${id}</RequestId>`)]).toEqual([
      expect.stringMatching(/^\w{16}$/),
      true,
    ]);
  });

  test('nothing of all these was stored', async () => {
    expect((await bucket.listing()).map((o) => o.key)).toEqual(['kept']);
    expect((await bucket.wire.send({ method: 'GET', path: '/files/kept' })).text).toBe('kept');
  });

  test('a body that is wanted is asked for with 100 Continue', async () => {
    expect((await headOnly({ ...put, path: '/files/wanted' })).text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const sent = await bucket.wire.send({
      ...put,
      path: '/files/wanted',
      body: 'body',
      unsignedHeaders: { expect: '100-continue' },
    });
    expect(sent.status).toBe(200);
  });

  test('without it, a refused small body is read, and the connection serves the next request', async () => {
    const refused = await bucket.wire.send({
      ...put,
      body: 'body',
      headers: { 'if-none-match': '*' },
      unsignedHeaders: { connection: 'keep-alive' },
    });
    expect([refused.status, refused.headers.connection]).toEqual([412, 'keep-alive']);
  });
});
