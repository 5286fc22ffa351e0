/**
 * Two gateways that make buckets on one branch: what one of them was told to delete stays deleted, also where the other
 * has read the list of buckets anew and not yet the bucket itself; and what one has written keeps the bucket.
 */
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mustRun, until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { WireClient } from '../../support/s3-client.js';

describe('two gateways that make buckets on one branch', () => {
  let bucket: S3Bucket;
  let second: TestGateway;
  let there: WireClient;
  const here = (method: string, target: string, body?: string) =>
    bucket.wire.send({ method, path: target, ...(body === undefined ? {} : { body }) });
  const atRest = (gateway: TestGateway, ...names: string[]) =>
    until('all of it is on Gitee', async () => {
      const read = await gateway.metrics();
      return names.every((name) => read('gateway_journal_pending_changes', { bucket: name }) === 0);
    });
  /** Nobody looks at anything but what it needs for itself. */
  const config = { commit: { interval: '1s' }, poll_interval: '1h' };

  beforeAll(async () => {
    bucket = await startS3Bucket({ createBuckets: true, config });
    const { gitee, directory } = bucket.stack;
    const keys = { access_key_id: 'AKSECOND', secret_access_key: 'secret of the second' };
    second = await TestGateway.prepare({
      directory: path.join(directory, 'second'),
      gitee: { url: gitee.url, token: gitee.token },
      config: {
        ...config,
        create_buckets: { repository: 'acme/files', branch: 'buckets' },
        access_keys: [{ ...keys, create_buckets: true, buckets: { '*': 'write' } }],
      },
    });
    there = new WireClient({
      endpoint: second.endpoint,
      accessKeyId: keys.access_key_id,
      secretAccessKey: keys.secret_access_key,
      region: 'us-east-1',
    });
    for (const name of ['emptied', 'written']) {
      expect((await here('PUT', `/${name}`)).status).toBe(200);
      expect((await here('PUT', `/${name}/key`, 'x')).status).toBe(200);
    }
    await atRest(bucket.stack.gateway, 'emptied', 'written', 'bucket_catalogue');
    await second.start();
  });
  afterAll(async () => {
    await second.stop();
    await bucket.close();
  });

  test("a bucket that one has made is nobody else's, also where the other has not heard of it", async () => {
    const ownerOnBranch = async () => {
      const directory = path.join(bucket.stack.gitee.dataDir, 'repositories/acme/files.git');
      const row = await mustRun('git', ['-C', directory, 'show', 'buckets:buckets/_catalogue/taken.json']);
      return (JSON.parse(row.stdout) as { owner: string }).owner;
    };
    expect((await there.send({ method: 'PUT', path: '/taken' })).status).toBe(200);
    await atRest(second, 'bucket_catalogue');
    // In this region it is no error for who may write to it.
    expect((await here('PUT', '/taken')).status).toBe(200);
    await until('it is seen here', async () => (await here('GET', '/taken')).status === 200);
    await atRest(bucket.stack.gateway, 'bucket_catalogue');
    expect(await ownerOnBranch()).toBe('AKSECOND');
    // And what was deleted here a moment ago is made again.
    expect((await here('DELETE', '/taken')).status).toBe(204);
    expect((await here('PUT', '/taken')).status).toBe(200);
    await atRest(bucket.stack.gateway, 'bucket_catalogue');
    expect(await ownerOnBranch()).toBe(bucket.stack.gateway.accessKeyId);
  });

  test('a bucket that is made again while a copy of the branch shows what was deleted in it begins empty', async () => {
    const { gateway, gitee } = bucket.stack;
    expect((await here('PUT', '/again')).status).toBe(200);
    expect((await here('PUT', '/again/key', 'x')).status).toBe(200);
    await atRest(gateway, 'again', 'bucket_catalogue');
    const sinceMs = Date.now();
    expect((await here('DELETE', '/again/key')).status).toBe(204);
    expect((await here('DELETE', '/again')).status).toBe(204);
    await atRest(gateway, 'bucket_catalogue');
    // It shows the key, and a moment later that it has gone.
    await gitee.fault('git-lagging-copy', { ms: Date.now() - sinceMs });
    expect((await here('PUT', '/again')).status).toBe(200);
    expect(await gitee.hits('git-lagging-copy')).toBeGreaterThan(0);
    expect((await here('GET', '/again/key')).status).toBe(404);
    await gitee.clearFaults();
  });

  test('a bucket that one has emptied and deleted comes back by nothing that the other has not read yet', async () => {
    for (const name of ['emptied', 'written']) {
      expect((await there.send({ method: 'DELETE', path: `/${name}/key` })).status).toBe(204);
      expect((await there.send({ method: 'DELETE', path: `/${name}` })).status).toBe(204);
    }
    await atRest(second, 'bucket_catalogue');
    expect((await here('PUT', '/written/ours', 'y')).status).toBe(200);
    // For that the list is written, and so read first.
    expect((await here('PUT', '/another')).status).toBe(200);
    await until('the deleted bucket goes', async () => (await here('GET', '/emptied')).status === 404);
    await atRest(bucket.stack.gateway, 'written', 'another', 'bucket_catalogue');
    const listed = (await here('GET', '/')).xmlAll('Name');
    expect(listed).toEqual(expect.arrayContaining(['another', 'written']));
    expect((await here('GET', '/written')).xmlAll('Key')).toEqual(['ours']);
    await second.restart();
    const isThere = async (name: string) =>
      (await there.send({ method: 'GET', path: `/${name}` })).status === 200;
    await until('the other sees it as it is', async () => (await isThere('another')) && isThere('written'));
    expect(await isThere('emptied')).toBe(false);
    expect((await there.send({ method: 'GET', path: '/written/ours' })).text).toBe('y');
  });
});
