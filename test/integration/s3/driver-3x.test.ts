import { createHash, randomBytes } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { startStack, type Stack } from '../../support/stack.js';

const ROOT = 'docker/registry/v2';

/**
 * What the s3 driver of registry 3.x sends that 2.x does not (distribution v3.0.0, s3.go): HeadObject before
 * the list, ListObjectsV2 with start-after for every walk, upload-id-marker without key-marker, an empty blob as
 * one part of 0 bytes, deletes in pages whose per-key errors are read. On the full gateway.
 */
describe('the sequences of registry 3.x', () => {
  let stack: Stack;
  let s3: S3Client;
  const Bucket = 'registry';

  beforeAll(async () => {
    stack = await startStack();
    s3 = stack.gateway.s3Client();
  });

  afterAll(async () => {
    s3.destroy();
    await stack.close();
  });

  /** driver.Stat: a head, and where that fails a list for "is it a directory". */
  const stat = async (path: string): Promise<number | 'directory' | undefined> => {
    try {
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: path }));
      return head.ContentLength!;
    } catch (error) {
      expect((error as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode).toBe(404);
    }
    const list = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: path, MaxKeys: 1 }));
    expect(list.KeyCount).toBe(list.Contents?.length ?? 0);
    return list.Contents?.length ? 'directory' : undefined;
  };

  const upload = async (uuid: string, blob: Buffer): Promise<string> => {
    const data = `${ROOT}/repositories/team/three/_uploads/${uuid}/data`;
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: data }));
    // Every later request finds the upload again by its key, in pages.
    const found = await s3.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: data, UploadIdMarker: undefined }),
    );
    expect(found.Uploads!.map((u) => [u.Key, u.UploadId])).toEqual([[data, UploadId]]);
    const beyond = await s3.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: data, UploadIdMarker: UploadId }),
    );
    expect([beyond.Uploads ?? [], beyond.IsTruncated]).toEqual([[], false]);
    const part = await s3.send(
      new UploadPartCommand({ Bucket, Key: data, UploadId, PartNumber: 1, Body: blob }),
    );
    const listed = await s3.send(new ListPartsCommand({ Bucket, Key: data, UploadId }));
    expect([listed.IsTruncated, listed.Parts!.map((p) => p.Size)]).toEqual([false, [blob.length]]);
    await s3.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: data,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: part.ETag }] },
      }),
    );
    expect(await stat(data)).toBe(blob.length);
    const digest = createHash('sha256').update(blob).digest('hex');
    const key = `${ROOT}/blobs/sha256/${digest.slice(0, 2)}/${digest}/data`;
    expect(await stat(key)).toBeUndefined();
    await s3.send(new CopyObjectCommand({ Bucket, Key: key, CopySource: `${Bucket}/${data}` }));
    const gone = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: data }], Quiet: false } }),
    );
    expect([gone.Errors, gone.Deleted!.map((d) => d.Key)]).toEqual([undefined, [data]]);
    expect(await stat(key)).toBe(blob.length);
    return key;
  };

  test('a blob goes up, is moved by copy, and is read back', async () => {
    const blob = randomBytes(70_000);
    const key = await upload('u1', blob);
    const read = await s3.send(new GetObjectCommand({ Bucket, Key: key, Range: 'bytes=0-' }));
    expect(Buffer.from(await read.Body!.transformToByteArray()).equals(blob)).toBe(true);
  });

  test('an empty blob is one part of 0 bytes', async () => {
    const key = await upload('u2', Buffer.alloc(0));
    expect(await stat(key)).toBe(0);
  });

  test('a walk is one flat listing with start-after, resumed by a hint, with no token on the last page', async () => {
    const prefix = `${ROOT}/repositories/`;
    const keys = Array.from({ length: 5 }, (_, i) => `${prefix}team/r${i}/_manifests/tags/v1/current/link`);
    for (const Key of keys) {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: `sha256:${'a'.repeat(64)}` }));
    }
    const first = await s3.send(
      new ListObjectsV2Command({ Bucket, Prefix: prefix, StartAfter: prefix, MaxKeys: 3 }),
    );
    expect(first.Contents!.map((c) => c.Key)).toEqual(keys.slice(0, 3));
    const rest = await s3.send(
      new ListObjectsV2Command({
        Bucket,
        Prefix: prefix,
        StartAfter: prefix,
        ContinuationToken: first.NextContinuationToken,
      }),
    );
    expect(rest.Contents!.map((c) => c.Key)).toEqual(keys.slice(3));
    expect([rest.IsTruncated, rest.NextContinuationToken]).toEqual([false, undefined]);
    expect(await stat(`${prefix}team/r0`)).toBe('directory');
  });
});
