// AWS API reference: UploadPartCopy.
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type UploadPartCopyCommandInput,
} from '@aws-sdk/client-s3';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const BODY = bytesOf(19 * MIB + 5, 'source');

describe('UploadPartCopy', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const create = async (Key: string) =>
    (await bucket.s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!;
  const copyPart = (
    Key: string,
    UploadId: string,
    PartNumber: number,
    more: Partial<UploadPartCopyCommandInput> = {},
  ) =>
    bucket.s3.send(
      new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber, CopySource: 'files/source', ...more }),
    );
  const complete = (Key: string, UploadId: string, etags: (string | undefined)[]) =>
    bucket.s3.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts: etags.map((ETag, i) => ({ PartNumber: i + 1, ETag })) },
      }),
    );
  const isBody = async (Key: string, expected: Buffer) =>
    Buffer.from(
      await (await bucket.s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray(),
    ).equals(expected);

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '500ms' } } });
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: BODY }));
  });
  afterAll(() => bucket.close());

  test('puts ranges that cut chunks and a sent part together', async () => {
    const Key = 'pieces';
    const id = await create(Key);
    const [from, to] = [3 * MIB + 7, 11 * MIB + 1];
    const copied = await copyPart(Key, id, 1, { CopySourceRange: `bytes=${from}-${to}` });
    const sent = await bucket.s3.send(
      new UploadPartCommand({ Bucket, Key, UploadId: id, PartNumber: 2, Body: BODY.subarray(0, 5 * MIB) }),
    );
    const rest = await copyPart(Key, id, 3, {
      CopySourceRange: `bytes=${BODY.length - 1}-${BODY.length - 1}`,
    });
    await complete(Key, id, [copied.CopyPartResult!.ETag, sent.ETag, rest.CopyPartResult!.ETag]);
    const expected = Buffer.concat([
      BODY.subarray(from, to + 1),
      BODY.subarray(0, 5 * MIB),
      BODY.subarray(BODY.length - 1),
    ]);
    expect(await isBody(Key, expected)).toBe(true);
    await bucket.landed();
    await bucket.stack.gateway.restart();
    expect(await isBody(Key, expected)).toBe(true);
  });

  test('without a range copies the whole source, also onto its own key', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'own', Body: BODY }));
    const id = await create('own');
    const whole = await copyPart('own', id, 1, { CopySource: 'files/own' });
    const sent = await bucket.s3.send(
      new UploadPartCommand({ Bucket, Key: 'own', UploadId: id, PartNumber: 2, Body: 'appended' }),
    );
    await complete('own', id, [whole.CopyPartResult!.ETag, sent.ETag]);
    expect(await isBody('own', Buffer.concat([BODY, Buffer.from('appended')]))).toBe(true);
  });

  test('copies from another bucket, and from a small object', async () => {
    const other = bytesOf(6 * MIB, 'other');
    await bucket.s3.send(new PutObjectCommand({ Bucket: 'registry', Key: 'some/where', Body: other }));
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'tiny', Body: 'tiny' }));
    const id = await create('across');
    const first = await copyPart('across', id, 1, { CopySource: 'registry/some/where' });
    const last = await copyPart('across', id, 2, { CopySource: 'files/tiny', CopySourceRange: 'bytes=1-2' });
    await complete('across', id, [first.CopyPartResult!.ETag, last.CopyPartResult!.ETag]);
    expect(await isBody('across', Buffer.concat([other, Buffer.from('in')]))).toBe(true);
  });

  test('a copied part stays when its source is deleted before Complete', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'passing', Body: BODY }));
    const id = await create('heir');
    const part = await copyPart('heir', id, 1, { CopySource: 'files/passing' });
    await bucket.wire.send({ method: 'DELETE', path: '/files/passing' });
    await bucket.landed();
    await complete('heir', id, [part.CopyPartResult!.ETag]);
    expect(await isBody('heir', BODY)).toBe(true);
  });

  test('refuses ranges outside the source, and conditions that do not hold', async () => {
    const id = await create('refused');
    for (const CopySourceRange of [`bytes=0-${BODY.length}`, 'bytes=5-2', 'bytes=5-', 'bytes=-5', '0-5'])
      expect(await refusal(copyPart('refused', id, 1, { CopySourceRange }))).toEqual([
        400,
        'InvalidArgument',
      ]);
    expect(await refusal(copyPart('refused', id, 1, { CopySourceIfMatch: '"x"' }))).toEqual([
      412,
      'PreconditionFailed',
    ]);
    expect(await refusal(copyPart('refused', id, 1, { CopySource: 'files/none' }))).toEqual([
      404,
      'NoSuchKey',
    ]);
    expect(await refusal(copyPart('refused', 'none', 1))).toEqual([404, 'NoSuchUpload']);
    expect(await refusal(copyPart('refused', id, 1, { CopySource: 'none/source' }))).toEqual([
      404,
      'NoSuchBucket',
    ]);
    expect(await refusal(copyPart('refused', id, 10_001))).toEqual([400, 'InvalidArgument']);
    expect(await refusal(copyPart('refused', id, 1, { CopySource: 'files/source?versionId=x' }))).toEqual([
      404,
      'NoSuchVersion',
    ]);
    const { Parts } = await bucket.s3.send(new ListPartsCommand({ Bucket, Key: 'refused', UploadId: id }));
    expect(Parts).toBeUndefined();
  });

  test('source conditions hold or are PreconditionFailed, as with CopyObject', async () => {
    const id = await create('conditional');
    const { ETag, LastModified } = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key: 'source' }));
    const old = new Date('2000-01-01T00:00:00Z');
    for (const [conditions, status] of [
      [{ CopySourceIfMatch: ETag }, 200],
      [{ CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: old }, 200],
      [{ CopySourceIfNoneMatch: '"x"' }, 200],
      [{ CopySourceIfNoneMatch: ETag }, 412],
      [{ CopySourceIfNoneMatch: ETag, CopySourceIfModifiedSince: old }, 412],
      [{ CopySourceIfModifiedSince: LastModified }, 412],
      [{ CopySourceIfUnmodifiedSince: old }, 412],
    ] as const) {
      const request = copyPart('conditional', id, 1, conditions);
      expect((await refusal(request))[0]).toBe(status);
    }
  });

  test('a copied part replaces a sent one, and the other way round', async () => {
    const id = await create('swapped');
    const send = (PartNumber: number) =>
      bucket.s3.send(
        new UploadPartCommand({ Bucket, Key: 'swapped', UploadId: id, PartNumber, Body: 'sent' }),
      );
    await send(1);
    const copied = await copyPart('swapped', id, 1, { CopySourceRange: `bytes=0-${5 * MIB - 1}` });
    await copyPart('swapped', id, 2);
    const sent = await send(2);
    await complete('swapped', id, [copied.CopyPartResult!.ETag, sent.ETag]);
    const expected = Buffer.concat([BODY.subarray(0, 5 * MIB), Buffer.from('sent')]);
    expect(await isBody('swapped', expected)).toBe(true);
  });

  test('has the checksum that the upload asks for, so that the object has one too', async () => {
    const Key = 'summed';
    const { UploadId } = await bucket.s3.send(
      new CreateMultipartUploadCommand({
        Bucket,
        Key,
        ChecksumAlgorithm: 'CRC32',
        ChecksumType: 'FULL_OBJECT',
      }),
    );
    const crc = (bytes: Buffer) => {
      const word = Buffer.alloc(4);
      word.writeUInt32BE(crc32(bytes) >>> 0);
      return word.toString('base64');
    };
    const [one, two] = [BODY.subarray(7, 7 + 6 * MIB), BODY.subarray(0, 5)];
    const range = (from: number, length: number) => ({
      CopySourceRange: `bytes=${from}-${from + length - 1}`,
    });
    const first = await copyPart(Key, UploadId!, 1, range(7, one.length));
    const last = await copyPart(Key, UploadId!, 2, range(0, two.length));
    expect([first.CopyPartResult!.ChecksumCRC32, last.CopyPartResult!.ChecksumCRC32]).toEqual([
      crc(one),
      crc(two),
    ]);
    await complete(Key, UploadId!, [first.CopyPartResult!.ETag, last.CopyPartResult!.ETag]);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    expect([head.ChecksumCRC32, head.ChecksumType]).toEqual([crc(Buffer.concat([one, two])), 'FULL_OBJECT']);
  });
});
