/**
 * A small push beside a big one, over a slow line to Gitee: it does not wait for the big one's bytes, and every commit
 * of the branch has each of its tags whole all the same (invariant 4).
 */
import * as path from 'node:path';
import { BareClone } from '../../support/bare-clone.js';
import { run, until } from '../../support/child.js';
import { makeImage, pull, push } from '../../support/image.js';
import { startStack, type Stack } from '../../support/stack.js';
import { TEST_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;

describe('a small push beside a big one, over a slow line to Gitee', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.close());

  test(
    'is answered while the big one still runs, and every commit has its tags whole',
    async () => {
      const registry = await stack.startRegistry();
      const big = await makeImage(path.join(stack.directory, 'big'), [16 * MIB, 16 * MIB]);
      const small = await Promise.all(
        [1, 2].map((n) => makeImage(path.join(stack.directory, `small-${n}`), [40_000 * n])),
      );
      // 1 MiB/s for all uploads together: the big one needs half a minute.
      await stack.gitee.fault('lfs-upload-slow', { ms: 16 });
      let isOver = false;
      const bigPush = push(big, registry.address, 'big/app:v1').finally(() => (isOver = true));
      await until('the big push is on the line', async () => {
        return (await stack.gateway.metric('gateway_spool_unsent_bytes')) > MIB;
      });
      for (const [n, image] of small.entries())
        expect(await push(image, registry.address, `small/app:v${n + 1}`)).toMatchObject({ code: 0 });
      expect(isOver).toBe(false);
      expect(await bigPush).toMatchObject({ code: 0 });

      const clone = await BareClone.of(stack);
      const tags: string[][] = [];
      for (const commit of await clone.commits()) {
        const there = await clone.tagsAt(commit, [big, ...small]);
        expect(there.filter(({ missing }) => missing.length > 0)).toEqual([]);
        tags.push(there.map(({ name }) => name));
      }
      expect(tags.at(-1)!.sort()).toEqual(['big/app:v1', 'small/app:v1', 'small/app:v2']);
      // The small ones had landed in commits of their own.
      expect(tags.some((some) => some.includes('small/app:v2') && !some.includes('big/app:v1'))).toBe(true);
      expect(await run('git', ['-C', clone.directory, 'fsck', '--strict'])).toMatchObject({ code: 0 });
      await stack.gitee.clearFaults();
      const pulled = await pull(registry.address, 'big/app:v1', path.join(stack.directory, 'pulled'));
      expect(pulled).toBe(big.manifestDigest);
    },
    TEST_LIMIT_MS,
  );
});
