import { Readable } from 'node:stream';
import { assert, large, MANY, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { Disk } from 'flydrive';
import { S3Driver } from 'flydrive/drivers/s3';

const driver = {
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  forcePathStyle: true,
  bucket: 'files',
  visibility: 'private',
  supportsACL: false,
};
const disk = new Disk(new S3Driver(driver));
// Until here.

const key = 'own/a b.txt';

await step('objects', async () => {
  await disk.put(key, small, { contentType: 'x/y' });
  await same(disk.getBytes(key), small);
  const { contentLength, contentType } = await disk.getMetaData(key);
  assert.deepEqual([contentLength, contentType], [small.length, 'x/y']);
  assert.deepEqual([await disk.exists(key), await disk.exists('own/none')], [true, false]);
});
await step('streams', async () => {
  await disk.putStream('own/large', Readable.from([large]), { contentLength: large.length });
  await same(disk.getStream('own/large'), large);
});
await step('pages', async () => {
  const found = [];
  let paginationToken;
  do {
    const page = await disk.listAll('many', { recursive: true, ...(paginationToken && { paginationToken }) });
    found.push(...page.objects);
    ({ paginationToken } = page);
  } while (paginationToken);
  assert.equal(found.length, MANY);
});
await step('copies', async () => {
  await disk.copy(key, 'own/copy');
  await disk.move('own/copy', 'own/moved');
  await same(disk.getBytes('own/moved'), small);
  assert.equal(await disk.exists('own/copy'), false);
});
await step('presigned', async () => {
  await ok(
    fetch(await disk.getSignedUploadUrl('own/link', { expiresIn: 60 }), { method: 'PUT', body: small }),
  );
  await same(await ok(fetch(await disk.getSignedUrl('own/link', { expiresIn: 60 }))), small);
});
await step('deletes', async () => {
  await disk.delete(key);
  await disk.deleteAll('own');
  assert.equal(await disk.exists('own/large'), false);
});
await step('visibility', async () => {
  const open = new Disk(new S3Driver({ ...driver, supportsACL: true }));
  await open.put('own/seen', small);
  assert.equal(await open.getVisibility('own/seen'), 'private');
  await refused(() => open.put('own/seen', small, { visibility: 'public' }), /./);
  await refused(() => open.setVisibility('own/seen', 'public'), /./);
  await disk.delete('own/seen');
});
