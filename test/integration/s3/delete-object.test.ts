// AWS API reference: DeleteObject; user guide: "How to perform conditional deletes".
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { encodePath } from '../../support/s3-client.js';
import { refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('DeleteObject', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const put = (Key: string, Body = 'x') => bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  const keys = async () => (await bucket.listing()).map((o) => o.key);
  const remove = (path: string, query: Record<string, string> = {}, headers: Record<string, string> = {}) =>
    bucket.wire.send({ method: 'DELETE', path: `/files/${path}`, query, headers });
  beforeAll(async () => {
    bucket = await startS3Bucket();
  });
  afterAll(() => bucket.close());

  test('deletes one key, at once and for good', async () => {
    await put('one');
    await put('one/more');
    const answer = await remove('one');
    expect([answer.status, answer.body.length]).toEqual([204, 0]);
    expect(await keys()).toEqual(['one/more']);
    expect(await refusal(bucket.s3.send(new HeadObjectCommand({ Bucket, Key: 'one' })))).toEqual([
      404,
      'NotFound',
    ]);
    await bucket.stack.gateway.kill();
    await bucket.stack.gateway.start();
    expect(await keys()).toEqual(['one/more']);
    await remove('one/more');
  });

  test('is no error for what is not there, but for a bucket that is not', async () => {
    for (let i = 0; i < 2; i += 1) expect((await remove('nothing')).status).toBe(204);
    const answer = await bucket.wire.send({ method: 'DELETE', path: '/nothing/x' });
    expect([answer.status, answer.xml('Code')]).toEqual([404, 'NoSuchBucket']);
  });

  test('knows one version, named null', async () => {
    await put('versioned');
    const other = await remove('versioned', { versionId: 'abc' });
    expect([other.status, other.xml('Code'), await keys()]).toEqual([404, 'NoSuchVersion', ['versioned']]);
    expect((await remove('versioned', { versionId: 'null' })).status).toBe(204);
    expect(await keys()).toEqual([]);
  });

  test('with If-Match deletes only the object that it names', async () => {
    const { ETag } = await put('guarded');
    const guarded = (IfMatch: string) =>
      refusal(bucket.s3.send(new DeleteObjectCommand({ Bucket, Key: 'guarded', IfMatch })));
    expect(await guarded('"0123"')).toEqual([412, 'PreconditionFailed']);
    expect(await keys()).toEqual(['guarded']);
    expect(await guarded(ETag!)).toEqual([200]);
    expect(await keys()).toEqual([]);
    await put('guarded');
    expect(await guarded('*')).toEqual([200]);
    // Who asks for an object to be there is told that it is not.
    for (const condition of ['*', ETag!]) expect(await guarded(condition)).toEqual([404, 'NoSuchKey']);
  });

  test('If-Match is won by one of many at once', async () => {
    const { ETag } = await put('contested');
    const results = await Promise.all(
      Array.from({ length: 8 }, () =>
        refusal(bucket.s3.send(new DeleteObjectCommand({ Bucket, Key: 'contested', IfMatch: ETag }))),
      ),
    );
    expect(results.filter(([status]) => status === 200)).toHaveLength(1);
    expect(results.filter(([status]) => status === 404)).toHaveLength(7);
  });

  test.each(['x-amz-if-match-size', 'x-amz-if-match-last-modified-time'])(
    '%s is refused, since without it more would be deleted than was asked for',
    async (name) => {
      await put('kept');
      const answer = await remove('kept', {}, { [name]: '0' });
      expect([answer.status, answer.xml('Code')]).toEqual([501, 'NotImplemented']);
      expect(await keys()).toEqual(['kept']);
      await remove('kept');
    },
  );

  test.each([
    'a b+c',
    '//double//',
    '/leading',
    'a%2Fb',
    '中文/文件',
    `quote'"<&>`,
    'new\nline',
    'u\u0001',
    'x'.repeat(1024),
  ])('deletes the key %j and no other', async (key) => {
    await put(key);
    await put(`${key.slice(0, 1000)}.`);
    await remove(encodePath(key));
    expect(await keys()).toEqual([`${key.slice(0, 1000)}.`]);
    await bucket.s3.send(new DeleteObjectCommand({ Bucket, Key: `${key.slice(0, 1000)}.` }));
    expect(await keys()).toEqual([]);
  });

  test('a key that is too long is KeyTooLongError', async () => {
    const answer = await remove('x'.repeat(1025));
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'KeyTooLongError']);
  });
});
