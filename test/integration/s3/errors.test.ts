// AWS API reference: "Error responses". Each code with the elements that S3 puts into its document.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { sha256Hex, type S3Answer, type S3Request } from '../../support/s3-client.js';

const MIB = 1024 * 1024;
const put = { method: 'PUT', path: '/files/k', body: 'body' } as const;

describe('error documents', () => {
  let bucket: S3Bucket;
  let uploadId: string;
  let etag: string;
  const seen: S3Answer[] = [];
  const send = async (request: S3Request) => {
    const answer = await bucket.wire.send(request);
    seen.push(answer);
    return answer;
  };
  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.wire.send({ ...put, path: '/files/there', body: '0123456789' });
    const path = '/files/parts';
    uploadId = (await bucket.wire.send({ method: 'POST', path, query: { uploads: '' } })).xml('UploadId')!;
    for (const partNumber of ['1', '2'])
      etag = (await bucket.wire.send({ method: 'PUT', path, query: { uploadId, partNumber }, body: 'small' }))
        .headers.etag!;
  });
  afterAll(() => bucket.close());
  const complete = (parts: readonly (readonly [number, string])[]): S3Request => {
    const list = parts
      .map(([n, e]) => `<Part><PartNumber>${n}</PartNumber><ETag>${e}</ETag></Part>`)
      .join('');
    const body = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
    return { method: 'POST', path: '/files/parts', query: { uploadId }, body };
  };
  const hash = (text: string) => sha256Hex(text);

  test.each<[string, number, () => S3Request, () => Record<string, string>]>([
    ['NoSuchKey', 404, () => ({ method: 'GET', path: '/files/none%20%26' }), () => ({ Key: 'none &' })],
    ['NoSuchBucket', 404, () => ({ method: 'GET', path: '/nowhere' }), () => ({ BucketName: 'nowhere' })],
    [
      'NoSuchKey',
      404,
      () => ({ method: 'PUT', path: '/files/k', headers: { 'x-amz-copy-source': 'files/source' } }),
      () => ({ Key: 'source' }),
    ],
    [
      'NoSuchBucket',
      404,
      () => ({ method: 'PUT', path: '/files/k', headers: { 'x-amz-copy-source': 'elsewhere/source' } }),
      () => ({ BucketName: 'elsewhere' }),
    ],
    [
      'NoSuchUpload',
      404,
      () => ({ ...put, query: { uploadId: 'none', partNumber: '1' } }),
      () => ({ UploadId: 'none' }),
    ],
    [
      'NoSuchVersion',
      404,
      () => ({ method: 'GET', path: '/files/there', query: { versionId: 'v' } }),
      () => ({ Key: 'there', VersionId: 'v' }),
    ],
    [
      'InvalidRange',
      416,
      () => ({ method: 'GET', path: '/files/there', headers: { range: 'bytes=10-20' } }),
      () => ({ RangeRequested: 'bytes=10-20', ActualObjectSize: '10' }),
    ],
    [
      'InvalidPartNumber',
      416,
      () => ({ method: 'GET', path: '/files/there', query: { partNumber: '2' } }),
      () => ({ PartNumberRequested: '2', ActualPartCount: '1' }),
    ],
    [
      'InvalidPart',
      400,
      () => complete([[1, '"0123"']]),
      () => ({ UploadId: uploadId, PartNumber: '1', ETag: '0123' }),
    ],
    [
      'EntityTooSmall',
      400,
      () =>
        complete([
          [1, etag],
          [2, etag],
        ]),
      () => ({
        ProposedSize: '5',
        MinSizeAllowed: String(5 * MIB),
        PartNumber: '1',
        ETag: etag.slice(1, -1),
      }),
    ],
    [
      'PreconditionFailed',
      412,
      () => ({ ...put, path: '/files/there', headers: { 'if-none-match': '*' } }),
      () => ({ Condition: 'If-None-Match' }),
    ],
    [
      'InvalidDigest',
      400,
      () => ({ ...put, headers: { 'content-md5': 'no digest' } }),
      () => ({ 'Content-MD5': 'no digest' }),
    ],
    [
      'BadDigest',
      400,
      () => ({ ...put, headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } }),
      () => ({
        ExpectedDigest: 'AAAAAAAAAAAAAAAAAAAAAA==',
        CalculatedDigest: createHash('md5').update('body').digest('base64'),
      }),
    ],
    [
      'XAmzContentSHA256Mismatch',
      400,
      () => ({ ...put, payloadHash: hash('another') }),
      () => ({ ClientComputedContentSHA256: hash('another'), S3ComputedContentSHA256: hash('body') }),
    ],
    [
      'KeyTooLongError',
      400,
      () => ({ ...put, path: `/files/${'k'.repeat(1030)}` }),
      () => ({ Size: '1030', MaxSizeAllowed: '1024' }),
    ],
    [
      'InvalidArgument',
      400,
      () => ({ method: 'GET', path: '/files', query: { 'max-keys': 'x' } }),
      () => ({ ArgumentName: 'max-keys', ArgumentValue: 'x' }),
    ],
    [
      'InvalidStorageClass',
      400,
      () => ({ ...put, headers: { 'x-amz-storage-class': 'TAPE' } }),
      () => ({ StorageClassRequested: 'TAPE' }),
    ],
    [
      'NotImplemented',
      501,
      () => ({ ...put, headers: { 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' } }),
      () => ({ Header: 'If-Modified-Since' }),
    ],
    [
      'MethodNotAllowed',
      405,
      () => ({ method: 'PATCH', path: '/files/there' }),
      () => ({ Method: 'PATCH', ResourceType: 'OBJECT' }),
    ],
    [
      'RequestTimeTooSkewed',
      403,
      () => ({ ...put, now: new Date('2020-01-02T03:04:05Z') }),
      () => ({
        RequestTime: '20200102T030405Z',
        ServerTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as unknown as string,
        MaxAllowedSkewMilliseconds: '900000',
      }),
    ],
  ])('%s (%d) says what it is about', async (code, status, request, elements) => {
    const answer = await send(request());
    expect([answer.status, answer.xml('Code'), answer.headers['content-type']]).toEqual([
      status,
      code,
      'application/xml',
    ]);
    const expected = elements();
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, answer.xml(name)]))).toEqual(
      expected,
    );
    expect(answer.xml('Resource')).toBe(request().path);
  });

  test('EntityTooLarge tells both sizes', async () => {
    const headers = await bucket.wire.signedHeaders({ ...put, payloadHash: 'UNSIGNED-PAYLOAD' });
    const size = String(5 * 1024 ** 3 + 1);
    const answer = await bucket.wire.raw('PUT', put.path, {
      ...headers,
      'content-length': size,
      expect: '100-continue',
    });
    expect(['Code', 'ProposedSize', 'MaxSizeAllowed'].map((name) => answer.xml(name))).toEqual([
      'EntityTooLarge',
      size,
      String(5 * 1024 ** 3),
    ]);
  });

  test('SignatureDoesNotMatch tells what was signed, so that a client can compare', async () => {
    const query = { prefix: '中 文' };
    const headers = await bucket.wire.signedHeaders({ method: 'GET', path: '/files', query });
    headers['authorization'] = headers['authorization']!.replace(
      /Signature=.*/,
      `Signature=${'0'.repeat(64)}`,
    );
    const answer = await bucket.wire.raw('GET', '/files?prefix=%E4%B8%AD%20%E6%96%87', headers);
    seen.push(answer);
    expect([
      answer.status,
      answer.xml('Code'),
      answer.xml('SignatureProvided'),
      answer.xml('AWSAccessKeyId'),
    ]).toEqual([403, 'SignatureDoesNotMatch', '0'.repeat(64), bucket.wire.target.accessKeyId]);
    const canonical = answer.xml('CanonicalRequest')!;
    expect(canonical.split('\n').slice(0, 3)).toEqual(['GET', '/files', 'prefix=%E4%B8%AD%20%E6%96%87']);
    const toSign = answer.xml('StringToSign')!;
    expect(toSign.split('\n')).toEqual([
      'AWS4-HMAC-SHA256',
      headers['x-amz-date'],
      `${headers['x-amz-date']!.slice(0, 8)}/us-east-1/s3/aws4_request`,
      sha256Hex(canonical),
    ]);
    const bytes = (name: string) => Buffer.from(answer.xml(name)!.replaceAll(' ', ''), 'hex').toString();
    expect([bytes('StringToSignBytes'), bytes('CanonicalRequestBytes')]).toEqual([toSign, canonical]);
    expect(answer.text).not.toContain(bucket.wire.target.secretAccessKey);
  });

  test('RFC 9110 §15.5.6: a 405 lists the methods that there are', async () => {
    const answer = await send({ method: 'PATCH', path: '/files/there' });
    expect(answer.headers.allow?.split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD', 'POST', 'PUT']);
  });

  test('a target that cannot be read is InvalidURI, with the Resource as it was sent', async () => {
    const answer = await bucket.wire.raw('GET', '/files/%FF%FE');
    seen.push(answer);
    expect([answer.status, answer.xml('Code'), answer.xml('Resource')]).toEqual([
      400,
      'InvalidURI',
      '/files/%FF%FE',
    ]);
  });

  test('every one has one request id, in header and document, and no namespace', () => {
    expect(seen.length).toBeGreaterThan(20);
    for (const answer of seen) {
      expect(answer.xml('RequestId')).toBe(answer.headers['x-amz-request-id']);
      expect(answer.xml('HostId')).toBe(answer.headers['x-amz-id-2']);
      expect(answer.text).toMatch(/^<\?xml version="1.0" encoding="UTF-8"\?>\n<Error>/);
    }
    expect(new Set(seen.map((answer) => answer.headers['x-amz-request-id'])).size).toBe(seen.length);
  });
});
