// Attacks invariant 3 ("No reader gets a complete answer whose bytes do not hash to what the index says") and
// the reader's share of invariant 5 ("Memory is bounded").
import { open, stat, utimes, writeFile } from 'node:fs/promises';
import { ChunkError } from '../../../src/chunks/api.js';
import { BLOCK_BYTES } from '../../../src/chunks/block-pool.js';
import { wholeExtent } from '../../../src/format/extent.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { bytesOf, ChunkBench, collectBytes, listOf, listOfChunks, until } from '../../support/chunk-bench.js';

const MiB = 1024 * 1024;

/** Reads until the end or the error; what came, and how it ended. */
async function drain(stream: AsyncIterable<unknown>): Promise<{ bytes: Buffer; error: unknown }> {
  const out: Buffer[] = [];
  try {
    for await (const block of stream) out.push(block as Buffer);
    return { bytes: Buffer.concat(out), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(out), error };
  }
}

describe('reading chunks', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start({
      limits: {
        chunkSizeBytes: 4 * MiB,
        eagerFromBytes: 3 * MiB,
        spoolSoftBytes: 64 * MiB,
        spoolHardBytes: 128 * MiB,
      },
    });
  });
  afterEach(() => bench.remove());

  test('a chunk that is not here is fetched, kept, and not fetched again', async () => {
    const body = bytesOf(1, 300_000);
    const list = listOfChunks(bench.remote.seed(body));
    expect(await bench.read(list)).toEqual(body);
    expect(await bench.read(list)).toEqual(body);
    expect(bench.remote.count('get')).toBe(1);
    expect(bench.cache.sizeBytes).toBe(300_000);
    expect(bench.metrics.counters.get('gateway_cache_reads_total miss')).toBe(1);
    expect(bench.metrics.counters.get('gateway_cache_reads_total hit')).toBe(1);
  });

  test('a range fetches only the chunks that it covers and gives exactly its bytes', async () => {
    const parts = [1, 2, 3].map((seed) => bytesOf(seed, 200_000));
    const list = listOfChunks(...parts.map((p) => bench.remote.seed(p)));
    const body = Buffer.concat(parts);
    expect(await bench.read(list, 199_990, 200_010)).toEqual(body.subarray(199_990, 200_010));
    expect(bench.remote.count('get')).toBe(2);
    expect(await bench.read(list, 5, 5)).toEqual(Buffer.alloc(0));
    expect(await bench.read(list, 599_999, 600_000)).toEqual(body.subarray(599_999));
    expect(() => bench.chunks.read(list, 0, 600_001)).toThrow(RangeError);
  });

  test('100 concurrent readers of a chunk cause one fetch', async () => {
    const body = bytesOf(2, 700_000);
    const list = listOfChunks(bench.remote.seed(body));
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) => bench.read(list, i * 7_000, body.length)),
    );
    all.forEach((got, i) => expect(got.equals(body.subarray(i * 7_000))).toBe(true));
    expect(bench.remote.count('get')).toBe(1);
  });

  test('bytes reach the reader while the chunk is still coming', async () => {
    const body = bytesOf(3, 2 * MiB);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.pieceBytes = 512 * 1024;
    bench.remote.bodyGate.shut();
    const stream = bench.chunks.read(list, 0, body.length);
    const first = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
    stream.pause();
    expect(first.equals(body.subarray(0, first.length))).toBe(true);
    expect(bench.cache.entries).toBe(0);
    bench.remote.bodyGate.open();
    const rest = await collectBytes(stream);
    expect(Buffer.concat([first, rest]).equals(body)).toBe(true);
  });

  test.each([0, 0.5, 1])(
    'invariant 3: a corrupt download never completes an answer (wrong byte at %d of the chunk)',
    async (at) => {
      const body = bytesOf(4, 500_000);
      const list = listOfChunks(bench.remote.seed(body));
      bench.remote.corruptGets = Number.POSITIVE_INFINITY;
      bench.remote.corruptAt = at;
      const reading = drain(bench.chunks.read(list, 0, body.length));
      const { bytes, error } = await bench.stepped(reading);
      expect(error).toMatchObject({ name: 'ChunkError', code: 'corrupt' });
      expect(bytes.length).toBeLessThan(body.length);
      expect(bench.cache.entries).toBe(0);
    },
  );

  test('invariant 3: a range that ends before the wrong byte is not completed either', async () => {
    const body = bytesOf(5, 500_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.corruptGets = Number.POSITIVE_INFINITY;
    const { bytes, error } = await bench.stepped(drain(bench.chunks.read(list, 0, 100_000)));
    expect(error).toMatchObject({ code: 'corrupt' });
    expect(bytes.length).toBeLessThan(100_000);
  });

  test('a corrupt download is repeated: the reader gets the right bytes where it had none of the wrong', async () => {
    const body = bytesOf(6, 500_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.corruptGets = 1;
    const { bytes, error } = await bench.stepped(drain(bench.chunks.read(list, 0, body.length)));
    expect(error).toBeUndefined();
    expect(bytes.equals(body)).toBe(true);
    expect(bench.metrics.counters.get('gateway_chunk_hash_failures_total download')).toBe(1);
  });

  test('invariant 3: a second attempt that brings other bytes than were given out ends the answer', async () => {
    const body = bytesOf(7, 500_000);
    const chunk = bench.remote.seed(body);
    bench.remote.cutGets = 1;
    bench.remote.cutAfterBytes = 400_000;
    bench.remote.corruptGets = 1;
    bench.remote.corruptAt = 0.1;
    const { bytes, error } = await bench.stepped(
      drain(bench.chunks.read(listOfChunks(chunk), 0, body.length)),
    );
    expect(error).toMatchObject({ code: 'corrupt' });
    expect(bytes.length).toBeLessThan(body.length);
  });

  test('a cut download goes on from the byte that was reached', async () => {
    const body = bytesOf(8, 900_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.cutGets = 4;
    bench.remote.cutAfterBytes = 200_000;
    const { bytes, error } = await bench.stepped(drain(bench.chunks.read(list, 0, body.length)));
    expect(error).toBeUndefined();
    expect(bytes.equals(body)).toBe(true);
    expect(bench.remote.offsets).toEqual([0, 200_000, 400_000, 600_000, 800_000]);
  });

  test('invariant 3: bytes that came before a cut and are wrong do not complete an answer, and are not kept', async () => {
    const body = bytesOf(24, 900_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.corruptGets = 1;
    bench.remote.corruptAt = 0.1;
    bench.remote.cutGets = 1;
    bench.remote.cutAfterBytes = 600_000;
    const { bytes, error } = await bench.stepped(drain(bench.chunks.read(list, 0, body.length)));
    expect(error).toMatchObject({ code: 'corrupt' });
    expect(bytes.length).toBeLessThan(body.length);
    expect(bench.cache.entries).toBe(0);
    expect((await bench.read(list)).equals(body)).toBe(true);
  });

  test.each([8, 30, 300])(
    'an answer under way waits out %i s in which Gitee answers nothing',
    async (seconds) => {
      const body = bytesOf(9, 900_000);
      const list = listOfChunks(bench.remote.seed(body));
      bench.remote.cutGets = 1;
      bench.remote.cutAfterBytes = 600_000;
      const stream = bench.chunks.read(list, 0, body.length);
      const first = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
      stream.pause();
      bench.remote.fail('get', () => new RemoteError('server-fault', '502', { status: 502 }));
      const rest = drain(stream);
      const healedMs = bench.clock.nowMs() + seconds * 1000;
      await until(() => {
        bench.clock.advance(200);
        return bench.clock.nowMs() >= healedMs;
      });
      bench.remote.heal();
      const { bytes, error } = await bench.stepped(rest);
      expect(error).toBeUndefined();
      expect(Buffer.concat([first, bytes]).equals(body)).toBe(true);
    },
  );

  test('the next chunk of an answer under way has the same patience', async () => {
    const [first, second] = [31, 32].map((seed) => bench.remote.seed(bytesOf(seed, 100_000)));
    const get = bench.remote.get.bind(bench.remote);
    const healedMs = bench.clock.nowMs() + 60_000;
    bench.remote.get = (chunk, from, signal) =>
      chunk.oid === second!.oid && bench.clock.nowMs() < healedMs
        ? Promise.reject(new RemoteError('unreachable', 'gone'))
        : get(chunk, from, signal);
    const stream = bench.chunks.read(listOfChunks(first!, second!), 0, 200_000);
    const { bytes, error } = await bench.stepped(drain(stream));
    expect(error).toBeUndefined();
    expect(bytes.equals(Buffer.concat([bytesOf(31, 100_000), bytesOf(32, 100_000)]))).toBe(true);
  });

  test('a new answer is refused some seconds after the line went down, with words', async () => {
    const chunk = bench.remote.seed(bytesOf(25, 1_000));
    bench.remote.fail('get', () => new RemoteError('unreachable', 'nothing there'));
    const startMs = bench.clock.nowMs();
    const { error } = await bench.stepped(drain(bench.chunks.read(listOfChunks(chunk), 0, 1_000)));
    expect(error).toMatchObject({ code: expect.stringMatching(/^remote-/), retryAfterMs: 1_000 });
    expect((error as Error).message).toContain('nothing there');
    expect(bench.clock.nowMs() - startMs).toBeLessThan(15_000);
  });

  test('while a server answers with errors a new answer waits; when that has lasted it is refused, with words', async () => {
    const chunk = bench.remote.seed(bytesOf(25, 1_000));
    bench.remote.fail('get', () => new RemoteError('server-fault', 'it says 502'));
    const startMs = bench.clock.nowMs();
    while (bench.clock.nowMs() - startMs < 32_000) {
      const later = await bench.stepped(drain(bench.chunks.read(listOfChunks(chunk), 0, 1_000)));
      expect(later.error).toBeInstanceOf(ChunkError);
      bench.clock.advance(500);
    }
    const lasting = await bench.stepped(drain(bench.chunks.read(listOfChunks(chunk), 0, 1_000)));
    expect(lasting.error).toMatchObject({ code: 'remote-down', retryAfterMs: 1_000 });
    expect((lasting.error as Error).message).toContain('downloads from LFS are answered with errors');
  });

  test.each([0, 5_000, 12_000])(
    'a new answer that begins %i ms into a fault of 20 s waits it out',
    async (laterMs) => {
      const [chunk, first] = [26, 27].map((seed) => bench.remote.seed(bytesOf(seed, 1_000)));
      const get = bench.remote.get.bind(bench.remote);
      const startMs = bench.clock.nowMs();
      bench.remote.get = (wanted, from, signal) =>
        bench.clock.nowMs() - startMs < 20_000
          ? Promise.reject(new RemoteError('server-fault', '502'))
          : get(wanted, from, signal);
      const other = drain(bench.chunks.read(listOfChunks(first!), 0, 1_000));
      if (laterMs > 0) await bench.stepped(bench.clock.sleep(laterMs));
      const { bytes, error } = await bench.stepped(drain(bench.chunks.read(listOfChunks(chunk!), 0, 1_000)));
      expect(error).toBeUndefined();
      expect(bytes.equals(bytesOf(26, 1_000))).toBe(true);
      expect((await bench.stepped(other)).error).toBeUndefined();
    },
  );

  test('a new answer waits out a fault of a few seconds', async () => {
    const chunk = bench.remote.seed(bytesOf(26, 1_000));
    const get = bench.remote.get.bind(bench.remote);
    const healedMs = bench.clock.nowMs() + 6_000;
    bench.remote.get = (wanted, from, signal) =>
      bench.clock.nowMs() < healedMs
        ? Promise.reject(new RemoteError('server-fault', '503'))
        : get(wanted, from, signal);
    const reading = bench.read(listOfChunks(chunk));
    // In small steps: the tries are some hundred milliseconds apart.
    let settled = false;
    reading.then(
      () => (settled = true),
      () => (settled = true),
    );
    await until(() => {
      bench.clock.advance(20);
      return settled;
    });
    expect((await reading).length).toBe(1_000);
  });

  test('while the line is known to be down a new answer is refused at once, and one probe finds out when it is up', async () => {
    const [known, other, third] = [27, 28, 29].map((seed) => bench.remote.seed(bytesOf(seed, 1_000)));
    bench.remote.fail('get', () => new RemoteError('unreachable', 'gone'));
    await bench.stepped(drain(bench.chunks.read(listOfChunks(known!), 0, 1_000)));
    bench.clock.advance(8_000);
    // Nothing moves the clock from here on: who waited for anything would wait for ever.
    for (const chunk of [other!, third!, known!]) {
      const { error } = await drain(bench.chunks.read(listOfChunks(chunk), 0, 1_000));
      expect(error).toMatchObject({ code: 'remote-down', retryAfterMs: 1_000 });
    }
    bench.remote.gates.get.shut();
    bench.clock.advance(6_000);
    await until(() => {
      bench.clock.advance(100);
      return bench.remote.gates.get.waiting === 1;
    });
    // However long it takes, it stays the only one.
    for (let i = 0; i < 50; i += 1) {
      bench.clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(bench.remote.gates.get.waiting).toBe(1);
    bench.remote.heal();
    bench.remote.gates.get.open();
    await until(() => bench.downlink.downSinceMs === undefined);
    expect((await bench.read(listOfChunks(third!))).length).toBe(1_000);
  });

  test('invariant 6: an answer under way is given up where nothing has come for ten minutes', async () => {
    const body = bytesOf(9, 900_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.cutGets = 1;
    bench.remote.cutAfterBytes = 600_000;
    const stream = bench.chunks.read(list, 0, body.length);
    await new Promise((resolve) => stream.once('data', resolve));
    bench.remote.fail('get', () => new RemoteError('unreachable', 'gone'));
    const startMs = bench.clock.nowMs();
    const { error } = await bench.stepped(drain(stream));
    expect(error).toMatchObject({ code: 'remote-unavailable' });
    expect(bench.clock.nowMs() - startMs).toBeGreaterThan(500_000);
  });

  test('invariant 3: a corrupt cached file is a miss and is fetched anew', async () => {
    const body = bytesOf(10, 200_000);
    const chunk = bench.remote.seed(body);
    await bench.read(listOfChunks(chunk));
    await writeFile(bench.path('cache', chunk.oid), bytesOf(11, 200_000));
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
    expect(bench.remote.count('get')).toBe(2);
    expect(bench.metrics.counters.get('gateway_chunk_hash_failures_total cache')).toBe(1);
  });

  test('invariant 3: a corrupt file within its grace time is a miss too, Gitee has the chunk', async () => {
    const body = bytesOf(22, 200_000);
    const [extent] = await bench.put(body);
    const chunk = { oid: extent!.oid, sizeBytes: body.length, volume: 0 };
    await bench.chunks.ensureRemote([chunk]);
    await writeFile(bench.path('grace', chunk.oid), bytesOf(23, 200_000));
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
    expect(bench.chunks.stats()).toMatchObject({ graceBytes: 0, cacheBytes: 200_000 });
  });

  test('invariant 3: a file that rotted while the process was down is a miss', async () => {
    const body = bytesOf(12, 200_000);
    const chunk = bench.remote.seed(body);
    await bench.read(listOfChunks(chunk));
    await bench.close();
    await writeFile(bench.path('cache', chunk.oid), body.subarray(0, 150_000));
    await bench.open();
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
    expect(bench.cache.sizeBytes).toBe(200_000);
  });

  test('invariant 3: a chunk whose length is not what the index says is corrupt', async () => {
    const chunk = bench.remote.seed(bytesOf(13, 1_000));
    await bench.read(listOfChunks(chunk));
    const { error } = await drain(bench.chunks.read(listOfChunks({ ...chunk, sizeBytes: 999 }), 0, 999));
    expect(error).toMatchObject({ code: 'corrupt' });
  });

  test('invariant 3: extents that give fewer bytes than the object has are corrupt', async () => {
    const chunk = bench.remote.seed(bytesOf(13, 1_000));
    const short = { ...listOf([wholeExtent(chunk)]), sizeBytes: 1_500 };
    const { error } = await drain(bench.chunks.read(short, 0, 1_500));
    expect(error).toMatchObject({ code: 'corrupt' });
  });

  test('a file is hashed once an hour, however often it is read', async () => {
    const chunk = bench.remote.seed(bytesOf(14, 100_000));
    await bench.read(listOfChunks(chunk));
    for (let minutes = 0; minutes < 60; minutes += 5) {
      await bench.read(listOfChunks(chunk));
      bench.clock.advance(300_000);
    }
    expect(bench.cache.files.hashedFiles).toBe(1);
    await bench.read(listOfChunks(chunk));
    bench.clock.advance(300_000);
    await bench.read(listOfChunks(chunk));
    expect(bench.cache.files.hashedFiles).toBe(2);
  });

  test('invariant 3: a file that rots on the disk is found where it was idle, and within the hour where it was not', async () => {
    const body = bytesOf(14, 100_000);
    const chunk = bench.remote.seed(body);
    const file = bench.path('cache', chunk.oid);
    // Downloaded, and looked at as a file.
    const checked = async () => {
      for (let i = 0; i < 2; i += 1) await bench.read(listOfChunks(chunk));
    };
    const rot = async () => {
      const { atimeMs, mtimeMs } = await stat(file);
      const handle = await open(file, 'r+');
      await handle.write(Buffer.from([body[500]! ^ 1]), 0, 1, 500);
      await handle.close();
      await utimes(file, atimeMs / 1000, mtimeMs / 1000);
    };
    await checked();
    await rot();
    bench.clock.advance(11 * 60_000);
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
    await checked();
    await rot();
    let right = 0;
    for (let minutes = 0; minutes <= 65; minutes += 5) {
      if ((await bench.read(listOfChunks(chunk))).equals(body)) right += 1;
      bench.clock.advance(300_000);
    }
    expect(right).toBeGreaterThan(0);
    expect((await bench.read(listOfChunks(chunk))).equals(body)).toBe(true);
  });

  test('a chunk that is nowhere is missing', async () => {
    const chunk = bench.remote.seed(bytesOf(15, 10));
    bench.remote.chunks.clear();
    const { error } = await drain(bench.chunks.read(listOfChunks(chunk), 0, 10));
    expect(error).toBeInstanceOf(ChunkError);
    expect(error).toMatchObject({ code: 'missing' });
  });

  test('while Gitee is down, what is cached is read and the rest is unavailable', async () => {
    const cached = bench.remote.seed(bytesOf(16, 1_000));
    const other = bench.remote.seed(bytesOf(17, 1_000));
    await bench.read(listOfChunks(cached));
    bench.remote.fail('get', () => new RemoteError('unreachable', 'down', { retryAfterMs: 1_500 }));
    expect((await bench.read(listOfChunks(cached))).equals(bytesOf(16, 1_000))).toBe(true);
    const { error } = await bench.stepped(drain(bench.chunks.read(listOfChunks(other), 0, 1_000)));
    expect(error).toMatchObject({ code: 'remote-unavailable', retryAfterMs: 1_000 });
  });

  test('where Gitee asks for more time than a new answer has, that is passed on', async () => {
    const chunk = bench.remote.seed(bytesOf(17, 1_000));
    bench.remote.fail('get', () => new RemoteError('rate-limited', '429', { retryAfterMs: 60_000 }));
    const { error } = await drain(bench.chunks.read(listOfChunks(chunk), 0, 1_000));
    expect(error).toMatchObject({ code: 'remote-unavailable', retryAfterMs: 60_000 });
  });

  test('the next two chunks are fetched while the first is read, and not a third', async () => {
    const list = listOfChunks(...[1, 2, 3, 4, 5].map((seed) => bench.remote.seed(bytesOf(seed, 100_000))));
    bench.remote.gates.get.shut();
    const reading = bench.read(list);
    await until(() => bench.remote.gates.get.waiting === 3);
    await new Promise((resolve) => setImmediate(resolve));
    expect(bench.remote.count('get')).toBe(3);
    bench.remote.gates.get.open();
    expect((await reading).length).toBe(500_000);
  });

  test('a reader that goes away does not end the fetch that another waits for', async () => {
    const body = bytesOf(18, 400_000);
    const list = listOfChunks(bench.remote.seed(body));
    bench.remote.bodyGate.shut();
    const leaving = bench.chunks.read(list, 0, body.length);
    leaving.resume();
    const staying = bench.read(list);
    await until(() => bench.remote.mostAtOnce.get === 1);
    leaving.destroy();
    bench.remote.bodyGate.open();
    expect((await staying).equals(body)).toBe(true);
    expect(bench.remote.count('get')).toBe(1);
  });

  test('a fetch that nobody waits for any more is cancelled, and can be started again', async () => {
    const body = bytesOf(19, 400_000);
    const list = listOfChunks(bench.remote.seed(body));
    let seen: AbortSignal | undefined;
    const get = bench.remote.get.bind(bench.remote);
    bench.remote.get = (chunk, from, signal) => {
      seen ??= signal;
      return get(chunk, from, signal);
    };
    bench.remote.bodyGate.shut();
    const controller = new AbortController();
    const stream = bench.chunks.read(list, 0, body.length, controller.signal);
    const ended = drain(stream);
    await until(() => bench.remote.mostAtOnce.get === 1);
    controller.abort(new Error('socket closed'));
    expect((await ended).error).toMatchObject({ code: 'aborted' });
    await until(() => seen!.aborted);
    bench.remote.bodyGate.open();
    expect((await bench.read(list)).equals(body)).toBe(true);
  });

  test('evicting a chunk while it is read does not disturb the reader', async () => {
    const parts = [1, 2].map((seed) => bytesOf(seed, 3 * MiB));
    const list = listOfChunks(...parts.map((p) => bench.remote.seed(p)));
    await bench.read(list);
    const stream = bench.chunks.read(list, 0, 6 * MiB);
    const first = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
    stream.pause();
    await bench.cache.shrink(Number.MAX_SAFE_INTEGER);
    expect(bench.cache.entries).toBe(0);
    const rest = await collectBytes(stream);
    expect(Buffer.concat([first, rest]).equals(Buffer.concat(parts))).toBe(true);
  });

  test('invariant 5: 32 slow readers hold at most two blocks each', async () => {
    const chunk = bench.remote.seed(bytesOf(20, 4 * MiB));
    const list = listOf(Array.from({ length: 8 }, () => wholeExtent(chunk)));
    const streams = Array.from({ length: 32 }, () => bench.chunks.read(list, 0, list.sizeBytes));
    // Each takes a single byte's worth and then nothing.
    await Promise.all(
      streams.map((s) => new Promise<void>((resolve) => s.once('readable', () => resolve()))),
    );
    for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
    for (const stream of streams) {
      expect(stream.readableLength).toBeLessThanOrEqual(2 * BLOCK_BYTES);
      stream.destroy();
    }
    expect(bench.remote.count('get')).toBe(1);
  });

  test('closing the store ends readers that wait, with an error', async () => {
    const list = listOfChunks(bench.remote.seed(bytesOf(21, 400_000)));
    bench.remote.gates.get.shut();
    const ended = drain(bench.chunks.read(list, 0, 400_000));
    await until(() => bench.remote.gates.get.waiting === 1);
    await bench.chunks.close();
    expect((await ended).error).toMatchObject({ code: 'aborted' });
  });
});
