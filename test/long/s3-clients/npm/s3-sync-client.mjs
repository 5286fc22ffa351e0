import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { assert, large, MANY, MIB, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { S3Client } from '@aws-sdk/client-s3';
import { S3SyncClient } from 's3-sync-client';

const client = new S3Client({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  forcePathStyle: true,
});
const { sync } = new S3SyncClient({ client });
// Until here.

const keys = async () =>
  (await client.send(new ListObjectsV2Command({ Bucket: 'files', Prefix: 'own/' }))).Contents?.map(
    (one) => one.Key,
  );

await mkdir('here/a b+c', { recursive: true });
await writeFile('here/a b+c/ü', small);
await writeFile('here/large', large);

await step('up', async () => {
  await sync('here', 's3://files/own', { partSize: 5 * MIB });
  assert.deepEqual(await keys(), ['own/a b+c/ü', 'own/large']);
  const again = await sync('here', 's3://files/own', { partSize: 5 * MIB });
  assert.deepEqual([again.created, again.updated].flat(), []);
});
await step('down', async () => {
  await sync('s3://files/own', 'there');
  await same(readFile('there/a b+c/ü'), small);
  await same(readFile('there/large'), large);
  const { created } = await sync('s3://files/many', 'there-too');
  assert.equal(created.length, MANY);
});
await step('across', async () => {
  await sync('s3://files/own', 's3://files/own-too', { filters: [{ exclude: (key) => key.includes('+') }] });
  await sync('s3://files/own-too', 'third');
  await same(readFile('third/large'), large);
});
await step('plus', () => refused(() => sync('s3://files/own', 's3://files/own-too'), /NoSuchKey/));
await step('deletes', async () => {
  await rm('here/large');
  await sync('here', 's3://files/own', { del: true });
  assert.deepEqual(await keys(), ['own/a b+c/ü']);
});
