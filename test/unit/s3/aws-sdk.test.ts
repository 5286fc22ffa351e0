import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  PutObjectTaggingCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { ACCESS_KEY, SECRET_KEY, startTestApp, type TestApp } from '../../support/s3-app.js';

describe('the AWS SDK for JavaScript with its defaults', () => {
  let app: TestApp;
  let s3: S3Client;
  beforeAll(async () => {
    app = await startTestApp();
    s3 = new S3Client({
      endpoint: app.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
      maxAttempts: 1,
    });
  });
  afterAll(async () => {
    s3.destroy();
    await app.close();
  });
  const Bucket = 'images';

  test('puts and gets with its checksums, keys and metadata as they are', async () => {
    const Key = "a b/+c'(d)*~%25/你好";
    await s3.send(
      new PutObjectCommand({ Bucket, Key, Body: 'hello', Metadata: { colour: 'blue' }, Tagging: 'a=1' }),
    );
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    expect(await answer.Body!.transformToString()).toBe('hello');
    expect(answer.Metadata).toEqual({ colour: 'blue' });
    const list = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'a b/' }));
    expect(list.Contents?.map((c) => c.Key)).toEqual([Key]);
  });

  test('streams a body of known length', async () => {
    const Body = Readable.from([Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)]);
    await s3.send(new PutObjectCommand({ Bucket, Key: 'stream', Body, ContentLength: 200_000 }));
    const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'stream' }));
    expect((await answer.Body!.transformToByteArray()).length).toBe(200_000);
  });

  test('uploads in parts, copies, tags, reads attributes and deletes', async () => {
    const Body = Buffer.alloc(6 * 1024 * 1024, 'p');
    await new Upload({ client: s3, params: { Bucket, Key: 'parts', Body } }).done();
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/parts` }));
    await s3.send(
      new PutObjectTaggingCommand({ Bucket, Key: 'copy', Tagging: { TagSet: [{ Key: 'k', Value: 'v' }] } }),
    );
    const attributes = await s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'parts',
        ObjectAttributes: ['ObjectSize', 'ObjectParts', 'ETag'],
      }),
    );
    expect(attributes.ObjectSize).toBe(Body.length);
    expect(attributes.ObjectParts?.TotalPartsCount).toBe(2);
    const deleted = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'parts' }, { Key: 'copy' }] } }),
    );
    expect(deleted.Deleted?.map((d) => d.Key)).toEqual(['parts', 'copy']);
    expect(deleted.Errors).toBeUndefined();
  });

  test('reads errors by name', async () => {
    await expect(s3.send(new GetObjectCommand({ Bucket, Key: 'missing' }))).rejects.toBeInstanceOf(NoSuchKey);
  });

  test('presigns links that work, for reads and for writes', async () => {
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'link x' }), { expiresIn: 60 });
    expect((await fetch(put, { method: 'PUT', body: 'by link' })).status).toBe(200);
    const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'link x' }), { expiresIn: 60 });
    expect(await (await fetch(get)).text()).toBe('by link');
  });
});
