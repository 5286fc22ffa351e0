// Attacks invariant 5 ("Memory is bounded") where it is kept by the cache.
import { readdir, stat, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesOf, ChunkBench, listOfChunks } from '../../support/chunk-bench.js';

describe('the cache', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start({ cacheBytes: 3_000 });
  });
  afterEach(() => bench.remove());

  const filesInCache = async () => {
    const names: string[] = [];
    for (const shard of await readdir(join(bench.directory, 'cache'))) {
      if (/^[0-9a-f]{2}$/.test(shard)) names.push(...(await readdir(join(bench.directory, 'cache', shard))));
    }
    return names.sort();
  };

  test('stays within its bytes, evicting what was not used for longest, files included', async () => {
    const [a, b, c, d] = [1, 2, 3, 4].map((seed) => bench.remote.seed(bytesOf(seed, 1_000)));
    await bench.read(listOfChunks(a!));
    await bench.read(listOfChunks(b!));
    await bench.read(listOfChunks(c!));
    await bench.read(listOfChunks(a!));
    await bench.read(listOfChunks(d!));
    await bench.cache.settled();
    expect(await filesInCache()).toEqual([a!.oid, c!.oid, d!.oid].sort());
    expect(bench.cache.sizeBytes).toBe(3_000);
    expect(bench.metrics.counters.get('gateway_cache_evictions_total')).toBe(1);
  });

  test('the order of use outlives a restart', async () => {
    const chunks = [1, 2, 3].map((seed) => bench.remote.seed(bytesOf(seed, 1_000)));
    for (const chunk of chunks) {
      await bench.read(listOfChunks(chunk));
      bench.clock.advance(3_600_000);
    }
    // Ahead of the disk's clock, or the kernel would write its own time of use behind ours (relatime).
    bench.clock.stepWall(Date.now() + 24 * 3_600_000 - bench.clock.nowMs());
    const use = async (...order: number[]) => {
      for (const i of order) {
        bench.clock.advance(3_600_000);
        await bench.read(listOfChunks(chunks[i]!));
      }
    };
    await use(1, 2, 0);
    await bench.restart();
    // What an earlier run had used is used again by this one.
    await use(2, 0, 1);
    await bench.restart();
    await bench.read(listOfChunks(bench.remote.seed(bytesOf(9, 1_000))));
    await bench.cache.settled();
    expect((await filesInCache()).includes(chunks[2]!.oid)).toBe(false);
    expect((await filesInCache()).length).toBe(3);
  });

  test('gives way before what any bucket keeps beside it, and of those the one that keeps most', async () => {
    for (const seed of [1, 2]) await bench.read(listOfChunks(bench.remote.seed(bytesOf(seed, 1_000))));
    const asked: [string, number][] = [];
    const leave = (
      [
        ['little', 500],
        ['much', 4_000],
        ['none', 0],
      ] as const
    ).map(([name, keptBytes]) => {
      let bytes: number = keptBytes;
      return bench.cache.addGrace({
        bytes: () => bytes,
        giveBack: async (wantedBytes) => {
          asked.push([name, wantedBytes]);
          const freedBytes = Math.min(bytes, wantedBytes);
          bytes -= freedBytes;
          return freedBytes;
        },
      });
    });
    await bench.cache.relieve(1_500);
    expect([asked, bench.cache.sizeBytes]).toEqual([[], 0]);
    await bench.cache.relieve(1_500);
    await bench.cache.relieve(2_800);
    expect(asked).toEqual([
      ['much', 1_500],
      ['much', 2_800],
      ['little', 300],
    ]);
    for (const end of leave) end();
    expect(bench.cache.graceBytes).toBe(0);
  });

  test('a chunk larger than the whole cache is read and not kept', async () => {
    const body = bytesOf(1, 5_000);
    const chunk = bench.remote.seed(body);
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
    await bench.cache.settled();
    expect(await filesInCache()).toEqual([]);
  });

  test('a smaller limit at the next start evicts the surplus', async () => {
    const chunks = [1, 2, 3].map((seed) => bench.remote.seed(bytesOf(seed, 900)));
    for (const chunk of chunks) await bench.read(listOfChunks(chunk));
    await bench.close();
    const smaller = bench as unknown as { options: { cacheBytes: number } };
    smaller.options.cacheBytes = 1_000;
    await bench.open();
    await bench.cache.settled();
    expect((await filesInCache()).length).toBe(1);
  });

  test('half-finished downloads of an earlier run and foreign names are no chunks', async () => {
    await bench.close();
    await writeFile(join(bench.directory, 'cache', 'tmp', 'half'), 'x');
    await mkdir(join(bench.directory, 'cache', 'ab'), { recursive: true });
    await writeFile(join(bench.directory, 'cache', 'ab', 'notes.txt'), 'x');
    await bench.open();
    expect(bench.cache.entries).toBe(0);
    expect(await readdir(join(bench.directory, 'cache', 'tmp'))).toEqual([]);
  });

  test('backups are told to stay away', async () => {
    expect((await stat(join(bench.directory, 'cache', 'CACHEDIR.TAG'))).isFile()).toBe(true);
  });

  test('what is pinned does not count and is not evicted', async () => {
    bench.remote.gates.put.shut();
    await bench.put(bytesOf(1, 10_000));
    for (let seed = 2; seed <= 6; seed += 1)
      await bench.read(listOfChunks(bench.remote.seed(bytesOf(seed, 1_000))));
    expect(bench.chunks.stats()).toMatchObject({ unsentBytes: 10_000, cacheBytes: 3_000 });
  });
});
