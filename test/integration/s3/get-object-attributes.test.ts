// AWS API reference: GetObjectAttributes. "Retrieves all of the metadata from an object without returning the object
// itself."
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectAttributesCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { bytesOf, md5Hex, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const ALL = 'ETag,Checksum,ObjectParts,StorageClass,ObjectSize';
const PARTS = [bytesOf(5 * MIB, '1'), bytesOf(5 * MIB, '2'), Buffer.from('end')];

describe('GetObjectAttributes', () => {
  let bucket: S3Bucket;
  let multipartEtag: string;
  const Bucket = 'files';
  const ask = (
    key: string,
    attributes: string | undefined,
    headers: Record<string, string> = {},
    query = {},
  ) =>
    bucket.wire.send({
      method: 'GET',
      path: `/files/${key}`,
      query: { attributes: '', ...query },
      headers: { ...(attributes === undefined ? {} : { 'x-amz-object-attributes': attributes }), ...headers },
    });

  beforeAll(async () => {
    bucket = await startS3Bucket();
    await bucket.s3.send(
      new PutObjectCommand({
        Bucket,
        Key: 'plain',
        Body: 'hello',
        StorageClass: 'STANDARD_IA',
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    const path = '/files/parts';
    const uploadId = (await bucket.wire.send({ method: 'POST', path, query: { uploads: '' } })).xml(
      'UploadId',
    )!;
    const list: string[] = [];
    for (const [i, body] of PARTS.entries()) {
      const query = { partNumber: String(i + 1), uploadId };
      const { headers } = await bucket.wire.send({ method: 'PUT', path, query, body });
      list.push(`<Part><PartNumber>${i + 1}</PartNumber><ETag>${headers.etag!}</ETag></Part>`);
    }
    const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
    const done = await bucket.wire.send({ method: 'POST', path, query: { uploadId }, body });
    multipartEtag = done.xml('ETag')!.replaceAll('"', '');
  });
  afterAll(() => bucket.close());

  test('returns what is asked for, the ETag without quotes, as the SDK reads it', async () => {
    const answer = await bucket.s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'plain',
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'],
      }),
    );
    expect(answer).toMatchObject({
      ETag: md5Hex(Buffer.from('hello')),
      Checksum: {
        ChecksumSHA256: createHash('sha256').update('hello').digest('base64'),
        ChecksumType: 'FULL_OBJECT',
      },
      StorageClass: 'STANDARD_IA',
      ObjectSize: 5,
    });
    expect(answer.LastModified).toBeInstanceOf(Date);
    // "ObjectParts": only of an object that was put in parts.
    expect(answer.ObjectParts).toBeUndefined();
  });

  test.each([
    ['ObjectSize', ['ObjectSize']],
    ['ETag,ObjectSize', ['ETag', 'ObjectSize']],
    [' StorageClass , ETag ', ['ETag', 'StorageClass']],
    ['Checksum', []],
  ])('returns nothing but %j', async (attributes, elements) => {
    const answer = await ask('parts', attributes);
    expect(answer.status).toBe(200);
    const names = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];
    expect(names.filter((name) => answer.xml(name) !== undefined)).toEqual(elements);
  });

  test('tells a multipart object by parts: how many, how large, page by page', async () => {
    const whole = await ask('parts', ALL);
    expect([whole.xml('ETag'), whole.xml('ObjectSize'), whole.xml('StorageClass')]).toEqual([
      multipartEtag,
      String(10 * MIB + 3),
      'STANDARD',
    ]);
    expect([whole.xml('PartsCount'), whole.xmlAll('Size'), whole.xml('IsTruncated')]).toEqual([
      '3',
      PARTS.map((p) => String(p.length)),
      'false',
    ]);
    const first = await ask('parts', 'ObjectParts', { 'x-amz-max-parts': '2' });
    expect([
      first.xmlAll('PartNumber'),
      first.xml('MaxParts'),
      first.xml('IsTruncated'),
      first.xml('NextPartNumberMarker'),
    ]).toEqual([['1', '2'], '2', 'true', '2']);
    const rest = await ask('parts', 'ObjectParts', { 'x-amz-part-number-marker': '2' });
    expect([rest.xmlAll('PartNumber'), rest.xml('PartNumberMarker'), rest.xml('IsTruncated')]).toEqual([
      ['3'],
      '2',
      'false',
    ]);
  });

  test.each([
    ['no attribute', undefined, {}, {}, 400, 'InvalidRequest'],
    ['an unknown attribute', 'ETag,Colour', {}, {}, 400, 'InvalidArgument'],
    ['max-parts that is no number', 'ObjectParts', { 'x-amz-max-parts': 'x' }, {}, 400, 'InvalidArgument'],
    ['a failed condition', 'ETag', { 'if-match': '"x"' }, {}, 412, 'PreconditionFailed'],
    ['another version', 'ETag', {}, { versionId: 'abc' }, 404, 'NoSuchVersion'],
  ])('with %s is refused', async (_name, attributes, headers, query, status, code) => {
    const answer = await ask('plain', attributes, headers, query);
    expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
  });

  test('of a missing key is NoSuchKey', async () => {
    const answer = await ask('none', 'ETag');
    expect([answer.status, answer.xml('Code'), answer.xml('Key')]).toEqual([404, 'NoSuchKey', 'none']);
  });
});
