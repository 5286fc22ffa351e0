/**
 * Issue "bad input": each bad request gets the code that S3 gives, nothing of it is stored, and neither answers
 * nor logs nor the process list hold a secret.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { mustRun, run, until } from '../../support/child.js';
import { encodePath, sha256Hex, WireClient, type S3Answer, type S3Request } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type ListedObject, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const READER = { accessKeyId: 'AKREADER', secretAccessKey: 'the-secret-of-the-reader' };
const base64 = (algorithm: string, body: Buffer) => createHash(algorithm).update(body).digest('base64');

/** Small enough for git, large enough for LFS, large enough to be sent to Gitee while it still comes. */
const BODIES: readonly (readonly [string, Buffer])[] = [
  ['100 bytes', bytesOf(100)],
  ['200 KiB', bytesOf(200 * 1024)],
  ['6 MiB', bytesOf(6 * MIB)],
];

describe('bad input', () => {
  let bucket: S3Bucket;
  let wire: WireClient;
  let reader: WireClient;
  let before: readonly ListedObject[];
  let uploadId: string;
  const answers: S3Answer[] = [];

  const keep = (answer: S3Answer): S3Answer => {
    answers.push(answer);
    return answer;
  };
  const send = async (request: S3Request) => keep(await wire.send(request));
  const raw = async (...args: Parameters<WireClient['raw']>) => keep(await wire.raw(...args));
  const put = (body: Buffer | string, headers: Record<string, string> = {}, more: Partial<S3Request> = {}) =>
    send({ method: 'PUT', path: '/files/bad', body, headers, ...more });
  const codeOf = (answer: S3Answer) => [answer.status, answer.xml('Code')];
  const uploads = async () =>
    (await wire.send({ method: 'GET', path: '/files', query: { uploads: '' } })).xmlAll('UploadId');
  const parts = async () =>
    (await wire.send({ method: 'GET', path: '/files/open', query: { uploadId } })).xmlAll('PartNumber');

  beforeAll(async () => {
    bucket = await startS3Bucket({
      config: { commit: { interval: '500ms' } },
      accessKeys: [
        {
          access_key_id: READER.accessKeyId,
          secret_access_key: READER.secretAccessKey,
          buckets: { files: 'read' },
        },
      ],
    });
    ({ wire } = bucket);
    reader = new WireClient({ ...wire.target, ...READER });
    for (const [Key, Body] of [
      ['kept', bytesOf(10)],
      ['kept-large', bytesOf(300_000)],
    ] as const)
      await bucket.s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body }));
    const created = await wire.send({ method: 'POST', path: '/files/open', query: { uploads: '' } });
    uploadId = created.xml('UploadId')!;
    before = await bucket.listing();
    await bucket.landed();
  });
  afterAll(() => bucket.close());

  afterEach(async () => {
    expect(await bucket.listing()).toEqual(before);
    expect(await uploads()).toEqual([uploadId]);
    expect(await parts()).toEqual([]);
  });

  describe('who sends it', () => {
    test('unsigned is AccessDenied', async () => {
      expect(codeOf(await raw('PUT', '/files/bad', {}, 'x'))).toEqual([403, 'AccessDenied']);
      expect(codeOf(await raw('GET', '/files/kept'))).toEqual([403, 'AccessDenied']);
      expect(codeOf(await raw('DELETE', '/files/kept'))).toEqual([403, 'AccessDenied']);
    });

    test('an unknown access key is InvalidAccessKeyId', async () => {
      const stranger = new WireClient({ ...wire.target, accessKeyId: 'AKNOBODY' });
      const answer = keep(await stranger.send({ method: 'PUT', path: '/files/bad', body: 'x' }));
      expect(codeOf(answer)).toEqual([403, 'InvalidAccessKeyId']);
    });

    test.each(['PUT', 'GET', 'DELETE'])('a wrong secret is SignatureDoesNotMatch (%s)', async (method) => {
      const forger = new WireClient({ ...wire.target, secretAccessKey: 'not-the-secret' });
      const answer = keep(await forger.send({ method, path: '/files/kept', body: 'x' }));
      expect(codeOf(answer)).toEqual([403, 'SignatureDoesNotMatch']);
    });

    test('Signature Version 2 is refused with what to set', async () => {
      const answer = await raw(
        'PUT',
        '/files/bad',
        { date: new Date().toUTCString(), authorization: `AWS ${READER.accessKeyId}:c2lnbmF0dXJl` },
        'x',
      );
      expect(codeOf(answer)).toEqual([400, 'InvalidRequest']);
      expect(answer.xml('Message')).toMatch(/AWS4-HMAC-SHA256|v4/i);
    });

    test('a garbled Authorization header is AuthorizationHeaderMalformed', async () => {
      const headers = await wire.signedHeaders({ method: 'GET', path: '/files/kept' });
      const authorization = headers['authorization']!.replace(/Credential=[^,]*/, 'Credential=x');
      expect(codeOf(await raw('GET', '/files/kept', { ...headers, authorization }))).toEqual([
        400,
        'AuthorizationHeaderMalformed',
      ]);
    });

    test('another region is AuthorizationHeaderMalformed, and the right one is told', async () => {
      const elsewhere = new WireClient({ ...wire.target, region: 'eu-west-1' });
      const answer = keep(await elsewhere.send({ method: 'PUT', path: '/files/bad', body: 'x' }));
      expect([...codeOf(answer), answer.xml('Region')]).toEqual([
        400,
        'AuthorizationHeaderMalformed',
        'us-east-1',
      ]);
    });

    test.each([-16, 16])('a clock %d minutes off is RequestTimeTooSkewed', async (minutes) => {
      const answer = await put('x', {}, { now: new Date(Date.now() + minutes * 60_000) });
      expect(codeOf(answer)).toEqual([403, 'RequestTimeTooSkewed']);
    });

    test('an expired presigned PUT is AccessDenied', async () => {
      const link = await wire.presign(
        { method: 'PUT', path: '/files/bad', now: new Date(Date.now() - 61_000) },
        60,
      );
      const answer = await raw('PUT', link, {}, 'x');
      expect([...codeOf(answer), answer.xml('Message')]).toEqual([
        403,
        'AccessDenied',
        'Request has expired',
      ]);
    });

    test('a presigned GET does not serve as DELETE, nor for another key', async () => {
      const link = await wire.presign({ method: 'GET', path: '/files/kept' });
      expect(codeOf(await raw('DELETE', link))).toEqual([403, 'SignatureDoesNotMatch']);
      expect(codeOf(await raw('GET', link.replace('kept', 'kept-large')))).toEqual([
        403,
        'SignatureDoesNotMatch',
      ]);
    });

    test('a presigned link over seven days is AuthorizationQueryParametersError', async () => {
      const link = await wire.presign({ method: 'PUT', path: '/files/bad' }, 604_800);
      expect(codeOf(await raw('PUT', link.replace('=604800', '=604801'), {}, 'x'))).toEqual([
        400,
        'AuthorizationQueryParametersError',
      ]);
    });

    test('a session token is InvalidToken', async () => {
      const answer = await put('x', { 'x-amz-security-token': 'IQoJb3JpZ2luX2VjE' });
      expect(codeOf(answer)).toEqual([400, 'InvalidToken']);
    });

    test('an x-amz header that is not signed is AccessDenied', async () => {
      const answer = await put('x', {}, { unsignedHeaders: { 'x-amz-meta-added': 'on the way' } });
      expect([...codeOf(answer), answer.xml('HeadersNotSigned')]).toEqual([
        403,
        'AccessDenied',
        'x-amz-meta-added',
      ]);
    });

    test('a key that may only read cannot write, delete, or see another bucket', async () => {
      for (const request of [
        { method: 'PUT', path: '/files/bad', body: 'x' },
        { method: 'DELETE', path: '/files/kept' },
        { method: 'POST', path: '/files/bad', query: { uploads: '' } },
        { method: 'GET', path: '/registry', query: { 'list-type': '2' } },
        { method: 'PUT', path: '/files/bad', headers: { 'x-amz-copy-source': 'registry/k' } },
      ])
        expect(codeOf(keep(await reader.send(request)))).toEqual([403, 'AccessDenied']);
      expect((await reader.send({ method: 'GET', path: '/files/kept' })).status).toBe(200);
    });

    test('a refused request costs no body: 100 Continue is not sent', async () => {
      const forger = new WireClient({ ...wire.target, secretAccessKey: 'not-the-secret' });
      const headers = await forger.signedHeaders({ method: 'PUT', path: '/files/bad', body: 'x' });
      const answer = await raw('PUT', '/files/bad', { ...headers, expect: '100-continue' }, 'x');
      expect(codeOf(answer)).toEqual([403, 'SignatureDoesNotMatch']);
    });
  });

  describe.each(BODIES)('a body of %s', (_size, body) => {
    const other = Buffer.concat([body.subarray(1), Buffer.from('!')]);

    test('that has another SHA-256 than signed is XAmzContentSHA256Mismatch', async () => {
      const answer = await put(body, {}, { payloadHash: sha256Hex(other) });
      expect(codeOf(answer)).toEqual([400, 'XAmzContentSHA256Mismatch']);
    });

    test('that has another MD5 is BadDigest', async () => {
      expect(codeOf(await put(body, { 'content-md5': base64('md5', other) }))).toEqual([400, 'BadDigest']);
    });

    test.each([
      ['crc32', 'AAAAAA=='],
      ['crc32c', 'AAAAAA=='],
      ['crc64nvme', 'AAAAAAAAAAA='],
      ['sha1', base64('sha1', other)],
      ['sha256', base64('sha256', other)],
    ])('that has another %s is BadDigest', async (algorithm, value) => {
      const answer = await put(
        body,
        { [`x-amz-checksum-${algorithm}`]: value },
        { payloadHash: 'UNSIGNED-PAYLOAD' },
      );
      expect(codeOf(answer)).toEqual([400, 'BadDigest']);
      expect(answer.xml('Message')).toMatch(new RegExp(algorithm, 'i'));
    });

    test('whose trailer has another CRC32 is BadDigest', async () => {
      const value = Buffer.alloc(4);
      value.writeUInt32BE((crc32(body) ^ 1) >>> 0);
      const framed = chunkedBody([body], { trailer: { 'x-amz-checksum-crc32': value.toString('base64') } });
      const answer = await put(
        framed,
        {
          'content-encoding': 'aws-chunked',
          'x-amz-trailer': 'x-amz-checksum-crc32',
          'x-amz-decoded-content-length': String(body.length),
        },
        { payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' },
      );
      expect(codeOf(answer)).toEqual([400, 'BadDigest']);
    });

    test('whose chunk has a wrong signature is SignatureDoesNotMatch', async () => {
      const timestamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
      const framed = chunkedBody([body], {
        signer: { secret: 'not-the-secret', region: 'us-east-1', timestamp, seed: '0'.repeat(64) },
      });
      const answer = await put(
        framed,
        { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': String(body.length) },
        { payloadHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' },
      );
      expect(codeOf(answer)).toEqual([403, 'SignatureDoesNotMatch']);
    });

    test('that ends before its announced length is IncompleteBody', async () => {
      const framed = chunkedBody([body], {
        trailer: { 'x-amz-checksum-sha256': base64('sha256', body) },
      });
      const answer = await put(
        framed,
        {
          'content-encoding': 'aws-chunked',
          'x-amz-trailer': 'x-amz-checksum-sha256',
          'x-amz-decoded-content-length': String(body.length + 1),
        },
        { payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' },
      );
      expect(codeOf(answer)).toEqual([400, 'IncompleteBody']);
    });

    test('whose connection breaks is given up', async () => {
      const { hostname, port } = new URL(wire.target.endpoint);
      const key = `broken-${body.length}`;
      const headers = await wire.signedHeaders({ method: 'PUT', path: `/files/${key}`, body });
      const socket = net.connect(Number(port), hostname);
      await once(socket, 'connect');
      const head = Object.entries({ ...headers, 'content-length': String(body.length) })
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('');
      socket.write(`PUT /files/${key} HTTP/1.1\r\n${head}\r\n`);
      socket.write(body.subarray(0, body.length - 1), () => socket.destroy());
      await until('the gateway has seen the end', async () =>
        (await readFile(bucket.stack.gateway.child!.logFile, 'utf8')).includes(`/files/${key}`),
      );
    });

    test('is no part either where it has another MD5', async () => {
      const answer = await send({
        method: 'PUT',
        path: '/files/open',
        query: { partNumber: '1', uploadId },
        headers: { 'content-md5': base64('md5', other) },
        body,
      });
      expect(codeOf(answer)).toEqual([400, 'BadDigest']);
    });
  });

  describe('headers', () => {
    test.each<[string, Record<string, string>, number, string]>([
      ['a malformed Content-MD5', { 'content-md5': 'abc' }, 400, 'InvalidDigest'],
      ['a malformed checksum', { 'x-amz-checksum-crc32': 'abc' }, 400, 'InvalidRequest'],
      [
        'two checksums',
        { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' },
        400,
        'InvalidRequest',
      ],
      ['metadata over 2 KiB', { 'x-amz-meta-a': 'x'.repeat(2048) }, 400, 'MetadataTooLarge'],
      ['an unknown storage class', { 'x-amz-storage-class': 'COLD' }, 400, 'InvalidStorageClass'],
      ['11 tags', { 'x-amz-tagging': 'a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1' }, 400, 'InvalidTag'],
      ['a grant', { 'x-amz-grant-read': 'id=x' }, 400, 'AccessControlListNotSupported'],
      ['encryption by KMS', { 'x-amz-server-side-encryption': 'aws:kms' }, 501, 'NotImplemented'],
      ['a missing copy source', { 'x-amz-copy-source': 'files/nothing' }, 404, 'NoSuchKey'],
      ['a copy source without key', { 'x-amz-copy-source': 'files' }, 400, 'InvalidArgument'],
      ['If-None-Match with a tag', { 'if-none-match': '"abc"' }, 501, 'NotImplemented'],
      ['If-Match for a missing key', { 'if-match': '"abc"' }, 404, 'NoSuchKey'],
    ])('%s', async (_name, headers, status, code) => {
      expect(codeOf(await put('x', headers))).toEqual([status, code]);
    });

    test('of 1 MB are RequestHeaderSectionTooLarge', async () => {
      const answer = await raw('PUT', '/files/bad', { 'x-amz-meta-a': 'x'.repeat(1_000_000) }, 'x');
      expect(codeOf(answer)).toEqual([400, 'RequestHeaderSectionTooLarge']);
    });

    test('without a length are MissingContentLength', async () => {
      const headers = await wire.signedHeaders({
        method: 'PUT',
        path: '/files/bad',
        payloadHash: 'UNSIGNED-PAYLOAD',
      });
      const answer = await rawText(
        `PUT /files/bad HTTP/1.1\r\n${headerLines({ ...headers, 'transfer-encoding': 'chunked' })}\r\n1\r\nx\r\n0\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 411 [\s\S]*<Code>MissingContentLength<\/Code>/);
    });

    test('that announce over 5 GiB are EntityTooLarge before the body is sent', async () => {
      const headers = await wire.signedHeaders({
        method: 'PUT',
        path: '/files/bad',
        payloadHash: 'UNSIGNED-PAYLOAD',
      });
      const answer = await rawText(
        `PUT /files/bad HTTP/1.1\r\n${headerLines({ ...headers, expect: '100-continue', 'content-length': String(5 * 1024 ** 3 + 1) })}\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*<Code>EntityTooLarge<\/Code>/);
    });

    test('that are no HTTP are answered once, and the connection ends', async () => {
      expect(await rawText('\u0016\u0003\u0001 garbage\r\n\r\n')).toMatch(
        /^HTTP\/1\.1 400 [\s\S]*<Code>BadRequest<\/Code>/,
      );
    });
  });

  describe('names', () => {
    test('a key of 1,025 bytes is KeyTooLongError', async () => {
      const answer = await put('x', {}, { path: encodePath(`/files/${'好'.repeat(341)}ab`) });
      expect(codeOf(answer)).toEqual([400, 'KeyTooLongError']);
    });

    test.each(['/files/%ff%fe', '/files/%zz'])(
      'a key that is no UTF-8 is InvalidURI (%s)',
      async (target) => {
        expect(codeOf(await put('x', {}, { path: target }))).toEqual([400, 'InvalidURI']);
      },
    );

    test.each([
      ['PUT', '/nothing/k', {}],
      ['GET', '/nothing/k', {}],
      ['GET', '/nothing', { 'list-type': '2' }],
      ['POST', '/nothing/k', { uploads: '' }],
      ['DELETE', '/nothing/k', {}],
    ] as const)('an unknown bucket is NoSuchBucket (%s %s)', async (method, target, query) => {
      expect(
        codeOf(await send({ method, path: target, query, ...(method === 'PUT' ? { body: 'x' } : {}) })),
      ).toEqual([404, 'NoSuchBucket']);
    });

    test.each([
      ['PATCH', '/files/kept', {}, 405, 'MethodNotAllowed'],
      ['POST', '/files/kept', {}, 405, 'MethodNotAllowed'],
      ['POST', '/', {}, 405, 'MethodNotAllowed'],
      ['PUT', '/files', { policy: '' }, 501, 'NotImplemented'],
      ['PUT', '/files/kept', { acl: '' }, 501, 'NotImplemented'],
      ['GET', '/files/kept', { torrent: '' }, 501, 'NotImplemented'],
      ['GET', '/files', { inventory: '' }, 501, 'NotImplemented'],
      ['DELETE', '/files', { uploads: '' }, 501, 'NotImplemented'],
    ] as const)('%s %s %j', async (method, target, query, status, code) => {
      expect(codeOf(await send({ method, path: target, query }))).toEqual([status, code]);
    });

    test.each([
      [{ 'max-keys': '-1' }, 400, 'InvalidArgument'],
      [{ 'max-keys': 'many' }, 400, 'InvalidArgument'],
      [{ 'list-type': '2', 'continuation-token': '?' }, 400, 'InvalidArgument'],
      [{ 'encoding-type': 'base64' }, 400, 'InvalidArgument'],
    ] as const)('a list with %j', async (query, status, code) => {
      expect(codeOf(await send({ method: 'GET', path: '/files', query }))).toEqual([status, code]);
    });

    test('a range past the end is InvalidRange, a foreign version NoSuchVersion', async () => {
      const range = await send({ method: 'GET', path: '/files/kept', headers: { range: 'bytes=10-' } });
      expect(codeOf(range)).toEqual([416, 'InvalidRange']);
      const version = await send({ method: 'GET', path: '/files/kept', query: { versionId: 'abc' } });
      expect(codeOf(version)).toEqual([404, 'NoSuchVersion']);
    });
  });

  describe('documents', () => {
    const bomb = `<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">${Array.from(
      { length: 9 },
      (_, i) => `<!ENTITY a${i} "${(i === 0 ? '&a;' : `&a${i - 1};`).repeat(10)}">`,
    ).join('')}]><Delete><Object><Key>&a8;</Key></Object></Delete>`;
    const deep = `${'<a>'.repeat(50_000)}${'</a>'.repeat(50_000)}`;

    test.each([
      ['no XML', 'hello'],
      ['nothing', ''],
      ['an open tag', '<Delete><Object><Key>kept</Key></Object>'],
      ['another root', '<Remove><Object><Key>kept</Key></Object></Remove>'],
      ['an empty list', '<Delete></Delete>'],
      ['an empty key', '<Delete><Object><Key></Key></Object></Delete>'],
      ['an entity bomb', bomb],
      ['50,000 levels', deep],
      ['1,001 keys', `<Delete>${'<Object><Key>kept</Key></Object>'.repeat(1001)}</Delete>`],
      ['5 MiB', `<Delete><Object><Key>kept</Key></Object>${' '.repeat(5 * MIB)}</Delete>`],
    ])('DeleteObjects of %s is MalformedXML', async (_name, body) => {
      const answer = await send({
        method: 'POST',
        path: '/files',
        query: { delete: '' },
        headers: { 'content-md5': base64('md5', Buffer.from(body)) },
        body,
      });
      expect(codeOf(answer)).toEqual([400, 'MalformedXML']);
    });

    test('DeleteObjects whose MD5 is another deletes nothing', async () => {
      const answer = await send({
        method: 'POST',
        path: '/files',
        query: { delete: '' },
        headers: { 'content-md5': base64('md5', Buffer.from('another')) },
        body: '<Delete><Object><Key>kept</Key></Object></Delete>',
      });
      expect(codeOf(answer)).toEqual([400, 'BadDigest']);
    });

    const complete = (body: string, id = uploadId) =>
      send({ method: 'POST', path: '/files/open', query: { uploadId: id }, body });
    const part = (number: number, etag = '"0123456789abcdef0123456789abcdef"') =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`;
    const document = (inner: string) => `<CompleteMultipartUpload>${inner}</CompleteMultipartUpload>`;

    test.each([
      [
        '10,001 parts',
        () => document(Array.from({ length: 10_001 }, (_, i) => part(i + 1)).join('')),
        'MalformedXML',
      ],
      ['no part', () => document(''), 'MalformedXML'],
      ['no XML', () => 'parts', 'MalformedXML'],
      ['a part without ETag', () => document('<Part><PartNumber>1</PartNumber></Part>'), 'MalformedXML'],
      ['part number 0', () => document(part(0)), 'InvalidArgument'],
      ['part number 10,001', () => document(part(10_001)), 'InvalidArgument'],
      ['a part that was never sent', () => document(part(1)), 'InvalidPart'],
    ])('Complete with %s', async (_name, body, code) => {
      expect(codeOf(await complete(body()))).toEqual([400, code]);
    });

    test.each(['0', '10001', '-1', 'one', ''])(
      'UploadPart with part number %j is InvalidArgument',
      async (n) => {
        const answer = await send({
          method: 'PUT',
          path: '/files/open',
          query: { partNumber: n, uploadId },
          body: 'x',
        });
        expect(codeOf(answer)).toEqual([400, 'InvalidArgument']);
      },
    );

    test.each(['PUT', 'GET', 'DELETE', 'POST'])('%s of an unknown upload is NoSuchUpload', async (method) => {
      const answer = await send({
        method,
        path: '/files/open',
        query: { ...(method === 'PUT' ? { partNumber: '1' } : {}), uploadId: 'nothing' },
        ...(method === 'PUT' ? { body: 'x' } : method === 'POST' ? { body: document(part(1)) } : {}),
      });
      expect(codeOf(answer)).toEqual([404, 'NoSuchUpload']);
    });

    test('tags that are no document are MalformedXML, too many InvalidTag', async () => {
      const tag = (body: string) =>
        send({ method: 'PUT', path: '/files/kept', query: { tagging: '' }, body });
      expect(codeOf(await tag('<Tagging>'))).toEqual([400, 'MalformedXML']);
      const tags = Array.from({ length: 11 }, (_, i) => `<Tag><Key>k${i}</Key><Value>v</Value></Tag>`);
      expect(codeOf(await tag(`<Tagging><TagSet>${tags.join('')}</TagSet></Tagging>`))).toEqual([
        400,
        'InvalidTag',
      ]);
    });
  });

  describe('afterwards', () => {
    test('Gitee holds what was there before, in a tree without any key of a bad request', async () => {
      await bucket.landed();
      const gitee = bucket.stack.gitee;
      const tree = await mustRun('git', [
        '-C',
        path.join(gitee.dataDir, 'repositories', 'acme/files.git'),
        'ls-tree',
        '-r',
        '--name-only',
        'master',
      ]);
      const paths = tree.stdout.trim().split('\n');
      expect(paths.filter((p) => !p.startsWith('.gateway/') && p !== '.gitattributes')).toEqual([
        'kept',
        'kept-large%chunks/000000',
      ]);
      expect(tree.stdout).not.toMatch(/bad|broken|open/);
    });

    test('the gateway is as well as before', async () => {
      const fsck = await bucket.stack.gateway.cli('fsck', '--json');
      expect([fsck.code, fsck.stderr]).toEqual([0, '']);
      const body = await wire.send({ method: 'GET', path: '/files/kept-large' });
      expect(body.body.equals(bytesOf(300_000))).toBe(true);
    });

    test('no argument of the gateway or its children holds a secret while it pushes, and while git fetches', async () => {
      const { gateway, gitee } = bucket.stack;
      await gitee.fault('git-stall-receive-pack', { match: { repo: 'acme/files' } });
      const seen = new Set<string>();
      await wire.send({ method: 'PUT', path: '/files/pushed', body: 'x' });
      await until('the push is under way', async () => {
        for (const line of await argumentsBelow(gateway.child!.pid)) seen.add(line);
        const { faults } = await gitee.stats();
        return faults.some(({ name, hits }) => name === 'git-stall-receive-pack' && hits > 0);
      });
      for (const line of await argumentsBelow(gateway.child!.pid)) seen.add(line);
      await gitee.clearFaults();
      await bucket.landed();
      // What somebody else pushed is fetched by the git program.
      await gitee.fault('git-stall-info-refs', { match: { repo: 'acme/files' } });
      await gitee.fault('git-move-branch-before-push', { match: { repo: 'acme/files' } });
      await wire.send({ method: 'PUT', path: '/files/pushed', body: 'y' });
      await until('git fetches', async () => {
        for (const line of await argumentsBelow(gateway.child!.pid)) seen.add(line);
        return [...seen].some((line) => /git-remote-http|remote-https?/.test(line));
      });
      await gitee.clearFaults();
      await bucket.landed();
      for (const { key } of await bucket.listing())
        if (/^pushed$|^moved-by-/.test(key)) await wire.send({ method: 'DELETE', path: `/files/${key}` });
      await bucket.landed();
      expect(secretsIn([...seen].join('\n'))).toEqual([]);
    });

    test('no answer, no log, no metric and no file of the state holds a secret', async () => {
      const { gateway } = bucket.stack;
      const log = await readFile(gateway.child!.logFile, 'utf8');
      expect(log.length).toBeGreaterThan(1000);
      expect(secretsIn(log)).toEqual([]);
      expect(log).not.toMatch(/X-Amz-Signature=[0-9a-f]{64}|Signature=[0-9a-f]{64}/);
      for (const answer of answers) {
        expect(secretsIn(`${JSON.stringify(answer.headers)}${answer.text}`)).toEqual([]);
        expect(answer.text).not.toContain(gateway.directory);
        expect(answer.text).not.toMatch(/\bat .*\.(js|ts):\d+/);
      }
      expect(secretsIn(await (await fetch(`${gateway.metricsUrl}/metrics`)).text())).toEqual([]);
      const found = await run('grep', [
        '-rlaF',
        ...secrets().flatMap((secret) => ['-e', secret]),
        gateway.stateDirectory,
      ]);
      expect(found.stdout).toBe('');
    });

    test('every answer has its request id in header and body, and no 500', () => {
      for (const answer of answers) {
        expect([answer.status, answer.text]).not.toEqual([500, expect.anything()]);
        if (answer.xml('Code') !== undefined)
          expect(answer.xml('RequestId')).toBe(answer.headers['x-amz-request-id']);
      }
    });
  });

  function secrets(): string[] {
    const { gateway, gitee } = bucket.stack;
    const plain = [gateway.secretAccessKey, READER.secretAccessKey, gitee.token];
    const login = (user: string) => Buffer.from(`${user}:${gitee.token}`).toString('base64');
    return [...plain, login('oauth2'), login('gateway')];
  }

  function secretsIn(text: string): string[] {
    return secrets().filter((secret) => text.includes(secret));
  }

  function headerLines(headers: Record<string, string>): string {
    return Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
  }

  /** Sends text as it is, and gives all that comes until the gateway closes or is silent after an answer. */
  async function rawText(text: string): Promise<string> {
    const { hostname, port } = new URL(wire.target.endpoint);
    const socket = net.connect(Number(port), hostname);
    let received = '';
    socket.on('data', (piece: Buffer) => (received += piece.toString()));
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(text, 'latin1');
    await until('an answer', () => received.includes('</Error>'));
    socket.destroy();
    return received;
  }
});

/** Command lines of a process and everything below it. */
async function argumentsBelow(root: number): Promise<string[]> {
  const children = new Map<number, number[]>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end while we look.
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const parent = Number(/\) \S (\d+)/.exec(stat)?.[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const lines: string[] = [];
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    queue.push(...(children.get(pid) ?? []));
    lines.push((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' '));
  }
  return lines.filter((line) => line !== '');
}
