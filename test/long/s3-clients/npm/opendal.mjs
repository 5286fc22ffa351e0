import { assert, large, MANY, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { Operator } from 'opendal';

const operator = new Operator('s3', {
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  bucket: 'files',
  access_key_id: 'ACCESS_KEY_ID',
  secret_access_key: 'SECRET_ACCESS_KEY',
});
// Until here.

const key = 'own/a b+c/ü!.bin';

await step('objects', async () => {
  await operator.write(key, small, { contentType: 'x/y' });
  const stat = await operator.stat(key);
  assert.deepEqual([Number(stat.contentLength), stat.contentType], [small.length, 'x/y']);
  await same(operator.read(key), small);
});
await step('multipart', async () => {
  const writer = await operator.writer('own/large', { chunk: 5n * 1024n * 1024n });
  for (let at = 0; at < large.length; at += 1024 * 1024)
    await writer.write(large.subarray(at, at + 1024 * 1024));
  await writer.close();
  await same(operator.read('own/large'), large);
  assert.match((await operator.stat('own/large')).etag, /-3"$/);
});
await step('pages', async () => {
  const files = (await operator.list('many/')).filter((one) => one.path() !== 'many/');
  assert.equal(files.length, MANY);
});
await step('copies', async () => {
  await operator.copy(key, 'own/copy');
  await same(operator.read('own/copy'), small);
});
await step('presigned', async () => {
  const put = await operator.presignWrite('own/by link/ü', 60);
  await ok(fetch(put.url, { method: put.method, headers: put.headers, body: small }));
  const get = await operator.presignRead('own/by link/ü', 60);
  await same(await ok(fetch(get.url, { headers: get.headers })), small);
});
await step('deletes', async () => {
  await operator.delete(key);
  await operator.removeAll('own/');
  await refused(() => operator.stat('own/large'), /NotFound/);
});
