import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { StorageError } from '../../../src/index/errors.js';
import { LmdbStore, type LmdbStoreOptions } from '../../../src/index/lmdb-store.js';
import { keyValueStoreContract } from '../../contract/key-value-store.js';

let directory: string;
keyValueStoreContract('LmdbStore', {
  open: async () => {
    directory = await mkdtemp(join(tmpdir(), 'lmdb-store-'));
    return LmdbStore.open(directory);
  },
  reopen: async (store) => {
    await store.close();
    return LmdbStore.open(directory);
  },
  remove: () => rm(directory, { recursive: true, force: true }),
});

test('who has lost the lease writes nothing more, and tells nobody that the last of it holds', async () => {
  const path = await mkdtemp(join(tmpdir(), 'lmdb-store-'));
  const row = (name: string) => ({ key: Buffer.from(name), value: Buffer.from('1') });
  let asked = 0;
  let lostAfter = Number.POSITIVE_INFINITY;
  const failed: unknown[] = [];
  const store = LmdbStore.open(path, {
    onFailed: (error) => failed.push(error),
    checkLease: () => {
      asked += 1;
      if (asked > lostAfter) throw new StorageError('failed', 'taken over');
    },
  });
  expect(await store.commit([], [row('a')])).toBe(true);
  expect(asked).toBe(2);
  // Lost while it was written: it may hold, and whoever waits is not told so.
  lostAfter = 3;
  await expect(store.commit([], [row('b')])).rejects.toMatchObject({ code: 'failed' });
  await expect(store.commit([], [row('c')])).rejects.toMatchObject({ code: 'failed' });
  expect(await store.get(Buffer.from('b'))).toBeDefined();
  expect(await store.get(Buffer.from('c'))).toBeUndefined();
  // Nothing is wrong with the disk.
  expect(failed).toEqual([]);
  await store.close();
  await rm(path, { recursive: true });
});

describe('commits of different turns of the event loop', () => {
  const row = (n: number) => ({ key: Buffer.from(`key ${n}`), value: Buffer.from('1') });

  /** Commits one row a turn; how many transactions that took, and how many rows came before the first was over. */
  async function commitEachTurn(turns: number): Promise<{ transactions: number; beforeFirst: number }> {
    const path = await mkdtemp(join(tmpdir(), 'lmdb-store-'));
    const store = LmdbStore.open(path);
    const { db } = store as unknown as { db: { batch: (run: () => void) => Promise<boolean> } };
    const batch = db.batch.bind(db);
    let transactions = 0;
    db.batch = (run) => {
      transactions += 1;
      return batch(run);
    };
    const commits: Promise<boolean>[] = [];
    let beforeFirst = turns;
    for (let n = 0; n < turns; n += 1) {
      const commit = store.commit([], [row(n)]);
      if (n === 0) void commit.then(() => (beforeFirst = Math.min(beforeFirst, commits.length)));
      commits.push(commit);
      await setImmediate();
    }
    expect(await Promise.all(commits)).toEqual(commits.map(() => true));
    await store.close();
    await rm(path, { recursive: true });
    return { transactions, beforeFirst };
  }

  test('that follow each other are one transaction', async () => {
    expect(await commitEachTurn(5)).toEqual({ transactions: 1, beforeFirst: 5 });
  });

  test('wait for no end of them', async () => {
    const { transactions, beforeFirst } = await commitEachTurn(20_000);
    expect(transactions).toBeGreaterThan(1);
    expect(beforeFirst).toBeLessThan(20_000);
  });
});

describe('a transaction that LMDB could not write', () => {
  const [row, other] = ['a', 'b'].map((name) => ({ key: Buffer.from(name), value: Buffer.from('1') }));
  let path: string;
  let store: LmdbStore;
  let failed: unknown[];
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'lmdb-store-'));
    failed = [];
  });
  afterEach(async () => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  });

  /** The next transaction ends with this reason, as LMDB gives it; those after it would hold. */
  function failNext(reason: string, options: LmdbStoreOptions = {}): void {
    store = LmdbStore.open(path, { ...options, onFailed: (error) => failed.push(error) });
    const { db } = store as unknown as { db: { batch: (run: () => void) => Promise<boolean> } };
    const batch = db.batch.bind(db);
    db.batch = async () => {
      db.batch = batch;
      throw new Error(reason);
    };
  }

  test('is the last one where the disk does not even say how full it is: nothing more is acknowledged', async () => {
    failNext('Input/output error');
    await rm(path, { recursive: true }); // statfs fails
    await expect(store.commit([], [row!])).rejects.toMatchObject({ code: 'failed' });
    await expect(store.commit([], [other!])).rejects.toMatchObject({ code: 'failed' });
    expect(failed).toMatchObject([{ code: 'failed' }]);
  });

  test('is the last one where the disk has room', async () => {
    failNext('Input/output error');
    await expect(store.commit([], [row!])).rejects.toMatchObject({ code: 'failed' });
    await expect(store.commit([], [other!])).rejects.toMatchObject({ code: 'failed' });
    expect(failed).toMatchObject([{ code: 'failed' }]);
  });

  test('is the last one where whoever is asked for the room of the disk does not know', async () => {
    const freeBytes = () => {
      throw new Error('stale file handle');
    };
    failNext('Input/output error', { freeBytes });
    await expect(store.commit([], [row!])).rejects.toMatchObject({ code: 'failed' });
    expect(failed).toMatchObject([{ code: 'failed' }]);
  });

  test('is not begun where the disk is full and the try to make room fails; the next holds once there is some', async () => {
    const makeRoom = () => Promise.reject(new Error('that can not be done'));
    let freeBytes = 0;
    store = LmdbStore.open(path, { makeRoom, freeBytes: () => freeBytes });
    await expect(store.commit([], [row!])).rejects.toMatchObject({ code: 'disk-full' });
    freeBytes = 1024 ** 2;
    expect(await store.commit([], [other!])).toBe(true);
    expect([await store.get(row!.key), await store.get(other!.key)]).toEqual([undefined, other!.value]);
  });

  test('is undone where the disk is full, whatever becomes of the try to make room, and others hold', async () => {
    failNext('No space left on device', {
      makeRoom: () => Promise.reject(new Error('nor can that be done')),
    });
    await expect(store.commit([], [row!])).rejects.toMatchObject({ code: 'disk-full' });
    expect(await store.commit([], [other!])).toBe(true);
    expect([await store.get(row!.key), await store.get(other!.key)]).toEqual([undefined, other!.value]);
    expect(failed).toEqual([]);
  });
});
