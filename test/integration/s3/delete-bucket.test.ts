// AWS API reference: DeleteBucket. "All objects (including all object versions and delete markers) in the bucket
// must be deleted before the bucket itself can be deleted."
import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mustRun, until } from '../../support/child.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { WireClient } from '../../support/s3-client.js';

describe('DeleteBucket', () => {
  let bucket: S3Bucket;
  const writer = {
    access_key_id: 'AKWRITER',
    secret_access_key: 'secret of the writer',
    buckets: { '*': 'write' },
  };
  const send = (method: string, target: string, body?: string | Buffer) =>
    bucket.wire.send({ method, path: target, ...(body === undefined ? {} : { body }) });
  const code = async (method: string, target: string) => {
    const answer = await send(method, target);
    return [answer.status, answer.xml('Code')];
  };
  const states = async (name: string) => {
    const chunks = path.join(bucket.stack.gateway.stateDirectory, 'chunks');
    const parents = [
      path.join(bucket.stack.gateway.stateDirectory, 'buckets'),
      path.join(chunks, 'unsent'),
      path.join(chunks, 'grace'),
    ];
    const found = await Promise.all(parents.map((parent) => readdir(parent)));
    return found.flat().filter((entry) => entry.startsWith(`${name}_`));
  };

  beforeAll(async () => {
    bucket = await startS3Bucket({
      createBuckets: true,
      accessKeys: [writer],
      config: { poll_interval: '500ms' },
    });
  });
  afterAll(() => bucket.close());

  test('of a bucket with an object is BucketNotEmpty, and the object stays', async () => {
    await send('PUT', '/full');
    await send('PUT', '/full/a', 'one');
    expect(await code('DELETE', '/full')).toEqual([409, 'BucketNotEmpty']);
    expect((await send('GET', '/full/a')).text).toBe('one');
  });

  test('of an empty one is 204, and leaves nothing here: no name, no state, no series', async () => {
    await send('PUT', '/short');
    await send('PUT', '/short/large', bytesOf(200_000));
    await send('DELETE', '/short/large');
    expect((await send('DELETE', '/short')).status).toBe(204);
    expect(await code('GET', '/short')).toEqual([404, 'NoSuchBucket']);
    expect((await send('PUT', '/short/a', 'x')).xml('Code')).toBe('NoSuchBucket');
    expect((await send('GET', '/')).xmlAll('Name')).not.toContain('short');
    expect(await states('short')).toEqual([]);
    const page = await (await fetch(`${bucket.stack.gateway.metricsUrl}/metrics`)).text();
    expect(page).toMatch(/bucket="full"/);
    expect(page).not.toMatch(/bucket="short"/);
  });

  test('drops multipart uploads that are open, and a new bucket of the name begins empty', async () => {
    await send('PUT', '/again');
    await send('PUT', '/again/old', 'old');
    const created = await bucket.wire.send({ method: 'POST', path: '/again/big', query: { uploads: '' } });
    const uploadId = created.xml('UploadId')!;
    await send('DELETE', '/again/old');
    expect((await send('DELETE', '/again')).status).toBe(204);
    for (let round = 0; round < 2; round += 1) {
      expect((await send('PUT', '/again')).status).toBe(200);
      expect((await send('GET', '/again')).xmlAll('Key')).toEqual([]);
      const uploads = await bucket.wire.send({ method: 'GET', path: '/again', query: { uploads: '' } });
      expect([uploads.status, uploads.xmlAll('UploadId')]).toEqual([200, []]);
      const part = await bucket.wire.send({
        method: 'PUT',
        path: '/again/big',
        query: { partNumber: '1', uploadId },
        body: 'x',
      });
      expect(part.xml('Code')).toBe('NoSuchUpload');
      if (round === 0) expect((await send('DELETE', '/again')).status).toBe(204);
    }
    await send('PUT', '/again/new', 'new');
    await bucket.stack.gateway.restart();
    expect((await send('GET', '/again')).xmlAll('Key')).toEqual(['new']);
  });

  test('while Gitee cannot be asked is SlowDown, and the bucket stays as it is', async () => {
    const { gateway, gitee } = bucket.stack;
    await send('PUT', '/stays');
    const { env } = gateway;
    gateway.env = { ...env, GATEWAY_BARRIER_HOLD: '3s' };
    await gateway.restart();
    await gitee.fault('git-stall', {});
    try {
      // Side by side: each is held as long as barrier.hold says.
      const [answer, made] = await Promise.all([send('DELETE', '/stays'), send('PUT', '/not-now')]);
      expect([answer.status, answer.xml('Code')]).toEqual([503, 'SlowDown']);
      expect(answer.xml('Message')).toMatch(/not yet on Gitee/);
      expect((await send('PUT', '/stays/a', 'kept')).status).toBe(200);
      expect([made.status, made.xml('Code')]).toEqual([503, 'ServiceUnavailable']);
    } finally {
      await gitee.clearFaults();
      gateway.env = env;
      await gateway.restart();
    }
    expect((await send('GET', '/stays/a')).text).toBe('kept');
    expect(await code('HEAD', '/not-now')).toEqual([404, undefined]);
    expect((await send('PUT', '/not-now')).status).toBe(200);
  });

  test('never takes an acknowledged write with it: written before it, or refused', async () => {
    for (let round = 0; round < 4; round += 1) {
      const name = `race-${round}`;
      await send('PUT', `/${name}`);
      const deletion = send('DELETE', `/${name}`);
      const writes = [];
      for (let i = 0; i < 25; i += 1) writes.push(send('PUT', `/${name}/${i}`, `${round} ${i}`));
      const [deleted, ...written] = await Promise.all([deletion, ...writes]);
      const kept = written.filter((answer) => answer.status === 200).length;
      const others = written.filter((answer) => answer.status !== 200).map((answer) => answer.xml('Code'));
      expect(new Set(others).size === 0 || others.every((c) => c === 'NoSuchBucket')).toBe(true);
      if (deleted.status === 204) expect(kept).toBe(0);
      else expect([deleted.xml('Code'), kept]).toEqual(['BucketNotEmpty', 25]);
      const keys = (await send('GET', `/${name}`)).xmlAll('Key');
      expect(keys.length).toBe(kept);
    }
  });

  test('of a bucket of the configuration is AccessDenied, of none NoSuchBucket', async () => {
    expect(await code('DELETE', '/files')).toEqual([403, 'AccessDenied']);
    expect(await code('DELETE', '/nothing')).toEqual([404, 'NoSuchBucket']);
  });

  test('by a key that may write but not delete buckets is AccessDenied', async () => {
    const other = new WireClient({
      ...bucket.wire.target,
      accessKeyId: writer.access_key_id,
      secretAccessKey: writer.secret_access_key,
    });
    const answer = await other.send({ method: 'DELETE', path: '/not-now' });
    expect([answer.status, answer.xml('Code')]).toEqual([403, 'AccessDenied']);
    expect(answer.xml('Message')).toMatch(/create_buckets/);
  });

  /** A commit on the server itself, as somebody else would push it. */
  async function commitByHand(file: string, content: string): Promise<void> {
    const { gitee, directory } = bucket.stack;
    const env = { ...process.env, GIT_INDEX_FILE: path.join(directory, 'by-hand.index') };
    const who = ['-c', 'user.name=hand', '-c', 'user.email=hand@example.com'];
    const repository = path.join(gitee.dataDir, 'repositories', 'acme/files.git');
    const git = async (args: string[], input = '') =>
      (await mustRun('git', [...who, '-C', repository, ...args], { env, input })).stdout.trim();
    const blob = await git(['hash-object', '-w', '--stdin'], content);
    await git(['read-tree', 'buckets']);
    await git(['update-index', '--add', '--cacheinfo', `100644,${blob},${file}`]);
    const commit = await git(['commit-tree', '-p', 'buckets', '-m', 'by hand', await git(['write-tree'])]);
    await git(['update-ref', 'refs/heads/buckets', commit]);
  }

  test('sees what others have put there meanwhile', async () => {
    await send('PUT', '/shared');
    await until('the row is on Gitee', async () => {
      return (
        (await bucket.stack.gateway.metric('gateway_journal_pending_changes', {
          bucket: 'bucket_catalogue',
        })) === 0
      );
    });
    await commitByHand('buckets/shared/by-hand.txt', 'by hand');
    expect(await code('DELETE', '/shared')).toEqual([409, 'BucketNotEmpty']);
    expect((await send('GET', '/shared/by-hand.txt')).text).toBe('by hand');
  });
});
