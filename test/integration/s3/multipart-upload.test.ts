// AWS API reference: CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload, ListParts,
// ListMultipartUploads; user guide: "Amazon S3 multipart upload limits".
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandInput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { bytesOf, multipartEtag, refusal, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MIB = 1024 * 1024;
const FIRST = bytesOf(5 * MIB, 'first');
const SECOND = bytesOf(9 * MIB, 'second');
const LAST = bytesOf(3, 'last');

describe('multipart uploads', () => {
  let bucket: S3Bucket;
  const Bucket = 'files';
  const create = async (Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}) =>
    (await bucket.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId!;
  const part = async (Key: string, UploadId: string, PartNumber: number, Body: Buffer) => ({
    PartNumber,
    ETag: (await bucket.s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }))).ETag!,
  });
  const complete = (Key: string, UploadId: string, Parts: CompletedPart[], more = {}) =>
    bucket.s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }),
    );
  const bytes = async (Key: string) =>
    Buffer.from(
      await (await bucket.s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray(),
    );

  beforeAll(async () => {
    bucket = await startS3Bucket();
  }, 60_000);
  afterAll(() => bucket.close());

  it('parts sent in any order, with gaps, become one object with the ETag of S3', async () => {
    const Key = 'order';
    const id = await create(Key, { ContentType: 'a/b', Metadata: { m: '1' }, Tagging: 't=1' });
    const last = await part(Key, id, 9000, LAST);
    const [second, first] = [await part(Key, id, 20, SECOND), await part(Key, id, 3, FIRST)];
    const done = await complete(Key, id, [first, second, last]);
    expect([done.ETag, done.Bucket, done.Key]).toEqual([multipartEtag([FIRST, SECOND, LAST]), Bucket, Key]);
    expect(done.Location).toBe(`${bucket.stack.gateway.endpoint}/files/order`);
    expect((await bytes(Key)).equals(Buffer.concat([FIRST, SECOND, LAST]))).toBe(true);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect(head).toMatchObject({ ETag: done.ETag, ContentType: 'a/b', Metadata: { m: '1' }, TagCount: 1 });
    const attributes = await bucket.s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key,
        ObjectAttributes: ['ETag', 'ObjectParts', 'ObjectSize', 'StorageClass'],
      }),
    );
    expect(attributes).toMatchObject({
      ETag: done.ETag!.replaceAll('"', ''),
      ObjectSize: FIRST.length + SECOND.length + LAST.length,
      ObjectParts: { TotalPartsCount: 3 },
    });
  });

  it('a part sent again replaces the former, and parts that are not named are dropped', async () => {
    const Key = 'replaced';
    const id = await create(Key);
    const old = await part(Key, id, 1, SECOND);
    const first = await part(Key, id, 1, FIRST);
    await part(Key, id, 2, SECOND);
    const last = await part(Key, id, 3, LAST);
    expect(await refusal(complete(Key, id, [old, last]))).toEqual([400, 'InvalidPart']);
    await complete(Key, id, [first, last]);
    expect((await bytes(Key)).equals(Buffer.concat([FIRST, LAST]))).toBe(true);
  });

  it('a part below 5 MiB that is not the last is EntityTooSmall, and the upload goes on', async () => {
    const Key = 'small';
    const id = await create(Key);
    const [small, big] = [await part(Key, id, 1, LAST), await part(Key, id, 2, FIRST)];
    expect(await refusal(complete(Key, id, [small, big]))).toEqual([400, 'EntityTooSmall']);
    await complete(Key, id, [big]);
    expect((await bytes(Key)).equals(FIRST)).toBe(true);
  });

  it('parts out of order are InvalidPartOrder', async () => {
    const Key = 'disorder';
    const id = await create(Key);
    const [a, b] = [await part(Key, id, 1, FIRST), await part(Key, id, 2, LAST)];
    expect(await refusal(complete(Key, id, [b, a]))).toEqual([400, 'InvalidPartOrder']);
    expect(await refusal(complete(Key, id, [a, a]))).toEqual([400, 'InvalidPartOrder']);
    await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
  });

  it('Complete again with the same parts is the same answer, with others NoSuchUpload', async () => {
    const Key = 'again';
    const id = await create(Key);
    const parts = [await part(Key, id, 1, FIRST), await part(Key, id, 2, LAST)];
    const once = await complete(Key, id, parts);
    expect((await complete(Key, id, parts)).ETag).toBe(once.ETag);
    expect(await refusal(complete(Key, id, parts.slice(0, 1)))).toEqual([404, 'NoSuchUpload']);
  });

  it('an aborted upload is gone, its parts with it, and the key never was', async () => {
    const Key = 'aborted';
    const id = await create(Key);
    const first = await part(Key, id, 1, FIRST);
    await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
    for (const request of [
      complete(Key, id, [first]),
      part(Key, id, 2, LAST),
      bucket.s3.send(new ListPartsCommand({ Bucket, Key, UploadId: id })),
      bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id })),
    ])
      expect(await refusal(request)).toEqual([404, 'NoSuchUpload']);
    expect(await bucket.listing(Key)).toEqual([]);
  });

  it('Complete and Abort at once: the object is whole, or is not there', async () => {
    for (let round = 0; round < 5; round += 1) {
      const Key = `race/${round}`;
      const id = await create(Key);
      const first = await part(Key, id, 1, LAST);
      const [completed, aborted] = await Promise.all([
        refusal(complete(Key, id, [first])),
        refusal(bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }))),
      ]);
      const there = (await bucket.listing(Key)).length === 1;
      expect([completed[0] === 200, aborted[0] === 200].filter(Boolean)).toHaveLength(1);
      expect(there).toBe(completed[0] === 200);
    }
  });

  it('an open upload is seen by nobody who lists or reads', async () => {
    const id = await create('open');
    await part('open', id, 1, FIRST);
    expect(await bucket.listing('open')).toEqual([]);
    expect(await refusal(bytes('open'))).toEqual([404, 'NoSuchKey']);
    await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'open', UploadId: id }));
  });

  it('ListParts pages by its marker', async () => {
    const Key = 'list-parts';
    const id = await create(Key);
    for (const n of [1, 5, 7, 10_000]) await part(Key, id, n, Buffer.from(`part ${n}`));
    const numbers: number[] = [];
    let PartNumberMarker: string | undefined;
    do {
      const page = await bucket.s3.send(
        new ListPartsCommand({
          Bucket,
          Key,
          UploadId: id,
          MaxParts: 3,
          ...(PartNumberMarker ? { PartNumberMarker } : {}),
        }),
      );
      numbers.push(...page.Parts!.map((p) => p.PartNumber!));
      PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
    } while (PartNumberMarker !== undefined);
    expect(numbers).toEqual([1, 5, 7, 10_000]);
    await bucket.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
  });

  it('ListMultipartUploads pages by key and upload id, and rolls up prefixes', async () => {
    const ids: string[] = [];
    for (const key of ['up/a', 'up/a', 'up/b/1', 'up/b/2', 'up/中']) ids.push(await create(key));
    const list = (more: object) =>
      bucket.s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', ...more }));
    const seen: string[] = [];
    let markers = {};
    for (;;) {
      const page = await list({ MaxUploads: 2, ...markers });
      seen.push(...page.Uploads!.map((u) => u.UploadId!));
      if (page.IsTruncated !== true) break;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
    expect([...seen].sort()).toEqual([...ids].sort());
    const rolled = await list({ Delimiter: '/' });
    expect([rolled.CommonPrefixes?.map((p) => p.Prefix), rolled.Uploads?.map((u) => u.Key)]).toEqual([
      ['up/b/'],
      ['up/a', 'up/a', 'up/中'],
    ]);
    for (const upload of (await list({})).Uploads!)
      await bucket.s3.send(
        new AbortMultipartUploadCommand({ Bucket, Key: upload.Key!, UploadId: upload.UploadId! }),
      );
    expect((await list({})).Uploads).toBeUndefined();
  });

  it('If-None-Match: * on Complete is won by one of many at once', async () => {
    const Key = 'complete-race';
    const uploads = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const id = await create(Key);
        return { id, parts: [await part(Key, id, 1, Buffer.from(`racer ${i}`))] };
      }),
    );
    const results = await Promise.all(
      uploads.map(({ id, parts }) => refusal(complete(Key, id, parts, { IfNoneMatch: '*' }))),
    );
    expect(results.filter(([status]) => status === 200)).toHaveLength(1);
    const winner = results.findIndex(([status]) => status === 200);
    expect((await bytes(Key)).toString()).toBe(`racer ${winner}`);
    for (const [status, name] of results.filter(([s]) => s !== 200))
      expect([status, name]).toEqual([412, 'PreconditionFailed']);
  });

  it('lib-storage uploads a stream in parallel parts', async () => {
    const Body = Buffer.concat([SECOND, FIRST, SECOND]);
    await new Upload({
      client: bucket.s3,
      queueSize: 4,
      partSize: 5 * MIB,
      params: { Bucket, Key: 'stream', Body },
    }).done();
    expect((await bytes('stream')).equals(Body)).toBe(true);
  });

  it('an open upload goes on after a restart', async () => {
    const Key = 'restart';
    const id = await create(Key, { Metadata: { kept: 'yes' } });
    const first = await part(Key, id, 1, FIRST);
    await bucket.stack.gateway.restart();
    const last = await part(Key, id, 2, LAST);
    const done = await complete(Key, id, [first, last]);
    expect(done.ETag).toBe(multipartEtag([FIRST, LAST]));
    expect((await bytes(Key)).equals(Buffer.concat([FIRST, LAST]))).toBe(true);
    const head = await bucket.s3.send(new HeadObjectCommand({ Bucket, Key }));
    expect(head.Metadata).toEqual({ kept: 'yes' });
  }, 60_000);
});
