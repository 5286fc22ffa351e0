import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { DiskBallast } from '../../../src/chunks/disk-ballast.js';

const MIB = 1024 * 1024;
let directory: string;
let freeBytes: number;
let steadyMs: number;
let looks: (() => void)[];
let ballast: DiskBallast;

const path = () => join(directory, 'ballast');
const sizeOnDisk = () =>
  stat(path()).then(
    (s) => s.size,
    () => 0,
  );

/** Lets a second pass: the ballast looks at the disk once, and has done what it does about it. */
async function second(): Promise<void> {
  steadyMs += 1_000;
  looks.shift()?.();
  while (looks.length === 0) await new Promise((resolve) => setImmediate(resolve));
}

function make(): DiskBallast {
  return new DiskBallast({
    path: path(),
    directory,
    reserveBytes: 8 * MIB,
    freeBytes: () => Promise.resolve(freeBytes),
    clock: {
      nowMs: () => 0,
      steadyMs: () => steadyMs,
      sleep: (_, signal) =>
        new Promise((resolve, reject) => {
          looks.push(resolve);
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    },
    log: silentLog,
    metrics: silentMetrics,
  });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ballast-'));
  freeBytes = 100 * MIB;
  steadyMs = 0;
  looks = [];
  ballast = make();
  await ballast.open();
  ballast.start();
  await second();
});
afterEach(async () => {
  await ballast.close();
  await rm(directory, { recursive: true, force: true });
});

test('a quarter of the reserve is kept, by the next process too', async () => {
  expect(await sizeOnDisk()).toBe(2 * MIB);
  const next = make();
  await next.open();
  expect(await next.giveUp()).toBe(true);
  expect(await sizeOnDisk()).toBe(0);
});

test('half of one, left by a kill, counts as none', async () => {
  await writeFile(path(), 'half');
  const next = make();
  await next.open();
  expect(await next.giveUp()).toBe(false);
});

test('it is given up when the disk is full, clients are refused until it is there again', async () => {
  expect(await ballast.admits(1)).toBe(true);
  freeBytes = 0;
  await second();
  expect(await sizeOnDisk()).toBe(0);
  expect(ballast.isGivenUp).toBe(true);
  freeBytes = 2 * MIB; // what it held
  await second();
  expect(await ballast.admits(1)).toBe(false);
  freeBytes = 7 * MIB;
  await second();
  expect(await sizeOnDisk()).toBe(2 * MIB);
  expect(ballast.isGivenUp).toBe(false);
  expect(await ballast.admits(1)).toBe(true);
});

test('clients leave as much free again as it holds, and what they were promised counts', async () => {
  freeBytes = 4 * MIB;
  await second();
  expect(await ballast.admits(MIB)).toBe(true);
  expect(await ballast.admits(MIB)).toBe(false);
  expect(await ballast.admits(100)).toBe(true);
});

test('who finds the disk full first gets the room; it is there once', async () => {
  expect(await Promise.all([ballast.giveUp(), ballast.giveUp()])).toEqual([true, true]);
  expect(await ballast.giveUp()).toBe(false);
});
