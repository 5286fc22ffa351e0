import * as path from 'node:path';
import { until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage, type TestImage } from '../support/image.js';
import { startStack, type Stack } from '../support/stack.js';

const MiB = 1024 * 1024;

/** What Gitee refuses for good, and a history that is not ours to follow, must not stop or lose the rest. */
describe('refused for good', () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let n = 0;

  const image = (...sizes: number[]) => makeImage(path.join(stack.directory, `image-${(n += 1)}`), sizes);
  let history = new History();
  const view = () => throughRegistry(registry.address, stack.directory);
  const pushed = (one: TestImage, name: string) => recordPush(history, registry.address, name, one);
  const kept = async () => expect(await history.problems(view())).toEqual([]);
  const status = async () => (await stack.gateway.cli('status', '--json')).stdout;

  beforeAll(async () => {
    stack = await startStack();
    registry = await stack.startRegistry();
    expect(await pushed(await image(1000), 'a/first:v1')).toBe('ok');
  });

  afterAll(() => stack.close());

  test('one layer over the limit of the plan: its tag is refused, other images land meanwhile', async () => {
    await stack.gitee.admin('repositories', { owner: 'acme', name: 'images', limits: { lfsObjectMb: 2 } });
    const [poison, fine] = [await image(3 * MiB), await image(2000)];
    expect(await pushed(poison, 'a/poison:v1')).toBe('put off');
    expect(await pushed(fine, 'a/fine:v1')).toBe('ok');
    await kept();
    expect(await stack.gateway.metric('gateway_quarantined_changes', { bucket: 'registry' })).toBeGreaterThan(
      0,
    );
    expect(JSON.parse(await status())).toMatchObject({ buckets: expect.any(Array) });
    // Again: still refused, and still no obstacle to anybody else.
    expect(await pushed(poison, 'a/poison:v1')).toBe('put off');
    expect(await stack.gateway.cli('fsck')).toMatchObject({ code: 0 });
  });

  test('a branch that was replaced freezes the bucket: reads go on, writes wait for accept-remote', async () => {
    expect(await pushed(await image(3000), 'a/kept:v1')).toBe('ok');
    await stack.gitee.admin('move-branch', {
      repo: 'acme/images',
      edits: [{ path: 'README.md', content: 'somebody began anew\n' }],
      orphan: true,
    });
    expect(await pushed(await image(4000), 'a/blocked:v1')).toBe('put off');
    await until('the bucket is frozen', async () =>
      (await (await fetch(`${stack.gateway.metricsUrl}/readyz`)).text()).includes('accept-remote'),
    );
    await kept();
    expect(await stack.gateway.cli('accept-remote', '--bucket', 'registry')).toMatchObject({ code: 0 });
    // What was there before is given up: that is what the operator accepted.
    history = new History();
    const after = await image(5000);
    expect(await pushed(after, 'a/after:v1')).toBe('ok');
    await kept();
  });

  test('rebuild on the running gateway keeps every image', async () => {
    const one = await image(6000);
    expect(await pushed(one, 'a/rebuilt:v1')).toBe('ok');
    expect(await stack.gateway.cli('rebuild', '--bucket', 'registry')).toMatchObject({ code: 0 });
    await kept();
  });

  test('after that nothing is lost: here, in a clone, and of a gateway that has Gitee alone', () =>
    expectNothingLost(stack, { bucket: 'registry', history, view: view(), holds: 'images' }));

  test('wrong bytes from Gitee never make a complete pull, and right ones do after that', async () => {
    const one = await image(3 * 1000, 1_500_000);
    expect(await pushed(one, 'a/corrupt:v1')).toBe('ok');
    await stack.gateway.stop();
    const { rm } = await import('node:fs/promises');
    await rm(path.join(stack.gateway.stateDirectory, 'chunks'), { recursive: true });
    await stack.gateway.start();
    await stack.gitee.fault('lfs-download-corrupt', {});
    await expect(history.read('a/corrupt:v1', view())).rejects.toThrow(/exit 1/);
    await stack.gitee.clearFaults();
    await kept();
  });

  test('Gitee away: what is in cache and index is pulled all the same', async () => {
    const one = await image(7000, 8000);
    expect(await pushed(one, 'a/away:v1')).toBe('ok');
    await stack.gitee.kill();
    await kept();
    await stack.gateway.stop();
    await stack.gateway.start({ ready: false });
    await kept();
    await stack.gitee.restart();
    await until(
      'the gateway is ready again',
      async () => (await fetch(`${stack.gateway.metricsUrl}/readyz`)).status === 200,
    );
    await kept();
  });

  test('the Gitee token reached no other host, and stands in no log, commit, command line or metric', async () => {
    const { readFile } = await import('node:fs/promises');
    const { mustRun } = await import('../support/child.js');
    expect((await stack.gitee.stats()).tokenLeaks).toEqual([]);
    const log = await readFile(path.join(stack.gateway.directory, 'gateway.log'), 'utf8');
    const metrics = await (await fetch(`${stack.gateway.metricsUrl}/metrics`)).text();
    const commits = await mustRun('git', [
      '-C',
      path.join(stack.gitee.dataDir, 'repositories/acme/images.git'),
      'log',
      '-p',
      'refs/heads/master',
    ]);
    const processes = await mustRun('ps', ['-ewwo', 'args']);
    const basic = Buffer.from(`oauth2:${stack.gitee.token}`).toString('base64');
    for (const secret of [stack.gitee.token, basic, stack.gateway.secretAccessKey]) {
      for (const text of [log, metrics, commits.stdout, processes.stdout]) expect(text).not.toContain(secret);
    }
  });
});
