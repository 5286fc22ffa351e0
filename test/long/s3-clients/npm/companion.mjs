import { once } from 'node:events';
import http from 'node:http';
import { assert, large, MIB, ok, same, sendForm, small, step } from './scenario.mjs';

// As the document has it:
import * as companion from '@uppy/companion';

const options = {
  s3: {
    endpoint: 'http://s3.example.com',
    region: 'us-east-1',
    bucket: 'files',
    key: 'ACCESS_KEY_ID',
    secret: 'SECRET_ACCESS_KEY',
    forcePathStyle: true,
  },
  server: { host: 'localhost:3020', protocol: 'http' },
  filePath: '/tmp',
  secret: 'another secret',
  corsOrigins: ['https://www.example.com'], // `cors` of the bucket lets the same ones in
};
// Until here.

const listener = http.createServer(companion.app(options).app).listen(3020, '127.0.0.1');
await once(listener, 'listening');
const base = 'http://127.0.0.1:3020/s3';
const headers = { 'content-type': 'application/json' };
const post = async (path, body) =>
  (await ok(fetch(`${base}${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))).json();

let form;
await step('forms', async () => {
  form = await (await ok(fetch(`${base}/params?filename=a.bin&type=x%2Fy`))).json();
  const stored = await sendForm(form.url, form.fields, small);
  assert.equal(stored.status, 201);
  assert.match(await stored.text(), /<Key>/);
});
await step('multipart', async () => {
  const { key, uploadId } = await post('/multipart', {
    filename: 'b.bin',
    type: 'x/y',
    metadata: { name: 'ü' },
  });
  const at = `/multipart/${encodeURIComponent(uploadId)}`;
  const query = `?key=${encodeURIComponent(key)}`;
  const batch = await ok(fetch(`${base}${at}/batch${query}&partNumbers=1,2,3`));
  const { presignedUrls } = await batch.json();
  const parts = [];
  for (const n of [1, 2, 3]) {
    const body = large.subarray((n - 1) * 5 * MIB, n * 5 * MIB);
    const { headers: answered } = await ok(fetch(presignedUrls[n], { method: 'PUT', body }));
    parts.push({ PartNumber: n, ETag: answered.get('etag') });
  }
  const listed = await (await ok(fetch(`${base}${at}${query}`))).json();
  assert.deepEqual(
    listed.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })),
    parts,
  );
  const { location } = await post(`${at}/complete${query}`, { parts });
  assert.match(location, /b\.bin/);
  const other = await post('/multipart', { filename: 'c.bin', type: 'x/y' });
  const end = `${base}/multipart/${encodeURIComponent(other.uploadId)}?key=${encodeURIComponent(other.key)}`;
  await ok(fetch(end, { method: 'DELETE' }));
});
// Its clean-up goes on for ever.
process.exit();
