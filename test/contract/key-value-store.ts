/** What every KeyValueStore must do (src/index/key-value-store.ts). */
import type { KeyValueStore } from '../../src/index/key-value-store.js';
import { seededBytes } from '../support/bytes.js';

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (value: Uint8Array | undefined) => value && Buffer.from(value).toString();
const value = (s: string) => new TextEncoder().encode(s);

interface Fixture {
  open(): Promise<KeyValueStore>;
  /** The same store after a stop. */
  reopen(store: KeyValueStore): Promise<KeyValueStore>;
  remove(): Promise<void>;
}

/** @param name of the class first, as in each suite here. */
export function keyValueStoreContract(name: string, fixture: Fixture): void {
  describe(`${name} as a KeyValueStore`, () => {
    let store: KeyValueStore;
    beforeEach(async () => {
      store = await fixture.open();
    });
    afterEach(async () => {
      await store.close();
      await fixture.remove();
    });
    const put = (key: Uint8Array, v: string) => store.commit([], [{ key, value: value(v) }]);
    const keys = async (...args: Parameters<KeyValueStore['page']>) =>
      (await store.page(...args)).map((entry) => [...entry.key]);

    test('a missing key is undefined, a written one is what was written', async () => {
      expect(await store.get(bytes(1))).toBeUndefined();
      expect(await put(bytes(1), 'one')).toBe(true);
      expect(text(await store.get(bytes(1)))).toBe('one');
    });

    test('an empty value is a value', async () => {
      await store.commit([], [{ key: bytes(1), value: new Uint8Array(0) }]);
      expect((await store.get(bytes(1)))?.length).toBe(0);
      expect(await store.commit([{ key: bytes(1), value: undefined }], [])).toBe(false);
    });

    test('a page is in byte order, includes its start and excludes its end', async () => {
      for (const key of [bytes(2, 0xff), bytes(2), bytes(0xff), bytes(1), bytes(2, 0)]) await put(key, 'v');
      expect(await keys(bytes(2), bytes(0xff), 10)).toEqual([[2], [2, 0], [2, 0xff]]);
      expect(await keys(bytes(2), bytes(0xff), 2)).toEqual([[2], [2, 0]]);
      expect(await keys(bytes(2), bytes(2), 2)).toEqual([]);
      expect(await keys(bytes(3), bytes(2), 2)).toEqual([]);
      expect(await keys(bytes(1), bytes(2), 0)).toEqual([]);
    });

    test('a reversed page has the same interval, from its end', async () => {
      for (const key of [bytes(1), bytes(2), bytes(2, 0), bytes(3)]) await put(key, 'v');
      expect(await keys(bytes(1), bytes(3), 10, { reverse: true })).toEqual([[2, 0], [2], [1]]);
      expect(await keys(bytes(2), bytes(4), 1, { reverse: true })).toEqual([[3]]);
      expect(await keys(bytes(4), bytes(5), 1, { reverse: true })).toEqual([]);
    });

    test('what a page returned stays as it was when the store changes', async () => {
      await put(bytes(1), 'old');
      const page = await store.page(bytes(0), bytes(9), 9);
      const got = await store.get(bytes(1));
      await put(bytes(1), 'new');
      await put(bytes(2), 'more');
      expect(page.map((e) => [[...e.key], text(e.value)])).toEqual([[[1], 'old']]);
      expect(text(got)).toBe('old');
    });

    test('a commit writes all or nothing', async () => {
      await put(bytes(1), 'a');
      const refused = await store.commit(
        [{ key: bytes(1), value: value('b') }],
        [
          { key: bytes(1), value: undefined },
          { key: bytes(2), value: value('x') },
        ],
      );
      expect(refused).toBe(false);
      expect(text(await store.get(bytes(1)))).toBe('a');
      expect(await store.get(bytes(2))).toBeUndefined();
      const held = await store.commit(
        [
          { key: bytes(1), value: value('a') },
          { key: bytes(2), value: undefined },
        ],
        [
          { key: bytes(1), value: undefined },
          { key: bytes(2), value: value('x') },
        ],
      );
      expect(held).toBe(true);
      expect(await store.get(bytes(1))).toBeUndefined();
      expect(text(await store.get(bytes(2)))).toBe('x');
    });

    test('of concurrent commits on one condition exactly one holds', async () => {
      await put(bytes(1), '0');
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          store.commit([{ key: bytes(1), value: value('0') }], [{ key: bytes(1), value: value(`w${i}`) }]),
        ),
      );
      expect(results.filter(Boolean)).toHaveLength(1);
      expect(text(await store.get(bytes(1)))).toBe(`w${results.indexOf(true)}`);
    });

    test('concurrent commits take effect in the order of the calls', async () => {
      await Promise.all(Array.from({ length: 50 }, (_, i) => put(bytes(1), `${i}`)));
      expect(text(await store.get(bytes(1)))).toBe('49');
    });

    test('a key that is too long is refused and nothing of its commit is written', async () => {
      const writes = [
        { key: bytes(1), value: value('x') },
        { key: new Uint8Array(5000), value: value('x') },
      ];
      await expect(store.commit([], writes)).rejects.toThrow(RangeError);
      expect(await store.get(bytes(1))).toBeUndefined();
    });

    test('large values and thousands of writes fit one commit', async () => {
      const writes = Array.from({ length: 5000 }, (_, i) => ({
        key: bytes(7, i >> 8, i & 0xff),
        value: new Uint8Array(i === 0 ? 1_000_000 : 100).fill(i & 0xff),
      }));
      expect(await store.commit([], writes)).toBe(true);
      expect((await store.get(bytes(7, 0, 0)))?.length).toBe(1_000_000);
      expect(await store.page(bytes(7), bytes(8), 10_000)).toHaveLength(5000);
    });

    test('values of all sizes are whole, and stay so whatever is read after them', async () => {
      const sizes = [0, 1, 100, 4095, 4096, 5000, 100_000, 1_000_000, 7];
      const writes = sizes.map((size, i) => ({ key: bytes(1, i), value: seededBytes(i, size) }));
      await store.commit([], [...writes, { key: bytes(2), value: seededBytes(9, 300_000) }]);
      const read = [];
      for (const { key } of writes) read.push(await store.get(key));
      const page = await store.page(bytes(1), bytes(2), 100);
      const reverse = await store.page(bytes(1), bytes(2), 100, { reverse: true });
      await store.get(bytes(2));
      const expected = writes.map((write) => Buffer.from(write.value));
      const isAs = (found: readonly (Uint8Array | undefined)[]) =>
        expected.map((of, i) => Buffer.compare(of, found[i]!) === 0);
      const all = expected.map(() => true);
      expect(isAs(read)).toEqual(all);
      expect(isAs(page.map((entry) => entry.value))).toEqual(all);
      expect(isAs(reverse.map((entry) => entry.value).reverse())).toEqual(all);
    });

    test('says how many bytes it uses', async () => {
      await store.commit([], [{ key: bytes(1), value: new Uint8Array(1_000_000) }]);
      expect(await store.sizeBytes()).toBeGreaterThan(1_000_000);
    });

    test('a closed store refuses', async () => {
      await store.close();
      await expect(store.get(bytes(1))).rejects.toThrow('closed');
      await expect(put(bytes(1), 'x')).rejects.toThrow('closed');
      await store.close();
    });

    test('what was committed is there after a restart', async () => {
      await put(bytes(1), 'kept');
      store = await fixture.reopen(store);
      expect(text(await store.get(bytes(1)))).toBe('kept');
    });
  });
}
