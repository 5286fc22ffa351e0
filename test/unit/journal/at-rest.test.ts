/** Where nothing can be done at the moment, the committer waits: a core that looks in vain is one that pushes lack. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, jest, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import type { BucketTimings } from '../../../src/journal/open-bucket.js';
import { until } from '../../support/child.js';
import { ManualClock } from '../../support/chunk-bench.js';
import {
  bytesOf,
  GENERIC,
  JournalBucket,
  REGISTRY,
  signal,
  type HarnessOptions,
} from '../../support/journal-bucket.js';

const BIG = 'x'.repeat(90);
/** Fewer than all that the tests write. */
const FEW = { maxChanges: 10, lookedAtMax: 20 };
const PATIENT = {
  retryMaxMs: 30_000,
  pausedRetryMs: 30_000,
  missingForMs: 3_600_000,
  refusedForMs: 3_600_000,
};
const STEP_MS = 10;
const STEPS = 2_000;

let b: JournalBucket;
let clock: ManualClock;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

async function open(options: HarnessOptions, timings: Partial<BucketTimings>): Promise<void> {
  clock = new ManualClock();
  b = await JournalBucket.open({ ...options, clock, timings: { ...PATIENT, ...FEW, ...timings } });
  await b.start();
}

/** Time passes until it holds. */
async function passing(what: string, holds: () => boolean): Promise<void> {
  await until(what, async () => {
    for (let i = 0; i < 20; i += 1) {
      clock.advance(STEP_MS);
      await setImmediate();
    }
    return holds();
  });
}

/** How often the committer looked, and how often anybody went to sleep, within 20 seconds. */
async function busy(): Promise<{ rounds: number; sleeps: number }> {
  const round = jest.spyOn(b.bucket.committer, 'round');
  const sleep = jest.spyOn(clock, 'sleep');
  for (let i = 0; i < STEPS; i += 1) {
    clock.advance(STEP_MS);
    await setImmediate();
  }
  const counts = { rounds: round.mock.calls.length, sleeps: sleep.mock.calls.length };
  round.mockRestore();
  sleep.mockRestore();
  return counts;
}

/** About three looks a second at most; a loop without a pause makes tens of thousands. */
async function expectRest(): Promise<void> {
  const { rounds, sleeps } = await busy();
  expect(rounds).toBeLessThan(60);
  expect(sleeps).toBeLessThan(200);
}

function unkept(text: string): () => number {
  const { oid } = b.chunks.cut(bytesOf(text))[0]!;
  let times = 0;
  b.chunks.beforeEnsure = async (chunks) => {
    if (!chunks.some((chunk) => chunk.oid === oid)) return;
    times += 1;
    throw new RemoteError('chunk-unkept', 'forgotten', { oids: [oid], retryAfterMs: 30_000 });
  };
  return () => times;
}

/** Every upload hangs until it is given up. */
function stall(): void {
  b.chunks.beforeUpload = (_chunks, aborted) =>
    new Promise((_resolve, reject) => {
      aborted?.addEventListener('abort', () => reject(aborted.reason as Error), { once: true });
    });
}

test.each([60_000, 0])(
  'behind a change in doubt that nothing may pass by, a batch and more waiting (max age %i ms)',
  async (maxAgeMs) => {
    await open({ rules: GENERIC, isStrictOrder: true }, { maxAgeMs });
    const tries = unkept(BIG);
    await b.put('notes/a', BIG);
    for (let i = 0; i < FEW.maxChanges + 2; i += 1) await b.put(`notes/b${i}`, 'small');
    await passing('it was tried', () => tries() > 0);
    await expectRest();
    expect(b.state.status()).toMatchObject({ pendingChanges: FEW.maxChanges + 3 });
  },
);

test.each([60_000, 0])(
  'where more can not land than is looked at, a batch and more behind it (max age %i ms)',
  async (maxAgeMs) => {
    await open({ rules: REGISTRY }, { maxAgeMs });
    stall();
    const changes = FEW.lookedAtMax + FEW.maxChanges;
    let seq = 0;
    for (let i = 0; i < changes; i += 1) seq = await b.put(`notes/${i}`, `${i}`.padEnd(90, 'y'));
    await expectRest();
    const waits = b.state.waitLanded(seq, { timeoutMs: 3_600_000, signal });
    await expectRest();
    expect(b.state.status()).toMatchObject({ pendingChanges: changes });
    b.chunks.beforeUpload = async () => {};
    b.bucket.kick();
    await passing('all land', () => b.state.status().pendingChanges === 0);
    expect(await waits).toBe(true);
  },
);

test('while changes come that are not due yet, and commits them when they are', async () => {
  await open({ rules: GENERIC }, { maxAgeMs: 60_000, maxChanges: 1_000 });
  const sleep = jest.spyOn(clock, 'sleep');
  for (let i = 0; i < 200; i += 1) await b.put(`notes/${i}`, 'small');
  // The first one says when it is due; nothing changes by the others.
  expect(sleep.mock.calls.length).toBeLessThan(10);
  sleep.mockRestore();
  expect(b.tree().has('notes/0')).toBe(false);
  await passing('they land', () => b.state.status().pendingChanges === 0);
});

test('while changes come, until there are as many as a commit takes', async () => {
  await open({ rules: GENERIC }, { maxAgeMs: 3_600_000 });
  for (let i = 0; i < FEW.maxChanges; i += 1) await b.put(`notes/${i}`, 'small');
  await until('they land, without any time', () => b.state.status().pendingChanges === 0);
});

test('while changes come, until somebody waits for one', async () => {
  await open({ rules: GENERIC }, { maxAgeMs: 3_600_000 });
  await b.put('notes/a', 'small');
  const seq = await b.put('notes/b', 'small');
  expect(await b.state.waitLanded(seq, { timeoutMs: 3_600_000, signal })).toBe(true);
});

test('while the bucket is frozen, however old what waits is', async () => {
  await open({ rules: GENERIC }, { maxAgeMs: 1_000 });
  const first = b.put('notes/a', 'a');
  await passing('it lands', () => b.tree().has('notes/a'));
  await b.bucket.committer.stop();
  await b.put('notes/b', 'b');
  b.repository.rewriteHistory({ other: 'x' });
  await b.kill();
  await b.reopen();
  await b.start();
  expect(b.state.status().frozen).toBeDefined();
  await expectRest();
  expect(b.state.status()).toMatchObject({ pendingChanges: 1 });
  await first;
});

test('while nothing is known of the branch', async () => {
  await open({ rules: GENERIC }, { maxAgeMs: 1_000 });
  await b.bucket.committer.stop();
  await b.put('notes/a', 'a');
  await b.kill();
  await rm(join(b.directory, 'buckets'), { recursive: true });
  b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  await b.reopen();
  b.bucket.start();
  await expectRest();
  b.remote.heal();
  b.bucket.hint();
  await passing('it lands', () => b.tree().has('notes/a'));
});
