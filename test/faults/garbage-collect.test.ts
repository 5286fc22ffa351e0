/**
 * Invariants 1 and 4 while the stock registry collects its garbage and is pushed to at the same time, which its
 * documents forbid: a layer that a push finds there may be collected before the push has named it. What the collection
 * deletes is gone, as it was asked for; nothing else is. GC_ROUNDS=n: so many rounds; GC_SEED repeats their choices.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdir, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { BareClone } from '../support/bare-clone.js';
import { Child, mustRun, until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { ABSENT, History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage, makeLayer, type TestImage } from '../support/image.js';
import type { RunningRegistry } from '../support/registry.js';
import { startStack, type Stack } from '../support/stack.js';
import { limitMs } from '../support/time-limits.js';
import { randomOf } from './matrix/rounds.js';

const ROUNDS = Number(process.env['GC_ROUNDS'] ?? 2);
const SEED = Number(process.env['GC_SEED'] ?? Date.now() % 1_000_000);
const PUSHES = 4;
/** A collection says about so many lines. */
const LINES = 20;

let stack: Stack;
let registry: RunningRegistry;
let imageNo = 0;
const history = new History();
const images: TestImage[] = [];
/** What each name was pushed with, once or more. */
const pushedAs = new Map<string, TestImage[]>();
/** Digests that a collection said that it deletes. */
const collected = new Set<string>();

beforeAll(async () => {
  stack = await startStack({ config: { commit: { interval: '200ms' } } });
  registry = await stack.startRegistry();
});
afterAll(() => stack.close());

const view = () => throughRegistry(registry.address, stack.directory);

async function image(...layers: readonly (number | Uint8Array)[]): Promise<TestImage> {
  const made = await makeImage(path.join(stack.directory, `image-${(imageNo += 1)}`), layers);
  images.push(made);
  return made;
}

async function push(name: string, made: TestImage): Promise<string> {
  pushedAs.set(name, [...(pushedAs.get(name) ?? []), made]);
  return recordPush(history, registry.address, name, made);
}

async function removeImage(name: string, { manifestDigest }: TestImage): Promise<void> {
  const [repository] = name.split(':');
  const url = `http://${registry.address}/v2/${repository}/manifests/${manifestDigest}`;
  const outcome = await history.write(name, ABSENT, 'local', async () =>
    (await fetch(url, { method: 'DELETE' })).status === 202 ? 'ok' : 'put off',
  );
  expect(outcome).toBe('ok');
}

/** A collection that runs; `said` so many lines is how far it is. */
function collect(n: number, more: readonly string[]) {
  const logFile = path.join(stack.directory, `collection-${n}.log`);
  const child = Child.start('docker-registry', ['garbage-collect', ...more, registry.configFile], {
    logFile,
  });
  const text = () => readFile(logFile, 'utf8').catch(() => '');
  return {
    said: (lines: number) =>
      until('the collection has come so far', async () => {
        return !child.running || (await text()).split('\n').length > lines;
      }),
    /** Resolves to the digests of what it deleted. */
    ended: async () => {
      expect([await child.exited, await child.lastWords()]).toEqual([0, expect.any(String)]);
      const found = (await text()).matchAll(/eligible for deletion: (sha256:[0-9a-f]{64})/g);
      return [...found].map(([, digest]) => digest!);
    },
  };
}

const partsOf = (made: TestImage) => [made.manifestDigest, ...made.blobDigests];
const hexOf = (digest: string) => digest.slice('sha256:'.length);

/** Every tag is whole in the commit that set it, but for what was collected. */
async function expectWholeCommits(n: number): Promise<void> {
  const clone = await BareClone.of(stack, `clone-${n}.git`);
  const dangling: string[] = [];
  const before = new Map<string, string>();
  for (const commit of await clone.commits()) {
    const tags = await clone.tagsAt(commit, images);
    for (const { name, digest, missing } of tags) {
      if (before.get(name) === digest) continue;
      for (const key of missing)
        if (![...collected].some((gone) => key.includes(hexOf(gone))))
          dangling.push(`${commit.slice(0, 8)}: ${name} lacks ${key}`);
    }
    before.clear();
    for (const { name, digest } of tags) before.set(name, digest);
  }
  expect(dangling).toEqual([]);
}

/** The gateway finds all in order; of a clone what it finds amiss is what was collected. */
async function expectFsckNamesCollected(n: number): Promise<void> {
  expect(await stack.gateway.cli('fsck', '--bucket', 'registry')).toMatchObject({ code: 0 });
  const directory = path.join(stack.directory, `verified-${n}`);
  const url = new URL(`${stack.gitee.url}/acme/images.git`);
  url.username = 'oauth2';
  url.password = stack.gitee.token;
  await mkdir(directory);
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', HOME: directory };
  await mustRun('git', ['lfs', 'install', '--skip-repo'], { env });
  await mustRun('git', ['clone', '-q', url.href, path.join(directory, 'clone')], { env });
  const { stdout } = await stack.gateway.plainCli('verify-clone', path.join(directory, 'clone'), '--json');
  const { buckets } = JSON.parse(stdout) as { buckets: { problems: string[] }[] };
  const problems = buckets.flatMap((bucket) => bucket.problems);
  const isNamed = (problem: string) => [...collected].some((gone) => problem.includes(hexOf(gone)));
  expect(problems.filter((problem) => !isNamed(problem))).toEqual([]);
}

test(
  `pushes beside ${ROUNDS} collections lose nothing but what these delete (GC_SEED=${SEED})`,
  async () => {
    const random = randomOf(SEED);
    const between = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
    for (let n = 0; n < ROUNDS; n += 1) {
      // Of the garbage one layer is in an image that stays, the others are what the pushes find there.
      const layers = Array.from({ length: 4 }, () => makeLayer(between(1_000, 60_000)));
      const pick = () => layers[between(0, layers.length - 1)]!;
      const [kept, old] = [await image(layers[0]!, 5_000), await image(...layers)];
      expect(await push(`kept/app:v${n}`, kept)).toBe('ok');
      expect(await push(`old/app:v${n}`, old)).toBe('ok');
      await removeImage(`old/app:v${n}`, old);

      const making = Array.from({ length: PUSHES }, () => image(pick(), pick(), between(1_000, 40_000)));
      const beside = await Promise.all(making);
      const collection = collect(n, random() < 0.5 ? [] : ['--delete-untagged']);
      const pushes = beside.map(async (made, i) => {
        const lines = between(0, LINES);
        const name = `beside/${i % 2}:${random() < 0.5 ? 'latest' : `v${n}-${i}`}`;
        await collection.said(lines);
        await push(name, made);
      });
      for (const digest of await collection.ended()) collected.add(digest);
      await Promise.all(pushes);
      // As the runbook has it: it remembers what is gone.
      await registry.stop();
      registry = await stack.startRegistry();

      expect(await stack.gateway.metric('gateway_bucket_frozen', { bucket: 'registry' })).toBe(0);
      await until('everything is on Gitee', async () => {
        return (await stack.gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' })) === 0;
      });
      const isTouched = (name: string) =>
        pushedAs.get(name)!.some((made) => partsOf(made).some((digest) => collected.has(digest)));
      const untouched = history.keys.filter((name) => !isTouched(name));
      expect(await history.problems(view(), 'local', untouched)).toEqual([]);
      await expectFsckNamesCollected(n);
      await expectWholeCommits(n);
      const broken = [];
      for (const name of history.keys.filter(isTouched)) {
        if ((await history.problems(view(), 'local', [name])).length > 0) broken.push(name);
        // The push that operators are told to make again.
        if (name.startsWith('beside/')) expect(await push(name, pushedAs.get(name)!.at(-1)!)).toBe('ok');
      }
      process.stderr.write(
        `GC_SEED=${SEED}: round ${n}: ${JSON.stringify({ collected: collected.size, broken })}\n`,
      );
    }
    await expectNothingLost(stack, { bucket: 'registry', history, view: view(), holds: 'images' });
  },
  limitMs(ROUNDS * 300_000),
);
