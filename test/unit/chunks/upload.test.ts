import { open, readFile, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { RemoteError, type RemoteCause } from '../../../src/gitee/errors.js';
import type { Chunk, Extent } from '../../../src/format/extent.js';
import type { Oid } from '../../../src/format/ids.js';
import type { UploadFlow } from '../../../src/gitee/remote.js';
import type { LineTurn } from '../../../src/line/scheduler.js';
import { bytesOf, ChunkBench, listOfChunks, until } from '../../support/chunk-bench.js';

const DAY_MS = 86_400_000;

function chunkOf(extent: Extent): Chunk {
  return { oid: extent.oid, sizeBytes: extent.chunkLengthBytes, volume: 0 };
}

describe('a bucket whose writes are acknowledged before Gitee has them', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start({ isBackground: true });
  });
  afterEach(() => bench.remove());

  test('holds up no push of another bucket with a commit of its own', async () => {
    bench.remote.gates.put.shut();
    const copied: Chunk[] = [];
    for (let seed = 1; seed <= 9; seed += 1) copied.push(chunkOf((await bench.put(bytesOf(seed, 700)))[0]!));
    const committed = bench.chunks.ensureRemote(copied);
    await until(() => bench.remote.gates.put.waiting > 0);
    let isStarted = false;
    bench.line.scheduler.add({ name: 'registry', isReady: () => true }, 'push', 'of an image', {
      ...{ bytes: 700, isSuspect: false },
      start: (turn) => {
        isStarted = true;
        turn.sent(700);
        turn.end(true);
      },
    });
    await until(() => isStarted);
    bench.remote.gates.put.open();
    await committed;
  });
});

describe('uploading chunks', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start();
  });
  afterEach(() => bench.remove());

  /** One chunk of so many bytes; from 640 on it is uploaded eagerly. */
  const write = async (seed: number, lengthBytes: number) =>
    chunkOf((await bench.put(bytesOf(seed, lengthBytes)))[0]!);

  const putOrder = () => bench.remote.calls.filter((c) => c.call === 'put').map((c) => c.oids[0]);

  test('large chunks go out while the body still comes, short ends of bodies after them', async () => {
    bench.remote.gates.put.shut();
    for (let seed = 1; seed <= 3; seed += 1) await write(seed, 700);
    const short = await write(4, 639);
    const large = await write(5, 640);
    await until(() => bench.remote.gates.put.waiting === 3);
    bench.remote.gates.put.open();
    await until(() => bench.chunks.stats().unsentBytes === 0);
    expect(putOrder().slice(3)).toEqual([large.oid, short.oid]);
  });

  test('a short end of a body goes out before its commit where the line has no other work', async () => {
    const short = await write(1, 100);
    await until(() => !bench.chunks.isUnsent(short.oid));
    expect(bench.remote.count('missing')).toBe(0);
  });

  test('upload sends what is unsent and asks nothing', async () => {
    bench.remote.gates.put.shut();
    const short = await write(1, 100);
    const other = await write(2, 100);
    expect([bench.chunks.isUnsent(short.oid), bench.chunks.isUnsent(other.oid)]).toEqual([true, true]);
    const sent = bench.chunks.upload([short, short], 'waited');
    bench.remote.gates.put.open();
    await sent;
    expect(bench.chunks.isUnsent(short.oid)).toBe(false);
    await bench.chunks.upload([short, other], 'waited');
    expect([bench.chunks.isUnsent(other.oid), bench.remote.count('put')]).toEqual([false, 2]);
    expect(bench.remote.count('missing')).toBe(0);
  });

  test('bodies under way are two seconds of line', async () => {
    bench.remote.gates.put.shut();
    for (let seed = 1; seed <= 9; seed += 1) await write(seed, 700);
    await until(() => bench.remote.gates.put.waiting === 3);
    bench.remote.gates.put.open();
    await until(() => bench.chunks.stats().unsentBytes === 0);
    expect(bench.remote.mostAtOnce.put).toBe(3);
  });

  test('a chunk is uploaded once, however often it is written and asked for', async () => {
    bench.remote.gates.put.shut();
    const chunk = await write(1, 700);
    await write(1, 700);
    const all = Promise.all([bench.chunks.ensureRemote([chunk, chunk]), bench.chunks.ensureRemote([chunk])]);
    bench.remote.gates.put.open();
    await all;
    await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    expect(bench.remote.count('put')).toBe(1);
  });

  test('what a commit needs goes before what nobody waits for', async () => {
    bench.remote.gates.put.shut();
    for (let seed = 1; seed <= 8; seed += 1) await write(seed, 700);
    const short = await write(20, 100);
    await until(() => bench.remote.gates.put.waiting === 3);
    const ensured = bench.chunks.ensureRemote([short]);
    bench.remote.gates.put.open();
    await ensured;
    // Three were under way.
    expect(putOrder().indexOf(short.oid)).toBe(3);
  });

  test.each([
    ['nobody waits for it', false, false, 'push'],
    ['somebody waits for it as well', true, false, 'waited'],
    ['whoever waited for it has gone', true, true, 'push'],
  ])(
    'what it is only time for stands behind what somebody waits for: %s',
    async (_, isWaited, hasGone, cls) => {
      const stoodIn: string[] = [];
      const add = bench.line.scheduler.add.bind(bench.line.scheduler);
      bench.line.scheduler.add = (source, inCls, group, job) => {
        if (job.bytes === 101) stoodIn.push(inCls);
        return add(source, inCls, group, job);
      };
      bench.remote.gates.put.shut();
      const large: Chunk[] = [];
      for (let seed = 1; seed <= 8; seed += 1) large.push(await write(seed, 700));
      await until(() => bench.remote.gates.put.waiting === 3);
      const others = bench.chunks.upload(large, 'waited');
      const one = await write(20, 101);
      const client = new AbortController();
      const due = bench.chunks.upload([one], 'push');
      const asked = isWaited ? bench.chunks.upload([one], 'waited', client.signal) : Promise.resolve();
      const gone = hasGone ? expect(asked).rejects.toMatchObject({ code: 'aborted' }) : asked;
      if (hasGone) client.abort(new Error('gone'));
      expect(stoodIn.at(-1)).toBe(cls);
      bench.remote.gates.put.open();
      await Promise.all([due, gone, others]);
    },
  );

  test('a body that is under way goes on in the class of whoever waits for it now', async () => {
    const flows: UploadFlow[] = [];
    const put = bench.remote.put.bind(bench.remote);
    bench.remote.put = (chunk, open, signal, flow) => {
      flows.push(flow!);
      return put(chunk, open, signal, flow);
    };
    bench.remote.gates.put.shut();
    const short = await write(1, 100);
    await until(() => bench.remote.gates.put.waiting === 1);
    let other: LineTurn | undefined;
    bench.line.scheduler.add({ name: 'other', isReady: () => true }, 'push', 'of an image', {
      ...{ bytes: 700, isSuspect: false },
      start: (turn) => (other = turn),
    });
    await until(() => other !== undefined);
    // It yields to the push, until a tag waits for it.
    const held = flows[0]!.turn(100);
    expect(held).toBeInstanceOf(Promise);
    const ensured = bench.chunks.ensureRemote([short]);
    await held;
    bench.remote.gates.put.open();
    await ensured;
    other!.end(false);
  });

  describe('of which Gitee is far away', () => {
    /** Chunks whose link is waited for so long, stored. */
    const writeFar = async (seeds: readonly number[], waitMs: number, lengthBytes = 300) => {
      bench.remote.gates.put.shut();
      const chunks: Chunk[] = [];
      for (const seed of seeds) chunks.push(await write(seed, lengthBytes));
      await until(() => bench.remote.gates.put.waiting > 0);
      bench.clock.advance(waitMs);
      bench.remote.gates.put.open();
      await until(() => bench.chunks.stats().unsentBytes === 0);
      return chunks;
    };

    test('a commit asks for none that was asked for with its upload a moment ago', async () => {
      const chunks = await writeFar([1, 2, 3], 200);
      expect([...bench.remote.looks].sort()).toEqual(chunks.map(({ oid }) => oid).sort());
      await bench.chunks.ensureRemote(chunks);
      expect(bench.remote.count('missing')).toBe(0);
    });

    test('of several only the others are asked for', async () => {
      const [before] = await writeFar([1], 200);
      bench.clock.advance(5_000);
      const [after] = await writeFar([2], 200);
      await bench.chunks.ensureRemote([before!, after!]);
      const asked = bench.remote.calls.filter(({ call }) => call === 'missing').map(({ oids }) => oids);
      expect(asked).toEqual([[before!.oid]]);
    });

    test('a while later the commit asks as ever, and finds what was lost since', async () => {
      const [chunk] = await writeFar([1], 200);
      bench.clock.advance(5_000);
      bench.remote.chunks.clear();
      await bench.stepped(bench.chunks.ensureRemote([chunk!]));
      expect([bench.remote.count('missing') >= 2, bench.remote.count('put')]).toEqual([true, 2]);
      expect(bench.remote.chunks.has(chunk!.oid)).toBe(true);
    });

    test('one that Gitee confirmed and had not is asked for by the commit, again and again', async () => {
      bench.remote.forgetPuts = 1;
      const [chunk] = await writeFar([1], 200);
      expect([bench.remote.looks.length, bench.remote.count('missing')]).toEqual([1, 0]);
      await bench.stepped(bench.chunks.ensureRemote([chunk!]));
      // What it lacked, what it has now: of a store that has forgotten once the upload's own question is not enough.
      expect(bench.remote.count('missing')).toBe(2);
      expect(bench.remote.chunks.has(chunk!.oid)).toBe(true);
    });

    test('whoever sends the same bytes again has Gitee asked for them, however short ago it was', async () => {
      const [chunk] = await writeFar([1], 200);
      bench.remote.chunks.clear();
      await write(1, 300);
      await bench.stepped(bench.chunks.ensureRemote([chunk!]));
      expect(bench.remote.chunks.has(chunk!.oid)).toBe(true);
    });
  });

  test('near by no chunk is asked for with its upload', async () => {
    const chunk = await write(1, 300);
    await bench.chunks.ensureRemote([chunk]);
    expect([bench.remote.looks, bench.remote.count('missing')]).toEqual([[], 1]);
  });

  test('a transient failure is tried again', async () => {
    bench.remote.fail('put', () => new RemoteError('timeout', 'slow'), 2);
    const chunk = await write(1, 700);
    await bench.stepped(bench.chunks.ensureRemote([chunk]));
    expect(bench.remote.count('put')).toBe(3);
    expect(bench.chunks.stats().unsentBytes).toBe(0);
  });

  test('who waits is told after a bounded number of attempts; the chunk goes on trying', async () => {
    bench.remote.fail('put', () => new RemoteError('unreachable', 'down'));
    const chunk = await write(1, 700);
    await expect(bench.stepped(bench.chunks.ensureRemote([chunk]))).rejects.toMatchObject({
      name: 'RemoteError',
      code: 'unreachable',
    });
    expect(bench.chunks.stats().unsentBytes).toBe(700);
    bench.remote.heal();
    await until(() => {
      bench.clock.advance(10_000);
      return bench.remote.chunks.has(chunk.oid);
    });
  });

  test('a line that is down is not asked by every chunk at once', async () => {
    bench.remote.fail('put', () => new RemoteError('unreachable', 'down'));
    for (let seed = 1; seed <= 12; seed += 1) await write(seed, 700);
    await until(() => bench.remote.count('put') >= 1);
    const before = bench.remote.count('put');
    // A minute, second by second: the waits grow to 30 s.
    for (let s = 0; s < 60; s += 1) {
      bench.clock.advance(1_000);
      for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(bench.remote.count('put') - before).toBeLessThan(40);
  });

  test('a refusal that only an operator can lift pauses all uploads, and is probed every 30 s', async () => {
    bench.remote.fail('put', () => new RemoteError('quota-full', 'LFS space is used up'));
    for (let seed = 1; seed <= 6; seed += 1) await write(seed, 700);
    await until(() => bench.chunks.uploadsPausedBy?.code === 'quota-full' && bench.clock.sleepers > 0);
    const before = bench.remote.count('put');
    bench.clock.advance(29_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(bench.remote.count('put')).toBe(before);
    bench.clock.advance(1_500);
    await until(() => bench.remote.count('put') === before + 1);
    bench.remote.heal();
    await until(() => {
      bench.clock.advance(31_000);
      return bench.chunks.stats().unsentBytes === 0;
    });
    expect(bench.chunks.uploadsPausedBy).toBeUndefined();
  });

  describe('a refusal for a reason that nobody knows', () => {
    const refused = () => new RemoteError('refused', 'out of cheese', { status: 400 });

    test.each(['put', 'missing'] as const)('of %s is tried again, and pauses nothing', async (call) => {
      bench.remote.fail(call, refused, 2);
      const chunk = await write(1, 700);
      const paused: unknown[] = [];
      await bench.stepped(bench.chunks.ensureRemote([chunk]), () =>
        paused.push(bench.chunks.uploadsPausedBy),
      );
      expect(paused.filter((each) => each !== undefined)).toEqual([]);
      expect(bench.chunks.stats().unsentBytes).toBe(0);
    });

    test('pauses where it stays, by its third time, and those who wait are told so', async () => {
      bench.remote.fail('put', refused);
      const chunk = await write(1, 700);
      await expect(bench.stepped(bench.chunks.ensureRemote([chunk]))).rejects.toMatchObject({
        ...{ code: 'refused', pauses: true, isTransient: false },
      });
      expect(bench.chunks.uploadsPausedBy).toMatchObject({ code: 'refused', pauses: true });
      expect(bench.remote.count('put')).toBe(3);
    });

    test('counts once where several meet it side by side', async () => {
      bench.remote.gates.put.shut();
      const chunks: Chunk[] = [];
      for (let seed = 1; seed <= 5; seed += 1) chunks.push(await write(seed, 700));
      const all = bench.chunks.ensureRemote(chunks);
      await until(() => bench.remote.gates.put.waiting > 2);
      bench.remote.fail('put', refused, bench.remote.gates.put.waiting);
      bench.remote.gates.put.open();
      await bench.stepped(all);
      expect(bench.chunks.uploadsPausedBy).toBeUndefined();
    });
  });

  test.each([0, 1, 2])(
    'a pause ends by itself also where chunks that would have found out were deleted meanwhile (all but %i)',
    async (kept) => {
      await bench.remove();
      bench = await ChunkBench.start({ limits: { graceMs: 0 } });
      bench.remote.fail('put', () => new RemoteError('quota-full', 'LFS space is used up'));
      const chunks: Chunk[] = [];
      for (let seed = 1; seed <= 3; seed += 1) chunks.push(await write(seed, 700));
      // Nothing is under way: the next one is the one that finds out.
      await until(
        () => bench.chunks.uploadsPausedBy?.code === 'quota-full' && bench.line.scheduler.running === 0,
      );
      const { removedChunks } = await bench.chunks.collect(
        async () => new Set([chunks[kept]!.oid]),
        async () => new Set(),
      );
      expect(removedChunks).toBe(2);
      bench.remote.heal();
      bench.clock.advance(30_000);
      await until(() => bench.chunks.stats().unsentBytes === 0);
      expect(bench.chunks.uploadsPausedBy).toBeUndefined();
    },
  );

  test('who waits during a pause is told at once why, and kick() tries again at once', async () => {
    bench.remote.fail('put', () => new RemoteError('unauthorized', 'token expired'));
    const chunk = await write(1, 700);
    const more = await write(2, 100);
    await expect(bench.chunks.ensureRemote([chunk, more])).rejects.toMatchObject({ code: 'unauthorized' });
    bench.remote.heal();
    bench.chunks.kick();
    await until(() => bench.remote.chunks.has(chunk.oid));
  });

  test('a chunk that Gitee refuses for good fails those who need it, and nobody else', async () => {
    const put = bench.remote.put.bind(bench.remote);
    bench.remote.put = (chunk, open, signal) =>
      chunk.sizeBytes === 101
        ? put(chunk, open, signal)
        : Promise.reject(new RemoteError('chunk-refused', 'no', { oids: [chunk.oid] }));
    const bad = await write(1, 100);
    const worse = await write(2, 100);
    const good = await write(3, 101);
    const failure = await bench.chunks.ensureRemote([bad, worse, good]).catch((e: unknown) => e);
    expect(failure).toMatchObject({ code: 'chunk-refused' });
    expect([...(failure as RemoteError).oids].sort()).toEqual([bad.oid, worse.oid].sort());
    await bench.chunks.ensureRemote([good]);
    // What is refused waits for no line: other bodies are read as if it weren't there.
    await until(() => bench.line.status().pendingBytes === 0);
    expect(bench.chunks.stats().unsentBytes).toBe(200);
  });

  test('one chunk that fails again and again holds up no others', async () => {
    const put = bench.remote.put.bind(bench.remote);
    let failed = 0;
    bench.remote.put = (chunk, open, signal, flow) => {
      if (chunk.sizeBytes !== 101) return put(chunk, open, signal, flow);
      failed += 1;
      return Promise.reject(new RemoteError('server-fault', '500'));
    };
    await write(1, 101);
    await until(() => failed === 1);
    const good = await write(2, 700);
    await bench.stepped(bench.chunks.upload([good], 'waited'));
    // It may have failed a second time before the good one was through: only what fails after that fails alone.
    const failedBefore = failed;
    await until(() => {
      if (failed === failedBefore) bench.clock.advance(1_000);
      return failed > failedBefore;
    });
    // The clock stands still: nothing of the bucket may rest for a chunk that others pass.
    const next = await write(3, 700);
    await until(() => !bench.chunks.isUnsent(next.oid));
  });

  test('a new one does not wait for the only one that has failed, however long the bucket was to rest', async () => {
    const put = bench.remote.put.bind(bench.remote);
    let failed = 0;
    bench.remote.put = (chunk, ...rest) => {
      if (chunk.sizeBytes !== 101) return put(chunk, ...rest);
      failed += 1;
      return Promise.reject(new RemoteError('server-fault', '500'));
    };
    await write(1, 101);
    await until(() => {
      if (failed < 6) bench.clock.advance(1_000);
      return failed >= 6;
    });
    // The clock stands still: it rests for half a minute now.
    const next = await write(2, 700);
    await until(() => !bench.chunks.isUnsent(next.oid));
    // Should the new one fail as well, the rest that follows is everybody's.
    bench.remote.put = put;
    bench.remote.fail('put', () => new RemoteError('unreachable', 'down'));
    bench.clock.advance(60_000);
    await write(3, 700);
    await write(4, 700);
    await until(() => bench.remote.count('put') >= 3);
    const tried = bench.remote.count('put');
    const waits = await write(5, 700);
    for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(bench.remote.count('put')).toBeLessThanOrEqual(tried + 4);
    expect(bench.chunks.isUnsent(waits.oid)).toBe(true);
  });

  describe('one object that Gitee does not take', () => {
    /** Gitee says this about chunks of 101 bytes, until `heal`. */
    function refuse(make: (oid: Oid) => RemoteError): { times: () => number; heal: () => void } {
      const put = bench.remote.put.bind(bench.remote);
      let times = 0;
      bench.remote.put = (chunk, ...rest) => {
        if (chunk.sizeBytes !== 101) return put(chunk, ...rest);
        times += 1;
        return Promise.reject(make(chunk.oid));
      };
      return { times: () => times, heal: () => (bench.remote.put = put) };
    }
    const named = (code: RemoteCause) => (oid: Oid) => new RemoteError(code, 'said of it', { oids: [oid] });
    const tick = async () => {
      bench.clock.advance(1_000);
      for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
      // On a busy machine a try takes longer than that: reading the file is real.
      await until(() => bench.line.scheduler.running === 0);
    };

    test.each(['server-fault', 'forbidden', 'refused', 'quota-full'] as const)(
      '%s: twenty minutes of it hold up no other, and it is tried ever seldomer until it is taken',
      async (code) => {
        const store = refuse(named(code));
        let seed = 10;
        const passes = async () => {
          const chunk = await write((seed += 1), 700);
          await until(() => !bench.chunks.isUnsent(chunk.oid));
        };
        // Whatever is written before, between and after goes without any time passing.
        for (let i = 0; i < 7; i += 1) await passes();
        const bad = await write(1, 101);
        await until(() => store.times() > 0);
        for (let i = 0; i < 7; i += 1) await passes();
        const failure = bench.chunks.upload([bad], 'waited').catch((e: unknown) => e);
        await bench.stepped(failure);
        expect(await failure).toMatchObject({ code, oids: [bad.oid], retryAfterMs: expect.any(Number) });
        for (let s = 0; s < 1_200; s += 1) {
          await tick();
          if (s % 200 === 0) await passes();
        }
        expect(store.times()).toBeGreaterThan(20);
        expect(store.times()).toBeLessThan(100);
        expect(bench.chunks.uploadsPausedBy).toBeUndefined();
        store.heal();
        for (let s = 0; s < 31; s += 1) await tick();
        await until(() => !bench.chunks.isUnsent(bad.oid));
      },
    );

    test('who asks for it meanwhile is told so at once; kick() tries it', async () => {
      const store = refuse(named('forbidden'));
      const bad = await write(1, 101);
      await until(() => store.times() === 1 && bench.line.scheduler.running === 0);
      const asked = await bench.chunks.upload([bad], 'waited').catch((e: unknown) => e);
      expect(asked).toMatchObject({ code: 'forbidden', oids: [bad.oid] });
      expect(store.times()).toBe(1);
      store.heal();
      bench.chunks.kick();
      await until(() => !bench.chunks.isUnsent(bad.oid));
    });

    test('where one after the other fails so it is nobody in particular: all wait, and no object is named', async () => {
      bench.remote.fail('put', ([oid]) => named('quota-full')(oid as Oid));
      const chunks: Chunk[] = [];
      for (let seed = 1; seed <= 8; seed += 1) chunks.push(await write(seed, 700));
      await until(() => bench.chunks.uploadsPausedBy?.code === 'quota-full');
      const failure = await bench.chunks.upload(chunks, 'waited').catch((e: unknown) => e);
      expect(failure).toMatchObject({ code: 'quota-full', oids: [] });
      bench.remote.heal();
      await until(() => {
        bench.clock.advance(31_000);
        return bench.chunks.stats().unsentBytes === 0;
      });
      expect(bench.chunks.uploadsPausedBy).toBeUndefined();
    });

    test('without a word about it, it is the only one that fails', async () => {
      const store = refuse(() => new RemoteError('unreachable', 'reset'));
      const bad = await write(1, 101);
      const failure = bench.chunks.upload([bad], 'waited').catch((e: unknown) => e);
      await bench.stepped(failure);
      expect(await failure).toMatchObject({ code: 'unreachable', oids: [bad.oid] });
      expect(store.times()).toBeGreaterThan(1);
    });

    test('it is also where one had failed before that Gitee then refused for good', async () => {
      const put = bench.remote.put.bind(bench.remote);
      let times = 0;
      bench.remote.put = (chunk, ...rest) => {
        if (chunk.sizeBytes !== 102) return put(chunk, ...rest);
        times += 1;
        return Promise.reject(
          times === 1 ? new RemoteError('unreachable', 'reset') : named('chunk-refused')(chunk.oid),
        );
      };
      const refused = await write(2, 102);
      await until(() => times === 1 && bench.line.scheduler.running === 0);
      const failed = bench.chunks.upload([refused], 'waited').catch((e: unknown) => e);
      await bench.stepped(failed);
      expect(await failed).toMatchObject({ code: 'chunk-refused' });
      refuse(() => new RemoteError('unreachable', 'reset'));
      const bad = await write(1, 101);
      const failure = bench.chunks.upload([bad], 'waited').catch((e: unknown) => e);
      await bench.stepped(failure);
      expect(await failure).toMatchObject({ code: 'unreachable', oids: [bad.oid] });
    });

    test('a line that breaks now and then makes no chunk wait longer than who waits for it can bear', async () => {
      const store = refuse(() => new RemoteError('unreachable', 'reset'));
      const bad = await write(1, 101);
      await until(() => store.times() > 0);
      let seed = 10;
      // Others get through all the time.
      for (let s = 0; s < 36 && store.times() < 8; s += 1) {
        const other = await write((seed += 1), 700);
        await until(() => !bench.chunks.isUnsent(other.oid));
        await tick();
      }
      // A pause is 4.5 s at most.
      expect(store.times()).toBe(8);
      store.heal();
      for (let s = 0; s < 5; s += 1) await tick();
      await until(() => !bench.chunks.isUnsent(bad.oid));
    });
  });

  test('what Gitee has already is confirmed without bytes', async () => {
    bench.remote.seed(bytesOf(1, 700));
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    expect(bench.chunks.stats()).toMatchObject({ unsentBytes: 0, graceBytes: 700 });
  });

  test('invariant 2: a confirmed upload that is not there is uploaded again', async () => {
    bench.remote.forgetPuts = 1;
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    expect(bench.remote.chunks.has(chunk.oid)).toBe(true);
    expect(bench.remote.count('put')).toBe(2);
  });

  test('invariant 1: a chunk that Gitee confirms and does not keep is unsent again, whatever the store is like', async () => {
    bench.remote.forgetPuts = Number.POSITIVE_INFINITY;
    const chunk = await write(1, 100);
    await expect(bench.chunks.ensureRemote([chunk])).rejects.toMatchObject({
      code: 'chunk-unkept',
      isTransient: true,
      oids: [chunk.oid],
    });
    expect(bench.chunks.isUnsent(chunk.oid)).toBe(true);
    expect((await bench.read(listOfChunks(chunk))).equals(bytesOf(1, 100))).toBe(true);
    bench.remote.forgetPuts = 0;
    bench.clock.advance(60_000);
    await bench.chunks.ensureRemote([chunk]);
    expect(bench.remote.chunks.has(chunk.oid)).toBe(true);
    expect(bench.chunks.isUnsent(chunk.oid)).toBe(false);
  });

  test('what is forgotten again and again is sent later and later, and at once when an operator says so', async () => {
    bench.remote.forgetPuts = Number.POSITIVE_INFINITY;
    const chunk = await write(1, 100);
    const ensure = () => bench.chunks.ensureRemote([chunk]).catch((e: unknown) => e as RemoteError);
    const waits: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      const failure = (await ensure()) as RemoteError;
      expect(failure.code).toBe('chunk-unkept');
      const puts = bench.remote.count('put');
      expect(((await ensure()) as RemoteError).retryAfterMs).toBe(failure.retryAfterMs);
      expect(bench.remote.count('put')).toBe(puts);
      waits.push(failure.retryAfterMs!);
      bench.clock.advance(failure.retryAfterMs!);
    }
    expect(waits[0]).toBeLessThanOrEqual(1_000);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(30_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    // A second upload in a row is for what was forgotten for the first time.
    expect(bench.remote.count('put')).toBe(waits.length + 1);
    await ensure();
    bench.remote.forgetPuts = 0;
    bench.chunks.kick();
    expect(await ensure()).toBeUndefined();
  });

  test('one that Gitee forgets holds up no other that a commit needs', async () => {
    const put = bench.remote.put.bind(bench.remote);
    bench.remote.put = async (chunk, open, signal, flow) => {
      const sent = await put(chunk, open, signal, flow);
      if (chunk.sizeBytes === 101) bench.remote.chunks.delete(chunk.oid);
      return sent;
    };
    const bad = await write(1, 101);
    await expect(bench.chunks.ensureRemote([bad])).rejects.toMatchObject({ code: 'chunk-unkept' });
    const good = await write(2, 100);
    const both = bench.chunks.ensureRemote([bad, good]);
    await expect(both).rejects.toMatchObject({ code: 'chunk-unkept', oids: [bad.oid] });
    expect(bench.remote.chunks.has(good.oid)).toBe(true);
  });

  test('the only copy of what the branch names is never collected, however long Gitee does not take it', async () => {
    const [chunk, other] = [await write(1, 700), await write(2, 700)];
    await until(() => !bench.chunks.isUnsent(chunk.oid) && !bench.chunks.isUnsent(other.oid));
    bench.remote.chunks.clear();
    bench.remote.fail('put', (oids) => new RemoteError('chunk-refused', 'no', { oids }));
    for (const lost of [chunk, other])
      await expect(bench.chunks.ensureRemote([lost])).rejects.toMatchObject({ code: 'chunk-refused' });
    bench.clock.advance(3 * DAY_MS);
    const { removedChunks } = await bench.chunks.collect(
      async () => new Set(),
      async (oids) => new Set([...oids].filter((oid) => oid === chunk.oid)),
    );
    expect(removedChunks).toBe(1);
    expect(bench.chunks.isUnsent(chunk.oid)).toBe(true);
  });

  test('ensureKept asks for a chunk once in ten minutes, and sooner where there is a reason', async () => {
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    const asked = bench.remote.count('missing');
    const kept = async () => {
      await bench.chunks.ensureKept([chunk]);
      return bench.remote.count('missing') - asked;
    };
    expect(await kept()).toBe(0);
    bench.clock.advance(10 * 60_000);
    expect([await kept(), await kept()]).toEqual([1, 1]);
    // Whoever sends the bytes again may know better than we do.
    bench.remote.chunks.clear();
    await write(1, 700);
    expect(await kept()).toBe(3);
    expect(bench.remote.chunks.has(chunk.oid)).toBe(true);
  });

  test('ensureKept asks for what a reader did not get', async () => {
    const chunk = bench.remote.seed(bytesOf(5, 300));
    await bench.chunks.ensureRemote([chunk]);
    bench.remote.chunks.clear();
    await bench.chunks.ensureKept([chunk]);
    await expect(bench.read(listOfChunks(chunk))).rejects.toMatchObject({ code: 'missing' });
    expect(await bench.chunks.ensureKept([chunk])).toMatchObject({ kind: 'lost' });
  });

  test('invariant 2: a chunk that is neither here nor there is chunk-missing', async () => {
    const chunk = bench.remote.seed(bytesOf(5, 100));
    bench.remote.chunks.clear();
    await expect(bench.chunks.ensureRemote([chunk])).rejects.toMatchObject({
      name: 'RemoteError',
      code: 'chunk-missing',
      oids: [chunk.oid],
    });
  });

  test('invariant 2: a chunk that Gitee lost is brought back from the cache', async () => {
    const body = bytesOf(5, 800);
    const chunk = bench.remote.seed(body);
    await bench.read(listOfChunks(chunk));
    bench.remote.chunks.clear();
    await bench.chunks.ensureRemote([chunk]);
    expect(Buffer.from(bench.remote.chunks.get(chunk.oid)!).equals(body)).toBe(true);
    expect(bench.chunks.stats()).toMatchObject({ cacheBytes: 0, graceBytes: 800 });
  });

  test('a cached copy that rotted is not uploaded in place of the chunk', async () => {
    const chunk = bench.remote.seed(bytesOf(5, 800));
    await bench.read(listOfChunks(chunk));
    bench.remote.chunks.clear();
    await writeFile(bench.path('cache', chunk.oid), bytesOf(6, 800));
    await expect(bench.chunks.ensureRemote([chunk])).rejects.toMatchObject({ code: 'chunk-missing' });
    expect(bench.remote.count('put')).toBe(0);
  });

  test('an unsent file that rotted is never sent', async () => {
    const chunk = await write(1, 100);
    await writeFile(bench.path('unsent', chunk.oid), bytesOf(2, 100));
    await expect(bench.chunks.ensureRemote([chunk])).rejects.toMatchObject({
      code: 'chunk-corrupt',
      oids: [chunk.oid],
    });
    expect(bench.remote.count('put')).toBe(0);
    await unlink(bench.path('unsent', chunk.oid));
    await expect(bench.chunks.ensureRemote([chunk])).rejects.toMatchObject({ code: 'chunk-missing' });
  });

  test('what was just written is not read once more before it is sent', async () => {
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    expect(bench.remote.chunks.has(chunk.oid)).toBe(true);
    expect(bench.cache.files.hashedFiles).toBe(0);
  });

  test('an unsent file that rotted while it waited is never sent, though its times are those of before', async () => {
    bench.remote.gates.put.shut();
    for (let seed = 1; seed <= 3; seed += 1) await write(seed, 700);
    await until(() => bench.remote.gates.put.waiting === 3);
    const body = bytesOf(4, 639);
    const chunk = await write(4, 639);
    const file = bench.path('unsent', chunk.oid);
    const { atimeMs, mtimeMs } = await stat(file);
    body[500]! ^= 1;
    const handle = await open(file, 'r+');
    await handle.write(body);
    await handle.close();
    await utimes(file, atimeMs / 1000, mtimeMs / 1000);
    bench.clock.advance(11 * 60_000);
    const sent = bench.chunks.ensureRemote([chunk]);
    bench.remote.gates.put.open();
    await expect(sent).rejects.toMatchObject({ code: 'chunk-corrupt', oids: [chunk.oid] });
    expect(bench.remote.chunks.has(chunk.oid)).toBe(false);
  });

  test('a question about missing chunks that fails is asked again, and bounded', async () => {
    const chunk = await write(1, 100);
    bench.remote.fail('missing', () => new RemoteError('server-fault', '502'), 2);
    await bench.stepped(bench.chunks.ensureRemote([chunk]));
    bench.remote.fail('missing', () => new RemoteError('server-fault', '502'));
    await expect(bench.stepped(bench.chunks.ensureRemote([chunk]))).rejects.toMatchObject({
      code: 'server-fault',
    });
  });

  test('many chunks are asked for with one listener on the caller', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const chunks: Chunk[] = [];
    for (let seed = 1; seed <= 60; seed += 1) chunks.push(await write(seed, 100));
    await bench.chunks.ensureRemote(chunks, new AbortController().signal);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    expect(bench.chunks.stats().unsentChunks).toBe(0);
  });

  test('a caller that gives up is let go, the upload goes on', async () => {
    bench.remote.gates.put.shut();
    const chunk = await write(1, 700);
    const controller = new AbortController();
    const ensured = bench.chunks.ensureRemote([chunk], controller.signal);
    await until(() => bench.remote.gates.put.waiting === 1);
    controller.abort(new Error('gone'));
    await expect(ensured).rejects.toMatchObject({ code: 'aborted' });
    bench.remote.gates.put.open();
    await until(() => bench.chunks.stats().graceBytes === 700);
  });

  test('after its upload a chunk is pinned for 24 h, then it belongs to the cache', async () => {
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    const uploadedMs = bench.clock.nowMs();
    expect((await stat(bench.path('grace', chunk.oid))).mtimeMs).toBe(uploadedMs);
    bench.clock.advance(24 * 3_600_000 - 1);
    expect(await bench.chunks.releaseGrace()).toBe(0);
    await bench.restart();
    bench.clock.advance(1);
    expect(await bench.chunks.releaseGrace()).toBe(1);
    expect(bench.chunks.stats()).toMatchObject({ graceBytes: 0, cacheBytes: 700 });
    expect((await readFile(bench.path('cache', chunk.oid))).equals(bytesOf(1, 700))).toBe(true);
  });

  describe.each([
    ['back', -DAY_MS],
    ['forward', DAY_MS],
  ])('where the wall clock is set %s by a day', (_name, byMs) => {
    test('a grace time is as long as before', async () => {
      const chunk = await write(1, 700);
      await bench.chunks.ensureRemote([chunk]);
      bench.clock.advance(3_600_000);
      bench.clock.stepWall(byMs);
      bench.clock.advance(DAY_MS - 3_600_001);
      expect(await bench.chunks.releaseGrace()).toBe(0);
      bench.clock.advance(1);
      expect(await bench.chunks.releaseGrace()).toBe(1);
    });

    test('failures in a row are seen as what they are, the figures are told, and it goes on when they end', async () => {
      bench.remote.fail('put', () => new RemoteError('unreachable', 'down'));
      await write(1, 700);
      await until(() => bench.remote.count('put') >= 1);
      bench.clock.stepWall(byMs);
      await until(() => {
        bench.clock.advance(1_000);
        return bench.remote.count('put') >= 5;
      });
      await until(() => {
        bench.clock.advance(1_000);
        return bench.metrics.gauges.get('gateway_spool_unsent_bytes') === 700;
      });
      bench.remote.heal();
      await until(() => {
        bench.clock.advance(10_000);
        return bench.chunks.stats().unsentBytes === 0;
      });
    });
  });

  test('pinned chunks beyond spool_hard leave their grace time early, the oldest first', async () => {
    const old = await write(1, 1_000);
    await bench.chunks.ensureRemote([old]);
    for (let seed = 2; seed <= 131; seed += 1) {
      bench.clock.advance(1);
      await write(seed, 1_000);
    }
    await until(() => bench.chunks.stats().graceBytes === 131_000);
    expect(await bench.chunks.releaseGrace()).toBe(0);
    bench.clock.advance(1);
    const last = await write(132, 1_000);
    await bench.chunks.ensureRemote([last]);
    await until(() => bench.cache.has(old.oid));
  });

  test('a chunk within its grace time that is written again is not sent again, and stays longer', async () => {
    const chunk = await write(1, 700);
    await bench.chunks.ensureRemote([chunk]);
    bench.clock.advance(20 * 3_600_000);
    await write(1, 700);
    bench.clock.advance(20 * 3_600_000);
    expect(await bench.chunks.releaseGrace()).toBe(0);
    expect(bench.remote.count('put')).toBe(1);
    expect((await bench.read(listOfChunks(chunk))).equals(bytesOf(1, 700))).toBe(true);
  });
});
