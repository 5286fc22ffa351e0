import { Readable } from 'node:stream';
import { assert, large, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import provider from '@strapi/provider-upload-aws-s3';

// In config/plugins.js: upload.config.provider and .providerOptions
const providerOptions = {
  s3Options: {
    endpoint: 'http://s3.example.com',
    region: 'us-east-1',
    credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
    forcePathStyle: true,
    params: { Bucket: 'files', ACL: 'private', signedUrlExpires: 900 },
  },
};
// Until here.

const init = (provider.default ?? provider).init;
const uploads = init(providerOptions);
const file = (hash, more) => ({
  name: 'ü.bin',
  hash,
  ext: '.bin',
  mime: 'x/y',
  size: 1,
  path: 'own',
  ...more,
});

const one = file('small', { buffer: small });

await step('objects', async () => {
  await uploads.upload(one);
  assert.equal(uploads.isPrivate(), true);
  await same(await ok(fetch((await uploads.getSignedUrl(one)).url)), small);
});
await step('multipart', async () => {
  const big = file('large', { stream: Readable.from([large]) });
  await uploads.uploadStream(big);
  await same(await ok(fetch((await uploads.getSignedUrl(big)).url)), large);
});
await step('deletes', async () => {
  await uploads.delete(one);
  assert.equal((await fetch((await uploads.getSignedUrl(one)).url)).status, 404);
});
await step('acl', async () => {
  const { ACL: _, ...params } = providerOptions.s3Options.params;
  const open = init({ s3Options: { ...providerOptions.s3Options, params } });
  await refused(() => open.upload(file('open', { buffer: small })), /AccessControlListNotSupported/);
});
