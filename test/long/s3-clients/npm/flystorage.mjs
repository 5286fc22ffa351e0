import { Readable } from 'node:stream';
import { assert, large, MANY, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { S3Client } from '@aws-sdk/client-s3';
import { AwsS3StorageAdapter } from '@flystorage/aws-s3';
import { FileStorage } from '@flystorage/file-storage';

const client = new S3Client({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  forcePathStyle: true,
});
const storage = new FileStorage(new AwsS3StorageAdapter(client, { bucket: 'files' }));
// Until here.

await step('files', async () => {
  await storage.write('own/a b+c/ü.txt', small);
  await same(storage.readToUint8Array('own/a b+c/ü.txt'), small);
  const { size, isFile } = await storage.stat('own/a b+c/ü.txt');
  assert.deepEqual([size, isFile], [small.length, true]);
  assert.deepEqual(
    [await storage.fileExists('own/a b+c/ü.txt'), await storage.fileExists('own/none')],
    [true, false],
  );
  await storage.createDirectory('own/empty');
  assert.equal(await storage.directoryExists('own/empty'), true);
});
await step('multipart', async () => {
  await storage.write('own/large', Readable.from([large]));
  await same(storage.read('own/large'), large);
});
await step('pages', async () => {
  assert.equal((await storage.list('many').toArray()).length, MANY);
  assert.deepEqual((await storage.list('own').toArray()).map((one) => one.path).sort(), [
    'own/a b+c',
    'own/empty',
    'own/large',
  ]);
});
await step('copies', async () => {
  await storage.copyFile('own/a b+c/ü.txt', 'own/copy');
  await storage.moveFile('own/copy', 'own/moved');
  await same(storage.read('own/moved'), small);
  assert.equal(await storage.fileExists('own/copy'), false);
});
await step('presigned', async () => {
  const expiresAt = Date.now() + 60_000;
  const { url, method, headers } = await storage.prepareUpload('own/link', { expiresAt });
  await ok(fetch(url, { method, headers, body: small }));
  await same(await ok(fetch(await storage.temporaryUrl('own/link', { expiresAt }))), small);
});
await step('deletes', async () => {
  await storage.deleteFile('own/moved');
  await storage.deleteDirectory('own');
  assert.deepEqual(await storage.list('own', { deep: true }).toArray(), []);
});
await step('visibility', async () => {
  await storage.write('own/seen', small);
  await refused(() => storage.changeVisibility('own/seen', 'public'), /NotImplemented|not implemented/);
});
