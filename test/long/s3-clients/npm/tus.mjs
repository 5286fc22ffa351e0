import { once } from 'node:events';
import http from 'node:http';
import {
  S3Client,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import * as tus from 'tus-js-client';
import { assert, large, MIB, refused, same, step } from './scenario.mjs';

// As the document has it:
import { Server } from '@tus/server';
import { S3Store } from '@tus/s3-store';

const options = {
  partSize: 8 * 1024 * 1024,
  expirationPeriodInMilliseconds: 24 * 3600 * 1000,
  s3ClientConfig: {
    bucket: 'files',
    endpoint: 'http://s3.example.com',
    region: 'us-east-1',
    credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
    forcePathStyle: true,
  },
};
const server = new Server({ path: '/uploads', datastore: new S3Store(options) });
// Until here.

const s3 = new S3Client(options.s3ClientConfig);
const stored = async (url) =>
  (await s3.send(new GetObjectCommand({ Bucket: 'files', Key: decodeURIComponent(url.split('/').at(-1)) })))
    .Body;
const listening = async (of) => {
  const listener = http.createServer((request, answer) => void of.handle(request, answer));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return { listener, url: `http://127.0.0.1:${listener.address().port}/uploads` };
};
const { listener, url: endpoint } = await listening(server);
const headers = { 'Tus-Resumable': '1.0.0' };
const create = async (size) => {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { ...headers, 'Upload-Length': String(size) },
  });
  assert.equal(answer.status, 201);
  return answer.headers.get('location');
};
const patchHeaders = (offset) => ({
  ...headers,
  'Upload-Offset': String(offset),
  'Content-Type': 'application/offset+octet-stream',
});
const patch = async (url, offset, body) =>
  (await fetch(url, { method: 'PATCH', headers: patchHeaders(offset), body })).status;
const offsetOf = async (url) =>
  Number((await fetch(url, { method: 'HEAD', headers })).headers.get('upload-offset'));

await step('uploads', async () => {
  const upload = await new Promise((resolve, reject) => {
    const one = new tus.Upload(large, {
      ...{ endpoint, chunkSize: 6 * MIB, metadata: { filename: 'ü.bin', filetype: 'x/y' } },
      onSuccess: () => resolve(one),
      onError: reject,
    });
    one.start();
  });
  await same(stored(upload.url), large);
});
await step('resumes', async () => {
  const url = await create(large.length);
  // The line breaks within the second part.
  const broken = http.request(url, {
    method: 'PATCH',
    headers: { ...patchHeaders(0), 'Content-Length': String(large.length) },
  });
  broken.on('error', () => {});
  await new Promise((resolve) => broken.write(large.subarray(0, 9 * MIB), resolve));
  broken.destroy();
  // Another server goes on, which knows nothing of the first one.
  const second = await listening(new Server({ path: '/uploads', datastore: new S3Store(options) }));
  const there = url.replace(endpoint, second.url);
  let offset = 0;
  for (let look = 0; look < 100 && offset < 8 * MIB; look += 1) offset = await offsetOf(there);
  assert.ok(offset >= 8 * MIB && offset <= 9 * MIB, `it goes on at ${offset}`);
  assert.equal(await patch(there, offset, large.subarray(offset)), 204);
  await same(stored(url), large);
  second.listener.close();
});
await step('small', async () => {
  // Each piece is below the least part: kept in an object of its own, and put before the next one.
  const url = await create(3000);
  for (let offset = 0; offset < 3000; offset += 1000)
    assert.equal(await patch(url, offset, large.subarray(offset, offset + 1000)), 204);
  await same(stored(url), large.subarray(0, 3000));
});
await step('ends', async () => {
  const url = await create(large.length);
  assert.equal(await patch(url, 0, large.subarray(0, 6 * MIB)), 204);
  assert.equal((await fetch(url, { method: 'DELETE', headers })).status, 204);
  await refused(() => stored(url), /NoSuchKey/);
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket: 'files' }));
  assert.equal(Uploads, undefined);
});
await step('expires', async () => {
  const hasty = new S3Store({ ...options, expirationPeriodInMilliseconds: 1 });
  const url = await create(large.length);
  assert.equal(await patch(url, 0, large.subarray(0, 6 * MIB)), 204);
  assert.equal(await hasty.deleteExpired(), 2); // its description and its unfinished part
  const { Contents } = await s3.send(
    new ListObjectsV2Command({ Bucket: 'files', Prefix: url.split('/').at(-1) }),
  );
  assert.equal(Contents, undefined);
});
listener.close();
