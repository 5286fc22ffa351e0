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
import { S3Client } from '@bradenmacdonald/s3-lite-client';

const client = new S3Client({
  endPoint: 'http://s3.example.com',
  region: 'us-east-1',
  bucket: 'files',
  accessKey: 'ACCESS_KEY_ID',
  secretKey: 'SECRET_ACCESS_KEY',
});
// Until here.

const key = 'own/a b+c/ü!.bin';
const list = async (prefix, more = {}) =>
  (await Array.fromAsync(client.listObjects({ prefix, ...more }))).map((object) => object.key);

await step('objects', async () => {
  await client.putObject(key, small, { metadata: { 'Content-Type': 'x/y', 'x-amz-meta-owner': 'zhang' } });
  const { size, metadata } = await client.statObject(key);
  assert.deepEqual(
    [size, metadata['Content-Type'], metadata['x-amz-meta-owner']],
    [small.length, 'x/y', 'zhang'],
  );
  await same(client.getObject(key), small);
});
await step('multipart', async () => {
  await client.putObject('own/large', new Blob([large]).stream(), { partSize: 5 * MIB });
  assert.match((await client.statObject('own/large')).etag, /-3$/);
  await same(client.getObject('own/large'), large);
});
await step('ranges', () =>
  same(client.getPartialObject('own/large', { offset: 5, length: 10 }), large.subarray(5, 15)),
);
await step('pages', async () => {
  assert.equal(new Set(await list(manyPrefix)).size, MANY);
  assert.equal(new Set(await list(manyPrefix, { pageSize: 300 })).size, MANY);
  const groups = await Array.fromAsync(client.listObjectsGrouped({ prefix: 'own/', delimiter: '/' }));
  assert.deepEqual(groups.map((one) => one.prefix ?? one.key).sort(), ['own/a b+c/', 'own/large']);
});
await step('copies', async () => {
  await client.copyObject({ sourceKey: key }, 'own/copy');
  await same(client.getObject('own/copy'), small);
});
await step('conditions', async () => {
  const once = () => client.putObject('own/once', small, { metadata: { 'If-None-Match': '*' } });
  await once();
  await refused(once, /PreconditionFailed/);
});
await step('presigned', async () => {
  const put = await client.getPresignedUrl('PUT', 'own/by link/ü', { expirySeconds: 60 });
  await ok(fetch(put, { method: 'PUT', body: small }));
  await same(await ok(fetch(await client.presignedGetObject('own/by link/ü', { expirySeconds: 60 }))), small);
});
await step('forms', async () => {
  const { url, fields } = await client.presignedPostObject('own/form', { expirySeconds: 60 });
  await sendForm(url, fields, small);
  await same(client.getObject('own/form'), small);
});
await step('deletes', async () => {
  for (const name of await list('own/')) await client.deleteObject(name);
  assert.deepEqual(await list('own/'), []);
});
