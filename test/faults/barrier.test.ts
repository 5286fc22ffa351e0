import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { until } from '../support/child.js';
import { makeImage, pull, push } from '../support/image.js';
import { startStack, type Stack } from '../support/stack.js';
import { ANSWER_LIMIT_MS } from '../support/time-limits.js';

/** What a barrier promises, with Gitee failing in each named way. Invariants 1 and 6. */
describe('a push while Gitee fails', () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let n = 0;

  const image = () => makeImage(path.join(stack.directory, `image-${(n += 1)}`), [50_000, 60_000]);
  const pulled = (name: string) =>
    pull(registry.address, name, path.join(stack.directory, `pulled-${(n += 1)}`));
  const pending = () => stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' });
  const landed = () => until('everything is on Gitee', async () => (await pending()) === 0);

  beforeAll(async () => {
    // Commits are counted: none is made because a push took long.
    stack = await startStack({ config: { commit: { interval: '10m' } } });
    registry = await stack.startRegistry();
    expect(await push(await image(), registry.address, 'a/warm:up')).toMatchObject({ code: 0 });
  });

  afterEach(async () => {
    await stack.gitee.clearFaults();
  });

  afterAll(() => stack.close());

  test('stalled: the client fails within a minute with a clear error, and the tag lands after it recovers', async () => {
    const one = await image();
    await stack.gitee.fault('git-stall', {});
    const startedMs = Date.now();
    const result = await push(one, registry.address, 'a/stalled:v1');
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/50[03]|manifest|SlowDown|unknown|unavailable/i);
    expect(Date.now() - startedMs).toBeLessThan(ANSWER_LIMIT_MS);
    await stack.gitee.clearFaults();
    await landed();
    expect(await pulled('a/stalled:v1')).toBe(one.manifestDigest);
    expect(await push(one, registry.address, 'a/stalled:v1')).toMatchObject({ code: 0 });
  });

  test('answer lost after the push was applied: the push succeeds and nothing is done twice', async () => {
    const one = await image();
    const before = await stack.commits('acme/images');
    await stack.gitee.passingFault('git-lose-after-accept', 1);
    expect(await push(one, registry.address, 'a/lost:v1')).toMatchObject({ code: 0 });
    expect((await stack.commits('acme/images')) - before).toBeLessThanOrEqual(2);
    expect(await pulled('a/lost:v1')).toBe(one.manifestDigest);
  });

  test('the branch moves before each push: both changes stand', async () => {
    const one = await image();
    await stack.gitee.passingFault('git-move-branch-before-push', 1);
    expect(await push(one, registry.address, 'a/moved:v1')).toMatchObject({ code: 0 });
    expect(await pulled('a/moved:v1')).toBe(one.manifestDigest);
  });

  test('uploads cut, garbage and 5xx are tried again', async () => {
    const one = await image();
    await stack.gitee.passingFault('lfs-upload-cut', 1, { afterBytes: 1000 });
    await stack.gitee.passingFault('lfs-batch-garbage', 1);
    await stack.gitee.passingFault('git-refuse-push', 1, { status: 502 });
    expect(await push(one, registry.address, 'a/cut:v1')).toMatchObject({ code: 0 });
    expect(await pulled('a/cut:v1')).toBe(one.manifestDigest);
  });

  test('a wrong token pauses and drops nothing; readyz and doctor name the setting; the right one resumes', async () => {
    const one = await image();
    await writeFile(stack.gateway.tokenFile, 'wrong-token-of-the-test\n');
    await stack.gateway.restart().catch(() => undefined);
    if (!stack.gateway.child?.running) await stack.gateway.start({ ready: false });
    const result = await push(one, registry.address, 'a/token:v1');
    expect(result.code).not.toBe(0);
    const ready = await fetch(`${stack.gateway.metricsUrl}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toMatch(/gitee\.token/);
    const doctor = await stack.gateway.cli('doctor');
    expect(doctor.code).not.toBe(0);
    expect(doctor.stdout).toMatch(/gitee\.token/);
    expect(doctor.stdout + doctor.stderr).not.toMatch(/wrong-token-of-the-test/);
    await writeFile(stack.gateway.tokenFile, `${stack.gitee.token}\n`);
    stack.gateway.child!.process.kill('SIGHUP');
    await landed();
    expect(await pulled('a/token:v1')).toBe(one.manifestDigest);
  });

  test('a full quota is a named error and a metric, reads go on, and it lands when there is room', async () => {
    const [before, one] = [await image(), await image()];
    expect(await push(before, registry.address, 'a/before:v1')).toMatchObject({ code: 0 });
    await stack.gitee.fault('lfs-quota-full', {});
    expect((await push(one, registry.address, 'a/quota:v1')).code).not.toBe(0);
    expect(
      await stack.gateway.metric('gateway_bucket_paused', { bucket: 'registry', cause: 'quota-full' }),
    ).toBe(1);
    expect((await stack.gateway.cli('status')).stdout).toMatch(/quota/);
    expect(await pulled('a/before:v1')).toBe(before.manifestDigest);
    await stack.gitee.clearFaults();
    stack.gateway.child!.process.kill('SIGHUP');
    await landed();
    expect(await push(one, registry.address, 'a/quota:v1')).toMatchObject({ code: 0 });
  });
});
