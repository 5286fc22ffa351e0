// AWS API reference: UploadPart; user guide: "Amazon S3 multipart upload limits".
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ListPartsCommand } from '@aws-sdk/client-s3';
import { MultipartClient } from '../../support/multipart-client.js';
import { bytesOf, md5Hex, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const BODY = bytesOf(100_000, 'part');
const word = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString('base64');
};

describe('UploadPart', () => {
  let bucket: S3Bucket;
  let multipart: MultipartClient;
  const Bucket = 'files';
  const Key = 'key';
  const send = (
    uploadId: string,
    partNumber: string,
    body: Buffer = BODY,
    headers: Record<string, string> = {},
    path = '/files/key',
  ) => bucket.wire.send({ method: 'PUT', path, query: { uploadId, partNumber }, headers, body });
  const parts = async (UploadId: string) =>
    (await bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId }))).Parts ?? [];

  beforeAll(async () => {
    bucket = await startS3Bucket();
    multipart = new MultipartClient(bucket);
  });
  afterAll(() => bucket.close());

  test('answers the MD5 as ETag and the checksum that was sent, and is listed so', async () => {
    const id = await multipart.create(Key, { ChecksumAlgorithm: 'CRC32' });
    const answer = await send(id, '7', BODY, {
      'content-md5': createHash('md5').update(BODY).digest('base64'),
      'x-amz-checksum-crc32': word(crc32(BODY)),
    });
    expect([answer.status, answer.headers.etag, answer.headers['x-amz-checksum-crc32']]).toEqual([
      200,
      `"${md5Hex(BODY)}"`,
      word(crc32(BODY)),
    ]);
    expect(await parts(id)).toMatchObject([
      { PartNumber: 7, Size: BODY.length, ETag: `"${md5Hex(BODY)}"`, ChecksumCRC32: word(crc32(BODY)) },
    ]);
  });

  test('a part sent again replaces the former, and its number stands once in the list', async () => {
    const id = await multipart.create(Key);
    const old = await multipart.part(Key, id, 1, bytesOf(5 * MIB, 'old'));
    const now = await multipart.part(Key, id, 1, bytesOf(6 * MIB, 'new'));
    expect((await parts(id)).map((p) => [p.PartNumber, p.Size, p.ETag])).toEqual([[1, 6 * MIB, now.ETag]]);
    expect(now.ETag).not.toBe(old.ETag);
  });

  test('an empty part is a part', async () => {
    const id = await multipart.create('empty-part');
    const only = await multipart.part('empty-part', id, 1, Buffer.alloc(0));
    await multipart.complete('empty-part', id, [only]);
    expect((await multipart.bytes('empty-part')).length).toBe(0);
  });

  test('a checksum of another algorithm than the upload has is InvalidRequest, and stores no part', async () => {
    const id = await multipart.create(Key, { ChecksumAlgorithm: 'SHA256' });
    const answer = await send(id, '1', BODY, { 'x-amz-checksum-crc32': word(crc32(BODY)) });
    expect([answer.status, answer.xml('Code'), answer.xml('Message')]).toEqual([
      400,
      'InvalidRequest',
      'Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32',
    ]);
    expect(await parts(id)).toEqual([]);
  });

  // versity/versitygw#1342 and floci-io/floci#3093 (row 22): seen on AWS.
  test('a part without a checksum gets the one of its upload where that is of the whole object', async () => {
    const id = await multipart.create(Key, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    const sum = word(crc32(BODY));
    expect((await send(id, '1')).headers['x-amz-checksum-crc32']).toBe(sum);
    expect((await parts(id))[0]!.ChecksumCRC32).toBe(sum);
  });

  test.each(['SHA256', 'CRC32', 'MD5', 'XXHASH3'] as const)(
    'a part of a composite %s upload without a checksum is InvalidRequest, and stores nothing',
    async (ChecksumAlgorithm) => {
      const id = await multipart.create(Key, { ChecksumAlgorithm });
      const answer = await send(id, '1');
      expect([answer.status, answer.xml('Code'), answer.xml('Message')]).toEqual([
        400,
        'InvalidRequest',
        `Checksum Type mismatch occurred, expected checksum Type: ${ChecksumAlgorithm.toLowerCase()}, actual checksum Type: null`,
      ]);
      expect(await parts(id)).toEqual([]);
    },
  );

  test.each([
    [{ 'content-md5': createHash('md5').update('other').digest('base64') }, 'BadDigest'],
    [{ 'x-amz-checksum-crc32': word(1) }, 'BadDigest'],
    [{ 'content-md5': 'short' }, 'InvalidDigest'],
    [{ 'x-amz-checksum-crc32': 'short' }, 'InvalidRequest'],
  ] as [Record<string, string>, string][])('a wrong promise %j stores no part: %s', async (headers, code) => {
    const id = await multipart.create(Key);
    const answer = await send(id, '1', BODY, headers);
    expect([answer.status, answer.xml('Code')]).toEqual([400, code]);
    expect(await parts(id)).toEqual([]);
  });

  test.each(['0', '10001', '-1', '1.5', 'one', ''])('part number %j is InvalidArgument', async (number) => {
    const id = await multipart.create(Key);
    const answer = await send(id, number);
    expect([answer.status, answer.xml('Code'), answer.xml('ArgumentName')]).toEqual([
      400,
      'InvalidArgument',
      'partNumber',
    ]);
  });

  test('part numbers 1 and 10,000 are the ends', async () => {
    const id = await multipart.create(Key);
    for (const number of ['1', '10000']) expect((await send(id, number)).status).toBe(200);
  });

  test('an upload of another key, or none, is NoSuchUpload before the body is sent', async () => {
    const id = await multipart.create(Key);
    for (const [path, uploadId] of [
      ['/files/other', id],
      ['/files/key', 'none'],
      ['/files/key', `${id}0`],
      ['/registry/key', id],
    ] as const) {
      const request = { method: 'PUT', path, query: { uploadId, partNumber: '1' }, body: BODY };
      const headers = await bucket.wire.signedHeaders(request);
      const answer = await bucket.wire.raw(
        'PUT',
        `${path}?uploadId=${uploadId}&partNumber=1`,
        { ...headers, expect: '100-continue' },
        BODY,
      );
      expect([answer.status, answer.xml('Code')]).toEqual([404, 'NoSuchUpload']);
    }
  });

  test('nobody who lists or reads sees it before Complete', async () => {
    const id = await multipart.create('unseen');
    await multipart.part('unseen', id, 1, BODY);
    expect(await bucket.listing('unseen')).toEqual([]);
    expect((await bucket.wire.send({ method: 'GET', path: '/files/unseen' })).xml('Code')).toBe('NoSuchKey');
  });
});
