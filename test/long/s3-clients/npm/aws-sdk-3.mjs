import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  AbortMultipartUploadCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { createPresignedPost } from '@aws-sdk/s3-presigned-post';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import {
  assert,
  large,
  MANY,
  manyPrefix,
  MIB,
  ok,
  refused,
  same,
  sendForm,
  small,
  step,
} from './scenario.mjs';

// As the document has it:
import { S3Client } from '@aws-sdk/client-s3';

const s3 = new S3Client({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  forcePathStyle: true,
});
// Until here.

const Bucket = 'files';
const Key = 'own/a b+c/ü!.bin';
const send = (Command, more) => s3.send(new Command({ Bucket, ...more }));
const read = async (key, more = {}) => (await send(GetObjectCommand, { Key: key, ...more })).Body;
const keys = async (Prefix) => {
  const found = [];
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix }))
    found.push(...(page.Contents ?? []).map((one) => one.Key));
  return found;
};

await step('objects', async () => {
  await send(PutObjectCommand, { Key, Body: small, ContentType: 'x/y', Metadata: { owner: 'zhang' } });
  const { ContentType, Metadata } = await send(HeadObjectCommand, { Key });
  assert.deepEqual([ContentType, Metadata], ['x/y', { owner: 'zhang' }]);
  await same(read(Key), small);
});
await step('checksums', async () => {
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
    const answer = await send(PutObjectCommand, {
      Key: 'own/sum',
      Body: Readable.from([small]),
      ContentLength: small.length,
      ChecksumAlgorithm,
    });
    assert.ok(answer[`Checksum${ChecksumAlgorithm}`]);
    await same(read('own/sum', { ChecksumMode: 'ENABLED' }), small);
  }
});
await step('multipart', async () => {
  const params = { Bucket, Key: 'own/large', Body: Readable.from([large]) };
  const { ETag } = await new Upload({ client: s3, partSize: 5 * MIB, params }).done();
  assert.match(ETag, /-3"$/);
  await same(read('own/large'), large);
});
await step('ranges', async () => {
  await same(read('own/large', { Range: 'bytes=5-14' }), large.subarray(5, 15));
  await same(read('own/large', { PartNumber: 2 }), large.subarray(5 * MIB, 10 * MIB));
});
await step('pages', async () => assert.equal(new Set(await keys(manyPrefix)).size, MANY));
await step('copies', async () => {
  const CopySource = `${Bucket}/${Key.split('/').map(encodeURIComponent).join('/')}`;
  await send(CopyObjectCommand, { Key: 'own/copy', CopySource });
  await same(read('own/copy'), small);
  const { UploadId } = await send(CreateMultipartUploadCommand, { Key: 'own/twice' });
  const part = async (PartNumber) => {
    const source = { CopySource: `${Bucket}/own/large`, CopySourceRange: `bytes=0-${6 * MIB - 1}` };
    const { CopyPartResult } = await send(UploadPartCopyCommand, {
      Key: 'own/twice',
      UploadId,
      PartNumber,
      ...source,
    });
    return { PartNumber, ETag: CopyPartResult.ETag };
  };
  const MultipartUpload = { Parts: [await part(1), await part(2)] };
  await send(CompleteMultipartUploadCommand, { Key: 'own/twice', UploadId, MultipartUpload });
  await same(read('own/twice'), Buffer.concat([large.subarray(0, 6 * MIB), large.subarray(0, 6 * MIB)]));
});
await step('conditions', async () => {
  const once = () => send(PutObjectCommand, { Key: 'own/once', Body: small, IfNoneMatch: '*' });
  const { ETag } = await once();
  await refused(once, /PreconditionFailed/);
  await send(PutObjectCommand, { Key: 'own/once', Body: 'next', IfMatch: ETag });
  await refused(
    () => send(PutObjectCommand, { Key: 'own/once', Body: small, IfMatch: ETag }),
    /PreconditionFailed/,
  );
});
await step('tags', async () => {
  const TagSet = [{ Key: 'team', Value: 'web' }];
  await send(PutObjectTaggingCommand, { Key, Tagging: { TagSet } });
  assert.deepEqual((await send(GetObjectTaggingCommand, { Key })).TagSet, TagSet);
});
await step('presigned', async () => {
  const link = (Command) =>
    getSignedUrl(s3, new Command({ Bucket, Key: 'own/by link/ü' }), { expiresIn: 60 });
  await ok(fetch(await link(PutObjectCommand), { method: 'PUT', body: small }));
  await same(await ok(fetch(await link(GetObjectCommand))), small);
});
await step('forms', async () => {
  const Conditions = [['content-length-range', 1, 10_000]];
  const { url, fields } = await createPresignedPost(s3, {
    Bucket,
    Key: 'own/${filename}',
    Conditions,
    Expires: 60,
  });
  await sendForm(url, fields, small);
  await same(read('own/file.bin'), small);
  await assert.rejects(sendForm(url, fields, large), /EntityTooLarge/);
});
await step('uploads', async () => {
  const { UploadId } = await send(CreateMultipartUploadCommand, { Key: 'own/begun' });
  const begun = async () => (await send(ListMultipartUploadsCommand, {})).Uploads?.map((one) => one.UploadId);
  assert.deepEqual(await begun(), [UploadId]);
  await send(AbortMultipartUploadCommand, { Key: 'own/begun', UploadId });
  assert.equal(await begun(), undefined);
});
await step('deletes', async () => {
  const Objects = (await keys('own/')).map((one) => ({ Key: one }));
  const { Deleted, Errors } = await send(DeleteObjectsCommand, { Delete: { Objects } });
  assert.deepEqual([Deleted.length, Errors], [Objects.length, undefined]);
  assert.deepEqual(await keys('own/'), []);
});
