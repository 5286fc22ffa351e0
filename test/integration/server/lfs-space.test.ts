/** What the gateway says that Gitee keeps, against what Gitee keeps; and what happens where there is no room. */
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { mustRun, until } from '../../support/child.js';
import { oidOf } from '../../support/memory-chunk-remote.js';
import { startStack, type Stack } from '../../support/stack.js';

const QUOTA_BYTES = 2 * 1024 * 1024;
/** What is left of it when D waits and A and C are there. */
const ROOM_BYTES = QUOTA_BYTES - 200_000 - 220_000 - 230_000;
const LAYER = 'docker/registry/v2/repositories/app/_uploads/u/data';
const [A, B, C, D] = [200_000, 210_000, 220_000, 230_000].map((n) => randomBytes(n)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];

let stack: Stack;
let s3: S3Client;

beforeAll(async () => {
  stack = await startStack({
    config: {
      gitee: { lfs_quota_bytes: '2MiB', lfs_quota_action: 'refuse' },
      commit: { interval: '200ms' },
      poll_interval: '5s',
    },
  });
  s3 = stack.gateway.s3Client();
});
afterAll(async () => {
  s3.destroy();
  // It would wait for what Gitee has no room for.
  await stack.gateway.kill();
  await stack.close();
});

const put = (Key: string, Body: Buffer) => s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body }));
const used = () => stack.gateway.metric('gateway_lfs_used_bytes');
const landed = () =>
  until('all is on Gitee', async () => {
    const pending = await stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'files' });
    return pending === 0;
  });
const stored = async () =>
  Object.values((await stack.gitee.stats()).repositories).reduce((sum, r) => sum + r.lfsBytes, 0);

test('used bytes are what Gitee stores: after duplicates, a deletion, a restart and a kill', async () => {
  await Promise.all([put('a', A), put('b', B), put('again/a', A), put('small', Buffer.from('no LFS'))]);
  await put('third/a', A);
  await landed();
  expect([await used(), await stored()]).toEqual([410_000, 410_000]);

  await s3.send(new DeleteObjectCommand({ Bucket: 'files', Key: 'b' }));
  await landed();
  expect([await used(), await stored()]).toEqual([410_000, 410_000]);

  await stack.gateway.restart();
  expect(await used()).toBe(410_000);
  await put('c', C);
  await landed();
  await stack.gateway.kill();
  await stack.gateway.start();
  expect([await used(), await stored()]).toEqual([630_000, 630_000]);
});

test('the disk and the spool stand beside their limits', async () => {
  const { gateway } = stack;
  expect(await gateway.metric('gateway_lfs_quota_bytes')).toBe(QUOTA_BYTES);
  expect(await gateway.metric('gateway_spool_limit_bytes', { limit: 'soft' })).toBe(4 * 1024 ** 3);
  expect(await gateway.metric('gateway_spool_limit_bytes', { limit: 'hard' })).toBe(16 * 1024 ** 3);
  expect(await gateway.metric('gateway_disk_reserve_bytes')).toBe(64 * 1024 ** 2);
  expect(await gateway.metric('gateway_disk_free_bytes')).toBeGreaterThan(0);
});

test('fsck --deep forgets what somebody deleted on the pages of Gitee', async () => {
  await stack.gitee.admin('delete-object', { repo: 'acme/files', oid: oidOf(B) });
  expect(await used()).toBe(630_000);
  const { code, stdout } = await stack.gateway.cli('fsck', '--deep');
  expect([code, stdout]).toEqual([0, expect.stringMatching(/acme\/files: LFS objects on Gitee/)]);
  expect([await used(), await stored()]).toEqual([420_000, 420_000]);
});

test('what a pointer claims that somebody committed takes no space, and refuses nobody', async () => {
  const clone = path.join(stack.directory, 'clone');
  const url = new URL(`${stack.gitee.url}/acme/files.git`);
  url.username = 'oauth2';
  url.password = stack.gitee.token;
  // Without any filter of git-lfs, which would look at them.
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
  const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.com'];
  const git = (...args: string[]) => mustRun('git', ['-C', clone, ...who, ...args], { env });
  await mustRun('git', ['clone', '-q', url.href, clone], { env });
  const sizes = [10 * QUOTA_BYTES, 2 ** 40];
  for (const [i, size] of sizes.entries()) {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${String(i).repeat(64)}\nsize ${size}\n`;
    await writeFile(path.join(clone, `claimed-${i}`), pointer);
  }
  await git('add', '--all');
  await git('commit', '-q', '-m', 'by hand');
  await git('push', '-q', 'origin', 'HEAD');
  await until('the gateway has seen it', async () => {
    const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: 'files', Prefix: 'claimed-' }));
    return KeyCount === sizes.length;
  });
  await put('a', A);
  // Gitee says that it has neither.
  expect(await stack.gateway.cli('fsck', '--deep')).toMatchObject({ code: 1 });
  expect([await used(), await stored()]).toEqual([420_000, 420_000]);
  for (const [i] of sizes.entries())
    await s3.send(new DeleteObjectCommand({ Bucket: 'files', Key: `claimed-${i}` }));
  await landed();
});

test('on an empty disk it is what the branch names, once each, as soon as Gitee has said so too', async () => {
  await s3.send(new DeleteObjectCommand({ Bucket: 'files', Key: 'c' }));
  await landed();
  await stack.gateway.stop();
  await rm(stack.gateway.stateDirectory, { recursive: true });
  await stack.gateway.start();
  // What was deleted and not purged is not known; Gitee still has it.
  await until('Gitee was asked', async () => (await used()) > 0);
  expect([await used(), await stored()]).toEqual([200_000, 420_000]);
  // It is known again once it is needed: nothing is sent for it.
  await put('c', C);
  await landed();
  expect([await used(), await stored()]).toEqual([420_000, 420_000]);
});

test('where Gitee itself says that it is full, readyz says both figures and what to do', async () => {
  await stack.gitee.admin('repositories', { owner: 'acme', name: 'images', limits: { lfsMb: 0.05 } });
  const Key = `docker/registry/v2/blobs/sha256/${oidOf(D).slice(0, 2)}/${oidOf(D)}/data`;
  await s3.send(new PutObjectCommand({ Bucket: 'registry', Key, Body: D }));
  const problem = async () => {
    const answer = await fetch(`${stack.gateway.metricsUrl}/readyz`);
    return JSON.stringify(await answer.json());
  };
  await until('the bucket is paused', async () => (await problem()).includes('quota-full'));
  expect(await problem()).toMatch(
    /bucket:registry.*410\.2 KiB of 2\.0 MiB \(20 %\) in use, 224\.6 KiB more wait here.*LfsQuotaNearlyFull\.md/,
  );
});

test('a write for which the quota has no room is refused at once, with all that an operator needs', async () => {
  const refused = { name: 'QuotaExceeded', $metadata: { httpStatusCode: 403 } };
  await expect(put('large', randomBytes(ROOM_BYTES + 1))).rejects.toMatchObject({
    ...refused,
    message: expect.stringMatching(/410\.2 KiB of 2\.0 MiB \(20 %\) in use, 224\.6 KiB more wait here/),
  });
  await put('filling', randomBytes(ROOM_BYTES));
  await landed();
  await expect(
    s3.send(new CreateMultipartUploadCommand({ Bucket: 'registry', Key: LAYER })),
  ).rejects.toMatchObject(refused);
  await put('small', Buffer.from('still no LFS'));
  const { stdout } = await stack.gateway.cli('status');
  expect(stdout).toMatch(/LFS space: 1\.8 MiB of 2\.0 MiB \(89 %\) in use/);
  const doctor = await stack.gateway.cli('doctor', '--json');
  const { probes } = JSON.parse(doctor.stdout) as { probes: { name: string; verdict: string }[] };
  expect([doctor.code, probes.find(({ name }) => name === 'lfs space')?.verdict]).toEqual([1, 'failed']);
});
