import { assert, large, MANY, manyPrefix, ok, refused, same, small, step } from './scenario.mjs';

// As the document has it:
import { S3mini } from 's3mini';

const s3 = new S3mini({
  accessKeyId: 'ACCESS_KEY_ID',
  secretAccessKey: 'SECRET_ACCESS_KEY',
  endpoint: 'http://s3.example.com/files',
  region: 'us-east-1',
});
// Until here.

const key = 'own/a b+c/ü!.bin';

await step('objects', async () => {
  await s3.putObject(key, small, 'x/y', undefined, { 'x-amz-meta-owner': 'zhang' });
  const answer = await s3.getObjectResponse(key);
  assert.equal(answer.headers.get('content-type'), 'x/y');
  assert.equal(answer.headers.get('x-amz-meta-owner'), 'zhang');
  await same(answer, small);
  assert.equal(await s3.getContentLength(key), small.length);
});
await step('multipart', async () => {
  await s3.putAnyObject('own/large', large);
  assert.match(await s3.getEtag('own/large'), /-2$/);
  await same(s3.getObjectResponse('own/large'), large);
});
await step('ranges', () => same(s3.getObjectRaw('own/large', false, 5, 15), large.subarray(5, 15)));
await step('pages', async () => {
  const found = await s3.listObjects('/', manyPrefix);
  assert.equal(new Set(found.map((one) => one.Key)).size, MANY);
  const page = await s3.listObjectsPaged('/', manyPrefix, 7);
  assert.deepEqual([page.objects.length, typeof page.nextContinuationToken], [7, 'string']);
});
await step('copies', async () => {
  await s3.copyObject(key, 'own/copy');
  await same(s3.getObjectArrayBuffer('own/copy'), small);
  await s3.moveObject('own/copy', 'own/moved');
  assert.equal(await s3.objectExists('own/copy'), false);
});
await step('conditions', async () => {
  const once = () => s3.putObject('own/once', small, 'x/y', undefined, { 'if-none-match': '*' });
  await once();
  await refused(once, /PreconditionFailed/);
});
await step('presigned', async () => {
  await ok(fetch(await s3.getPresignedUrl('PUT', 'own/by link/ü', 60), { method: 'PUT', body: small }));
  await same(await ok(fetch(await s3.getPresignedUrl('GET', 'own/by link/ü', 60))), small);
});
await step('deletes', async () => {
  const id = await s3.getMultipartUploadId('own/begun');
  await s3.uploadPart('own/begun', id, small, 1);
  await s3.abortMultipartUpload('own/begun', id);
  assert.equal(await s3.deleteObject(key), true);
  const left = (await s3.listObjects('/', 'own/')).map((one) => one.Key);
  assert.deepEqual(
    await s3.deleteObjects(left),
    left.map(() => true),
  );
  assert.equal(((await s3.listObjects('/', 'own/')) ?? []).length, 0);
});
