import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { until, type RunResult } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage, pull, push, type TestImage } from '../support/image.js';
import { startStack, type Stack } from '../support/stack.js';

interface StalledPush {
  readonly stack: Stack;
  readonly registry: Awaited<ReturnType<Stack['startRegistry']>>;
  readonly image: TestImage;
  readonly pushed: Promise<{ result: RunResult; tookMs: number }>;
}

/** It takes the whole hold: it is begun before the other tests and looked at after them. */
let stalled: StalledPush;

beforeAll(async () => {
  const stack = await startStack();
  const registry = await stack.startRegistry();
  const image = await makeImage(path.join(stack.directory, 'image'), [50_000, 60_000]);
  await stack.gitee.fault('git-stall');
  const startedMs = performance.now();
  const pushed = push(image, registry.address, 'a/stalled:v1').then((result) => ({
    result,
    tookMs: performance.now() - startedMs,
  }));
  stalled = { stack, registry, image, pushed };
  await until('the tag is held', async () => (await stack.gitee.stats()).heldConnections > 0);
});

afterAll(() => stalled.stack.close());

/** What a barrier promises, with Gitee failing in each named way. Invariants 1 and 6. */
describe('a push while Gitee fails', () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let n = 0;

  const image = () => makeImage(path.join(stack.directory, `image-${(n += 1)}`), [50_000, 60_000]);
  const history = new History();
  const view = () => throughRegistry(registry.address, stack.directory);
  const pushed = (one: TestImage, name: string) => recordPush(history, registry.address, name, one);
  const kept = async (name: string) => expect(await history.problems(view(), 'local', [name])).toEqual([]);
  const pending = () => stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' });
  const landed = () => until('everything is on Gitee', async () => (await pending()) === 0);

  beforeAll(async () => {
    // Commits are counted: none is made because a push took long.
    stack = await startStack({ config: { commit: { interval: '10m' } } });
    registry = await stack.startRegistry();
    expect(await pushed(await image(), 'a/warm:up')).toBe('ok');
  });

  afterEach(async () => {
    await stack.gitee.clearFaults();
  });

  afterAll(() => stack.close());

  test('answer lost after the push was applied: the push succeeds and nothing is done twice', async () => {
    const one = await image();
    const before = await stack.commits('acme/images');
    await stack.gitee.passingFault('git-lose-after-accept', 1);
    expect(await pushed(one, 'a/lost:v1')).toBe('ok');
    expect((await stack.commits('acme/images')) - before).toBeLessThanOrEqual(2);
    await kept('a/lost:v1');
  });

  test('the branch moves before each push: both changes stand', async () => {
    const one = await image();
    await stack.gitee.passingFault('git-move-branch-before-push', 1);
    expect(await pushed(one, 'a/moved:v1')).toBe('ok');
    await kept('a/moved:v1');
  });

  test('uploads cut, garbage and 5xx are tried again', async () => {
    const one = await image();
    await stack.gitee.passingFault('lfs-upload-cut', 1, { afterBytes: 1000 });
    await stack.gitee.passingFault('lfs-batch-garbage', 1);
    await stack.gitee.passingFault('git-refuse-push', 1, { status: 502 });
    expect(await pushed(one, 'a/cut:v1')).toBe('ok');
    await kept('a/cut:v1');
  });

  test('a wrong token pauses and drops nothing; readyz and doctor name the setting; the right one resumes', async () => {
    const one = await image();
    await writeFile(stack.gateway.tokenFile, 'wrong-token-of-the-test\n');
    await stack.gateway.restart().catch(() => undefined);
    if (!stack.gateway.child?.running) await stack.gateway.start({ ready: false });
    expect(await pushed(one, 'a/token:v1')).toBe('put off');
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
    // Put off, and stored: it lands.
    expect(await history.read('a/token:v1', view())).toBe(one.manifestDigest);
  });

  test('a full quota is a named error and a metric, reads go on, and it lands when there is room', async () => {
    const [before, one] = [await image(), await image()];
    expect(await pushed(before, 'a/before:v1')).toBe('ok');
    await stack.gitee.fault('lfs-quota-full', {});
    expect(await pushed(one, 'a/quota:v1')).toBe('put off');
    expect(
      await stack.gateway.metric('gateway_bucket_paused', { bucket: 'registry', cause: 'quota-full' }),
    ).toBe(1);
    expect((await stack.gateway.cli('status')).stdout).toMatch(/quota/);
    await kept('a/before:v1');
    await stack.gitee.clearFaults();
    stack.gateway.child!.process.kill('SIGHUP');
    await landed();
    expect(await pushed(one, 'a/quota:v1')).toBe('ok');
  });

  test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', () =>
    expectNothingLost(stack, { bucket: 'registry', history, view: view(), holds: 'images' }));
});

/** Of a push whose Gitee says nothing at all. With nothing set, as an operator installs it. */
describe('the hold of a push', () => {
  test('ends with a clear error, once, and the tag lands after Gitee recovers', async () => {
    const { stack, registry, image, pushed } = stalled;
    const options = await readFile('docs/configuration.md', 'utf8');
    const holdMs = Number(/^\| `barrier\.hold` .*\| `(\d+)s` \|/m.exec(options)?.[1]) * 1000;
    const { result, tookMs } = await pushed;
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/50[03]|manifest|SlowDown|unknown|unavailable/i);
    // The driver asks a few times more, and is answered at once: the hold is not served again, nor counted.
    const put = { operation: 'PutObject', status: '503' };
    expect(await stack.gateway.metric('gateway_http_requests_total', put)).toBeGreaterThan(1);
    expect(
      await stack.gateway.metric('gateway_barrier_waits_total', { bucket: 'registry', result: 'timeout' }),
    ).toBe(1);
    expect([tookMs >= holdMs, tookMs < 2 * holdMs]).toEqual([true, true]);
    await stack.gitee.clearFaults();
    await until(
      'everything is on Gitee',
      async () =>
        (await stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' })) === 0,
    );
    const pulled = path.join(stack.directory, 'pulled');
    expect(await pull(registry.address, 'a/stalled:v1', pulled)).toBe(image.manifestDigest);
    expect(await push(image, registry.address, 'a/stalled:v1')).toMatchObject({ code: 0 });
  });
});
