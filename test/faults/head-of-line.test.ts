/** One object that Gitee's LFS store does not take must keep no other change from Gitee, in any bucket. */
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { run, until } from '../support/child.js';
import { oidOf } from '../support/memory-chunk-remote.js';
import { bytesOf } from '../support/s3-bucket.js';
import { startStack, type Stack } from '../support/stack.js';

const MiB = 1024 * 1024;
/** Refused for good: quarantined after a while, and then for an operator to try again. */
const FINAL = [409, 410, 422];

describe('one LFS object that fails', () => {
  let stack: Stack;
  let s3: S3Client;
  const buckets = [
    { Bucket: 'files', repository: 'acme/files' },
    { Bucket: 'registry', repository: 'acme/images' },
  ];

  beforeAll(async () => {
    stack = await startStack({ config: { commit: { interval: '300ms' } } });
    s3 = stack.gateway.s3Client();
  });
  afterAll(async () => {
    s3.destroy();
    await stack.close();
  });

  const put = (Bucket: string, Key: string, Body: Uint8Array) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body }));

  /** What of these keys is in the tree of the branch. */
  async function onGitee(repository: string, prefix: string): Promise<string[]> {
    const directory = `${stack.gitee.dataDir}/repositories/${repository}.git`;
    const tree = ['ls-tree', '-r', '--name-only', 'refs/heads/master', '--', `${prefix}/`];
    const { stdout } = await run('git', ['-C', directory, ...tree]);
    return [...new Set(stdout.split('\n').map((file) => file.split('%')[0]!))].filter((key) => key !== '');
  }

  /** Others before, between and after one whose object meets the fault, in both buckets; waits until the others landed. */
  async function writeAround(fault: string, status: number): Promise<string> {
    const bad = bytesOf(2 * MiB, `bad ${fault} ${status}`);
    const prefix = `${fault}-${status}`;
    await stack.gitee.fault(fault, { status, match: { oid: oidOf(bad) } });
    for (const { Bucket } of buckets) {
      const others = (name: string) =>
        Promise.all([
          ...Array.from({ length: 6 }, (_, i) =>
            put(Bucket, `${prefix}/${name}-${i}`, bytesOf(100, `${name}${i}`)),
          ),
          put(Bucket, `${prefix}/${name}-large`, bytesOf(2 * MiB, `${prefix}${name}${Bucket}`)),
        ]);
      await others('before');
      await put(Bucket, `${prefix}/bad`, bad);
      await others('between');
      await others('after');
    }
    for (const { repository } of buckets)
      await until('all others are on Gitee', async () => {
        return (await onGitee(repository, prefix)).filter((key) => !key.endsWith('/bad')).length === 21;
      });
    return `${prefix}/bad`;
  }

  test.each([
    ...[404, 409, 410, 422, 500, 403, 400, 507].map((status) => ['lfs-object-status', status] as const),
    ...[500, 403, 400, 507].map((status) => ['lfs-upload-status', status] as const),
  ])('%s %i: all that is written around it lands, and it when it is over', async (fault, status) => {
    const Key = await writeAround(fault, status);
    await until('it was tried again', async () => (await stack.gitee.hits(fault)) >= 3);
    for (const { Bucket, repository } of buckets) {
      expect(await onGitee(repository, path.dirname(Key))).not.toContain(Key);
      const { ContentLength } = await s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(ContentLength).toBe(2 * MiB);
      const kinds = ['gateway_doubtful_changes', 'gateway_quarantined_changes'];
      const shown = () => Promise.all(kinds.map((kind) => stack.gateway.metric(kind, { bucket: Bucket })));
      await until('it is shown', async () => {
        const [doubtful, quarantined] = await shown();
        return doubtful === 1 || (FINAL.includes(status) && quarantined === 1);
      });
      expect(await stack.gateway.metric('gateway_bucket_paused', { bucket: Bucket })).toBe(0);
    }
    if (!FINAL.includes(status)) {
      const { code, stdout } = await stack.gateway.cli('status');
      expect(stdout).toMatch(/bucket files: 1 change waits for single LFS objects .*; the rest lands/);
      expect(code).toBe(0);
    }
    await stack.gitee.clearFaults();
    if (FINAL.includes(status)) stack.gateway.child!.process.kill('SIGHUP');
    for (const { Bucket, repository } of buckets) {
      await until('it is on Gitee as well', async () =>
        (await onGitee(repository, path.dirname(Key))).includes(Key),
      );
      await until(
        'nothing is in doubt',
        async () => (await stack.gateway.metric('gateway_doubtful_changes', { bucket: Bucket })) === 0,
      );
    }
  });

  // The store has it: the next question says so.
  test.each([500, 403, 400, 404])('lfs-verify-status %i: it lands all the same', async (status) => {
    const Key = await writeAround('lfs-verify-status', status);
    for (const { repository } of buckets)
      await until('it is on Gitee as well', async () =>
        (await onGitee(repository, path.dirname(Key))).includes(Key),
      );
    expect(await stack.gitee.hits('lfs-verify-status')).toBeGreaterThan(0);
    await stack.gitee.clearFaults();
  });

  test('and nothing is damaged', async () => {
    expect(await stack.gateway.cli('fsck', '--deep')).toMatchObject({ code: 0 });
  });
});
