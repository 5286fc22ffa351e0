import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../support/child.js';
import { startS3Bucket, type S3Bucket } from '../support/s3-bucket.js';

/** Every place between two steps of CreateBucket and DeleteBucket; see src/server/run-time-buckets.ts. */
const STAGES = [
  ['create', 'buckets.stateOpened', 'absent'],
  ['create', 'buckets.rowWritten', 'there'],
  ['delete', 'buckets.rowRemoved', 'absent'],
  ['delete', 'buckets.stateClosed', 'absent'],
  ['delete', 'buckets.stateRemoved', 'absent'],
] as const;

describe('kill -9 while a bucket is made or deleted', () => {
  let bucket: S3Bucket;
  const send = (method: string, target: string, body?: string) =>
    bucket.wire.send({ method, path: target, ...(body === undefined ? {} : { body }) });
  const start = async (failpoints: string) => {
    const { gateway } = bucket.stack;
    gateway.env = { ...gateway.env, GATEWAY_FAILPOINTS: failpoints };
    await gateway.start();
  };

  beforeAll(async () => {
    bucket = await startS3Bucket({ createBuckets: true, config: { poll_interval: '500ms' } });
    await send('PUT', '/bystander');
    await send('PUT', '/bystander/a', 'stays');
    await bucket.stack.gateway.stop();
  });
  afterAll(() => bucket.close());

  test.each(STAGES)(
    '%s, at %s: the bucket is %s after the restart, and the name can be used at once',
    async (action, stage, expected) => {
      const name = `kill-${stage.replace('buckets.', '').toLowerCase()}`;
      const { gateway } = bucket.stack;
      await start(`${stage}=kill`);
      if (action === 'delete') {
        await send('PUT', `/${name}`);
        await send('PUT', `/${name}/old`, 'old');
        await send('DELETE', `/${name}/old`);
      }
      await until(`the gateway is killed at ${stage}`, async () => {
        // Again where it was answered 503: on a busy machine a commit may take longer than the request waits.
        await send(action === 'create' ? 'PUT' : 'DELETE', `/${name}`).catch(() => undefined);
        return !gateway.child!.running;
      });

      await start('');
      const head = await send('HEAD', `/${name}`);
      expect(head.status).toBe(expected === 'there' ? 200 : 404);
      expect((await send('PUT', `/${name}`)).status).toBe(200);
      expect((await send('GET', `/${name}`)).xmlAll('Key')).toEqual([]);
      expect((await send('PUT', `/${name}/new`, 'new')).status).toBe(200);
      expect((await send('GET', `/${name}/new`)).text).toBe('new');
      expect((await send('GET', '/bystander/a')).text).toBe('stays');
      const states = await readdir(path.join(gateway.stateDirectory, 'buckets'));
      expect(states.filter((state) => state.startsWith(`${name}_`)).length).toBe(1);
      const fsck = await gateway.cli('fsck');
      expect([fsck.code, fsck.stdout, fsck.stderr].join('\n')).toMatch(/^0\n/);
      await gateway.stop();
    },
  );
});
