/** Sizes at which storage changes its way, after all that the gateway had on its disk is gone. */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

/** The least that both a chunk and a part but the last may have. */
const CHUNK_BYTES = 5 * 1024 * 1024;
const PART_BYTES = CHUNK_BYTES;
const SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1];

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest();

describe('a new gateway gives the bytes and the ETag of', () => {
  let bucket: S3Bucket;
  const etags = new Map<string, string | undefined>();

  /** Each part but the last is as small as S3 allows. */
  const partsOf = (way: string, sizeBytes: number): Buffer[] => {
    const last = bytesOf(sizeBytes, `${way} ${sizeBytes}`);
    return way === 'two parts' ? [bytesOf(PART_BYTES, 'first part'), last] : [last];
  };

  async function upload(Key: string, parts: readonly Buffer[]): Promise<string | undefined> {
    const { s3, Bucket } = bucket;
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const Parts = [];
    for (const [i, Body] of parts.entries()) {
      const PartNumber = i + 1;
      const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag });
    }
    const of = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
    return (await s3.send(new CompleteMultipartUploadCommand(of))).ETag;
  }

  beforeAll(async () => {
    bucket = await startS3Bucket({
      config: { chunk_size: String(CHUNK_BYTES), commit: { interval: '1s' } },
    });
    const { s3, Bucket, stack } = bucket;
    for (const sizeBytes of SIZES) {
      const Body = partsOf('one PUT', sizeBytes)[0]!;
      const put = await s3.send(new PutObjectCommand({ Bucket, Key: `one PUT/${sizeBytes}`, Body }));
      etags.set(`one PUT/${sizeBytes}`, put.ETag);
      for (const way of ['one part', 'two parts'])
        etags.set(`${way}/${sizeBytes}`, await upload(`${way}/${sizeBytes}`, partsOf(way, sizeBytes)));
    }
    await bucket.landed();
    await stack.gateway.stop();
    await rm(stack.gateway.stateDirectory, { recursive: true });
    await stack.gateway.start();
  });
  afterAll(() => bucket.close());

  test.each(
    SIZES.flatMap((sizeBytes) => ['one PUT', 'one part', 'two parts'].map((way) => ({ sizeBytes, way }))),
  )('$sizeBytes bytes as the end of $way', async ({ sizeBytes, way }) => {
    const { s3, Bucket } = bucket;
    const key = `${way}/${sizeBytes}`;
    const parts = partsOf(way, sizeBytes);
    // docs/s3-compatibility.md: the MD5, or that of the parts' MD5s with their number.
    const etag =
      way === 'one PUT'
        ? md5(parts[0]!).toString('hex')
        : `${md5(Buffer.concat(parts.map(md5))).toString('hex')}-${parts.length}`;
    const { Body, ETag, ContentLength } = await s3.send(new GetObjectCommand({ Bucket, Key: key }));
    const bytes = Buffer.from(await Body!.transformToByteArray());
    expect([ETag, etags.get(key), ContentLength]).toEqual([
      `"${etag}"`,
      `"${etag}"`,
      Buffer.concat(parts).length,
    ]);
    expect(bytes.equals(Buffer.concat(parts))).toBe(true);
  });
});
