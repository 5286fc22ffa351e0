// AWS API reference: CopyObject.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CopyObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type CopyObjectCommandInput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;

describe('CopyObject', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const BODY = bytesOf(9 * MIB, 'copy');
  const copy = (Key: string, more: Partial<CopyObjectCommandInput> = {}) =>
    bucket.s3.send(new CopyObjectCommand({ Bucket, Key, CopySource: 'files/source', ...more }));
  const bytes = async (Key: string, of: string = Bucket) =>
    Buffer.from(
      await (await bucket.s3.send(new GetObjectCommand({ Bucket: of, Key }))).Body!.transformToByteArray(),
    );
  const isBody = async (Key: string, of?: string) => (await bytes(Key, of)).equals(BODY);
  const head = (Key: string) => bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));

  beforeAll(async () => {
    bucket = await startS3Bucket({ config: { commit: { interval: '500ms' } } });
    await bucket.s3.send(
      new PutObjectCommand({
        Bucket,
        Key: 'source',
        Body: BODY,
        ContentType: 'text/plain',
        CacheControl: 'no-cache',
        Metadata: { a: '1' },
        Tagging: 'tag=one',
      }),
    );
  }, 60_000);
  afterAll(() => bucket.close());

  it('copies bytes, headers and tags, and sends nothing to Gitee again', async () => {
    await bucket.landed();
    const before = (await bucket.stack.gitee.stats()).repositories['acme/files']!.uploadedBytes;
    const answer = await copy('copied');
    expect(answer.CopyObjectResult!.ETag).toBe((await head('copied')).ETag);
    expect(await isBody('copied')).toBe(true);
    expect(await head('copied')).toMatchObject({
      ContentType: 'text/plain',
      CacheControl: 'no-cache',
      Metadata: { a: '1' },
      TagCount: 1,
    });
    const after = (await bucket.stack.gitee.stats()).repositories['acme/files']!.uploadedBytes;
    expect(after).toBe(before);
  });

  it('REPLACE takes the headers of the request, and keeps the tags', async () => {
    await copy('replaced', { MetadataDirective: 'REPLACE', ContentType: 'a/b', Metadata: { b: '2' } });
    const answer = await head('replaced');
    expect([answer.ContentType, answer.CacheControl, answer.Metadata]).toEqual([
      'a/b',
      undefined,
      { b: '2' },
    ]);
    expect(await isBody('replaced')).toBe(true);
    const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'replaced' }));
    expect(tags.TagSet).toEqual([{ Key: 'tag', Value: 'one' }]);
  });

  it('the tagging directive REPLACE takes the tags of the request, and keeps the headers', async () => {
    await copy('tagged', { TaggingDirective: 'REPLACE', Tagging: 'x=y' });
    const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'tagged' }));
    expect(tags.TagSet).toEqual([{ Key: 'x', Value: 'y' }]);
    expect((await head('tagged')).Metadata).toEqual({ a: '1' });
  });

  it('onto itself is InvalidRequest without a change, and changes headers with REPLACE', async () => {
    await copy('self');
    const self = { CopySource: 'files/self' };
    expect(await refusal(copy('self', self))).toEqual([400, 'InvalidRequest']);
    await copy('self', { ...self, MetadataDirective: 'REPLACE', Metadata: { c: '3' } });
    expect([(await head('self')).Metadata, await isBody('self')]).toEqual([{ c: '3' }, true]);
    await copy('self', { ...self, StorageClass: 'STANDARD_IA' });
    expect(await head('self')).toMatchObject({ StorageClass: 'STANDARD_IA', Metadata: { c: '3' } });
  });

  it('works between buckets', async () => {
    await bucket.s3.send(
      new CopyObjectCommand({ Bucket: 'registry', Key: 'other/copy', CopySource: 'files/source' }),
    );
    expect(await isBody('other/copy', 'registry')).toBe(true);
    await copy('back', { CopySource: 'registry/other/copy' });
    expect(await isBody('back')).toBe(true);
  });

  it('copies small and empty objects too', async () => {
    for (const Body of ['', 'small']) {
      await bucket.s3.send(new PutObjectCommand({ Bucket, Key: `little${Body}`, Body: Buffer.from(Body) }));
      await copy(`little-copy${Body}`, { CopySource: `files/little${Body}` });
      expect((await bytes(`little-copy${Body}`)).toString()).toBe(Body);
    }
  });

  it('a copy of a multipart object has all its bytes and its own parts no more', async () => {
    await new Upload({ client: bucket.s3, params: { Bucket, Key: 'in-parts', Body: BODY } }).done();
    await copy('of-parts', { CopySource: 'files/in-parts' });
    expect(await isBody('of-parts')).toBe(true);
    const whole = await bucket.wire.send({
      method: 'HEAD',
      path: '/files/of-parts',
      query: { partNumber: '1' },
    });
    expect([whole.status, whole.headers['content-length']]).toEqual([206, String(BODY.length)]);
  });

  it('a copy stays when its source is deleted', async () => {
    await copy('parent');
    await copy('child', { CopySource: 'files/parent' });
    await bucket.wire.send({ method: 'DELETE', path: '/files/parent' });
    expect(await isBody('child')).toBe(true);
  });

  it.each([
    ['a b+c', 'files/a%20b%2Bc'],
    ['a b+c', '/files/a%20b+c'],
    ['中文/x', 'files/%E4%B8%AD%E6%96%87/x'],
    ['per%cent', 'files/per%25cent'],
    ['per%cent', 'files/per%cent'],
    ['a%2Fb', 'files/a%252Fb'],
    ['//double//', 'files///double//'],
    ['q?x=1&y', 'files/q%3Fx%3D1%26y'],
    ['source', 'files/source?versionId=null'],
  ])('reads the key %j from the source %j', async (key, source) => {
    const path = `/files/${key.split('/').map(encodeURIComponent).join('/')}`;
    if (key !== 'source') await bucket.wire.send({ method: 'PUT', path, body: key });
    const answer = await bucket.wire.send({
      method: 'PUT',
      path: '/files/odd-copy',
      headers: { 'x-amz-copy-source': source },
    });
    expect([answer.status, answer.text.includes('<CopyObjectResult')]).toEqual([200, true]);
    expect((await bytes('odd-copy')).equals(key === 'source' ? BODY : Buffer.from(key))).toBe(true);
  });

  it('source conditions hold or are PreconditionFailed', async () => {
    const { ETag, LastModified } = await head('source');
    const old = new Date('2000-01-01T00:00:00Z');
    for (const [conditions, status] of [
      [{ CopySourceIfMatch: ETag }, 200],
      [{ CopySourceIfMatch: '"x"' }, 412],
      [{ CopySourceIfNoneMatch: ETag }, 412],
      [{ CopySourceIfNoneMatch: '"x"' }, 200],
      [{ CopySourceIfModifiedSince: old }, 200],
      [{ CopySourceIfModifiedSince: LastModified }, 412],
      [{ CopySourceIfUnmodifiedSince: LastModified }, 200],
      [{ CopySourceIfUnmodifiedSince: old }, 412],
    ] as const)
      expect((await refusal(copy('conditional', conditions as Partial<CopyObjectCommandInput>)))[0]).toBe(
        status,
      );
  });

  it('a missing source, bucket or version is named', async () => {
    expect(await refusal(copy('x', { CopySource: 'files/none' }))).toEqual([404, 'NoSuchKey']);
    expect(await refusal(copy('x', { CopySource: 'none/source' }))).toEqual([404, 'NoSuchBucket']);
    expect(await refusal(copy('x', { CopySource: 'files/source?versionId=abc' }))).toEqual([
      404,
      'NoSuchVersion',
    ]);
    expect((await bucket.listing('x')).length).toBe(0);
  });
});
