import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { Readable } from 'node:stream';
import { ODD_KEYS, ODD_TREE } from '../../support/file-tree.js';
import { encodePath } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;

describe('@aws-sdk/client-s3 with lib-storage and presigner', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const read = async (Key: string) =>
    Buffer.from(
      await (await bucket.s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray(),
    );
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test.each([
    ['empty', 0],
    ['small', 5],
    ['just a part', 5 * MIB],
    ['64 MiB', 64 * MIB],
  ])('streams an upload that is %s there and back', async (Key, sizeBytes) => {
    const body = bytesOf(sizeBytes, Key);
    const params = { Bucket, Key, Body: Readable.from([body]), ContentType: 'x/y', Metadata: { a: 'b' } };
    await new Upload({ client: bucket.s3, queueSize: 4, partSize: 8 * MIB, params }).done();
    expect((await read(Key)).equals(body)).toBe(true);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect([head.ContentLength, head.ContentType, head.Metadata]).toEqual([sizeBytes, 'x/y', { a: 'b' }]);
  });

  test('keeps odd keys apart, lists them in pages, copies and deletes them', async () => {
    const keys = [...Object.keys(ODD_TREE), ...ODD_KEYS, 'k'.repeat(1024)].map((k) =>
      Buffer.byteLength(k) > 1000 ? k : `odd ${k}`,
    );
    for (const Key of keys) await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    const listed: string[] = [];
    for await (const page of paginateListObjectsV2({ client: bucket.s3, pageSize: 5 }, { Bucket }))
      listed.push(...page.Contents!.map((c) => c.Key!));
    expect(listed).toEqual(expect.arrayContaining(keys));
    for (const Key of keys) {
      await bucket.s3.send(
        new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/${encodePath(Key)}` }),
      );
      expect((await read('copy')).toString()).toBe(Key);
    }
    const Objects = listed.concat('copy').map((Key) => ({ Key }));
    const answer = await bucket.s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect([answer.Deleted!.length, answer.Errors, await bucket.listing()]).toEqual([
      Objects.length,
      undefined,
      [],
    ]);
  });

  test('presigned links write and read', async () => {
    const Key = `by "link"/中文 +%2F//`;
    const put = await getSignedUrl(bucket.s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
    expect((await fetch(put, { method: 'PUT', body: 'by link' })).status).toBe(200);
    const get = await getSignedUrl(bucket.s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
    expect(await (await fetch(get)).text()).toBe('by link');
  });
});
