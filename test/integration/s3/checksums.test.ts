// AWS user guide: "Checking object integrity for data uploads in Amazon S3".
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { chunkedBody } from '../../support/aws-chunked-body.js';
import { completedPart } from '../../support/multipart-client.js';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const PARTS = [bytesOf(5 * MIB, 'one'), bytesOf(6 * MIB, 'two'), bytesOf(7, 'three')];
const WHOLE = Buffer.concat(PARTS);
const sha = (algorithm: string, body: Buffer) => createHash(algorithm).update(body).digest('base64');
const crc = (body: Buffer) => {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(body));
  return value.toString('base64');
};
/** Published check values of "123456789", so that nothing of ours computes what ours is compared with. */
const NINE_DIGITS: Record<string, string> = {
  CRC32: Buffer.from('cbf43926', 'hex').toString('base64'),
  CRC32C: Buffer.from('e3069283', 'hex').toString('base64'),
  CRC64NVME: Buffer.from('ae8b14860a799888', 'hex').toString('base64'),
  SHA1: sha('sha1', Buffer.from('123456789')),
  SHA256: sha('sha256', Buffer.from('123456789')),
};

describe('checksums', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const head = (Key: string) =>
    bucket.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test.each(Object.entries(NINE_DIGITS))(
    '%s in a header is checked, kept and returned',
    async (name, value) => {
      const header = `x-amz-checksum-${name.toLowerCase()}`;
      const path = `/files/${name}`;
      const put = await bucket.wire.send({
        method: 'PUT',
        path,
        body: '123456789',
        headers: { [header]: value },
      });
      expect([put.status, put.headers[header], put.headers['x-amz-checksum-type']]).toEqual([
        200,
        value,
        'FULL_OBJECT',
      ]);
      const asked = { 'x-amz-checksum-mode': 'ENABLED' };
      for (const method of ['GET', 'HEAD']) {
        expect((await bucket.wire.send({ method, path, headers: asked })).headers[header]).toBe(value);
        expect((await bucket.wire.send({ method, path })).headers[header]).toBeUndefined();
      }
      const attributes = await bucket.s3.send(
        new GetObjectAttributesCommand({ Bucket, Key: name, ObjectAttributes: ['Checksum'] }),
      );
      expect(attributes.Checksum).toEqual({ [`Checksum${name}`]: value, ChecksumType: 'FULL_OBJECT' });
    },
  );

  test.each(Object.entries(NINE_DIGITS))('%s in the trailer of an unsigned body', async (name, value) => {
    const header = `x-amz-checksum-${name.toLowerCase()}`;
    const path = `/files/trailer-${name}`;
    const answer = await bucket.wire.send({
      method: 'PUT',
      path,
      payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      headers: {
        'content-encoding': 'gzip,aws-chunked',
        'x-amz-trailer': header,
        'x-amz-decoded-content-length': '9',
      },
      body: chunkedBody([Buffer.from('1234'), Buffer.from('56789')], { trailer: { [header]: value } }),
    });
    expect([answer.status, answer.headers[header]]).toEqual([200, value]);
    const got = await bucket.wire.send({ method: 'GET', path });
    expect([got.text, got.headers['content-encoding']]).toEqual(['123456789', 'gzip']);
  });

  test.each(Object.values(ChecksumAlgorithm).filter((name) => name in NINE_DIGITS))(
    'what the SDK sends for %s comes back, small and large',
    async (name) => {
      for (const Body of [bytesOf(100), bytesOf(9 * MIB)]) {
        const Key = `sdk/${name}/${Body.length}`;
        const put = await bucket.s3.send(
          new PutObjectCommand({
            Bucket,
            Key,
            Body,
            ...(name === 'CRC64NVME' ? {} : { ChecksumAlgorithm: name }),
          }),
        );
        const field = name === 'CRC64NVME' ? 'ChecksumCRC32' : (`Checksum${name}` as const);
        expect(put[field]).toMatch(/=$|^[\w+/]+$/);
        expect((await head(Key))[field]).toBe(put[field]);
        // The SDK itself checks the bytes against the checksum.
        const got = await bucket.s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
        expect(Buffer.from(await got.Body!.transformToByteArray()).equals(Body)).toBe(true);
      }
    },
  );

  async function upload(Key: string, algorithm: 'CRC32' | 'SHA256', type?: 'FULL_OBJECT' | 'COMPOSITE') {
    const { UploadId } = await bucket.s3.send(
      new CreateMultipartUploadCommand({
        Bucket,
        Key,
        ChecksumAlgorithm: algorithm,
        ...(type ? { ChecksumType: type } : {}),
      }),
    );
    const Parts: CompletedPart[] = [];
    for (const [i, Body] of PARTS.entries()) {
      const PartNumber = i + 1;
      const part = await bucket.s3.send(
        new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ChecksumAlgorithm: algorithm }),
      );
      Parts.push(completedPart(PartNumber, part));
    }
    return { UploadId, Parts };
  }

  test.each(['CRC32', 'SHA256'] as const)('a multipart %s is the checksum of the checksums', async (name) => {
    const Key = `composite/${name}`;
    const { UploadId, Parts } = await upload(Key, name);
    const done = await bucket.s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
    );
    const sums = Buffer.concat(
      PARTS.map((p) => Buffer.from(name === 'CRC32' ? crc(p) : sha('sha256', p), 'base64')),
    );
    const expected = `${name === 'CRC32' ? crc(sums) : sha('sha256', sums)}-3`;
    expect([done[`Checksum${name}`], done.ChecksumType]).toEqual([expected, 'COMPOSITE']);
    expect((await head(Key))[`Checksum${name}`]).toBe(expected);
  });

  test('a full-object CRC32 of parts is that of the whole, and a wrong one completes nothing', async () => {
    const Key = 'full';
    const { UploadId, Parts } = await upload(Key, 'CRC32', 'FULL_OBJECT');
    const complete = (ChecksumCRC32: string) =>
      bucket.s3.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key,
          UploadId,
          ChecksumCRC32,
          ChecksumType: 'FULL_OBJECT',
          MultipartUpload: { Parts },
        }),
      );
    expect(await refusal(complete(crc(PARTS[0]!)))).toEqual([400, 'BadDigest']);
    expect(await bucket.listing('full')).toEqual([]);
    const done = await complete(crc(WHOLE));
    expect([done.ChecksumCRC32, done.ChecksumType]).toEqual([crc(WHOLE), 'FULL_OBJECT']);
    expect((await head(Key)).ChecksumCRC32).toBe(crc(WHOLE));
  });

  test('a part whose checksum in Complete is another one is InvalidPart', async () => {
    const Key = 'wrong-part';
    const { UploadId, Parts } = await upload(Key, 'SHA256');
    const wrong = [{ ...Parts[0]!, ChecksumSHA256: Parts[1]!.ChecksumSHA256! }, ...Parts.slice(1)];
    const request = bucket.s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: wrong } }),
    );
    expect(await refusal(request)).toEqual([400, 'InvalidPart']);
  });

  test('a copy has the checksum of its source where that is of the whole object', async () => {
    await bucket.s3.send(new CopyObjectCommand({ Bucket, Key: 'copied', CopySource: 'files/SHA256' }));
    expect((await head('copied')).ChecksumSHA256).toBe(NINE_DIGITS['SHA256']);
  });
});
