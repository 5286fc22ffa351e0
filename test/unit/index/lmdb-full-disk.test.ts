import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LmdbStore } from '../../../src/index/lmdb-store.js';

const KIB = 1024;
const KEY = Buffer.from('key');

describe('a transaction on a disk that is nearly full', () => {
  let directory: string;
  let store: LmdbStore;
  let freeBytes: number;
  let asked: number;
  /** What comes free where it is asked for. */
  let madeBytes: number;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lmdb-full-'));
    asked = 0;
    madeBytes = 0;
    store = LmdbStore.open(directory, {
      freeBytes: () => freeBytes,
      makeRoom: async () => {
        asked += 1;
        expect(await store.get(KEY)).toBeUndefined();
        freeBytes += madeBytes;
        return madeBytes > 0;
      },
    });
  });
  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  test.each([
    ['none', 0],
    ['less than it may take', 63 * KIB],
  ])('with %s free is refused where no room is made, and the next holds where there is', async (_, free) => {
    freeBytes = free;
    const write = () => store.commit([], [{ key: KEY, value: Buffer.alloc(10) }]);
    await expect(write()).rejects.toMatchObject({ code: 'disk-full' });
    madeBytes = KIB;
    await expect(write()).rejects.toMatchObject({ code: 'disk-full' });
    expect(await store.get(KEY)).toBeUndefined();
    madeBytes = 1024 * KIB;
    expect(await write()).toBe(true);
    expect(asked).toBe(3);
    expect(await store.get(KEY)).toHaveLength(10);
    expect(await write()).toBe(true);
    expect(asked).toBe(3);
  });

  test('with as much as it may take free asks for none', async () => {
    freeBytes = 200 * KIB;
    expect(await store.commit([], [{ key: KEY, value: Buffer.alloc(10) }])).toBe(true);
    expect(asked).toBe(0);
  });

  test.each([
    ['many small changes', 1000, 10, 1200, 0],
    ['one large change', 1, 3_000 * KIB, 1200, 1],
  ])('of %s', async (_, changes, valueBytes, freeKib, times) => {
    freeBytes = freeKib * KIB;
    madeBytes = 4096 * KIB;
    const value = Buffer.alloc(valueBytes);
    const keys = Array.from({ length: changes }, (_, i) => Buffer.from(`key ${i}`));
    const writes = keys.map((key) => ({ key, value }));
    expect(await store.commit([], writes)).toBe(true);
    expect(asked).toBe(times);
  });
});
