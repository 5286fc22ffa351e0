// Attacks the bound on what lies unsent, and that every body goes on: at any speed of the line, with clients that stall.
import { setMaxListeners } from 'node:events';
import * as fc from 'fast-check';
import {
  LineAdmission,
  StandstillError,
  type AdmissionSource,
  type PacedBody,
} from '../../../src/line/admission.js';
import { ManualClock, RecordingMetrics } from '../../support/chunk-bench.js';

const MIB = 1024 * 1024;
const RUN_BYTES = 64 * 1024;
const DAY_MS = 86_400_000;

class Bucket implements AdmissionSource {
  unsent = 0;
  stalled = false;
  paused: Error | undefined;
  storedMs: number | undefined;

  constructor(readonly name: string) {}
  unsentBytes() {
    return this.unsent;
  }
  isStalled() {
    return this.stalled;
  }
  pausedBy() {
    return this.paused;
  }
  progressMs() {
    return this.storedMs;
  }
}

/** A body that is read in runs as its turns come; its pieces become unsent bytes of its bucket. */
class Client {
  readBytes = 0;
  isDone = false;
  error: unknown;
  longestSilenceMs = 0;
  /** Until then it sends nothing. */
  stallsUntilMs = 0;
  /** Once so many bytes were sent, it sends so few, so seldom. */
  drips: { readonly afterBytes: number; readonly bytes: number; readonly everyMs: number } | undefined;
  readonly #body: PacedBody;
  #inPiece = 0;
  #pieceBytes = 0;
  #isWaiting = false;
  #lastMs: number;

  constructor(
    private readonly bench: Bench,
    readonly bucket: Bucket,
    readonly push: string,
    readonly sizeBytes: number,
    private readonly isLarge = true,
    isTail = false,
  ) {
    this.#body = bench.admission.body(bucket, { push, isTail, signal: bench.stop.signal });
    this.#lastMs = bench.clock.steadyMs();
  }

  /** Reads one run if its turn has come. */
  step(): void {
    const { admission, clock } = this.bench;
    if (this.isDone) return;
    this.longestSilenceMs = Math.max(this.longestSilenceMs, clock.steadyMs() - this.#lastMs);
    if (this.#isWaiting || clock.steadyMs() < this.stallsUntilMs) return;
    if (this.#inPiece === 0) this.#pieceBytes = this.isLarge ? admission.pieceBytes() : this.sizeBytes;
    const left = this.sizeBytes - this.readBytes;
    this.#isWaiting = true;
    this.#body.turn(Math.min(left, this.#pieceBytes - this.#inPiece)).then(
      () => {
        this.#isWaiting = false;
        this.#read(Math.min(this.#runBytes(), this.#pieceBytes - this.#inPiece, left));
      },
      (error: unknown) => {
        this.error = error;
        this.#end();
      },
    );
  }

  #runBytes(): number {
    if (!this.drips || this.readBytes < this.drips.afterBytes) return RUN_BYTES;
    this.stallsUntilMs = this.bench.clock.steadyMs() + this.drips.everyMs;
    return this.drips.bytes;
  }

  #read(bytes: number): void {
    this.#lastMs = this.bench.clock.steadyMs();
    this.readBytes += bytes;
    this.#inPiece += bytes;
    this.#body.took(bytes);
    if (this.#inPiece < this.#pieceBytes && this.readBytes < this.sizeBytes) return;
    this.bucket.unsent += this.#inPiece;
    this.#body.whole(this.#inPiece);
    this.#inPiece = 0;
    if (this.readBytes >= this.sizeBytes) this.#end();
  }

  #end(): void {
    this.isDone = true;
    this.#body.end();
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly metrics = new RecordingMetrics();
  readonly stop = new AbortController();
  readonly uplink = { bytesPerSecond: MIB, progressMs: this.clock.steadyMs(), isMeasured: true };
  readonly admission = new LineAdmission({
    ...{ chunkSizeBytes: 8 * MIB, uplink: this.uplink, clock: this.clock, metrics: this.metrics },
  });
  readonly buckets: Bucket[] = [];

  constructor() {
    // Each client that waits listens to it.
    setMaxListeners(0, this.stop.signal);
  }

  bucket(name: string): Bucket {
    const bucket = new Bucket(name);
    this.buckets.push(bucket);
    this.admission.addSource(bucket);
    return bucket;
  }

  /** Lets time pass in steps of 100 ms: clients send, the line takes what it can. */
  async run(seconds: number, clients: readonly Client[], isLineUp = true): Promise<void> {
    for (let step = 0; step < seconds * 10; step += 1) {
      // A client's own line is faster than ours: 64 KiB, ten times a step.
      for (let i = 0; i < 10; i += 1) {
        for (const client of clients) client.step();
        await Promise.resolve();
        await Promise.resolve();
      }
      this.clock.advance(100);
      if (isLineUp) this.#send(this.uplink.bytesPerSecond / 10);
      for (let i = 0; i < 3; i += 1) await Promise.resolve();
    }
  }

  #send(bytes: number): void {
    let left = bytes;
    for (const bucket of this.buckets) {
      if (bucket.stalled) continue;
      const sent = Math.min(left, bucket.unsent);
      bucket.unsent -= sent;
      left -= sent;
      if (sent > 0) this.uplink.progressMs = this.clock.steadyMs();
    }
    this.admission.look();
  }
}

describe('taking bodies at the pace of the line', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });

  test('until the line was measured one chunk does not wait for the other', async () => {
    const unsentOf = async (isMeasured: boolean) => {
      const own = new Bench();
      own.uplink.isMeasured = isMeasured;
      const bucket = own.bucket('registry');
      const clients = [1, 2, 3].map((i) => new Client(own, bucket, `${i}`, 8 * MIB, false));
      await own.run(4, clients, false);
      own.stop.abort(new Error('the test is over'));
      return bucket.unsent;
    };
    expect(await unsentOf(false)).toBe(16 * MIB);
    expect(await unsentOf(true)).toBe(8 * MIB);
  });

  test('what lies unsent stays below 8 s of line, and the line is never idle meanwhile', async () => {
    const bucket = bench.bucket('a');
    const clients = [1, 2, 3, 4, 5].map((i) => new Client(bench, bucket, 'image', (10 + i) * MIB));
    let most = 0;
    for (let second = 1; second <= 60; second += 1) {
      await bench.run(1, clients);
      most = Math.max(most, bucket.unsent);
      if (second > 2 && second < 50) expect(bucket.unsent).toBeGreaterThan(0);
    }
    expect(most).toBeLessThanOrEqual(8 * MIB + 2 * MIB);
    await bench.run(20, clients);
    expect(clients.every(({ isDone, error }) => isDone && error === undefined)).toBe(true);
  });

  test('a small push beside a big one has its turn at once', async () => {
    const bucket = bench.bucket('a');
    const big = [1, 2, 3, 4, 5].map(() => new Client(bench, bucket, 'big', 100 * MIB));
    await bench.run(30, big);
    const small = new Client(bench, bucket, 'small', 700_000, false);
    await bench.run(4, [...big, small]);
    expect(small.isDone).toBe(true);
  });

  test('the blobs of a small push do not wait for seconds of line that a big one had taken before', async () => {
    bench.uplink.bytesPerSecond = 625_000;
    bench.uplink.isMeasured = false;
    const bucket = bench.bucket('a');
    const big = [1, 2, 3, 4, 5].map(() => new Client(bench, bucket, 'big', 100 * MIB));
    await bench.run(2, big);
    bench.uplink.isMeasured = true;
    const small = [65_536, 131_072, 503_000].map((bytes) => new Client(bench, bucket, 'small', bytes, false));
    await bench.run(1, [...big, ...small]);
    expect(bucket.unsent).toBeGreaterThan(14 * MIB);
    expect(small.map(({ isDone }) => isDone)).toEqual([true, true, true]);
  });

  test('an endless row of small pushes takes no more than its share of the line', async () => {
    bench.uplink.bytesPerSecond = 625_000;
    const bucket = bench.bucket('a');
    const big = new Client(bench, bucket, 'big', 100 * MIB);
    let all = [big];
    for (let second = 0; second < 120; second += 1) {
      all = all.filter(({ isDone }) => !isDone);
      // Each is a push of its own, more of them than the line takes.
      for (let i = 0; i < 2; i += 1)
        all.push(new Client(bench, bucket, `small ${second} ${i}`, 503_000, false));
      await bench.run(1, all);
    }
    const lineBytes = 120 * 625_000;
    expect(big.readBytes).toBeGreaterThan(lineBytes / all.length);
    expect(bucket.unsent).toBeLessThanOrEqual(bench.admission.budgetBytes() + 2 * MIB);
  });

  test('within a push the part whose client waits for the answer goes first', async () => {
    const bucket = bench.bucket('a');
    const others = [1, 2, 3, 4].map(() => new Client(bench, bucket, 'image', 100 * MIB));
    await bench.run(20, others);
    const tail = new Client(bench, bucket, 'image', 12_345_678, true, true);
    await bench.run(14, [...others, tail]);
    expect(tail.isDone).toBe(true);
  });

  test('a small object is one piece, also where the line is so slow that it is more than the budget', async () => {
    bench.uplink.bytesPerSecond = 100_000;
    const bucket = bench.bucket('a');
    const clients = [1, 2].map(() => new Client(bench, bucket, 'image', 8 * MIB, false));
    await bench.run(60, clients);
    expect(clients.filter(({ isDone }) => isDone).length).toBe(1);
    await bench.run(120, clients);
    expect(clients.every(({ isDone }) => isDone)).toBe(true);
  });

  test('a client that stalls in the middle of a piece gives its room back', async () => {
    bench.uplink.bytesPerSecond = 200_000;
    const bucket = bench.bucket('a');
    const stalled = [1, 2, 3].map(() => new Client(bench, bucket, 'stalled', 8 * MIB, false));
    await bench.run(0.3, stalled);
    for (const client of stalled) client.stallsUntilMs = bench.clock.steadyMs() + 3_600_000;
    const good = new Client(bench, bucket, 'good', 4 * MIB);
    await bench.run(60, [...stalled, good]);
    expect(good.isDone).toBe(true);
  });

  test.each([
    ['a byte every 10 s of pieces that are nearly whole', 8, 31, 1, 10_000, 0],
    ['a byte every 19 s from the beginning', 30, 0, 1, 19_000, 0],
    ['a byte a second after half a piece', 16, 16, 1, 1_000, 0],
    ['20 kB a second', 20, 1, 20_000, 1_000, 400_000],
  ])(
    'clients that drip leave the line to the one beside them: %s',
    async (_name, drippers, afterRuns, bytes, everyMs, theirsPerSecond) => {
      const bucket = bench.bucket('a');
      const slow = Array.from({ length: drippers }, (_, i) => {
        const client = new Client(bench, bucket, `slow ${i}`, 100 * MIB);
        // Not all of them at the same point of their pieces.
        const runs = bytes > 1 ? i * afterRuns : afterRuns;
        client.drips = { afterBytes: runs * RUN_BYTES, bytes, everyMs };
        return client;
      });
      await bench.run(30, slow);
      const fast = new Client(bench, bucket, 'fast', 500 * MIB);
      let most = 0;
      for (let second = 0; second < 120; second += 1) {
        await bench.run(1, [...slow, fast]);
        most = Math.max(most, bucket.unsent);
      }
      expect(fast.readBytes).toBeGreaterThan(0.9 * 120 * (MIB - theirsPerSecond));
      // And they are served as before.
      const before = slow.map(({ readBytes }) => readBytes);
      await bench.run(60, [...slow, fast]);
      const sent = slow.map(({ readBytes }, i) => readBytes - before[i]!);
      expect(Math.min(...sent)).toBeGreaterThanOrEqual(0.8 * ((60_000 / everyMs) * bytes) - 1);
      // On top of the budget come pieces that they complete at the same time.
      expect(most).toBeLessThanOrEqual(2 * 8 * MIB);
    },
  );

  test('a client that dripped and sends fast again has its fair share at once', async () => {
    const bucket = bench.bucket('a');
    const slow = new Client(bench, bucket, 'slow', 300 * MIB);
    slow.drips = { afterBytes: 8 * RUN_BYTES, bytes: 1, everyMs: 10_000 };
    const fast = new Client(bench, bucket, 'fast', 500 * MIB);
    await bench.run(90, [slow, fast]);
    slow.drips = undefined;
    slow.stallsUntilMs = 0;
    const before = slow.readBytes;
    await bench.run(60, [slow, fast]);
    expect(slow.readBytes - before).toBeGreaterThan(0.45 * 60 * MIB);
    expect(bucket.unsent).toBeLessThanOrEqual(8 * MIB + 2 * MIB);
  });

  test('a bucket whose uploads do not get through holds up no other', async () => {
    const [bad, good] = [bench.bucket('bad'), bench.bucket('good')];
    bad.unsent = 500 * MIB;
    bad.stalled = true;
    const held = new Client(bench, bad, 'image', 20 * MIB);
    const client = new Client(bench, good, 'image', 20 * MIB);
    await bench.run(40, [held, client]);
    expect([held.isDone, client.isDone]).toEqual([false, true]);
    expect(bad.unsent).toBeLessThan(502 * MIB);
  });

  test('while the line stands still nothing is taken but a trickle, and after 10 minutes it is refused', async () => {
    const bucket = bench.bucket('a');
    bench.uplink.bytesPerSecond = MIB / 4;
    const clients = [1, 2, 3].map(() => new Client(bench, bucket, 'image', 20 * MIB));
    await bench.run(590, clients, false);
    expect(clients.every(({ isDone }) => !isDone)).toBe(true);
    expect(clients.every(({ longestSilenceMs }) => longestSilenceMs <= 61_000)).toBe(true);
    expect(bucket.unsent).toBeLessThan(30 * MIB);
    await bench.run(30, clients, false);
    for (const { error } of clients) expect(error).toBeInstanceOf(StandstillError);
    expect(bench.metrics.counters.get('gateway_admission_waits_total refused')).toBe(3);
  });

  test.each([
    ['back', -DAY_MS],
    ['forward', DAY_MS],
  ])(
    'a wall clock that is set %s by a day changes neither the trickle nor the refusal',
    async (_name, byMs) => {
      const bucket = bench.bucket('a');
      bench.uplink.bytesPerSecond = MIB / 4;
      const clients = [1, 2, 3].map(() => new Client(bench, bucket, 'image', 20 * MIB));
      await bench.run(30, clients, false);
      bench.clock.stepWall(byMs);
      await bench.run(560, clients, false);
      expect(clients.every(({ isDone }) => !isDone)).toBe(true);
      expect(clients.every(({ longestSilenceMs }) => longestSilenceMs <= 61_000)).toBe(true);
      await bench.run(30, clients, false);
      for (const { error } of clients) expect(error).toBeInstanceOf(StandstillError);
    },
  );

  test('a refusal that only an operator can lift is told sooner', async () => {
    const bucket = bench.bucket('a');
    bucket.unsent = 20 * MIB;
    bucket.stalled = true;
    bucket.paused = new Error('quota is full');
    const client = new Client(bench, bucket, 'image', 20 * MIB);
    await bench.run(35, [client]);
    expect(client.error).toMatchObject({ name: 'StandstillError', message: /quota is full/ });
  });

  test('who goes away waits no more, and a stop tells all', async () => {
    const bucket = bench.bucket('a');
    bucket.unsent = 20 * MIB;
    const away = new AbortController();
    const body = bench.admission.body(bucket, { push: '', isTail: false, signal: away.signal });
    const turn = body.turn(MIB);
    const other = bench.admission
      .body(bucket, { push: '', isTail: false, signal: bench.stop.signal })
      .turn(MIB);
    expect(bench.admission.status().waiting).toBe(2);
    away.abort(new Error('gone'));
    await expect(turn).rejects.toThrow('gone');
    body.end();
    bench.admission.close();
    await expect(other).rejects.toBeInstanceOf(StandstillError);
  });

  test('for any lines, streams and changes: bounded, every stream ends, none is silent for long', async () => {
    const stream = fc.record({
      sizeBytes: fc.integer({ min: 1, max: 12 * MIB }),
      push: fc.constantFrom('a', 'b', 'c'),
      bucket: fc.nat({ max: 1 }),
      isLarge: fc.boolean(),
      stallsAtSecond: fc.option(fc.nat({ max: 30 }), { freq: 4 }),
      drips: fc.option(
        fc.record({
          afterBytes: fc.nat({ max: 12 * MIB }),
          bytes: fc.constantFrom(1, 2_000, 40_000),
          everyMs: fc.constantFrom(200, 2_000, 15_000),
        }),
        { freq: 3 },
      ),
    });
    const speed = fc.constantFrom(30_000, 250_000, 1_250_000, 12_500_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(stream, { minLength: 1, maxLength: 12 }),
        fc.array(fc.record({ speed, seconds: fc.integer({ min: 3, max: 25 }) }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (streams, changes) => {
          const own = new Bench();
          const buckets = [own.bucket('x'), own.bucket('y')];
          const clients = streams.map(({ bucket, drips, isLarge, push, sizeBytes }) => {
            // What is not known to be large is one piece.
            const bytes = isLarge ? sizeBytes : Math.min(sizeBytes, 8 * MIB);
            const client = new Client(own, buckets[bucket]!, push, bytes, isLarge);
            client.drips = drips ?? undefined;
            return client;
          });
          let second = 0;
          const runSecond = async () => {
            streams.forEach(({ stallsAtSecond }, i) => {
              if (stallsAtSecond === second) clients[i]!.stallsUntilMs = own.clock.steadyMs() + 40_000;
            });
            const before = own.buckets.reduce((sum, { unsent }) => sum + unsent, 0);
            await own.run(1, clients);
            second += 1;
            const after = own.buckets.reduce((sum, { unsent }) => sum + unsent, 0);
            // Pieces that stalled or dripped come on top, each once, and the trickle.
            const slow = streams.filter(({ drips, stallsAtSecond }) => drips ?? stallsAtSecond !== null);
            const extra = slow.length * 8 * MIB;
            const beyond = Math.max(MIB, own.uplink.bytesPerSecond) + 8 * MIB;
            const bound = own.admission.budgetBytes() + beyond + clients.length * RUN_BYTES + extra;
            if (after > before) expect(after).toBeLessThanOrEqual(bound);
          };
          for (const { speed: bytesPerSecond, seconds } of changes) {
            own.uplink.bytesPerSecond = bytesPerSecond;
            for (let i = 0; i < seconds; i += 1) await runSecond();
          }
          for (const client of clients) client.drips = undefined;
          own.uplink.bytesPerSecond = 5_000_000;
          for (let i = 0; i < 120; i += 1) await runSecond();
          for (const { error, isDone, longestSilenceMs } of clients) {
            expect([isDone, error]).toEqual([true, undefined]);
            expect(longestSilenceMs).toBeLessThanOrEqual(61_000 + 40_000);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});
