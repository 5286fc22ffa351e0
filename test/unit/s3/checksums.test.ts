/**
 * Every checksum that S3 names, in every place where one may stand: the right value is kept, a wrong one stores and
 * deletes nothing. AWS: "Checking object integrity for data uploads", and the algorithms of the SDK's model.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ChecksumAlgorithm } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { xxhash128, xxhash3, xxhash64 } from 'hash-wasm';
import type { ObjectKey } from '../../../src/format/ids.js';
import { CHECKSUM_ALGORITHMS, checksumElement, checksumHeader } from '../../../src/s3/checksums.js';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { FORM_TYPE, formBody, signedForm } from '../../support/post-form.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';
import type { S3Answer } from '../../support/s3-client.js';

const BODY = 'hello checksums';
type Algorithm = (typeof CHECKSUM_ALGORITHMS)[number];

function word(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString('base64');
}
const hex = (text: string) => Buffer.from(text, 'hex').toString('base64');
const openssl = (name: string) => (text: string) => createHash(name).update(text).digest('base64');

const CRC32C_OF_BODY = 'SwAIFg==';
const CRC64_OF_BODY = 'dfLi/midGUI=';

/** By other code than ours. The two CRCs that no library here has are of BODY, bit by bit from their definitions. */
const RIGHT: Readonly<Record<Algorithm, (text: string) => string | Promise<string>>> = {
  CRC32: (text) => word(crc32(text)),
  CRC32C: () => CRC32C_OF_BODY,
  CRC64NVME: () => CRC64_OF_BODY,
  SHA1: openssl('sha1'),
  SHA256: openssl('sha256'),
  SHA512: openssl('sha512'),
  MD5: openssl('md5'),
  XXHASH64: async (text) => hex(await xxhash64(text)),
  XXHASH3: async (text) => hex(await xxhash3(text)),
  XXHASH128: async (text) => hex(await xxhash128(text)),
};

test('knows the algorithms that the SDK knows, and no other', () => {
  expect([...CHECKSUM_ALGORITHMS].sort()).toEqual(Object.values(ChecksumAlgorithm).sort());
});

async function beginUpload({ objects }: TestApp): Promise<string> {
  const context = { signal: new AbortController().signal, requestId: 't' };
  const { uploadId } = await objects.createMultipartUpload('images', 'k' as ObjectKey, { meta: {} }, context);
  return uploadId;
}

describe.each(CHECKSUM_ALGORITHMS)('%s', (algorithm) => {
  let app: TestApp;
  const header = checksumHeader(algorithm);
  let right = '';
  let wrong = '';
  beforeEach(async () => {
    app = await startTestApp();
    right = await RIGHT[algorithm](BODY);
    const bytes = Buffer.from(right, 'base64');
    bytes[0]! ^= 1;
    wrong = bytes.toString('base64');
  });
  afterEach(() => app.close());

  const expectRefused = (answer: S3Answer) => {
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'BadDigest']);
    expect(app.objects.keys()).toEqual([]);
  };
  const expectKept = async (answer: S3Answer) => {
    expect(answer.status).toBeLessThan(300);
    expect(answer.headers[header]).toBe(right);
    const ask = { path: '/images/k', headers: { 'x-amz-checksum-mode': 'ENABLED' } };
    for (const method of ['GET', 'HEAD']) {
      const told = await app.client.send({ method, ...ask });
      expect([told.headers[header], told.headers['x-amz-checksum-type']]).toEqual([right, 'FULL_OBJECT']);
    }
  };

  test('in a header', async () => {
    const put = (value: string, headers = {}) =>
      app.client.send({
        method: 'PUT',
        path: '/images/k',
        body: BODY,
        headers: { [header]: value, ...headers },
      });
    expectRefused(await put(wrong));
    expect((await put('AAAA')).xml('Code')).toBe('InvalidRequest');
    const other = { 'x-amz-sdk-checksum-algorithm': algorithm === 'SHA1' ? 'MD5' : 'SHA1' };
    expect((await put(right, other)).xml('Code')).toBe('InvalidRequest');
    expect(app.objects.keys()).toEqual([]);
    await expectKept(await put(right, { 'x-amz-sdk-checksum-algorithm': algorithm }));
  });

  test('in a trailer', async () => {
    const put = async (value: string) => {
      const headers = await app.client.signedHeaders({
        ...{ method: 'PUT', path: '/images/k', payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' },
        headers: { 'x-amz-decoded-content-length': String(BODY.length), 'x-amz-trailer': header },
      });
      const body = chunkedBody([Buffer.from(BODY)], { trailer: { [header]: value } });
      return await app.client.raw('PUT', '/images/k', headers, body);
    };
    expectRefused(await put(wrong));
    await expectKept(await put(right));
  });

  test('as a header of a presigned link', async () => {
    const put = async (value: string) => {
      const headers = { [header]: value };
      const link = await app.client.presign({ method: 'PUT', path: '/images/k', headers });
      return await app.client.raw('PUT', link, headers, BODY);
    };
    expectRefused(await put(wrong));
    await expectKept(await put(right));
  });

  test('in the query of a presigned link is nothing that the sender of the bytes promised', async () => {
    const link = await app.client.presign({ method: 'PUT', path: '/images/k', query: { [header]: wrong } });
    expect((await app.client.raw('PUT', link, {}, BODY)).status).toBe(200);
  });

  test('in a form', async () => {
    const post = (value: string) => {
      const file = { content: BODY, filename: 'f' };
      const form = signedForm(app.target, { bucket: 'images', key: 'k', fields: [[header, value]], file });
      return app.client.raw('POST', '/images', { 'content-type': FORM_TYPE }, formBody(form));
    };
    expectRefused(await post(wrong));
    await expectKept(await post(right));
  });

  test('of a part', async () => {
    const uploadId = await beginUpload(app);
    const put = (value: string) =>
      app.client.send({
        ...{ method: 'PUT', path: '/images/k', query: { partNumber: '1', uploadId }, body: BODY },
        headers: { [header]: value },
      });
    const list = async () =>
      (await app.client.send({ method: 'GET', path: '/images/k', query: { uploadId } })).xmlAll(
        checksumElement(algorithm),
      );
    expectRefused(await put(wrong));
    expect(await list()).toEqual([]);
    const answer = await put(right);
    expect([answer.status, answer.headers[header]]).toEqual([200, right]);
    expect(await list()).toEqual([right]);
  });

  test('of a list of keys to delete', async () => {
    await app.client.send({ method: 'PUT', path: '/images/keep', body: 'x' });
    const body = '<Delete><Object><Key>keep</Key></Object></Delete>';
    const answer = await app.client.send({
      ...{ method: 'POST', path: '/images', query: { delete: '' }, body },
      headers: { [header]: wrong },
    });
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'BadDigest']);
    expect(app.objects.keys()).toEqual(['keep']);
  });
});

describe('a checksum that S3 does not know', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp();
  });
  afterEach(() => app.close());

  test.each([
    ['header', { 'x-amz-checksum-foo': 'AAAA' }, 501],
    ['name', { 'x-amz-sdk-checksum-algorithm': 'FOO', 'x-amz-checksum-sha1': 'AAAA' }, 400],
    ['x-amz-checksum-algorithm', { 'x-amz-checksum-algorithm': 'FOO' }, 400],
  ])('is refused as %s', async (_, headers: Record<string, string>, status) => {
    const answer = await app.client.send({ method: 'PUT', path: '/images/k', body: BODY, headers });
    expect(answer.status).toBe(status);
    expect(app.objects.keys()).toEqual([]);
  });

  test('is refused in the list of parts', async () => {
    const uploadId = await beginUpload(app);
    const part = '<Part><ChecksumFOO>AAAA</ChecksumFOO><ETag>"a"</ETag><PartNumber>1</PartNumber></Part>';
    const answer = await app.client.send({
      ...{ method: 'POST', path: '/images/k', query: { uploadId } },
      body: `<CompleteMultipartUpload>${part}</CompleteMultipartUpload>`,
    });
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'MalformedXML']);
  });

  test('that is only named is computed and told', async () => {
    const headers = { 'x-amz-checksum-algorithm': 'XXHASH3' };
    const answer = await app.client.send({ method: 'PUT', path: '/images/k', body: BODY, headers });
    expect(answer.headers['x-amz-checksum-xxhash3']).toBe(hex(await xxhash3(BODY)));
  });
});
