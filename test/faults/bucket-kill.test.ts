import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../support/child.js';
import { startS3Bucket, type S3Bucket } from '../support/s3-bucket.js';
import { BUCKET_STAGES, SHARED_BRANCH_STAGE } from './kill-stages.js';

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
    bucket = await startS3Bucket({
      createBuckets: true,
      config: { poll_interval: '500ms', commit: { interval: '300ms' } },
    });
    await send('PUT', '/bystander');
    await send('PUT', '/bystander/a', 'stays');
    await bucket.stack.gateway.stop();
  });
  afterAll(() => bucket.close());

  test.each(BUCKET_STAGES)(
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

  test(`at ${SHARED_BRANCH_STAGE}: what either bucket of one branch acknowledged is there, and lands`, async () => {
    const { gateway } = bucket.stack;
    const names = ['kill-left', 'kill-right'];
    await start('');
    for (const name of names) expect((await send('PUT', `/${name}`)).status).toBe(200);
    await gateway.stop();
    // While one bucket's push takes its time, the other one's claim becomes one on a head that is no more.
    await start(`git.afterPush=delay:1000,${SHARED_BRANCH_STAGE}=kill`);
    const acknowledged: string[] = [];
    const write = async (target: string) => {
      const answer = await send('PUT', target, target).catch(() => undefined);
      if (answer?.status === 200) acknowledged.push(target);
    };
    let n = 0;
    await until(`the gateway is killed at ${SHARED_BRANCH_STAGE}`, async () => {
      n += 1;
      // In turn: those that are due at the same moment would go out together.
      await write(`/${names[n % 2]}/${n}`);
      return !gateway.child!.running;
    });

    await start('');
    expect(acknowledged).not.toEqual([]);
    for (const target of acknowledged) expect((await send('GET', target)).text).toBe(target);
    for (const name of names) {
      expect((await send('PUT', `/${name}/next`, 'next')).status).toBe(200);
      await bucket.landed(name);
    }
    const fsck = await gateway.cli('fsck');
    expect([fsck.code, fsck.stdout, fsck.stderr].join('\n')).toMatch(/^0\n/);
    await gateway.stop();
  });
});
