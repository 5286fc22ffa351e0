// Attacks "what was pushed stays for a day, but no more of it than allowed, and never less than its commit needs".
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Chunk } from '../../../src/format/extent.js';
import { bytesOf, ChunkBench, listOfChunks, until, type BenchOptions } from '../../support/chunk-bench.js';

const KiB = 1024;

let bench: ChunkBench;
afterEach(() => bench.remove());

const start = async (options: BenchOptions) => {
  bench = await ChunkBench.start(options);
};
/** Pushes one chunk and waits until Gitee has it. */
async function push(seed: number, { isNamed = false } = {}): Promise<Chunk> {
  bench.clock.advance(1);
  const [extent] = await bench.put(bytesOf(seed, 1000));
  const chunk = { oid: extent!.oid, sizeBytes: 1000, volume: 0 };
  if (isNamed) bench.named.add(chunk.oid);
  await bench.chunks.ensureRemote([chunk]);
  return chunk;
}
const isPinned = (chunk: Chunk) => !bench.cache.has(chunk.oid);

describe('chunks within their grace time', () => {
  test('are bounded by grace_max_bytes: the oldest go to the cache as new ones come', async () => {
    await start({ graceMaxBytes: 10 * KiB, cacheBytes: 5 * KiB });
    const chunks: Chunk[] = [];
    for (let seed = 1; seed <= 40; seed += 1) {
      chunks.push(await push(seed));
      await until(() => bench.chunks.stats().graceBytes <= 10 * KiB);
    }
    expect(bench.chunks.stats().graceBytes).toBe(10_000);
    await bench.cache.settled();
    // A day's pushes are 40 kB; cache and grace together hold what they may.
    expect(bench.cache.sizeBytes).toBeLessThanOrEqual(5 * KiB);
    expect(chunks.slice(-10).every(isPinned)).toBe(true);
    expect((await bench.read(listOfChunks(chunks[0]!))).equals(bytesOf(1, 1000))).toBe(true);
  });

  test('stay while a pending change names them, whatever the bounds say', async () => {
    await start({ graceMaxBytes: 3 * KiB, cacheBytes: 0 });
    const named = await push(1);
    bench.named.add(named.oid);
    for (let seed = 2; seed <= 10; seed += 1) {
      await push(seed);
      bench.clock.advance(10_000);
    }
    await bench.chunks.releaseGrace();
    expect(bench.chunks.stats().graceBytes).toBe(3000);
    expect(isPinned(named)).toBe(true);
    // A day, and a disk that is full, do not end it either.
    bench.clock.advance(48 * 3_600_000);
    await bench.chunks.releaseGrace();
    expect(bench.chunks.stats().graceBytes).toBe(1000);
    bench.freeBytes = 0;
    await expect(bench.put(bytesOf(99, 1000))).rejects.toMatchObject({ code: 'disk-full' });
    expect(bench.chunks.stats().graceBytes).toBe(1000);
    bench.named.clear();
    bench.clock.advance(10_000);
    await bench.chunks.releaseGrace();
    expect(bench.chunks.stats().graceBytes).toBe(0);
  });

  test('stay at a start until the journal can be asked', async () => {
    await start({ graceMaxBytes: 10 * KiB });
    for (let seed = 1; seed <= 5; seed += 1) await push(seed);
    const [first] = [...bench.remote.chunks.keys()];
    bench.named.add(first!);
    await bench.close();
    // As the gateway opens: everything is there before the journal is.
    const asked: string[] = [];
    bench.onOpened = (chunks) => {
      asked.push('opened');
      expect(chunks.stats().graceBytes).toBe(5000);
    };
    bench.clock.advance(25 * 3_600_000);
    await bench.open();
    expect(asked).toEqual(['opened']);
    await bench.chunks.releaseGrace();
    expect(bench.chunks.stats().graceBytes).toBe(1000);
  });

  test('yield long before a write is refused: a disk smaller than a day of pushes', async () => {
    await start({ graceMaxBytes: 8 * KiB, cacheBytes: 4 * KiB });
    // 24 KiB of disk beside the reserve, of which the chunks here take their part.
    const { diskReserveBytes } = { diskReserveBytes: KiB };
    const measure = () => {
      const { graceBytes, unsentBytes } = bench.chunks.stats();
      bench.freeBytes = 24 * KiB + diskReserveBytes - graceBytes - unsentBytes - bench.cache.sizeBytes;
    };
    for (let seed = 1; seed <= 100; seed += 1) {
      measure();
      await push(seed);
      await until(() => bench.chunks.stats().graceBytes <= 8 * KiB);
      await bench.cache.settled();
    }
    measure();
    expect(bench.freeBytes).toBeGreaterThan(8 * KiB);
  });

  test('yield seconds after the commit that named them, though nothing else happens', async () => {
    await start({ graceMaxBytes: 3 * KiB, cacheBytes: 0 });
    const chunks: Chunk[] = [];
    for (let seed = 1; seed <= 8; seed += 1) {
      chunks.push(await push(seed, { isNamed: true }));
      bench.clock.advance(6_000);
    }
    expect(await bench.chunks.releaseGrace()).toBe(0);
    expect(bench.chunks.stats().graceBytes).toBe(8_000);
    bench.named.clear();
    // Time passes, and nobody calls.
    await bench.stepped(bench.clock.sleep(16_000));
    await until(() => bench.chunks.stats().graceBytes <= 3 * KiB);
    expect(isPinned(chunks.at(-1)!)).toBe(true);
  });

  test('yield to a write though they were named a second ago: rows are read again before it is refused', async () => {
    await start({ graceMaxBytes: 100 * KiB, cacheBytes: 0 });
    for (let seed = 1; seed <= 8; seed += 1) await push(seed, { isNamed: true });
    const measure = () => {
      const { graceBytes, unsentBytes } = bench.chunks.stats();
      bench.freeBytes = 8_500 - graceBytes - unsentBytes - bench.cache.sizeBytes;
    };
    bench.measureFree = measure;
    bench.clock.advance(60_000);
    await expect(bench.put(bytesOf(98, 3_000))).rejects.toMatchObject({ code: 'disk-full' });
    expect(bench.chunks.stats().graceBytes).toBe(8_000);
    bench.named.clear();
    bench.clock.advance(1_000);
    await bench.put(bytesOf(99, 3_000));
    expect(bench.chunks.stats().graceBytes).toBeLessThan(8_000);
  });

  test('count from the commit, not from the upload, also after a restart', async () => {
    await start({ graceMaxBytes: 100 * KiB });
    const chunk = await push(1);
    bench.named.add(chunk.oid);
    const dayMs = 24 * 3_600_000;
    // A branch that was protected for two days.
    bench.clock.advance(2 * dayMs);
    await bench.chunks.releaseGrace();
    bench.named.clear();
    await bench.chunks.landed(chunk.oid);
    bench.clock.advance(dayMs / 2);
    expect(await bench.chunks.releaseGrace()).toBe(0);
    await bench.restart();
    expect(await bench.chunks.releaseGrace()).toBe(0);
    bench.clock.advance(dayMs / 2 - 10_000);
    expect(await bench.chunks.releaseGrace()).toBe(0);
    bench.clock.advance(10_000);
    expect(await bench.chunks.releaseGrace()).toBe(1);
  });

  test('that are of a body which is still being read stay until a row names them, whatever the bounds say', async () => {
    await start({ graceMaxBytes: 2 * KiB, cacheBytes: 0 });
    const hold = bench.chunks.hold();
    let goOn = () => {};
    const waits = new Promise<void>((resolve) => (goOn = resolve));
    async function* slowly() {
      yield bytesOf(1, KiB);
      await waits;
      yield bytesOf(2, 700);
    }
    const reading = bench.ingest(slowly(), { hold });
    await until(() => bench.chunks.stats().graceBytes === KiB);
    for (let seed = 10; seed <= 20; seed += 1) {
      await push(seed);
      bench.clock.advance(10_000);
    }
    bench.freeBytes = 0;
    await expect(bench.put(bytesOf(99, 1000))).rejects.toMatchObject({ code: 'disk-full' });
    bench.freeBytes = KiB * KiB;
    goOn();
    const extents = await reading;
    // The rows are read as long as a large bucket takes, and had been read before this one was written.
    let answer = () => {};
    const isRead = new Promise<void>((resolve) => (answer = resolve));
    let isBegun = false;
    bench.readNamed = async () => {
      isBegun = true;
      const then = new Set(bench.named);
      await isRead;
      return then;
    };
    bench.clock.advance(10_000);
    await push(21);
    await push(22);
    await until(() => isBegun);
    for (const { oid } of extents) bench.named.add(oid);
    hold.end();
    answer();
    for (let seed = 30; seed <= 40; seed += 1) await push(seed);
    await bench.chunks.releaseGrace();
    const first = { oid: extents[0]!.oid, sizeBytes: KiB, volume: 0 };
    expect(isPinned(first)).toBe(true);
    expect((await bench.read(listOfChunks(first))).equals(bytesOf(1, KiB))).toBe(true);
    expect(bench.remote.count('get')).toBe(0);
  });
});
