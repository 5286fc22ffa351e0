// AWS API reference: DeleteObject, DeleteObjects.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

describe('DeleteObject and DeleteObjects', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const put = (Key: string, Body = 'x') => bucket.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  const keys = async () => (await bucket.listing()).map((o) => o.key);
  beforeAll(async () => {
    bucket = await startS3Bucket();
  }, 60_000);
  afterAll(() => bucket.close());

  it('deletes one key, at once and for good', async () => {
    await put('one');
    await put('other');
    const answer = await bucket.wire.send({ method: 'DELETE', path: '/files/one' });
    expect([answer.status, answer.body.length]).toEqual([204, 0]);
    expect(await keys()).toEqual(['other']);
    expect(await refusal(bucket.s3.send(new HeadObjectCommand({ Bucket, Key: 'one' })))).toEqual([
      404,
      'NotFound',
    ]);
  });

  it('is no error for what is not there', async () => {
    expect((await bucket.wire.send({ method: 'DELETE', path: '/files/nothing' })).status).toBe(204);
    const answer = await bucket.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'nothing' }, { Key: 'other' }] } }),
    );
    expect([answer.Deleted?.map((d) => d.Key), answer.Errors]).toEqual([['nothing', 'other'], undefined]);
    expect(await keys()).toEqual([]);
  });

  it('with If-Match deletes only the object that it names', async () => {
    const { ETag } = await put('guarded');
    const remove = (IfMatch: string) =>
      refusal(bucket.s3.send(new DeleteObjectCommand({ Bucket, Key: 'guarded', IfMatch })));
    expect(await remove('"0123"')).toEqual([412, 'PreconditionFailed']);
    expect(await keys()).toEqual(['guarded']);
    expect(await remove(ETag!)).toEqual([200]);
    expect(await keys()).toEqual([]);
  });

  it('deletes 1,000 keys of one document', async () => {
    const all = Array.from({ length: 1000 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
    for (let at = 0; at < all.length; at += 50) await Promise.all(all.slice(at, at + 50).map((k) => put(k)));
    expect(await keys()).toEqual(all);
    const answer = await bucket.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: all.map((Key) => ({ Key })) } }),
    );
    expect([answer.Deleted?.length, answer.Errors]).toEqual([1000, undefined]);
    expect(await keys()).toEqual([]);
  }, 60_000);

  it('Quiet names errors only; one bad key does not stop the others', async () => {
    await put('a & <b>');
    const body = `<Delete><Quiet>true</Quiet><Object><Key>a &amp; &lt;b&gt;</Key></Object><Object><Key>${'x'.repeat(1025)}</Key></Object></Delete>`;
    const answer = await bucket.wire.send({
      method: 'POST',
      path: '/files',
      query: { delete: '' },
      headers: { 'content-md5': createHash('md5').update(body).digest('base64') },
      body,
    });
    expect([answer.status, answer.xmlAll('Deleted').length, answer.xmlAll('Code')]).toEqual([
      200,
      0,
      ['KeyTooLongError'],
    ]);
    expect(await keys()).toEqual([]);
  });
});
