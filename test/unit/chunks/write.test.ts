import { RemoteError } from '../../../src/gitee/errors.js';
import { readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Failpoints } from '../../../src/async/failpoint.js';
import { ChunkError } from '../../../src/chunks/api.js';
import { BLOCK_BYTES } from '../../../src/chunks/block-pool.js';
import { bytesOf, ChunkBench, listOf, listOfChunks, pieces, until } from '../../support/chunk-bench.js';
import { lentRuns } from '../../support/bytes.js';
import { oidOf } from '../../support/memory-chunk-remote.js';
import { Reservation } from '../../../src/space/reservation.js';

const unnamed = async () => new Set<string>();
const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

describe('writing chunks', () => {
  let bench: ChunkBench;
  let breakAt: { name: string; error: () => Error } | undefined;
  const passed: string[] = [];
  const failpoints: Failpoints = {
    hit: async (name) => {
      passed.push(name);
      if (breakAt?.name === name) throw breakAt.error();
    },
  };

  beforeEach(async () => {
    breakAt = undefined;
    passed.length = 0;
    bench = await ChunkBench.start({ failpoints });
    bench.remote.gates.put.shut();
  });
  afterEach(() => bench.remove());

  const temporaryFiles = () => readdir(join(bench.directory, 'unsent', 'images', 'tmp'));

  test('a body is cut at multiples of the chunk size, each chunk named by its hash', async () => {
    const body = bytesOf(1, 2_500);
    const extents = await bench.put(body.subarray(0, 700), body.subarray(700));
    expect(extents.map((e) => [e.oid, e.offsetBytes, e.lengthBytes, e.chunkLengthBytes])).toEqual(
      [body.subarray(0, 1024), body.subarray(1024, 2048), body.subarray(2048)].map((b) => [
        oidOf(b),
        0,
        b.length,
        b.length,
      ]),
    );
    expect(await readFile(bench.path('unsent', extents[2]!.oid))).toEqual(body.subarray(2048));
    expect(await temporaryFiles()).toEqual([]);
  });

  test('a chunk is synced before it gets its name', async () => {
    await bench.put(bytesOf(1, 10));
    expect(passed).toEqual(['chunks.beforeSync', 'chunks.afterSync', 'chunks.afterRename']);
  });

  test.each(['chunks.beforeSync', 'chunks.afterSync', 'chunks.afterRename'])(
    'a failure at %s is told, leaves no temporary file, and the same bytes can be written again',
    async (name) => {
      breakAt = { name, error: () => new Error('broken here') };
      await expect(bench.put(bytesOf(2, 100))).rejects.toThrow('broken here');
      expect(await temporaryFiles()).toEqual([]);
      breakAt = undefined;
      const extents = await bench.put(bytesOf(2, 100));
      expect(await bench.read(listOf(extents))).toEqual(bytesOf(2, 100));
    },
  );

  test('a full disk is disk-full and cleans up', async () => {
    breakAt = {
      name: 'chunks.beforeSync',
      error: () => Object.assign(new Error('no space'), { code: 'ENOSPC' }),
    };
    await expect(bench.put(bytesOf(2, 3000))).rejects.toMatchObject({
      name: 'ChunkError',
      code: 'disk-full',
    });
    expect(await temporaryFiles()).toEqual([]);
    expect(bench.chunks.stats().unsentChunks).toBe(0);
  });

  test('the same chunk written twice at once is one file, counted once', async () => {
    const body = bytesOf(3, 900);
    const results = await Promise.all(Array.from({ length: 8 }, () => bench.put(body)));
    for (const extents of results) expect(extents).toEqual(results[0]);
    expect(bench.chunks.stats()).toMatchObject({ unsentBytes: 900, unsentChunks: 1 });
    expect(await bench.read(listOf(results[0]!))).toEqual(body);
  });

  test('a body that breaks leaves no half-written file, and its own error goes on', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytesOf(4, 100);
      throw new Error('signature does not match');
    }
    await expect(bench.ingest(broken())).rejects.toThrow('signature does not match');
    expect(await temporaryFiles()).toEqual([]);
  });

  test('a caller that goes away ends an ingest whose body stalls', async () => {
    const controller = new AbortController();
    async function* stalling(): AsyncGenerator<Uint8Array> {
      yield bytesOf(4, 100);
      await new Promise(() => {});
    }
    const ingest = bench.chunks.ingest(stalling(), Reservation.granted({ keepUpToBytes: 0 }), {
      digests: ['md5'],
      signal: controller.signal,
    });
    controller.abort(new Error('socket closed'));
    await expect(ingest).rejects.toMatchObject({ code: 'aborted' });
    expect(await temporaryFiles()).toEqual([]);
  });

  test('a body up to the limit comes back as bytes, with digests, and writes nothing', async () => {
    const body = bytesOf(5, 64);
    const room = Reservation.granted({ keepUpToBytes: 64 });
    const got = await bench.chunks.ingest(pieces(body.subarray(0, 10), body.subarray(10)), room, {
      digests: ['sha256'],
      signal: new AbortController().signal,
    });
    expect(got).toMatchObject({ sizeBytes: 64, extents: [] });
    expect(Buffer.from(got.bytes!)).toEqual(body);
    expect(Buffer.from(got.digests.get('sha256')!).toString('hex')).toBe(oidOf(body));
    expect(passed).toEqual([]);
  });

  test('an empty body has no chunk', async () => {
    expect(await bench.put()).toEqual([]);
    await expect(bench.chunks.store(new Uint8Array(0))).rejects.toThrow(RangeError);
  });

  test('one byte over the limit makes chunks, with the same digests', async () => {
    const body = bytesOf(5, 2_049);
    const room = Reservation.granted({ keepUpToBytes: 2_048 });
    const got = await bench.chunks.ingest(pieces(body.subarray(0, 1_000), body.subarray(1_000)), room, {
      digests: ['sha256', 'crc32c'],
      signal: new AbortController().signal,
    });
    expect(got.bytes).toBeUndefined();
    expect(got.extents.map((e) => e.oid)).toEqual([
      oidOf(body.subarray(0, 1024)),
      oidOf(body.subarray(1024, 2048)),
      oidOf(body.subarray(2048)),
    ]);
    expect(Buffer.from(got.digests.get('sha256')!).toString('hex')).toBe(oidOf(body));
  });

  test('after a restart everything that was written is there, and half-written files are not', async () => {
    const extents = await bench.put(bytesOf(6, 3_000));
    await writeFile(join(bench.directory, 'unsent', 'images', 'tmp', 'half'), 'x');
    await bench.restart();
    expect(await temporaryFiles()).toEqual([]);
    expect(bench.chunks.stats()).toMatchObject({ unsentBytes: 3_000, unsentChunks: 3 });
    expect(await bench.read(listOf(extents))).toEqual(bytesOf(6, 3_000));
  });

  test('after a restart unsent chunks are uploaded without being asked for', async () => {
    const extents = await bench.put(bytesOf(6, 1_300));
    await bench.restart();
    bench.remote.gates.put.open();
    await until(() => bench.chunks.stats().unsentBytes === 0);
    expect([...bench.remote.chunks.keys()].sort()).toEqual(extents.map(({ oid }) => oid).sort());
  });

  test('a chunk that only the cache has is pinned again when it is written anew', async () => {
    const body = bytesOf(8, 1024);
    const chunk = bench.remote.seed(body);
    await bench.read(listOfChunks(chunk));
    expect(await exists(bench.path('cache', chunk.oid))).toBe(true);
    await bench.put(body);
    await bench.cache.shrink(Number.MAX_SAFE_INTEGER);
    expect(await exists(bench.path('cache', chunk.oid))).toBe(false);
    expect(await exists(bench.path('unsent', chunk.oid))).toBe(true);
  });

  test('a rotten unsent file is healed by writing the same bytes again', async () => {
    const [extent] = await bench.put(bytesOf(9, 500));
    await writeFile(bench.path('unsent', extent!.oid), bytesOf(10, 500));
    await expect(bench.read(listOf([extent!]))).rejects.toMatchObject({ code: 'corrupt' });
    await bench.put(bytesOf(9, 500));
    expect(await bench.read(listOf([extent!]))).toEqual(bytesOf(9, 500));
  });

  test('collect forgets only what nothing names and nobody touched within the grace time', async () => {
    // Chunks that nobody waits for may go while they stand in line, but not on their way.
    bench.remote.gates.put.open();
    bench.remote.fail('put', () => new RemoteError('quota-full', 'full'));
    const [named] = await bench.put(bytesOf(11, 100));
    await until(() => bench.chunks.uploadsPausedBy !== undefined);
    const [old] = await bench.put(bytesOf(12, 200));
    bench.clock.advance(23 * 3_600_000);
    const [young] = await bench.put(bytesOf(13, 300));
    bench.clock.advance(2 * 3_600_000);
    const result = await bench.chunks.collect(async () => new Set([named!.oid]), unnamed);
    expect(result).toEqual({ removedChunks: 1, removedBytes: 200 });
    expect(await exists(bench.path('unsent', old!.oid))).toBe(false);
    expect(await exists(bench.path('unsent', named!.oid))).toBe(true);
    expect(await exists(bench.path('unsent', young!.oid))).toBe(true);
  });

  test('collect asks for old chunks only, and nobody where there is none', async () => {
    bench.remote.gates.put.open();
    bench.remote.fail('put', () => new RemoteError('quota-full', 'full'));
    const asked: (readonly string[])[] = [];
    const ask = async (oids: ReadonlySet<string>) => {
      asked.push([...oids]);
      return oids;
    };
    const old = [...(await bench.put(bytesOf(11, 100))), ...(await bench.put(bytesOf(12, 200)))];
    await until(() => bench.chunks.uploadsPausedBy !== undefined);
    await bench.chunks.collect(ask, ask);
    expect(asked).toEqual([]);
    bench.clock.advance(25 * 3_600_000);
    await bench.put(bytesOf(13, 300));
    await bench.chunks.collect(ask, ask);
    expect(asked).toEqual([old.map(({ oid }) => oid)]);
  });

  test('collect keeps a chunk that is written again while it asks', async () => {
    const [extent] = await bench.put(bytesOf(12, 200));
    bench.clock.advance(25 * 3_600_000);
    const result = await bench.chunks.collect(async () => {
      await bench.put(bytesOf(12, 200));
      return new Set();
    }, unnamed);
    expect(result.removedChunks).toBe(0);
    expect(await exists(bench.path('unsent', extent!.oid))).toBe(true);
  });

  test('collect keeps chunks that a request has moved to another row while it asks', async () => {
    bench.remote.gates.put.open();
    bench.remote.fail('put', () => new RemoteError('quota-full', 'full'));
    await bench.put(bytesOf(11, 100));
    await until(() => bench.chunks.uploadsPausedBy !== undefined);
    const old = [...(await bench.put(bytesOf(12, 200))), ...(await bench.put(bytesOf(13, 300)))];
    bench.clock.advance(23 * 3_600_000);
    await bench.put(bytesOf(14, 400));
    bench.clock.advance(2 * 3_600_000);
    // It was looked at where they stand now before they came there, and where they stood when they had gone.
    const whileAsked = bench.chunks.collect(async (oids) => {
      const hold = bench.chunks.hold();
      for (const { oid } of old) hold.add(oid);
      hold.end();
      return new Set([...oids].filter((oid) => old.every((extent) => extent.oid !== oid)));
    }, unnamed);
    expect((await whileAsked).removedChunks).toBe(0);
    // The next time it is known who names them: nobody.
    expect((await bench.chunks.collect(unnamed, unnamed)).removedChunks).toBeGreaterThan(0);
  });

  test('verifyLocal names wrong files of every class and moves them aside', async () => {
    const [unsent] = await bench.put(bytesOf(14, 100));
    const cached = bench.remote.seed(bytesOf(15, 800));
    await bench.read(listOfChunks(cached));
    await bench.put(bytesOf(16, 100));
    await writeFile(bench.path('unsent', unsent!.oid), 'rotten');
    await writeFile(bench.path('cache', cached.oid), 'rotten');
    const found: string[] = [];
    for await (const { oid } of bench.chunks.verifyLocal()) found.push(oid);
    expect(found.sort()).toEqual([unsent!.oid, cached.oid].sort());
    expect((await readdir(join(bench.directory, 'aside'))).length).toBe(2);
    for await (const { oid } of bench.chunks.verifyLocal()) throw new Error(`still wrong: ${oid}`);
    expect(bench.chunks.stats()).toMatchObject({ unsentChunks: 1, cacheBytes: 0 });
  });

  test('a file deleted by hand is missing, not wrong bytes', async () => {
    const [extent] = await bench.put(bytesOf(14, 100));
    await unlink(bench.path('unsent', extent!.oid));
    const failure = await bench.read(listOf([extent!])).catch((e: unknown) => e);
    expect(failure).toBeInstanceOf(ChunkError);
    expect(failure).toMatchObject({ code: 'missing' });
  });
});

describe('writing large chunks', () => {
  const CHUNK_BYTES = 3 * BLOCK_BYTES + 5;
  let bench: ChunkBench;
  let lent = 0;
  let mostLent = 0;

  beforeEach(async () => {
    bench = await ChunkBench.start({
      limits: { chunkSizeBytes: CHUNK_BYTES, spoolSoftBytes: 1 << 30, spoolHardBytes: 1 << 30 },
      uplinkBytesPerSecond: 1 << 30,
    });
    bench.remote.gates.put.shut();
    [lent, mostLent] = [0, 0];
    const { blocks } = bench.cache;
    const borrow = blocks.borrow.bind(blocks);
    const giveBack = blocks.giveBack.bind(blocks);
    blocks.borrow = (bytes) => {
      lent += 1;
      mostLent = Math.max(mostLent, lent);
      return borrow(bytes);
    };
    blocks.giveBack = (block) => {
      lent -= 1;
      // Whoever has it next writes into it.
      block.fill(0xee);
      giveBack(block);
    };
  });
  afterEach(() => bench.remove());

  test.each([
    1_000,
    64 * 1024,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    2 * BLOCK_BYTES + 3,
    4 * BLOCK_BYTES,
  ])('from runs of %i bytes, which are overwritten at once, beside others', async (runBytes) => {
    const bodies = [1, 2, 3].map((seed) => bytesOf(seed, 2 * CHUNK_BYTES + 100_000));
    const all = await Promise.all(bodies.map((body) => bench.ingest(lentRuns(body, runBytes))));
    for (const [i, extents] of all.entries()) {
      expect(extents.map(({ lengthBytes }) => lengthBytes)).toEqual([CHUNK_BYTES, CHUNK_BYTES, 100_000]);
      for (const [n, { oid }] of extents.entries())
        expect(oidOf(await readFile(bench.path('unsent', oid)))).toBe(
          oidOf(bodies[i]!.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES)),
        );
    }
    expect(lent).toBe(0);
  });

  test('senders that stand still hold no more blocks than all may together, and lose nothing', async () => {
    let release = (): void => {};
    const others = new Promise<void>((resolve) => (release = resolve));
    let still = 0;
    const body = async function* (seed: number): AsyncGenerator<Uint8Array> {
      yield* lentRuns(bytesOf(seed, 2_500), 1_000);
      still += 1;
      await others;
      yield bytesOf(-seed, 2_500);
    };
    const all = Array.from({ length: 80 }, (_, seed) => bench.ingest(body(seed + 1)));
    await until(() => still === all.length);
    expect(mostLent).toBe(64);
    release();
    for (const [i, extents] of (await Promise.all(all)).entries())
      expect(extents.map(({ oid }) => oid)).toEqual([
        oidOf(Buffer.concat([bytesOf(i + 1, 2_500), bytesOf(-i - 1, 2_500)])),
      ]);
    expect(lent).toBe(0);
  });
});
