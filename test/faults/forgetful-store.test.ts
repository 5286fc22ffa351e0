import { readdir, rm, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage, type TestImage } from '../support/image.js';
import { startStack, type Stack } from '../support/stack.js';

const MiB = 1024 * 1024;

/** An LFS store that takes objects and does not keep them, or loses them later. */
describe('a forgetful LFS store', () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let n = 0;

  const image = (...sizes: number[]) => makeImage(path.join(stack.directory, `image-${(n += 1)}`), sizes);
  const history = new History();
  const view = () => throughRegistry(registry.address, stack.directory);
  const pushed = (one: TestImage, name: string) => recordPush(history, registry.address, name, one);
  const quarantined = () => stack.gateway.metric('gateway_quarantined_changes', { bucket: 'registry' });

  beforeAll(async () => {
    stack = await startStack();
    registry = await stack.startRegistry();
  });
  afterAll(() => stack.close());

  /** Somebody deletes LFS objects by hand on Gitee's page. */
  async function loseObjects(fromBytes: number): Promise<number> {
    let lost = 0;
    const directory = path.join(stack.gitee.dataDir, 'lfs');
    for (const name of await readdir(directory, { recursive: true })) {
      const file = path.join(directory, name);
      const found = await stat(file);
      if (!found.isFile() || found.size < fromBytes || !/^[0-9a-f]{64}$/.test(path.basename(name))) continue;
      await rm(file);
      lost += 1;
    }
    return lost;
  }

  test('a push meanwhile waits and succeeds once the store is well; nothing is set aside', async () => {
    const one = await image(6 * MiB, 30_000);
    await stack.gitee.fault('lfs-forget', {});
    const waiting = pushed(one, 'a/glitch:v1');
    // Four chunks, each forgotten six times: over a good many seconds.
    await until('the store has forgotten a lot', async () => (await stack.gitee.hits('lfs-forget')) >= 24);
    expect(await quarantined()).toBe(0);
    await stack.gitee.clearFaults();
    expect(await waiting).toBe('ok');
    expect(await quarantined()).toBe(0);
    expect(await history.problems(view())).toEqual([]);
    expect(await stack.gateway.cli('fsck')).toMatchObject({ code: 0 });
  });

  test('fsck --repair sends again what Gitee has lost and is here', async () => {
    const one = await image(2 * MiB, 40_000);
    expect(await pushed(one, 'a/lost:v1')).toBe('ok');
    expect(await loseObjects(1)).toBeGreaterThan(0);
    const found = await stack.gateway.cli('fsck');
    expect(found).toMatchObject({ code: 1 });
    expect(found.stdout).toContain('but a copy is here: fsck --repair sends it');
    const repaired = await stack.gateway.cli('fsck', '--repair');
    expect(repaired.stdout).toMatch(/repaired [1-9]/);
    expect(repaired).toMatchObject({ code: 0 });
    expect(await stack.gateway.cli('fsck')).toMatchObject({ code: 0 });
  });

  test('after that nothing is lost: here, in a clone, and of a gateway that has Gitee alone', () =>
    expectNothingLost(stack, { bucket: 'registry', history, view: view(), holds: 'images' }));

  test('a push of the same image brings back what Gitee has lost', async () => {
    const one = await image(2 * MiB, 50_000);
    expect(await pushed(one, 'a/again:v1')).toBe('ok');
    // As if a good while had passed: what was seen on Gitee a moment ago is asked for again.
    await stack.gateway.stop();
    expect(await loseObjects(1)).toBeGreaterThan(0);
    await stack.gateway.start();
    expect(await pushed(one, 'a/again:v1')).toBe('ok');
    await stack.gateway.stop();
    await rm(path.join(stack.gateway.stateDirectory, 'chunks'), { recursive: true });
    await stack.gateway.start();
    // The others were lost by hand, for good.
    expect(await history.problems(view(), 'local', ['a/again:v1'])).toEqual([]);
  });
});
