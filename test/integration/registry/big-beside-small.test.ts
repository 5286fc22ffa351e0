/**
 * A small push beside a big one, over a slow line to Gitee: it does not wait for the big one's bytes, and every commit
 * of the branch has each of its tags whole all the same (invariant 4).
 */
import * as path from 'node:path';
import { digestOfLink } from '../../../src/format/registry-keys.js';
import { mustRun, run, until } from '../../support/child.js';
import { makeImage, pull, push, type TestImage } from '../../support/image.js';
import { startStack, type Stack } from '../../support/stack.js';
import { TEST_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;
const ROOT = 'docker/registry/v2';

/** A clone of the branch with git alone: what it shows is what Gitee has. */
class Clone {
  private constructor(readonly directory: string) {}

  static async of(stack: Stack): Promise<Clone> {
    const directory = path.join(stack.directory, 'clone.git');
    const url = new URL(`${stack.gitee.url}/acme/images.git`);
    url.username = 'oauth2';
    url.password = stack.gitee.token;
    const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', HOME: stack.directory };
    await mustRun('git', ['clone', '-q', '--bare', url.href, directory], { env });
    return new Clone(directory);
  }

  async git(...args: string[]): Promise<string> {
    return (await mustRun('git', ['-C', this.directory, ...args])).stdout;
  }

  async commits(): Promise<string[]> {
    return (await this.git('rev-list', '--reverse', 'refs/heads/master')).trim().split('\n');
  }

  async paths(commit: string): Promise<Set<string>> {
    return new Set((await this.git('ls-tree', '-r', '-z', '--name-only', commit)).split('\0'));
  }

  async text(commit: string, file: string): Promise<string> {
    return this.git('cat-file', 'blob', `${commit}:${file}`);
  }
}

/** Tags of a commit; what their closures lack goes into `missing`. */
async function tagsOf(
  clone: Clone,
  commit: string,
  images: readonly TestImage[],
  missing: string[],
): Promise<string[]> {
  const paths = await clone.paths(commit);
  const need = (file: string, why: string) => {
    // A big object is a directory of chunks.
    const isThere = paths.has(file) || paths.has(`${file}%chunks/000000`);
    if (!isThere) missing.push(`${commit.slice(0, 8)}: ${why} needs ${file}`);
    return isThere;
  };
  const blob = (digest: string) => `${ROOT}/blobs/sha256/${digest.slice(0, 2)}/${digest}/data`;
  const tags: string[] = [];
  for (const file of paths) {
    const [, repository, tag] = /^(.*)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(file) ?? [];
    if (repository === undefined) continue;
    const name = `${repository.slice(`${ROOT}/repositories/`.length)}:${tag}`;
    tags.push(name);
    const digest = digestOfLink(Buffer.from(await clone.text(commit, file)))!;
    need(`${repository}/_manifests/revisions/sha256/${digest}/link`, name);
    if (!need(blob(digest), name)) continue;
    // One chunk: its pointer names the manifest's own digest.
    expect(await clone.text(commit, blob(digest))).toContain(`oid sha256:${digest}`);
    for (const needed of images.find((image) => image.manifestDigest === `sha256:${digest}`)!.blobDigests) {
      const hex = needed.slice('sha256:'.length);
      need(blob(hex), name);
      need(`${repository}/_layers/sha256/${hex}/link`, name);
    }
  }
  return tags;
}

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

      const clone = await Clone.of(stack);
      const missing: string[] = [];
      const tags: string[][] = [];
      for (const commit of await clone.commits())
        tags.push(await tagsOf(clone, commit, [big, ...small], missing));
      expect(missing).toEqual([]);
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
