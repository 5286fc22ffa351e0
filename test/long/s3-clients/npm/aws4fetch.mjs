import { assert, large, MANY, manyPrefix, MIB, ok, same, small, step } from './scenario.mjs';

// As the document has it:
import { AwsClient } from 'aws4fetch';

const aws = new AwsClient({
  accessKeyId: 'ACCESS_KEY_ID',
  secretAccessKey: 'SECRET_ACCESS_KEY',
  service: 's3',
  region: 'us-east-1',
});
const files = 'http://s3.example.com/files';
// Until here.

const encoded = (key) => key.split('/').map(encodeURIComponent).join('/');
const send = (key, method, init = {}, query = '') =>
  aws.fetch(`${files}/${encoded(key)}${query}`, { method, ...init });
const values = (xml, name) =>
  [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'g'))].map(([, value]) => value);
const key = 'own/a b+c/ü!.bin';

await step('objects', async () => {
  const headers = { 'content-type': 'x/y', 'x-amz-meta-owner': 'zhang' };
  await ok(send(key, 'PUT', { body: small, headers }));
  const head = await ok(send(key, 'HEAD'));
  for (const [name, value] of Object.entries(headers)) assert.equal(head.headers.get(name), value);
  await same(await ok(send(key, 'GET')), small);
});
await step('multipart', async () => {
  const created = await ok(send('own/large', 'POST', {}, '?uploads'));
  const [uploadId] = values(await created.text(), 'UploadId');
  const parts = [];
  for (let n = 1; (n - 1) * 5 * MIB < large.length; n += 1) {
    const body = large.subarray((n - 1) * 5 * MIB, n * 5 * MIB);
    const { headers } = await ok(send('own/large', 'PUT', { body }, `?partNumber=${n}&uploadId=${uploadId}`));
    parts.push(`<Part><PartNumber>${n}</PartNumber><ETag>${headers.get('etag')}</ETag></Part>`);
  }
  const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
  await ok(send('own/large', 'POST', { body }, `?uploadId=${uploadId}`));
  await same(await ok(send('own/large', 'GET')), large);
});
await step('ranges', async () => {
  const answer = await send('own/large', 'GET', { headers: { range: 'bytes=5-14' } });
  assert.equal(answer.status, 206);
  await same(answer, large.subarray(5, 15));
});
await step('pages', async () => {
  const found = [];
  for (let more = ''; more !== undefined;) {
    const answer = await ok(
      aws.fetch(`${files}?list-type=2&prefix=${encodeURIComponent(manyPrefix)}${more}`),
    );
    const xml = await answer.text();
    found.push(...values(xml, 'Key'));
    const [token] = values(xml, 'NextContinuationToken');
    more = token && `&continuation-token=${encodeURIComponent(token)}`;
  }
  assert.equal(new Set(found).size, MANY);
});
await step('copies', async () => {
  await ok(send('own/copy', 'PUT', { headers: { 'x-amz-copy-source': `/files/${encoded(key)}` } }));
  await same(await ok(send('own/copy', 'GET')), small);
});
await step('conditions', async () => {
  const once = () => send('own/once', 'PUT', { body: small, headers: { 'if-none-match': '*' } });
  assert.deepEqual([(await once()).status, (await once()).status], [200, 412]);
});
await step('presigned', async () => {
  const link = async (method) => {
    const url = `${files}/${encoded('own/by link/ü')}?X-Amz-Expires=60`;
    return (await aws.sign(url, { method, aws: { signQuery: true } })).url;
  };
  await ok(fetch(await link('PUT'), { method: 'PUT', body: small }));
  await same(await ok(fetch(await link('GET'))), small);
});
await step('deletes', async () => {
  for (const name of [key, 'own/large', 'own/copy', 'own/once', 'own/by link/ü'])
    await ok(send(name, 'DELETE'));
  assert.equal((await send(key, 'GET')).status, 404);
});
