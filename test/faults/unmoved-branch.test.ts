/**
 * A push that Gitee accepted and the branch does not show, end to end: a branch in review mode, and (LONG_TESTS=1, it
 * takes a minute) copies of the repository that lag for longer than the push itself looks.
 */
import * as path from 'node:path';
import { until } from '../support/child.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage } from '../support/image.js';
import { startStack, type Stack } from '../support/stack.js';

const LAG_MS = 20_000;

let stack: Stack;
let registry: Awaited<ReturnType<Stack['startRegistry']>>;
let n = 0;
const history = new History();
const pushed = async (name: string) =>
  recordPush(
    history,
    registry.address,
    name,
    await makeImage(path.join(stack.directory, `${(n += 1)}`), [20_000]),
  );
const status = async () => (await stack.gateway.cli('status')).stdout;
const paused = () =>
  stack.gateway.metric('gateway_bucket_paused', { bucket: 'registry', cause: 'review-mode' });
const protect = (protectedBranches: readonly unknown[]) =>
  stack.gitee.admin('repositories', { owner: 'acme', name: 'images', protectedBranches });

beforeAll(async () => {
  stack = await startStack({ config: { commit: { interval: '10m' } } });
  registry = await stack.startRegistry();
  expect(await pushed('a/warm:up')).toBe('ok');
});
afterAll(() => stack.close());

test('review mode is noticed by the branch of its pull request, and all lands once it has ended', async () => {
  await protect([{ name: 'master', mode: 'review' }]);
  expect(await pushed('a/reviewed:v1')).toBe('put off');
  expect(await paused()).toBe(1);
  expect(await status()).toMatch(/review mode/);
  await protect([]);
  stack.gateway.child!.process.kill('SIGHUP');
  await until('it goes on', async () => (await paused()) === 0);
  expect(await pushed('a/after:v1')).toBe('ok');
  expect(await history.problems(throughRegistry(registry.address, stack.directory), 'remote')).toEqual([]);
});

if (process.env['LONG_TESTS'] !== undefined)
  test('copies that lag for 20 s cost a push that time, pause nothing, and the next one none', async () => {
    await stack.gitee.fault('git-lagging-copy', { ms: LAG_MS });
    const late = pushed('a/late:v1');
    await until('it is looked for', async () => /push-not-seen/.test(await status()));
    expect(await status()).not.toMatch(/paused/);
    expect(await late).toBe('ok');
    await stack.gitee.clearFaults();
    const startedMs = performance.now();
    expect(await pushed('a/next:v1')).toBe('ok');
    expect(performance.now() - startedMs).toBeLessThan(LAG_MS);
    expect(await status()).not.toMatch(/push-not-seen/);
    expect(await history.problems(throughRegistry(registry.address, stack.directory), 'remote')).toEqual([]);
  });
