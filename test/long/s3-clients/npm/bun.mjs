import { assert, large, MANY, manyPrefix, MIB, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { S3Client } from 'bun';

const s3 = new S3Client({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  bucket: 'files',
  accessKeyId: 'ACCESS_KEY_ID',
  secretAccessKey: 'SECRET_ACCESS_KEY',
});
// Until here.

const key = 'own/a b+c/ü!.bin';
const keys = async (prefix) => {
  const found = [];
  for (let continuationToken, more = true; more;) {
    const page = await s3.list({ prefix, ...(continuationToken && { continuationToken }) });
    found.push(...(page.contents ?? []).map((one) => one.key));
    continuationToken = page.nextContinuationToken;
    more = page.isTruncated === true;
  }
  return found;
};

await step('objects', async () => {
  await s3.write(key, small, { type: 'x/y' });
  const { size, type } = await s3.stat(key);
  assert.deepEqual([size, type], [small.length, 'x/y']);
  await same(s3.file(key), small);
  assert.deepEqual([await s3.exists(key), await s3.exists('own/none')], [true, false]);
});
await step('multipart', async () => {
  const writer = s3.file('own/large').writer({ partSize: 5 * MIB, queueSize: 3, retry: 0 });
  for (let at = 0; at < large.length; at += MIB) {
    writer.write(large.subarray(at, at + MIB));
    await writer.flush();
  }
  await writer.end();
  assert.match((await s3.stat('own/large')).etag, /-3"$/);
  await same(s3.file('own/large'), large);
});
await step('ranges', () => same(s3.file('own/large').slice(5, 15), large.subarray(5, 15)));
await step('pages', async () => assert.equal(new Set(await keys(manyPrefix)).size, MANY));
await step('presigned', async () => {
  const link = (method) => s3.presign('own/by link/ü', { method, expiresIn: 60 });
  await ok(fetch(link('PUT'), { method: 'PUT', body: small }));
  await same(await ok(fetch(link('GET'))), small);
});
await step('deletes', async () => {
  for (const name of await keys('own/')) await s3.delete(name);
  assert.deepEqual(await keys('own/'), []);
  await refused(() => s3.file(key).text(), /NoSuchKey/);
});
