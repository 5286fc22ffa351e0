import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import {
  assert,
  bucket,
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
import * as minio from 'minio';

const client = new minio.Client({
  endPoint: 's3.example.com',
  port: 80,
  useSSL: false,
  accessKey: 'ACCESS_KEY_ID',
  secretKey: 'SECRET_ACCESS_KEY',
  region: 'us-east-1',
  partSize: 8 * 1024 * 1024,
});
// Until here.

const key = 'own/a b+c/ü.bin';
const list = async (prefix) => {
  const found = [];
  for await (const object of client.listObjectsV2(bucket, prefix, true)) found.push(object.name);
  return found;
};

await step('objects', async () => {
  await client.putObject(bucket, key, small, small.length, { 'Content-Type': 'x/y', Owner: 'zhang' });
  const { size, metaData } = await client.statObject(bucket, key);
  assert.deepEqual([size, metaData['content-type'], metaData.owner], [small.length, 'x/y', 'zhang']);
  await same(client.getObject(bucket, key), small);
});
await step('multipart', async () => {
  await client.putObject(bucket, 'own/large', Readable.from([large]), large.length);
  await writeFile('large', large);
  await client.fPutObject(bucket, 'own/large-file', 'large');
  for (const name of ['own/large', 'own/large-file']) {
    assert.match((await client.statObject(bucket, name)).etag, /-\d$/);
    await same(client.getObject(bucket, name), large);
  }
});
await step('ranges', () =>
  same(
    client.getPartialObject(bucket, 'own/large', 5 * MIB - 3, 9),
    large.subarray(5 * MIB - 3, 5 * MIB + 6),
  ),
);
await step('pages', async () => {
  assert.equal(new Set(await list(manyPrefix)).size, MANY);
  assert.deepEqual((await list('own/')).sort(), [key, 'own/large', 'own/large-file'].sort());
  const first = [];
  for await (const object of client.listObjects(bucket, manyPrefix, true)) first.push(object.name);
  assert.equal(new Set(first).size, MANY);
});
await step('copies', async () => {
  await client.copyObject(bucket, 'own/copy', `/${bucket}/${key}`);
  await same(client.getObject(bucket, 'own/copy'), small);
  const source = (Object) => new minio.CopySourceOptions({ Bucket: bucket, Object });
  await client.composeObject(new minio.CopyDestinationOptions({ Bucket: bucket, Object: 'own/composed' }), [
    source('own/large'),
    source('own/large-file'),
  ]);
  await same(client.getObject(bucket, 'own/composed'), Buffer.concat([large, large]));
});
await step('conditions', async () => {
  const conditions = new minio.CopyConditions();
  conditions.setMatchETag((await client.statObject(bucket, key)).etag);
  await client.copyObject(bucket, 'own/copy', `/${bucket}/${key}`, conditions);
  await refused(
    () => client.copyObject(bucket, 'own/copy', `/${bucket}/own/large`, conditions),
    /PreconditionFailed/,
  );
});
await step('tags', async () => {
  await client.setObjectTagging(bucket, key, { team: 'web' });
  assert.deepEqual(await client.getObjectTagging(bucket, key), [{ Key: 'team', Value: 'web' }]);
  await client.removeObjectTagging(bucket, key);
});
await step('presigned', async () => {
  await ok(
    fetch(await client.presignedPutObject(bucket, 'own/by link/ü', 60), { method: 'PUT', body: small }),
  );
  await same(await ok(fetch(await client.presignedGetObject(bucket, 'own/by link/ü', 60))), small);
});
await step('forms', async () => {
  const policy = client.newPostPolicy();
  policy.setBucket(bucket);
  policy.setKey('own/form');
  policy.setContentLengthRange(1, 10_000);
  policy.setExpires(new Date(Date.now() + 60_000));
  const { postURL, formData } = await client.presignedPostPolicy(policy);
  await sendForm(postURL, formData, small);
  await same(client.getObject(bucket, 'own/form'), small);
  await assert.rejects(sendForm(postURL, formData, large), /EntityTooLarge/);
});
await step('uploads', async () => {
  const begun = async () => {
    const found = [];
    for await (const upload of client.listIncompleteUploads(bucket, 'own/', true)) found.push(upload.key);
    return found;
  };
  await client.initiateNewMultipartUpload(bucket, 'own/begun', {});
  assert.deepEqual(await begun(), ['own/begun']);
  await client.removeIncompleteUpload(bucket, 'own/begun');
  assert.deepEqual(await begun(), []);
});
await step('deletes', async () => {
  await client.removeObject(bucket, key);
  await client.removeObjects(bucket, await list('own/'));
  assert.deepEqual(await list('own/'), []);
});
