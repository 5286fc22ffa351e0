// AWS API reference: AbortMultipartUpload.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { MultipartClient } from '../../support/multipart-client.js';
import { bytesOf, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;

describe('AbortMultipartUpload', () => {
  let bucket: S3Bucket;
  let multipart: MultipartClient;
  const Bucket = 'files';
  beforeAll(async () => {
    bucket = await startS3Bucket();
    multipart = new MultipartClient(bucket);
  });
  afterAll(() => bucket.close());

  test('is 204 without a body, and ends the upload with its parts for everyone', async () => {
    const Key = 'aborted';
    const id = await multipart.create(Key);
    const first = await multipart.part(Key, id, 1, bytesOf(5 * MIB));
    const answer = await bucket.wire.send({
      method: 'DELETE',
      path: '/files/aborted',
      query: { uploadId: id },
    });
    expect([answer.status, answer.body.length]).toEqual([204, 0]);
    for (const request of [
      multipart.complete(Key, id, [first]),
      multipart.part(Key, id, 2, 'x'),
      bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId: id })),
      multipart.abort(Key, id),
    ])
      expect(await refusal(request)).toEqual([404, 'NoSuchUpload']);
    const { Uploads } = await bucket.s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
    expect([Uploads, await bucket.listing(Key)]).toEqual([undefined, []]);
  });

  test('leaves the object that stands at the key, and other uploads of it', async () => {
    const Key = 'object';
    await bucket.wire.send({ method: 'PUT', path: '/files/object', body: 'there' });
    const [one, two] = [await multipart.create(Key), await multipart.create(Key)];
    const part = await multipart.part(Key, two, 1, 'two');
    await multipart.abort(Key, one);
    expect((await multipart.bytes(Key)).toString()).toBe('there');
    await multipart.complete(Key, two, [part]);
    expect((await multipart.bytes(Key)).toString()).toBe('two');
  });

  test('is NoSuchUpload under another key, after Complete, and for an id that never was', async () => {
    const id = await multipart.create('mine');
    expect(await refusal(multipart.abort('yours', id))).toEqual([404, 'NoSuchUpload']);
    await multipart.complete('mine', id, [await multipart.part('mine', id, 1, 'x')]);
    expect(await refusal(multipart.abort('mine', id))).toEqual([404, 'NoSuchUpload']);
    expect(await refusal(multipart.abort('mine', 'never'))).toEqual([404, 'NoSuchUpload']);
    expect((await multipart.bytes('mine')).toString()).toBe('x');
  });

  test('while parts are being sent: none of them is there afterwards, and none is a 500', async () => {
    const Key = 'while-sending';
    const id = await multipart.create(Key);
    const sending = Array.from({ length: 8 }, (_, i) =>
      refusal(multipart.part(Key, id, i + 1, bytesOf(2 * MIB, `${i}`))),
    );
    const aborting = refusal(multipart.abort(Key, id));
    for (const result of await Promise.all(sending))
      expect([[200], [404, 'NoSuchUpload']]).toContainEqual(result);
    expect(await aborting).toEqual([200]);
    expect(await refusal(bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId: id })))).toEqual([
      404,
      'NoSuchUpload',
    ]);
  });

  test('two at once: one ends the upload, the other finds none', async () => {
    const id = await multipart.create('twice');
    const results = await Promise.all([1, 2].map(() => refusal(multipart.abort('twice', id))));
    expect(results.map(([status]) => status).sort()).toEqual([200, 404]);
  });
});
