import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ByteCache, ENTRY_OVERHEAD_BYTES, ownBytes } from '../../../src/async/byte-cache.js';

test('a cache of trees takes no more memory of the process than its bound, however small they are', async () => {
  // Attacks invariant 5: 200,000 trees of some 70 bytes, with the shared slabs in use by others meanwhile.
  const boundBytes = 96 << 20;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--expose-gc',
      '--single-threaded-gc',
      '--max-semi-space-size=1',
      '--import',
      'tsx',
      'test/support/tree-cache-memory.ts',
      String(boundBytes),
      '200000',
    ],
    { env },
  );
  const { grownBytes } = JSON.parse(stdout) as { grownBytes: number };
  // It is full: a cache that keeps nothing would pass too.
  expect(grownBytes).toBeGreaterThan(boundBytes / 4);
  // The rest is the allocator's and the collector's. With slices of shared slabs it was over 800 MiB.
  expect(grownBytes).toBeLessThan(boundBytes * 1.6);
});

test('what is kept lies in an allocation of its own', () => {
  const cache = new ByteCache(10_000);
  const slab = Buffer.from('a small one');
  cache.set('a', slab.subarray(2, 7));
  expect(cache.get('a')!.toString()).toBe('small');
  expect(cache.get('a')!.buffer.byteLength).toBe(5);
  expect(ownBytes(slab).buffer.byteLength).toBe(slab.length);
});

test('the oldest goes first, counted with what an entry takes beside its bytes', () => {
  const cache = new ByteCache(3 * (ENTRY_OVERHEAD_BYTES + 100));
  for (const key of ['a', 'b', 'c']) cache.set(key, Buffer.alloc(100));
  cache.get('a');
  cache.set('d', Buffer.alloc(100));
  expect(['a', 'b', 'c', 'd'].filter((key) => cache.get(key))).toEqual(['a', 'c', 'd']);
  expect(cache.heldBytes).toBe(3 * (ENTRY_OVERHEAD_BYTES + 100));
});

test('keys are counted too', () => {
  const cache = new ByteCache(20_000);
  for (let i = 0; i < 100; i += 1) cache.set(`${i}`.padStart(1_000, 'k'), Buffer.alloc(1));
  expect(cache.size).toBe(Math.floor(20_000 / (1 + 2 * 960 + ENTRY_OVERHEAD_BYTES)));
});

test('what is larger than the cache leaves the others alone', () => {
  const cache = new ByteCache(2_000);
  cache.set('a', Buffer.alloc(100));
  cache.set('large', Buffer.alloc(3_000));
  expect(cache.get('large')).toBeUndefined();
  expect(cache.get('a')).toBeDefined();
  cache.clear();
  expect(cache.size).toBe(0);
});
