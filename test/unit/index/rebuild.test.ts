import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { BaseDirectory } from '../../../src/index/base-directory.js';
import { KeyIndex } from '../../../src/index/key-index.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { fillBase } from '../../../src/index/rebuild.js';
import { GENERIC } from '../../support/journal-bucket.js';
import { MemoryHeadRemote, MemoryRepository } from '../../support/memory-head-remote.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rebuild-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (path: string) => KeyIndex.open(LmdbStore.open(path), systemClock);
const source = (repository: MemoryRepository) => ({
  remote: new MemoryHeadRemote(repository),
  rules: GENERIC,
  log: silentLog,
  onProgress: () => {},
});

test('an object without metadata has the time of the last commit that touched it', async () => {
  let nowMs = 1000;
  const repository = new MemoryRepository(() => nowMs);
  repository.foreignCommit(Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`k${i}`, `${i}`])));
  nowMs = 2000;
  repository.foreignCommit({ k5: 'five', new: 'n' });
  nowMs = 3000;
  const head = repository.foreignCommit({ other: 'o', 'not a key%': 'x' });
  const index = await open(directory);
  await fillBase(source(repository), index, { head, landedSeq: 4 });
  expect(index.count).toBe(1202);
  const time = async (key: string) => (await index.get(key))?.lastModifiedMs;
  expect(await Promise.all(['k0', 'k1199', 'k5', 'new', 'other'].map(time))).toEqual([
    1000, 1000, 2000, 2000, 3000,
  ]);
  expect(await index.hasForeignBelow('not' as never)).toBe(false);
  await index.close();
  const again = await open(directory);
  expect(again.marker).toEqual({ head, landedSeq: 4 });
  await again.close();
});

test('a rebuild that was cut short is never taken for a base', async () => {
  const repository = new MemoryRepository();
  const head = repository.foreignCommit({ a: '1' });
  const cut = source(repository);
  cut.remote.history = () => {
    throw new Error('cut');
  };
  const index = await open(directory);
  await expect(fillBase(cut, index, { head, landedSeq: 0 })).rejects.toThrow('cut');
  expect(index.marker).toBeUndefined();
  await index.close();
});

test('an object with a damaged chunk is not shown', async () => {
  const repository = new MemoryRepository();
  const head = repository.foreignCommit({ 'a%chunks/000000': 'no pointer', b: '1' });
  const index = await open(directory);
  await fillBase(source(repository), index, { head, landedSeq: 0 });
  expect((await index.page(new Uint8Array(0), undefined, 10)).map(({ key }) => key)).toEqual(['b']);
  await index.close();
});

test('a new base takes over at once, and what it replaced is removed at the next start', async () => {
  const bases = new BaseDirectory(directory);
  expect(await bases.current()).toBeUndefined();
  const first = await bases.fresh();
  expect(await bases.current()).toBeUndefined();
  await bases.makeCurrent(first);
  const second = await bases.fresh();
  expect(second).not.toBe(first);
  expect(await bases.current()).toBe(first);
  await bases.makeCurrent(second);
  await bases.removeOthers();
  expect((await readdir(directory)).sort()).toEqual(['base-2', 'base.json']);
  await writeFile(join(directory, 'base.json'), '{"directory": "../../etc"}');
  expect(await bases.current()).toBeUndefined();
});
