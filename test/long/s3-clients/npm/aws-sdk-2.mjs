import { Readable } from 'node:stream';
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
import AWS from 'aws-sdk';

const s3 = new AWS.S3({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  s3ForcePathStyle: true,
  signatureVersion: 'v4',
});
// Until here.

const Bucket = 'files';
const Key = 'own/a b+c/ü!.bin';
const call = (operation, more) => s3[operation]({ Bucket, ...more }).promise();
const read = async (key, more = {}) => (await call('getObject', { Key: key, ...more })).Body;
const keys = async (Prefix, Marker) => {
  const { Contents, IsTruncated, NextMarker } = await call('listObjects', { Prefix, Marker });
  const found = Contents.map((one) => one.Key);
  return IsTruncated ? [...found, ...(await keys(Prefix, NextMarker ?? found.at(-1)))] : found;
};

await step('objects', async () => {
  await call('putObject', { Key, Body: small, ContentType: 'x/y', Metadata: { owner: 'zhang' } });
  const { ContentType, Metadata } = await call('headObject', { Key });
  assert.deepEqual([ContentType, Metadata], ['x/y', { owner: 'zhang' }]);
  await same(read(Key), small);
  await same(s3.getObject({ Bucket, Key }).createReadStream(), small);
});
await step('multipart', async () => {
  const upload = s3.upload({ Bucket, Key: 'own/large', Body: Readable.from([large]) }, { partSize: 5 * MIB });
  assert.match((await upload.promise()).ETag, /-3"$/);
  await same(read('own/large'), large);
});
await step('ranges', () => same(read('own/large', { Range: 'bytes=5-14' }), large.subarray(5, 15)));
await step('pages', async () => assert.equal(new Set(await keys(manyPrefix)).size, MANY));
await step('copies', async () => {
  await call('copyObject', {
    Key: 'own/copy',
    CopySource: encodeURI(`${Bucket}/${Key}`).replaceAll('+', '%2B'),
  });
  await same(read('own/copy'), small);
});
await step('tags', async () => {
  const TagSet = [{ Key: 'team', Value: 'web' }];
  await call('putObjectTagging', { Key, Tagging: { TagSet } });
  assert.deepEqual((await call('getObjectTagging', { Key })).TagSet, TagSet);
});
await step('presigned', async () => {
  const link = (operation) => s3.getSignedUrl(operation, { Bucket, Key: 'own/by link/ü', Expires: 60 });
  await ok(fetch(link('putObject'), { method: 'PUT', body: small }));
  await same(await ok(fetch(link('getObject'))), small);
});
await step('forms', async () => {
  const { url, fields } = s3.createPresignedPost({ Bucket, Fields: { key: 'own/form' }, Expires: 60 });
  await sendForm(url, fields, small);
  await same(read('own/form'), small);
});
await step('deletes', async () => {
  const Objects = (await keys('own/')).map((one) => ({ Key: one }));
  const { Deleted, Errors } = await call('deleteObjects', { Delete: { Objects } });
  assert.deepEqual([Deleted.length, Errors], [Objects.length, []]);
  assert.deepEqual(await keys('own/'), []);
});
await step('v2', async () => {
  const old = new AWS.S3({
    endpoint: s3.config.endpoint,
    region: 'us-east-1',
    s3ForcePathStyle: true,
    credentials: s3.config.credentials,
    signatureVersion: 'v2',
    maxRetries: 0,
  });
  await refused(
    () => old.putObject({ Bucket, Key, Body: small }).promise(),
    /InvalidRequest|AWS4-HMAC-SHA256/,
  );
});
