import { Readable } from 'node:stream';
import { writeFile } from 'node:fs/promises';
import { assert, large, MANY, manyPrefix, MIB, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import awsLite from '@aws-lite/client';
import s3Plugin from '@aws-lite/s3';

const aws = await awsLite({
  accessKeyId: 'ACCESS_KEY_ID',
  secretAccessKey: 'SECRET_ACCESS_KEY',
  region: 'us-east-1',
  endpoint: 'http://s3.example.com',
  plugins: [s3Plugin],
});
// Until here.

const Bucket = 'files';
const Key = 'own/a b/ü!.bin';

await step('objects', async () => {
  await aws.S3.PutObject({ Bucket, Key, Body: small, ContentType: 'x/y' });
  assert.equal((await aws.S3.HeadObject({ Bucket, Key })).ContentType, 'x/y');
  await same((await aws.S3.GetObject({ Bucket, Key, rawResponsePayload: true })).Body, small);
});
const read = async (key) => (await aws.S3.GetObject({ Bucket, Key: key, rawResponsePayload: true })).Body;

await step('multipart', async () => {
  await writeFile('large', large);
  await aws.S3.Upload({ Bucket, Key: 'own/large', File: 'large', ChunkSize: 5 * MIB });
  assert.match((await aws.S3.HeadObject({ Bucket, Key: 'own/large' })).ETag, /-3"?$/);
  await same(read('own/large'), large);
});
await step('pages', async () => {
  const { Contents } = await aws.S3.ListObjectsV2({ Bucket, Prefix: manyPrefix, paginate: true });
  assert.equal(Contents.length, MANY);
});
await step('deletes', async () => {
  await aws.S3.DeleteObject({ Bucket, Key });
  await refused(() => aws.S3.HeadObject({ Bucket, Key }), /404/);
});
await step('tail', async () => {
  await aws.S3.Upload({ Bucket, Key: 'own/large', Body: Readable.from([large]), ChunkSize: 5 * MIB });
  await same(read('own/large'), large.subarray(0, 10 * MIB));
});
await step('plus', () =>
  refused(() => aws.S3.PutObject({ Bucket, Key: 'own/a+b', Body: small }), /SignatureDoesNotMatch/),
);
