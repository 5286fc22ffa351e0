// AWS API reference: CopyObject.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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
  });
  afterAll(() => bucket.close());

  test('copies bytes, headers and tags, and sends nothing to Gitee again', async () => {
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

  test('REPLACE takes the headers of the request, and keeps the tags', async () => {
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

  test('the tagging directive REPLACE takes the tags of the request, and keeps the headers', async () => {
    await copy('tagged', { TaggingDirective: 'REPLACE', Tagging: 'x=y' });
    const tags = await bucket.s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'tagged' }));
    expect(tags.TagSet).toEqual([{ Key: 'x', Value: 'y' }]);
    expect((await head('tagged')).Metadata).toEqual({ a: '1' });
  });

  test('onto itself is InvalidRequest without a change, and changes headers with REPLACE', async () => {
    await copy('self');
    const self = { CopySource: 'files/self' };
    expect(await refusal(copy('self', self))).toEqual([400, 'InvalidRequest']);
    await copy('self', { ...self, MetadataDirective: 'REPLACE', Metadata: { c: '3' } });
    expect([(await head('self')).Metadata, await isBody('self')]).toEqual([{ c: '3' }, true]);
    await copy('self', { ...self, StorageClass: 'STANDARD_IA' });
    expect(await head('self')).toMatchObject({ StorageClass: 'STANDARD_IA', Metadata: { c: '3' } });
    await copy('self', { ...self, StorageClass: 'STANDARD' });
    expect((await head('self')).StorageClass).toBeUndefined();
    for (const CopySource of ['/files/self', 'files/self?versionId=null', 'files/s%65lf'])
      expect(await refusal(copy('self', { CopySource }))).toEqual([400, 'InvalidRequest']);
  });

  test('the storage class is the one of the request, never of the source', async () => {
    await copy('cold', { StorageClass: 'GLACIER' });
    expect(await head('cold')).toMatchObject({ StorageClass: 'GLACIER', Metadata: { a: '1' } });
    await copy('warm', { CopySource: 'files/cold' });
    expect((await head('warm')).StorageClass).toBeUndefined();
  });

  test('answers the checksum of the copy, and computes one that is asked for', async () => {
    await bucket.s3.send(
      new PutObjectCommand({ Bucket, Key: 'summed', Body: BODY, ChecksumAlgorithm: 'SHA256' }),
    );
    const sha256 = createHash('sha256').update(BODY).digest('base64');
    const same = await copy('summed-copy', { CopySource: 'files/summed' });
    expect(same.CopyObjectResult).toMatchObject({ ChecksumSHA256: sha256, ChecksumType: 'FULL_OBJECT' });
    const other = await copy('sha1', { CopySource: 'files/summed', ChecksumAlgorithm: 'SHA1' });
    const sha1 = createHash('sha1').update(BODY).digest('base64');
    expect(other.CopyObjectResult!.ChecksumSHA1).toBe(sha1);
    const told = await bucket.s3.send(
      new HeadObjectCommand({ Bucket, Key: 'sha1', ChecksumMode: 'ENABLED' }),
    );
    expect([told.ChecksumSHA1, told.ChecksumSHA256]).toEqual([sha1, undefined]);
    expect(await refusal(copy('bad', { ChecksumAlgorithm: 'MD4' as 'SHA1' }))).toEqual([
      400,
      'InvalidRequest',
    ]);
  });

  test('another word than COPY or REPLACE is InvalidArgument', async () => {
    for (const name of ['x-amz-metadata-directive', 'x-amz-tagging-directive']) {
      const answer = await bucket.wire.send({
        method: 'PUT',
        path: '/files/word',
        headers: { 'x-amz-copy-source': 'files/source', [name]: 'MERGE' },
      });
      expect([answer.status, answer.xml('Code'), answer.xml('ArgumentName')]).toEqual([
        400,
        'InvalidArgument',
        name,
      ]);
    }
  });

  test('both directives REPLACE with nothing leave bytes only', async () => {
    await copy('bare', { MetadataDirective: 'REPLACE', TaggingDirective: 'REPLACE' });
    const answer = await head('bare');
    expect([answer.Metadata, answer.CacheControl, answer.TagCount]).toEqual([{}, undefined, undefined]);
  });

  test('works between buckets', async () => {
    await bucket.s3.send(
      new CopyObjectCommand({ Bucket: 'registry', Key: 'other/copy', CopySource: 'files/source' }),
    );
    expect(await isBody('other/copy', 'registry')).toBe(true);
    await copy('back', { CopySource: 'registry/other/copy' });
    expect(await isBody('back')).toBe(true);
  });

  test('copies small and empty objects too', async () => {
    for (const Body of ['', 'small']) {
      await bucket.s3.send(new PutObjectCommand({ Bucket, Key: `little${Body}`, Body: Buffer.from(Body) }));
      await copy(`little-copy${Body}`, { CopySource: `files/little${Body}` });
      expect((await bytes(`little-copy${Body}`)).toString()).toBe(Body);
    }
  });

  test('a copy of a multipart object has all its bytes and its own parts no more', async () => {
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

  test('a copy stays when its source is deleted', async () => {
    await copy('parent');
    await copy('child', { CopySource: 'files/parent' });
    await bucket.wire.send({ method: 'DELETE', path: '/files/parent' });
    expect(await isBody('child')).toBe(true);
  });

  test.each([
    ['a b+c', 'files/a%20b%2Bc'],
    ['a b c', '/files/a%20b+c'],
    ['a b+c', '/files/a b+c'],
    ['中文/x', 'files/%E4%B8%AD%E6%96%87/x'],
    ['per%cent', 'files/per%25cent'],
    ['per%cent', 'files/per%cent'],
    ['a%2Fb', 'files/a%252Fb'],
    ['//double//', 'files///double//'],
    ['q?x=1&y', 'files/q%3Fx%3D1%26y'],
    ['source', 'files/source?versionId=null'],
    ['source', '/files/source?versionId=null'],
    ['a b+c', 'files%2Fa%20b%2Bc'],
    ['/leading', 'files//leading'],
    ['trailing/', 'files/trailing/'],
    ['q?versionId=null', 'files/q%3FversionId%3Dnull'],
    ['q?X-Amz-Signature=0', 'files/q?X-Amz-Signature=0'],
    [`quote'"<&>`, `files/quote'"<&>`],
    ['u\u0001\n', 'files/u%01%0A'],
    ['好'.repeat(341), `files/${'%E5%A5%BD'.repeat(341)}`],
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

  test('reads a source that came as raw UTF-8 (the registry driver sends it so)', async () => {
    await bucket.s3.send(new PutObjectCommand({ Bucket, Key: '中文/raw +', Body: 'raw' }));
    const text = { 'x-amz-copy-source': '/files/中文/raw +' };
    const signed = await bucket.wire.signedHeaders({ method: 'PUT', path: '/files/raw-copy', headers: text });
    const onWire = Buffer.from(text['x-amz-copy-source'], 'utf8').toString('latin1');
    const headers = { ...signed, 'x-amz-copy-source': onWire };
    const answer = await bucket.wire.raw('PUT', '/files/raw-copy', headers);
    expect([answer.status, (await bytes('raw-copy')).toString()]).toEqual([200, 'raw']);
  });

  test.each([
    ['', 400, 'InvalidArgument'],
    ['/', 400, 'InvalidArgument'],
    ['files', 400, 'InvalidArgument'],
    ['files/', 400, 'InvalidArgument'],
    ['//files/source', 400, 'InvalidArgument'],
    [`files/${'x'.repeat(1025)}`, 400, 'KeyTooLongError'],
    ['files/source?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=60', 404, 'NoSuchKey'],
    ['https://files.example.test/source', 404, 'NoSuchBucket'],
    ['arn:aws:s3:us-east-1:1:accesspoint/x/object/source', 404, 'NoSuchBucket'],
    ['files/source?versionId=', 404, 'NoSuchVersion'],
    ['files/source?versionId=%6eull', 404, 'NoSuchVersion'],
  ])('the source %j is %d %s, and writes nothing', async (source, status, code) => {
    const answer = await bucket.wire.send({
      method: 'PUT',
      path: '/files/from-garbage',
      headers: { 'x-amz-copy-source': source },
    });
    expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
    expect(await bucket.listing('from-garbage')).toEqual([]);
  });

  test('a condition that holds outweighs one that does not, as with GetObject', async () => {
    const { ETag } = await head('source');
    const old = new Date('2000-01-01T00:00:00Z');
    for (const [conditions, status] of [
      [{ CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: old }, 200],
      [{ CopySourceIfNoneMatch: ETag, CopySourceIfModifiedSince: old }, 412],
      [{ CopySourceIfMatch: '*' }, 200],
    ] as const)
      expect((await refusal(copy('both', conditions as Partial<CopyObjectCommandInput>)))[0]).toBe(status);
  });

  test('many copies onto one key while it is written leave one of them whole', async () => {
    const bodies = ['one', 'two', 'three', 'four'].map((word) => Buffer.from(word.repeat(30_000)));
    for (const [i, Body] of bodies.entries())
      await bucket.s3.send(new PutObjectCommand({ Bucket, Key: `from/${i}`, Body }));
    await Promise.all(bodies.map((_, i) => copy('contended', { CopySource: `files/from/${i}` })));
    const got = await bytes('contended');
    expect(bodies.some((body) => body.equals(got))).toBe(true);
  });

  test('source conditions hold or are PreconditionFailed', async () => {
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

  test('a missing source, bucket or version is named', async () => {
    expect(await refusal(copy('x', { CopySource: 'files/none' }))).toEqual([404, 'NoSuchKey']);
    expect(await refusal(copy('x', { CopySource: 'none/source' }))).toEqual([404, 'NoSuchBucket']);
    expect(await refusal(copy('x', { CopySource: 'files/source?versionId=abc' }))).toEqual([
      404,
      'NoSuchVersion',
    ]);
    expect((await bucket.listing('x')).length).toBe(0);
  });
});
