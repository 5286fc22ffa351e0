import { assert, MANY, manyPrefix, same, small, step } from './scenario.mjs';

// As the document has it:
import { createStorage } from 'unstorage';
import s3Driver from 'unstorage/drivers/s3';

const storage = createStorage({
  driver: s3Driver({
    accessKeyId: 'ACCESS_KEY_ID',
    secretAccessKey: 'SECRET_ACCESS_KEY',
    endpoint: 'http://s3.example.com',
    bucket: 'files',
    region: 'us-east-1',
  }),
});
// Until here.

await step('items', async () => {
  await storage.setItem('a:own:text', 'of some length');
  await storage.setItem('a:own:json', { a: [1, 'ü'] });
  await storage.setItemRaw('a:own:bytes', small);
  assert.equal(await storage.getItem('a:own:text'), 'of some length');
  assert.deepEqual(await storage.getItem('a:own:json'), { a: [1, 'ü'] });
  await same(storage.getItemRaw('a:own:bytes'), small);
  assert.deepEqual([await storage.hasItem('a:own:text'), await storage.hasItem('a:none')], [true, false]);
  assert.deepEqual((await storage.getKeys('a:own')).sort(), ['a:own:bytes', 'a:own:json', 'a:own:text']);
  await storage.removeItem('a:own:text');
  assert.equal(await storage.getItem('a:own:text'), null);
});
await step('page', async () => {
  const keys = await storage.getKeys(manyPrefix);
  assert.ok(keys.length < MANY && keys.length > 900, `${keys.length} keys`);
});
await step('clear', async () => {
  await storage.clear();
  const left = await storage.getKeys();
  assert.ok(left.length > 0 && left.length < 200, `${left.length} keys`);
});
