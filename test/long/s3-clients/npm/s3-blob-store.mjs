import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { assert, large, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import AWS from 'aws-sdk';
import s3BlobStore from 's3-blob-store';

const client = new AWS.S3({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  s3ForcePathStyle: true,
  signatureVersion: 'v4',
});
const store = s3BlobStore({ client, bucket: 'files' });
// Until here.

const write = (key, bytes) =>
  new Promise((resolve, reject) => {
    const to = store.createWriteStream({ key }, (error, written) =>
      error ? reject(error) : resolve(written),
    );
    pipeline(Readable.from([bytes]), to).catch(reject);
  });
const asked = (name, key) =>
  new Promise((resolve, reject) =>
    store[name]({ key }, (error, got) => (error ? reject(error) : resolve(got))),
  );

await step('streams', async () => {
  await write('own/small', small);
  await write('own/large', large);
  await same(store.createReadStream({ key: 'own/small' }), small);
  await same(store.createReadStream({ key: 'own/large', concurrency: 3, chunkSize: 1024 * 1024 }), large);
});
await step('deletes', async () => {
  assert.equal(await asked('exists', 'own/large'), true);
  await asked('remove', 'own/large');
  await asked('remove', 'own/small');
  assert.equal(await asked('exists', 'own/large'), false);
  await refused(() => same(store.createReadStream({ key: 'own/large' }), ''), /NoSuchKey|NotFound|404/);
});
