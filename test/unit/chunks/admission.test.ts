// Attacks invariant 5's share of the spool, and the bound on how long a request may wait (invariant 6).
import { bytesOf, ChunkBench, listOfChunks, until } from '../../support/chunk-bench.js';

const BODY = { keepUpToBytes: 0 };

describe('admitting parts', () => {
  let bench: ChunkBench;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    bench = await ChunkBench.start({ limits: { spoolSoftBytes: 20_000, spoolHardBytes: 30_000 } });
  });
  afterEach(() => bench.remove());

  /** Large chunks that stand in line, since the line is shut. */
  const fill = async (chunks: number) => {
    bench.remote.gates.put.shut();
    await bench.put(bytesOf(chunks, chunks * 1024));
  };

  const settledOf = (promise: Promise<unknown>) => {
    const state = { settled: false };
    promise.then(
      () => (state.settled = true),
      () => (state.settled = true),
    );
    return state;
  };

  test('below spool_soft a body is admitted at once, whatever the line does', async () => {
    await fill(12);
    await bench.chunks.reserve(BODY, signal);
    expect(bench.metrics.counters.size).toBe(0);
  });

  test('beyond that it waits until there is room', async () => {
    await fill(21);
    const admitted = bench.chunks.reserve(BODY, signal);
    const state = settledOf(admitted);
    await until(() => bench.remote.gates.put.waiting > 0);
    expect(state.settled).toBe(false);
    bench.remote.gates.put.open();
    await admitted;
    expect(bench.metrics.counters.get('gateway_admission_waits_total admitted')).toBe(1);
  });

  test('it waits 5 s at most', async () => {
    await fill(21);
    const admitted = bench.chunks.reserve(BODY, signal);
    const state = settledOf(admitted);
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    bench.clock.advance(4_999);
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(state.settled).toBe(false);
    bench.clock.advance(1);
    await expect(admitted).rejects.toMatchObject({ code: 'spool-full' });
  });

  test('beyond spool_soft it is refused after the wait, with the time to come back', async () => {
    await fill(21);
    const failure = await bench.stepped(bench.chunks.reserve(BODY, signal)).catch((e: unknown) => e);
    expect(failure).toMatchObject({ name: 'ChunkError', code: 'spool-full' });
    expect((failure as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(1_000);
    expect(bench.metrics.counters.get('gateway_admission_waits_total refused')).toBe(1);
  });

  test('a part that was admitted ends at spool_hard, and leaves nothing half-written', async () => {
    await fill(29);
    await expect(bench.put(bytesOf(99, 5_000))).rejects.toMatchObject({ code: 'spool-full' });
  });

  test('a caller that goes away does not wait', async () => {
    await fill(21);
    const controller = new AbortController();
    const admitted = bench.chunks.reserve(BODY, controller.signal);
    controller.abort(new Error('gone'));
    await expect(admitted).rejects.toMatchObject({ code: 'aborted' });
  });

  test('at the disk reserve the cache gives way first', async () => {
    const cached = bench.remote.seed(bytesOf(1, 600));
    await bench.read(listOfChunks(cached));
    bench.clock.advance(2_000);
    bench.freeBytes = 1_500;
    await expect(bench.chunks.reserve(BODY, signal)).rejects.toMatchObject({ code: 'disk-full' });
    expect(bench.cache.entries).toBe(0);
    bench.freeBytes = 5_000;
    await bench.chunks.reserve(BODY, signal);
  });

  test('at the disk reserve grace time ends early, unsent chunks stay', async () => {
    const [sent] = await bench.put(bytesOf(1, 700));
    await until(() => bench.chunks.stats().graceBytes === 700);
    bench.remote.gates.put.shut();
    const [unsent] = await bench.put(bytesOf(2, 100));
    bench.clock.advance(2_000);
    bench.freeBytes = 0;
    await expect(bench.chunks.reserve(BODY, signal)).rejects.toMatchObject({ code: 'disk-full' });
    expect(bench.chunks.stats()).toMatchObject({ unsentBytes: 100, graceBytes: 0, cacheBytes: 0 });
    expect(bench.cache.has(sent!.oid)).toBe(false);
    bench.freeBytes = 1_000_000;
    bench.remote.gates.put.open();
    await bench.chunks.ensureRemote([{ oid: unsent!.oid, sizeBytes: 100, volume: 0 }]);
  });

  test('gauges are set on change, at most once a second', async () => {
    bench.remote.gates.put.shut();
    const before = bench.metrics.sets;
    for (let seed = 1; seed <= 10; seed += 1) await bench.put(bytesOf(seed, 100));
    expect(bench.metrics.sets).toBe(before);
    bench.clock.advance(1_000);
    await until(() => bench.metrics.gauges.get('gateway_spool_unsent_bytes') === 1_000);
    expect(bench.metrics.sets - before).toBe(5);
    expect(bench.metrics.gauges.get('gateway_spool_unsent_chunks')).toBe(10);
  });
});
