import { assert, step } from './scenario.mjs';

// As the document has it:
import * as lancedb from '@lancedb/lancedb';

const storageOptions = {
  endpoint: 'http://s3.example.com',
  allow_http: 'true', // not behind Nginx
  region: 'us-east-1',
  aws_access_key_id: 'ACCESS_KEY_ID',
  aws_secret_access_key: 'SECRET_ACCESS_KEY',
};
const db = await lancedb.connect('s3://files/lance', { storageOptions });
// Until here.

const rows = (from, count) =>
  Array.from({ length: count }, (_, i) => ({
    id: from + i,
    vector: Array.from({ length: 16 }, (_unused, d) => Math.sin((from + i) * (d + 1))),
    text: `row ${from + i}`,
  }));
const nearest = async (table, id) =>
  (await table.vectorSearch(rows(id, 1)[0].vector).limit(1).toArray())[0].text;

await step('tables', async () => {
  const table = await db.createTable('rows', rows(0, 1000));
  await table.add(rows(1000, 500));
  assert.deepEqual([await table.countRows(), await nearest(table, 1234)], [1500, 'row 1234']);
});
await step('reopened', async () => {
  const again = await lancedb.connect('s3://files/lance', { storageOptions });
  assert.deepEqual(await again.tableNames(), ['rows']);
  const table = await again.openTable('rows');
  const texts = (await table.query().select(['text']).toArray()).map((row) => row.text);
  assert.deepEqual(
    texts.sort(),
    rows(0, 1500)
      .map((row) => row.text)
      .sort(),
  );
});
await step('changes', async () => {
  const table = await db.openTable('rows');
  await table.update({ where: 'id = 7', values: { text: 'changed' } });
  await table.delete('id >= 1400');
  await table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows(1390, 20));
  assert.deepEqual([await table.countRows(), await table.countRows("text = 'changed'")], [1410, 1]);
});
await step('writers', async () => {
  const writers = await Promise.all(
    Array.from({ length: 4 }, async () =>
      (await lancedb.connect('s3://files/lance', { storageOptions })).openTable('rows'),
    ),
  );
  await Promise.all(writers.map((table, i) => table.add(rows(10_000 + i * 10, 10))));
  const table = await db.openTable('rows');
  await table.checkoutLatest();
  assert.equal(await table.countRows('id >= 10000'), 40);
});
await step('indexes', async () => {
  const table = await db.openTable('rows');
  await table.createIndex('vector', { config: lancedb.Index.ivfPq({ numPartitions: 2, numSubVectors: 4 }) });
  await table.createIndex('text', { config: lancedb.Index.fts() });
  assert.equal((await table.listIndices()).length, 2);
  const found = await table.search('1234', 'fts', 'text').limit(5).toArray();
  assert.deepEqual(
    found.map((row) => row.id),
    [1234],
  );
});
await step('versions', async () => {
  const table = await db.openTable('rows');
  const count = await table.countRows();
  const version = await table.version();
  await table.delete('id < 100');
  await table.checkout(version);
  assert.equal(await table.countRows(), count);
  await table.restore();
  await table.optimize({ cleanupOlderThan: new Date() });
  assert.deepEqual([await table.countRows(), await table.countRows('id < 100')], [count, 100]);
});
await step('drops', async () => {
  await db.dropTable('rows');
  assert.deepEqual(await db.tableNames(), []);
});
