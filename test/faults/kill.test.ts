import * as path from 'node:path';
import { mustRun, until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage } from '../support/image.js';
import { rounds } from '../support/rounds.js';
import { startStack, type Stack } from '../support/stack.js';
import { TEST_LIMIT_MS } from '../support/time-limits.js';
import { PUSH_STAGES } from './kill-stages.js';

/**
 * Invariant 1: an acknowledged write is never lost, not by kill -9 at any instruction; invariant 2: a commit
 * never names a chunk that is not on Gitee. One kill inside each named stage, then at random moments.
 */
const RANDOM_KILLS = Number(process.env.KILL_RUNS ?? rounds(9));
const seed = Number(process.env.KILL_SEED ?? Date.now() % 1_000_000);

/** Mulberry32: a seed replays the run. */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe(`kill -9 of the gateway (seed ${seed})`, () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  const history = new History();
  let n = 0;

  beforeAll(async () => {
    stack = await startStack({ start: false });
  });

  afterAll(() => stack.close());

  const view = () => throughRegistry(registry.address, stack.directory);

  async function checkAll(names: Iterable<string>): Promise<void> {
    expect(await history.problems(view(), 'local', names)).toEqual([]);
    const fsck = await stack.gateway.cli('fsck');
    expect([fsck.code, fsck.stdout, fsck.stderr].join('\n')).toMatch(/^0\n/);
  }

  async function tryPush(name: string): Promise<boolean> {
    const image = await makeImage(path.join(stack.directory, `image-${(n += 1)}`), [30_000, 9 * 1024 * 1024]);
    return (await recordPush(history, registry.address, name, image)) === 'ok';
  }

  test.each(PUSH_STAGES)(
    'inside %s: what was acknowledged pulls whole, and the next push succeeds',
    async (stage) => {
      const name = `kill/${stage.toLowerCase().replace('.', '-')}`;
      stack.gateway.env = { ...stack.gateway.env, GATEWAY_FAILPOINTS: `${stage}=kill` };
      await stack.gateway.start({ ready: false });
      registry ??= await stack.startRegistry();
      await tryPush(`${name}:killed`);
      await until(`the gateway is killed inside ${stage}`, () => !stack.gateway.child!.running);
      stack.gateway.env = { ...stack.gateway.env, GATEWAY_FAILPOINTS: '' };
      await stack.gateway.start();
      expect(await tryPush(`${name}:next`)).toBe(true);
      await checkAll(history.keys.filter((k) => k.startsWith(name)));
      await stack.gateway.stop();
    },
  );

  test(
    `at ${RANDOM_KILLS} random moments of pushes`,
    async () => {
      const random = randomOf(seed);
      await stack.gateway.start();
      registry ??= await stack.startRegistry();
      for (let i = 0; i < RANDOM_KILLS; i += 1) {
        const pushing = tryPush(`random/r${i}:v1`);
        // eslint-disable-next-line no-restricted-syntax -- the moment is the fault that is injected
        const timer = new Promise<void>((resolve) => setTimeout(resolve, random() * 1500));
        await timer;
        await stack.gateway.kill();
        await pushing;
        await stack.gateway.start();
        expect(await tryPush(`random/r${i}:v2`)).toBe(true);
      }
      await checkAll(history.keys);
      await mustRun('git', [
        '-C',
        path.join(stack.gitee.dataDir, 'repositories/acme/images.git'),
        'fsck',
        '--strict',
      ]);
    },
    TEST_LIMIT_MS * (1 + RANDOM_KILLS),
  );

  test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', () =>
    expectNothingLost(stack, { bucket: 'registry', history, view: view(), holds: 'images' }));
});
