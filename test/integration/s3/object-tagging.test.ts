// AWS API reference: PutObjectTagging, GetObjectTagging, DeleteObjectTagging.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('object tags', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const tagsOf = async (Key: string) =>
    (await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
  const setTags = (Key: string, tags: Record<string, string>) =>
    bucket.s3.send(
      new PutObjectTaggingCommand({
        Bucket,
        Key,
        Tagging: { TagSet: Object.entries(tags).map(([k, Value]) => ({ Key: k, Value })) },
      }),
    );
  beforeAll(async () => {
    bucket = await startS3Bucket();
  }, 60_000);
  afterAll(() => bucket.close());

  it.each([
    ['small', 10],
    ['large', 100_000],
  ])('are set, read, replaced and deleted without a change of a %s object', async (Key, sizeBytes) => {
    const Body = bytesOf(sizeBytes);
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { a: 'b' } }));
    const before = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect(await tagsOf(Key)).toEqual([]);
    await setTags(Key, { colour: 'blue', 名: '值 +&=' });
    expect(await tagsOf(Key)).toEqual([
      { Key: 'colour', Value: 'blue' },
      { Key: '名', Value: '值 +&=' },
    ]);
    const tagged = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect([tagged.TagCount, tagged.ETag, tagged.LastModified, tagged.Metadata]).toEqual([
      2,
      before.ETag,
      before.LastModified,
      { a: 'b' },
    ]);
    await setTags(Key, { only: '1' });
    expect(await tagsOf(Key)).toEqual([{ Key: 'only', Value: '1' }]);
    await bucket.s3.send(new DeleteObjectTaggingCommand({ Bucket, Key }));
    expect(await tagsOf(Key)).toEqual([]);
    expect((await bucket.wire.send({ method: 'GET', path: `/files/${Key}` })).body.equals(Body)).toBe(true);
  });

  it('come with PutObject, and go with the object that replaces it', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'put', Body: 'x', Tagging: 'a=1&b=%2B%20c' }));
    expect(await tagsOf('put')).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '+ c' },
    ]);
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'put', Body: 'y' }));
    expect(await tagsOf('put')).toEqual([]);
  });

  it('are limited as with S3, and refused tags change nothing', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: 'limits', Body: 'x', Tagging: 'kept=1' }));
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`k${i}`, 'v']));
    expect(await refusal(setTags('limits', eleven))).toEqual([400, 'InvalidTag']);
    expect(await refusal(setTags('limits', { ['k'.repeat(129)]: 'v' }))).toEqual([400, 'InvalidTag']);
    expect(await refusal(setTags('limits', { k: 'v'.repeat(257) }))).toEqual([400, 'InvalidTag']);
    expect(await tagsOf('limits')).toEqual([{ Key: 'kept', Value: '1' }]);
    expect(await refusal(setTags('none', { k: 'v' }))).toEqual([404, 'NoSuchKey']);
  });

  it('hold over a restart', async () => {
    await bucket.stack.gateway.restart();
    expect(await tagsOf('limits')).toEqual([{ Key: 'kept', Value: '1' }]);
  }, 60_000);
});
