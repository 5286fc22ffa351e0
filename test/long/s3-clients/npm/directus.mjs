import { Readable } from 'node:stream';
import { assert, large, MANY, MIB, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { DriverS3 } from '@directus/storage-driver-s3';

// As STORAGE_S3_… of Directus: _ENDPOINT, _REGION, _BUCKET, _KEY, _SECRET, _FORCE_PATH_STYLE
const driver = new DriverS3({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  bucket: 'files',
  key: 'ACCESS_KEY_ID',
  secret: 'SECRET_ACCESS_KEY',
  forcePathStyle: true,
});
// Until here.

await step('objects', async () => {
  await driver.write('own/a b+c.bin', Readable.from([small]), 'x/y');
  await same(driver.read('own/a b+c.bin'), small);
  assert.equal((await driver.stat('own/a b+c.bin')).size, small.length);
  assert.deepEqual([await driver.exists('own/a b+c.bin'), await driver.exists('own/none')], [true, false]);
});
await step('multipart', async () => {
  await driver.write('own/large', Readable.from([large]));
  await same(driver.read('own/large'), large);
});
await step('ranges', () =>
  same(driver.read('own/large', { range: { start: 5, end: 14 } }), large.subarray(5, 15)),
);
await step('pages', async () => assert.equal((await Array.fromAsync(driver.list('many/'))).length, MANY));
await step('copies', async () => {
  await driver.copy('own/large', 'own/copy');
  await driver.move('own/copy', 'own/moved');
  await same(driver.read('own/moved'), large);
  assert.equal(await driver.exists('own/copy'), false);
});
await step('resumable', async () => {
  const context = await driver.createChunkedUpload('own/tus', { size: large.length, metadata: {} });
  let offset = 0;
  for (const end of [5 * MIB, 10 * MIB, large.length])
    offset = await driver.writeChunk(
      'own/tus',
      Readable.from([large.subarray(offset, end)]),
      offset,
      context,
    );
  await driver.finishChunkedUpload('own/tus', context);
  await same(driver.read('own/tus'), large);
  const other = await driver.createChunkedUpload('own/ended', { size: large.length, metadata: {} });
  await driver.deleteChunkedUpload('own/ended', other);
});
await step('deletes', async () => {
  for await (const name of driver.list('own/')) await driver.delete(name);
  await refused(() => driver.read('own/large'), /NoSuchKey/);
});
