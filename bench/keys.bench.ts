import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from '../test/support/child.js';
import { makeImage, push } from '../test/support/image.js';
import { startStack } from '../test/support/stack.js';
import { RssSampler, rssAnonMiB } from './rss.js';

/** An image is 12 keys: 5 blobs, 4 layer links, revision, current and index link (docs/facts/git-at-scale.md). */
const KEYS_PER_IMAGE = 12;

/** Fills the bucket's branch with images by one fast-import, on top of the gateway's own first commit. */
async function fill(gitDirectory: string, keyCount: number): Promise<void> {
  const parent = (await mustRun('git', ['-C', gitDirectory, 'rev-parse', 'refs/heads/master'])).stdout.trim();
  const git = spawn('git', ['-C', gitDirectory, 'fast-import', '--quiet', '--force'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const write = async (text: string) => {
    if (!git.stdin.write(text)) await once(git.stdin, 'drain');
  };
  await write(
    `commit refs/heads/master\ncommitter bench <bench@example.invalid> ${Math.floor(Date.now() / 1000)} +0000\ndata 4\nfill\nfrom ${parent}\n`,
  );
  const file = (name: string, body: string) =>
    `M 100644 inline ${name}\ndata ${Buffer.byteLength(body)}\n${body}\n`;
  const root = 'docker/registry/v2/';
  for (let image = 0; image < keyCount / KEYS_PER_IMAGE; image += 1) {
    const repository = `${root}repositories/bench/r${Math.floor(image / 50)}`;
    const digests = Array.from({ length: 5 }, (_, i) =>
      createHash('sha256').update(`${image}/${i}`).digest('hex'),
    );
    let text = '';
    for (const digest of digests) {
      text += file(
        `${root}blobs/sha256/${digest.slice(0, 2)}/${digest}/data`,
        `version https://git-lfs.github.com/spec/v1\noid sha256:${digest}\nsize 1000\n`,
      );
    }
    for (const digest of digests.slice(0, 4)) {
      text += file(`${repository}/_layers/sha256/${digest}/link`, `sha256:${digest}`);
    }
    const link = `sha256:${digests[4]!}`;
    text += file(`${repository}/_manifests/revisions/sha256/${digests[4]!}/link`, link);
    text += file(`${repository}/_manifests/tags/v${image}/current/link`, link);
    text += file(`${repository}/_manifests/tags/v${image}/index/sha256/${digests[4]!}/link`, link);
    await write(text);
  }
  await write('done\n');
  git.stdin.end();
  const [code] = (await once(git, 'exit')) as [number];
  if (code !== 0) throw new Error(`fast-import ended with ${code}`);
}

/** Rebuild from Gitee alone with so many keys, memory meanwhile and after, then one push of an image. */
export async function keys(keyCount: number): Promise<void> {
  const stack = await startStack();
  try {
    const registry = await stack.startRegistry();
    const first = await makeImage(path.join(stack.directory, 'first'), [10_000]);
    if ((await push(first, registry.address, 'bench/first:v1')).code !== 0)
      throw new Error('the first push failed');
    await stack.gateway.stop();
    await fill(path.join(stack.gitee.dataDir, 'repositories/acme/images.git'), keyCount);
    await rm(stack.gateway.stateDirectory, { recursive: true });

    const startedMs = Date.now();
    await stack.gateway.start({ ready: false });
    const sampler = new RssSampler(stack.gateway.child!.pid);
    for (;;) {
      const ready = await fetch(`${stack.gateway.metricsUrl}/readyz`);
      await ready.arrayBuffer();
      if (ready.status === 200) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const rebuildSeconds = (Date.now() - startedMs) / 1000;

    const second = await makeImage(path.join(stack.directory, 'second'), [10_000, 20_000]);
    const pushMs = Date.now();
    const pushed = await push(second, registry.address, 'bench/second:v1');
    const pushSeconds = (Date.now() - pushMs) / 1000;
    const listMs = Date.now();
    await (await fetch(`http://${registry.address}/v2/bench/r0/tags/list`)).arrayBuffer();
    console.log(
      JSON.stringify({
        scenario: 'keys',
        keyCount,
        rebuildSeconds,
        pushExit: pushed.code,
        pushSeconds,
        tagListSeconds: (Date.now() - listMs) / 1000,
        maxRssAnonMiB: sampler.stop(),
        restingRssAnonMiB: Math.round(rssAnonMiB(stack.gateway.child!.pid)),
        limitMiB: 300,
      }),
    );
  } finally {
    await stack.close();
  }
}
