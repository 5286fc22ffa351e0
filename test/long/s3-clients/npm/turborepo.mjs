import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { assert, large, ok, same, step } from './scenario.mjs';

// As the document has it:
const env = {
  STORAGE_PROVIDER: 's3',
  STORAGE_PATH: 'files', // the bucket, as a host: the gateway needs `s3.domain`
  S3_ENDPOINT: 'http://s3.example.com',
  S3_REGION: 'us-east-1',
  S3_ACCESS_KEY: 'ACCESS_KEY_ID',
  S3_SECRET_KEY: 'SECRET_ACCESS_KEY',
  TURBO_TOKEN: 'a token of yours',
};
// Until here.

const program = 'node_modules/turborepo-remote-cache/dist/cli.js';
const server = spawn(process.execPath, [program], {
  env: { ...process.env, ...env, PORT: '3000', HOST: '127.0.0.1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
for await (const line of createInterface({ input: server.stdout })) if (/listening at/.test(line)) break;
server.stdout.resume();
const headers = { authorization: `Bearer ${env.TURBO_TOKEN}` };
const url = 'http://127.0.0.1:3000/v8/artifacts/0123456789abcdef?slug=team';

await step('artifacts', async () => {
  assert.equal((await fetch(url, { method: 'HEAD', headers })).status, 404);
  const type = { 'content-type': 'application/octet-stream' };
  await ok(fetch(url, { method: 'PUT', headers: { ...headers, ...type }, body: large }));
  assert.equal((await fetch(url, { method: 'HEAD', headers })).status, 200);
  await same(await ok(fetch(url, { headers })), large);
  const s3 = new S3Client({ endpoint: env.S3_ENDPOINT, region: env.S3_REGION, forcePathStyle: true });
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: 'files', Prefix: 'team/' }));
  assert.deepEqual(
    Contents.map((one) => [one.Key, one.Size]),
    [['team/0123456789abcdef', large.length]],
  );
});
server.kill();
