// Attacks the order in which uploads of all buckets go out, and that none of them waits for ever.
import { jest } from '@jest/globals';
import { LineScheduler, type LineClass, type LineTurn } from '../../../src/line/scheduler.js';
import { UplinkMeter } from '../../../src/line/uplink.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { queuesOf } from '../../support/kernel-queues.js';

const MIB = 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/** A line with uploads that hand over a piece whenever the test lets one cross. */
class Bench {
  readonly clock = new ManualClock();
  readonly uplink = new UplinkMeter(MIB, this.clock);
  readonly scheduler = new LineScheduler({
    ...{ uplink: this.uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock: this.clock },
  });
  readonly started: string[] = [];
  readonly ended: string[] = [];
  /** Uploads whose storage takes no byte. */
  readonly dead = new Set<string>();
  readonly #uploads: { name: string; leftBytes: number; turn: LineTurn; isHeld: boolean }[] = [];

  source(name: string) {
    const source = { name, ready: true, isReady: () => source.ready };
    return source;
  }

  add(source: ReturnType<Bench['source']>, cls: LineClass, group: string, name: string, bytes: number) {
    return this.scheduler.add(source, cls, group, {
      ...{ bytes, isSuspect: false },
      start: (turn) => {
        this.started.push(name);
        this.#uploads.push({ name, leftBytes: bytes, turn, isHeld: false });
        // Its link is here at once, whenever it comes to send.
        void turn.turn(PIECE_BYTES);
      },
    });
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  }

  /** Lets so many bytes cross, fairly between those that may send; the bytes by name. */
  async cross(bytes: number, bytesPerSecond = MIB): Promise<Map<string, number>> {
    const crossed = new Map<string, number>();
    await this.settle();
    for (let left = bytes; left > 0; left -= PIECE_BYTES) {
      this.clock.advance((PIECE_BYTES / bytesPerSecond) * 1_000);
      await this.settle();
      const one = this.#uploads.find(({ isHeld, name }) => !isHeld && !this.dead.has(name));
      if (!one) continue;
      const held = one.turn.turn(PIECE_BYTES);
      if (held) {
        one.isHeld = true;
        void held.then(() => {
          one.isHeld = false;
          this.#send(one, crossed);
        });
        left += PIECE_BYTES;
        continue;
      }
      this.#send(one, crossed);
      const at = this.#uploads.indexOf(one);
      if (at >= 0) this.#uploads.push(...this.#uploads.splice(at, 1));
      await this.settle();
    }
    return crossed;
  }

  #send(one: { name: string; leftBytes: number; turn: LineTurn }, crossed: Map<string, number>): void {
    const bytes = Math.min(PIECE_BYTES, one.leftBytes);
    one.leftBytes -= bytes;
    crossed.set(one.name, (crossed.get(one.name) ?? 0) + bytes);
    one.turn.sent(bytes);
    if (one.leftBytes > 0) return;
    this.#uploads.splice(
      this.#uploads.findIndex(({ name }) => name === one.name),
      1,
    );
    this.ended.push(one.name);
    one.turn.end(true);
  }
}

describe('who sends next', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });

  test('few bodies are under way on a slow line, many small ones at once', async () => {
    const bucket = bench.source('a');
    for (let i = 0; i < 6; i += 1) bench.add(bucket, 'push', '', `large ${i}`, 8 * MIB);
    await bench.settle();
    expect(bench.started).toEqual(['large 0']);
    const other = new Bench();
    for (let i = 0; i < 40; i += 1) other.add(other.source('a'), 'push', '', `${i}`, 150_000);
    await other.settle();
    expect(other.started.length).toBeGreaterThanOrEqual(13);
  });

  test('what somebody waits for goes first, over all buckets, and what is under way yields but for a trickle', async () => {
    const [a, b] = [bench.source('a'), bench.source('b')];
    bench.add(a, 'background', '', 'copy', 8 * MIB);
    await bench.cross(MIB);
    bench.add(b, 'waited', 'tag', 'tag', 4 * MIB);
    const crossed = await bench.cross(4 * MIB);
    expect(bench.ended).toEqual(['tag']);
    expect(crossed.get('tag')).toBe(4 * MIB);
    expect(crossed.get('copy') ?? 0).toBeGreaterThan(0);
    expect(crossed.get('copy') ?? 0).toBeLessThan(MIB);
    await bench.cross(8 * MIB);
    expect(bench.ended).toEqual(['tag', 'copy']);
  });

  test('those below yield until the answer, though the kernel swallowed the body at once', async () => {
    const [a, b] = [bench.source('a'), bench.source('b')];
    bench.add(a, 'background', '', 'copy', 8 * MIB);
    await bench.cross(MIB);
    let urgent: LineTurn | undefined;
    bench.scheduler.add(b, 'waited', 'tag', {
      ...{ bytes: 2 * MIB, isSuspect: false },
      start: (turn) => (urgent = turn),
    });
    await bench.settle();
    urgent!.sent(2 * MIB);
    // In two seconds: a trickle of a tenth.
    const meanwhile = await bench.cross(2 * MIB);
    expect(meanwhile.get('copy') ?? 0).toBeLessThan(MIB / 2);
    urgent!.end(true);
    const afterwards = await bench.cross(2 * MIB);
    expect(afterwards.get('copy')).toBeGreaterThan(1.5 * MIB);
  });

  test('what nobody waits for is not heaped up in the kernel, what somebody waits for is handed over at once', async () => {
    const uplink = new UplinkMeter(MIB, bench.clock, async () => queuesOf(3 * MIB));
    const scheduler = new LineScheduler({ uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock: bench.clock });
    const turns: LineTurn[] = [];
    const job = { bytes: 8 * MIB, isSuspect: false, start: (turn: LineTurn) => void turns.push(turn) };
    scheduler.add(bench.source('a'), 'push', '', job);
    await bench.settle();
    for (let i = 0; i < 3; i += 1) {
      turns[0]!.sent(MIB);
      bench.clock.advance(300);
      await bench.settle();
    }
    turns[0]!.sent(2 * MIB);
    expect(turns[0]!.turn(PIECE_BYTES)).toBeInstanceOf(Promise);
    scheduler.add(bench.source('b'), 'waited', '', job);
    await bench.settle();
    expect(turns[1]!.turn(PIECE_BYTES)).toBeUndefined();
    scheduler.close();
  });

  test('a small push does not stand behind a big one of the same class', async () => {
    const bucket = bench.source('a');
    for (let i = 0; i < 20; i += 1) bench.add(bucket, 'waited', 'big', `big ${i}`, 2 * MIB);
    await bench.cross(3 * MIB);
    bench.add(bucket, 'waited', 'small', 'small', 700_000);
    await bench.cross(5 * MIB);
    expect(bench.ended).toContain('small');
  });

  test('a small push does not stand behind one large body of the same class either, which still ends in time', async () => {
    const bucket = bench.source('a');
    bench.add(bucket, 'waited', 'big', 'big', 8 * MIB);
    await bench.cross(MIB);
    for (let i = 0; i < 100; i += 1) bench.add(bucket, 'waited', `small ${i}`, `small ${i}`, MIB / 2);
    const crossed = await bench.cross(4 * MIB);
    expect(bench.ended.length).toBeGreaterThanOrEqual(4);
    expect(crossed.get('big') ?? 0).toBeLessThan(MIB);
    // Not more small ones than it is bytes itself; then it has the line.
    const later = await bench.cross(12 * MIB);
    expect(later.get('big')).toBeGreaterThan(4 * MIB);
    await bench.cross(40 * MIB);
    expect(bench.ended).toContain('big');
  });

  test("over a fast line a large body is in nobody's way, and goes on beside small ones", async () => {
    const bucket = bench.source('a');
    for (let i = 0; i < 16; i += 1) bench.add(bucket, 'waited', 'before', `before ${i}`, 4 * MIB);
    await bench.cross(64 * MIB, 32 * MIB);
    bench.add(bucket, 'waited', 'big', 'big', 8 * MIB);
    await bench.settle();
    for (let i = 0; i < 4; i += 1) bench.add(bucket, 'waited', `small ${i}`, `small ${i}`, MIB / 2);
    const crossed = await bench.cross(3 * MIB, 32 * MIB);
    expect(crossed.get('big') ?? 0).toBeGreaterThanOrEqual(MIB / 2);
  });

  test('buckets share alike, however many uploads each has', async () => {
    const [a, b] = [bench.source('a'), bench.source('b')];
    for (let i = 0; i < 30; i += 1) bench.add(a, 'push', `${i % 10}`, `a${i}`, MIB);
    for (let i = 0; i < 10; i += 1) bench.add(b, 'push', '', `b${i}`, MIB);
    await bench.cross(16 * MIB);
    const ofB = bench.ended.filter((name) => name.startsWith('b')).length;
    expect(ofB).toBeGreaterThanOrEqual(6);
    expect(ofB).toBeLessThanOrEqual(9);
  });

  test('within a group small ones go first, and large ones come to their turn', async () => {
    const bucket = bench.source('a');
    bench.add(bucket, 'push', '', 'first', 8 * MIB);
    await bench.settle();
    bench.add(bucket, 'push', '', 'large', 8 * MIB);
    for (let i = 0; i < 40; i += 1) bench.add(bucket, 'push', '', `small ${i}`, MIB / 2);
    await bench.cross(8 * MIB + 6 * MIB);
    expect(bench.ended[1]).toMatch(/^small/);
    await bench.cross(20 * MIB);
    expect(bench.ended.indexOf('large')).toBeGreaterThan(0);
    expect(bench.ended.length).toBeLessThan(42);
  });

  test('when the line gets slow, bodies that are under way go one after the other', async () => {
    const bucket = bench.source('a');
    for (let i = 0; i < 30; i += 1) bench.add(bucket, 'push', '', `${i}`, 2 * MIB);
    await bench.cross(32 * MIB, 32 * MIB);
    const ended = bench.ended.length;
    expect(bench.started.length - ended).toBeGreaterThan(2);
    await bench.cross(8 * MIB, MIB / 2);
    expect(bench.uplink.bytesPerSecond).toBeLessThan(MIB);
    expect(bench.ended.length).toBeGreaterThan(ended);
    const crossed = await bench.cross(2 * MIB, MIB / 2);
    // Two have most of it (13 % if all had the same), the others their trickle.
    const shares = [...crossed.values()].sort((a, b) => b - a);
    expect((shares[0]! + (shares[1] ?? 0)) / (2 * MIB)).toBeGreaterThan(0.5);
  });

  test('no class starves: one that stood still begins to trickle', async () => {
    const bucket = bench.source('a');
    bench.add(bucket, 'background', '', 'copy', MIB);
    for (let i = 0; i < 40; i += 1) bench.add(bucket, 'waited', '', `${i}`, 2 * MIB);
    const crossed = await bench.cross(60 * MIB);
    expect(crossed.get('copy') ?? 0).toBe(MIB);
  });

  test('a bucket that rests holds up no other', async () => {
    const [a, b] = [bench.source('a'), bench.source('b')];
    a.ready = false;
    for (let i = 0; i < 5; i += 1) bench.add(a, 'waited', '', `a${i}`, MIB);
    bench.add(b, 'background', '', 'b', MIB);
    await bench.cross(MIB);
    expect(bench.ended).toEqual(['b']);
    a.ready = true;
    bench.scheduler.pump();
    await bench.cross(5 * MIB);
    expect(bench.ended.length).toBe(6);
  });

  test('what left the queue is not started', async () => {
    const bucket = bench.source('a');
    bench.add(bucket, 'push', '', 'first', 8 * MIB);
    await bench.settle();
    bench.add(bucket, 'push', '', 'gone', MIB).cancel();
    await bench.cross(8 * MIB);
    await bench.settle();
    expect(bench.started).toEqual(['first']);
  });

  test.each([
    ['waited', 'push'],
    ['push', 'push'],
    ['push', 'background'],
  ] as const)(
    'a bucket whose storage takes no byte leaves the line to others (%s, %s)',
    async (cls, other) => {
      const [a, b] = [bench.source('a'), bench.source('b')];
      for (let i = 0; i < 6; i += 1) {
        bench.dead.add(`a${i}`);
        bench.add(a, cls, '', `a${i}`, 2 * MIB);
      }
      await bench.settle();
      for (let i = 0; i < 30; i += 1) bench.add(b, other, '', `b${i}`, MIB);
      // A while until it shows, and then the line is theirs for good.
      await bench.cross(6 * MIB);
      const crossed = await bench.cross(20 * MIB);
      const ofB = [...crossed].filter(([name]) => name.startsWith('b'));
      expect(ofB.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeGreaterThan(16 * MIB);
      // Nor is the dead storage given more and more.
      expect(bench.started.filter((name) => name.startsWith('a')).length).toBeLessThanOrEqual(3);
      bench.dead.clear();
      await bench.cross(30 * MIB);
      expect(bench.ended.length).toBe(36);
    },
  );

  test('bytes of a storage that takes none do not fill the kernel for others', async () => {
    const uplink = new UplinkMeter(MIB, bench.clock, async () => queuesOf(3 * MIB));
    const scheduler = new LineScheduler({ uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock: bench.clock });
    const turns: LineTurn[] = [];
    const job = { bytes: 3 * MIB, isSuspect: false, start: (turn: LineTurn) => void turns.push(turn) };
    scheduler.add(bench.source('a'), 'push', '', job);
    await bench.settle();
    // The first sample has nothing to compare with.
    turns[0]!.sent(1);
    bench.clock.advance(300);
    await bench.settle();
    turns[0]!.sent(3 * MIB - 1);
    scheduler.add(bench.source('b'), 'push', '', job);
    await bench.settle();
    expect(turns[1]!.turn(PIECE_BYTES)).toBeInstanceOf(Promise);
    for (let i = 0; i < 40; i += 1) {
      bench.clock.advance(400);
      await bench.settle();
    }
    expect(turns[1]!.turn(PIECE_BYTES)).toBeUndefined();
    scheduler.close();
  });

  test('a body that somebody waits for now goes on in that class', async () => {
    const [a, b] = [bench.source('a'), bench.source('b')];
    let copied: LineTurn | undefined;
    bench.scheduler.add(a, 'background', '', {
      ...{ bytes: 8 * MIB, isSuspect: false },
      start: (turn) => (copied = turn),
    });
    await bench.settle();
    bench.add(b, 'push', '', 'push', 8 * MIB);
    await bench.settle();
    const held = copied!.turn(PIECE_BYTES);
    expect(held).toBeInstanceOf(Promise);
    copied!.raise('waited');
    await held;
    expect(copied!.turn(PIECE_BYTES)).toBeUndefined();
    // It is not lowered again.
    copied!.raise('early');
    expect(copied!.turn(PIECE_BYTES)).toBeUndefined();
    // And the push yields to it.
    const crossed = await bench.cross(4 * MIB);
    expect(crossed.get('push') ?? 0).toBeLessThan(MIB);
    copied!.end(true);
  });
});

interface FarBody {
  readonly turn: LineTurn;
  readonly kernel: { bytes: number };
  readonly sendsMs: number;
  endsMs: number | undefined;
  leftBytes: number;
  /** Bytes per round trip. */
  rate: number;
  readonly isSlow: boolean;
}

/** A distant Gitee: a body sends nothing until its link is here, and ends a while after its last byte. */
class FarBench {
  readonly clock = new ManualClock();
  readonly uplink: UplinkMeter;
  readonly scheduler: LineScheduler;
  readonly #bodies: FarBody[] = [];
  readonly source = { name: 'images', isReady: () => true };
  /** What one connection carries at most just now, as a share of the line. */
  connectionShare = 1;
  /** So is one in so many for good: it has lost a packet, and the kernel has kept its large buffer. */
  slowOf = Number.POSITIVE_INFINITY;
  slowShare = 0.04;
  /** The kernel says how much of what it has is on its way, too. */
  saysWindows = false;
  #lineBytes = 0;
  /** How often we come to do anything: seldom on a busy machine, and the line goes on meanwhile. */
  everyMs = 50;
  #started = 0;
  mostBodies = 0;

  constructor(
    readonly roundTripMs: number,
    initialBytesPerSecond: number,
  ) {
    const queued = async () =>
      this.#bodies.map((body) => ({ bytes: body.kernel.bytes, onItsWayBytes: this.#onItsWayBytes(body) }));
    this.uplink = new UplinkMeter(initialBytesPerSecond, this.clock, queued);
    this.scheduler = new LineScheduler({
      ...{ uplink: this.uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock: this.clock },
    });
  }

  add(bytes: number, cls: LineClass = 'push'): void {
    this.scheduler.add(this.source, cls, '', {
      ...{ bytes, isSuspect: false },
      start: (turn) => {
        const kernel = { bytes: 0 };
        this.#started += 1;
        const isSlow = this.#started % this.slowOf === 0;
        // The batch call and what the server does for it.
        const sendsMs = this.clock.nowMs() + 2 * this.roundTripMs;
        this.#bodies.push({
          leftBytes: bytes,
          turn,
          sendsMs,
          endsMs: undefined,
          kernel,
          rate: 14_000,
          isSlow,
        });
        this.mostBodies = Math.max(this.mostBodies, this.#bodies.length);
      },
    });
  }

  /** What stands in the kernel, of all connections. */
  get kernelBytes(): number {
    return this.#bodies.reduce((sum, { kernel }) => sum + kernel.bytes, 0);
  }

  /** The share of the line that was used. */
  async run(seconds: number, bytesPerSecond: number): Promise<number> {
    let usedBytes = 0;
    this.#lineBytes = bytesPerSecond;
    for (let ms = 0; ms < seconds * 1_000; ms += this.everyMs) {
      for (let i = 0; i < 12; i += 1) await Promise.resolve();
      this.clock.advance(this.everyMs);
      this.#hand();
      for (let i = 0; i < this.everyMs; i += 50) usedBytes += this.#cross((bytesPerSecond * 50) / 1_000);
    }
    return usedBytes / (bytesPerSecond * seconds);
  }

  /** To the kernel, which takes what it has room for. */
  #hand(): void {
    const nowMs = this.clock.nowMs();
    for (const body of [...this.#bodies]) {
      for (let i = 0; nowMs >= body.sendsMs && body.leftBytes > 0 && body.kernel.bytes < 2 * MIB; i += 1) {
        if (i === 64 || body.turn.turn(PIECE_BYTES)) break;
        const bytes = Math.min(PIECE_BYTES, body.leftBytes);
        body.leftBytes -= bytes;
        body.kernel.bytes += bytes;
        body.turn.sent(bytes);
      }
      if (body.leftBytes > 0 || body.kernel.bytes > 1) continue;
      // The answer, and the verification.
      body.endsMs ??= nowMs + 2 * this.roundTripMs;
      if (nowMs < body.endsMs) continue;
      this.#bodies.splice(this.#bodies.indexOf(body), 1);
      body.turn.end(true);
    }
  }

  #onItsWayBytes({ isSlow, kernel, rate }: FarBody): number | undefined {
    if (!this.saysWindows) return undefined;
    const share = isSlow ? this.slowShare : this.connectionShare;
    return Math.min(kernel.bytes, rate, (this.#lineBytes * share * this.roundTripMs) / 1_000);
  }

  /** Fairly; a connection that begins to send doubles what it carries in each round trip. */
  #cross(bytes: number): number {
    let left = bytes;
    const most = ({ kernel, rate, isSlow }: FarBody) => {
      const share = isSlow ? this.slowShare : this.connectionShare;
      return Math.min(kernel.bytes, rate * (50 / this.roundTripMs), bytes * share);
    };
    const sending = this.#bodies.filter(({ kernel }) => kernel.bytes > 0).sort((a, b) => most(a) - most(b));
    sending.forEach((body, i) => {
      const out = Math.min(most(body), left / (sending.length - i));
      body.kernel.bytes -= out;
      body.rate = Math.min(body.rate * 2 ** (50 / this.roundTripMs), 1e9);
      left -= out;
    });
    return bytes - left;
  }
}

describe.each([false, true])('a distant Gitee, windows known: %s', (saysWindows) => {
  const farBench = (roundTripMs: number, initialBytesPerSecond: number) => {
    const bench = new FarBench(roundTripMs, initialBytesPerSecond);
    bench.saysWindows = saysWindows;
    return bench;
  };

  test.each([
    ['20 Mbit/s, first estimate too low', 2.5e6, MIB],
    ['10 Mbit/s', 1.25e6, MIB],
    ['100 Mbit/s', 12.5e6, 4 * MIB],
  ])('the line is filled: %s', async (_, lineBytes, initialBytes) => {
    const bench = farBench(200, initialBytes);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    await bench.run(10, lineBytes);
    expect(await bench.run(20, lineBytes)).toBeGreaterThan(0.9);
    expect(bench.uplink.bytesPerSecond).toBeGreaterThan(0.85 * lineBytes);
    bench.scheduler.close();
  });

  test('connections that lose their pace for a while do not make the line slow for good', async () => {
    const bench = farBench(200, 2.5e6);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    await bench.run(15, 2.5e6);
    bench.connectionShare = 0.3;
    expect(await bench.run(15, 2.5e6)).toBeGreaterThan(0.75);
    bench.connectionShare = 1;
    await bench.run(5, 2.5e6);
    expect(await bench.run(15, 2.5e6)).toBeGreaterThan(0.9);
    bench.scheduler.close();
  });

  test.each([1, 2])(
    'connections that have lost their pace and keep megabytes in the kernel do not starve the others (%i MiB)',
    async (mib) => {
      const bench = farBench(200, 2.5e6);
      bench.slowOf = 3;
      bench.slowShare = 0.02;
      for (let i = 0; i < 400; i += 1) bench.add(mib * MIB);
      await bench.run(15, 2.5e6);
      expect(await bench.run(30, 2.5e6)).toBeGreaterThan(0.8);
      bench.scheduler.close();
    },
  );

  test('small ones that somebody waits for do not stop the line while they wait themselves', async () => {
    const bench = farBench(200, 2.5e6);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    await bench.run(15, 2.5e6);
    let used = 0;
    for (let i = 0; i < 40; i += 1) {
      bench.add(1_000, 'waited');
      used += await bench.run(0.5, 2.5e6);
    }
    expect(used / 40).toBeGreaterThan(0.8);
    bench.scheduler.close();
  });

  test.each([
    [200, 2.5e6],
    [200, 1.25e6],
    [300, 2.5e6],
  ])(
    'while a small one that somebody waits for waits for its link, nothing is heaped up before it (%i ms, %i B/s)',
    async (roundTripMs, lineBytes) => {
      const bench = farBench(roundTripMs, lineBytes);
      for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
      await bench.run(20, lineBytes);
      bench.add(500_000, 'waited');
      const beforeBytes = bench.kernelBytes;
      // Just before its link is here.
      const waitsSeconds = (2 * roundTripMs - 50) / 1_000;
      const used = await bench.run(waitsSeconds, lineBytes);
      expect((beforeBytes - bench.kernelBytes) / lineBytes).toBeGreaterThan(waitsSeconds / 2);
      // The line was not idle for it.
      expect(used).toBeGreaterThan(0.9);
      bench.scheduler.close();
    },
  );

  test('while small ones that somebody waits for come now and then, less stands before the line, which is filled all the same', async () => {
    const bench = farBench(200, 1.25e6);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    const run = async () => {
      let [kernelBytes, used] = [0, 0];
      for (let i = 0; i < 20; i += 1) {
        used += (await bench.run(0.5, 1.25e6)) / 20;
        kernelBytes += bench.kernelBytes / 20;
      }
      return { seconds: kernelBytes / 1.25e6, used };
    };
    await bench.run(15, 1.25e6);
    const before = await run();
    bench.add(100_000, 'waited');
    await bench.run(2, 1.25e6);
    const since = await run();
    expect(before.seconds - since.seconds).toBeGreaterThan(0.15);
    expect(since.used).toBeGreaterThan(0.9);
    bench.scheduler.close();
  });

  test.each<LineClass>(['waited', 'push', 'early'])(
    'a large body yields to a small one of another push from when that asks for its link: %s',
    async (cls) => {
      const clock = new ManualClock();
      const scheduler = new LineScheduler({
        ...{ uplink: new UplinkMeter(MIB, clock), parallel: 4, chunkSizeBytes: 8 * MIB, clock },
      });
      const images = { name: 'images', isReady: () => true };
      const begin = async (group: string, bytes: number) => {
        let begun: LineTurn | undefined;
        const start = (turn: LineTurn) => void (begun = turn);
        scheduler.add(images, cls, group, { bytes, isSuspect: false, start });
        for (let i = 0; i < 20; i += 1) await Promise.resolve();
        return begun!;
      };
      const large = await begin('large', 8 * MIB);
      clock.advance(400);
      expect(large.turn(PIECE_BYTES)).toBeUndefined();
      large.sent(PIECE_BYTES);
      const small = await begin('small', MIB / 2);
      expect(large.turn(PIECE_BYTES)).toBeInstanceOf(Promise);
      small.end(true);
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      expect(large.turn(PIECE_BYTES)).toBeUndefined();
      large.end(true);
      scheduler.close();
    },
  );

  test('pieces of a large object, cut small by a slow line, yield for as many bytes as they have together', async () => {
    const clock = new ManualClock();
    const scheduler = new LineScheduler({
      ...{ uplink: new UplinkMeter(MIB / 4, clock), parallel: 4, chunkSizeBytes: 8 * MIB, clock },
    });
    const settle = async () => {
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
    };
    const begin = async (group: string, bytes: number) => {
      const begun: LineTurn[] = [];
      scheduler.add({ name: group, isReady: () => true }, 'push', group, {
        ...{ bytes, isSuspect: false },
        start: (turn) => void begun.push(turn),
      });
      await settle();
      return begun;
    };
    const pieces: LineTurn[] = [];
    for (let i = 0; i < 5; i += 1) {
      pieces.push(...(await begin('large', MIB)));
      clock.advance(400);
      // Far away as it is, five of them are under way.
      expect(pieces.at(-1)!.turn(PIECE_BYTES)).toBeUndefined();
      pieces.at(-1)!.sent(PIECE_BYTES);
    }
    expect(pieces).toHaveLength(5);
    for (let i = 0; i <= 10; i += 1) {
      const [small] = await begin('small', MIB / 2);
      const held = pieces.filter((piece) => piece.turn(PIECE_BYTES) !== undefined).length;
      // Then it is one of the five that are under way.
      expect([i, held]).toEqual([i, i < 10 ? 5 : 1]);
      small!.end(true);
      await settle();
    }
    for (const piece of pieces) piece.end(true);
    scheduler.close();
  });

  test('while a commit is pushed, large bodies make way: far away only, and not for ever', async () => {
    for (const askingMs of [400, 5]) {
      const clock = new ManualClock();
      const scheduler = new LineScheduler({
        ...{ uplink: new UplinkMeter(MIB, clock), parallel: 4, chunkSizeBytes: 8 * MIB, clock },
      });
      let large: LineTurn | undefined;
      scheduler.add({ name: 'images', isReady: () => true }, 'waited', 'large', {
        ...{ bytes: 8 * MIB, isSuspect: false },
        start: (turn) => void (large = turn),
      });
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      clock.advance(askingMs);
      const yields = () => {
        const held = large!.turn(PIECE_BYTES);
        if (!held) large!.sent(PIECE_BYTES);
        return held !== undefined;
      };
      expect(yields()).toBe(false);
      const over = scheduler.clear();
      expect(yields()).toBe(askingMs === 400);
      over();
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      expect(yields()).toBe(false);
      // One of which nothing comes back.
      scheduler.clear();
      for (let ms = 0; ms < 6_000; ms += 300) {
        clock.advance(300);
        for (let i = 0; i < 20; i += 1) await Promise.resolve();
      }
      expect(yields()).toBe(false);
      large!.end(true);
      scheduler.close();
    }
  });

  test('of a large body that somebody waits for no more stands before the line than of others, of a small one all', async () => {
    const clock = new ManualClock();
    const uplink = new UplinkMeter(MIB, clock, async () => queuesOf(MIB, MIB / 2));
    const scheduler = new LineScheduler({ uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock });
    const turns = new Map<number, LineTurn>();
    const images = { name: 'images', isReady: () => true };
    for (const bytes of [8 * MIB, MIB - 1])
      scheduler.add(images, 'waited', '', {
        ...{ bytes, isSuspect: false },
        start: (turn) => void turns.set(bytes, turn),
      });
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
    clock.advance(400);
    const [large, small] = [turns.get(8 * MIB)!, turns.get(MIB - 1)!];
    expect(large.turn(PIECE_BYTES)).toBeUndefined();
    large.sent(MIB);
    expect(small.turn(PIECE_BYTES)).toBeUndefined();
    small.sent(MIB / 2);
    clock.advance(300);
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
    expect(large.turn(PIECE_BYTES)).toBeInstanceOf(Promise);
    expect(small.turn(PIECE_BYTES)).toBeUndefined();
    for (const turn of [large, small]) turn.end(true);
    scheduler.close();
  });

  test.each([
    [
      'bytes that wait for acknowledgements of slow connections keep nobody from the line',
      0.5,
      20_000,
      0,
      true,
    ],
    ['what is on its way does', 0.5, 300_000, 0, false],
    ['so does what has crossed of late, since a small one has just begun', 0.5, 20_000, 4, false],
    ['but not if it is large', 4, 20_000, 4, true],
  ])('while somebody waits for one, %s', async (_, firstMib, onItsWay, used, hasAir) => {
    const clock = new ManualClock();
    const uplink = new UplinkMeter(MIB, clock, async () =>
      [400_000, 400_000, 400_000].map((bytes) => ({
        bytes,
        onItsWayBytes: saysWindows ? onItsWay : undefined,
      })),
    );
    jest.spyOn(uplink, 'currentBytesPerSecond', 'get').mockReturnValue(used * MIB);
    const scheduler = new LineScheduler({ uplink, parallel: 4, chunkSizeBytes: 8 * MIB, clock });
    const turns: LineTurn[] = [];
    const settle = async () => {
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
    };
    const begin = async (cls: LineClass, bytes: number) => {
      scheduler.add({ name: 'images', isReady: () => true }, cls, cls, {
        ...{ bytes, isSuspect: false },
        start: (turn) => void turns.push(turn),
      });
      await settle();
      return turns.at(-1)!;
    };
    const run = uplink.begin();
    const large = await begin('push', 8 * MIB);
    clock.advance(400);
    expect(large.turn(PIECE_BYTES)).toBeUndefined();
    large.sent(800_000);
    run.sent(800_000);
    const first = await begin('waited', firstMib * MIB);
    clock.advance(400);
    void first.turn(PIECE_BYTES);
    first.sent(400_000);
    run.sent(400_000);
    for (let i = 0; i < 6; i += 1) {
      clock.advance(130);
      await settle();
    }
    await settle();
    expect(large.turn(PIECE_BYTES) === undefined).toBe(saysWindows && hasAir);
    for (const turn of turns) turn.end(true);
    run.end(true);
    scheduler.close();
  });

  test.each([0.625e6, 1.25e6])(
    'on a busy machine, where we come late, the line is filled all the same (%i B/s)',
    async (lineBytes) => {
      const bench = farBench(100, lineBytes);
      for (let i = 0; i < 400; i += 1) bench.add(MIB);
      await bench.run(20, lineBytes);
      bench.everyMs = 800;
      let used = 0;
      for (let i = 0; i < 5; i += 1) {
        bench.add(100_000, 'waited');
        used += (await bench.run(12, lineBytes)) / 5;
      }
      expect(used).toBeGreaterThan(0.85);
      bench.scheduler.close();
    },
  );

  test('a line that is slower than it was thought to be is found out while small ones go first', async () => {
    const bench = farBench(200, MIB);
    for (let i = 0; i < 3; i += 1) bench.add(8 * MIB);
    await bench.run(2.4, 0.25e6);
    expect(bench.uplink.bytesPerSecond).toBeGreaterThan(0.9e6);
    for (const bytes of [503_000, 131_000, 65_000]) bench.add(bytes, 'waited');
    await bench.run(3.5, 0.25e6);
    expect(bench.uplink.bytesPerSecond).toBeLessThan(0.5e6);
    bench.scheduler.close();
  });

  test('a small one whose connection is slow has what that carries, and leaves the rest of the line to others', async () => {
    const bench = farBench(200, 2.5e6);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    await bench.run(15, 2.5e6);
    const before = bench.uplink.bytesPerSecond;
    let used = 0;
    for (let i = 0; i < 5; i += 1) {
      // Of each of these the kernel has all at once; it crosses at a fifth of the line.
      bench.slowOf = 1;
      bench.slowShare = 0.2;
      bench.add(503_000, 'waited');
      await bench.run(0.1, 2.5e6);
      bench.slowOf = Number.POSITIVE_INFINITY;
      used += await bench.run(4, 2.5e6);
    }
    expect(used / 5).toBeGreaterThan(0.75);
    expect(bench.uplink.bytesPerSecond).toBeGreaterThan(0.7 * before);
    bench.scheduler.close();
  });

  test.each([5, 200])(
    'a connection that carries nothing more does not keep all others from the line (%i ms away)',
    async (roundTripMs) => {
      const bench = farBench(roundTripMs, MIB);
      bench.slowOf = 1;
      bench.slowShare = 0;
      bench.add(8 * MIB);
      await bench.run(1, 2.5e6);
      bench.slowOf = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 100; i += 1) bench.add(2 * MIB);
      await bench.run(30, 2.5e6);
      expect(await bench.run(20, 2.5e6)).toBeGreaterThan(0.1);
      bench.scheduler.close();
    },
  );

  test('a near Gitee needs no more bodies than before', async () => {
    const bench = farBench(5, MIB);
    for (let i = 0; i < 100; i += 1) bench.add(2 * MIB);
    expect(await bench.run(30, MIB)).toBeGreaterThan(0.9);
    expect(bench.mostBodies).toBeLessThanOrEqual(4);
    bench.scheduler.close();
  });

  test('a line that falls is noticed though it is far away', async () => {
    const bench = farBench(200, 2.5e6);
    for (let i = 0; i < 400; i += 1) bench.add(2 * MIB);
    await bench.run(15, 2.5e6);
    await bench.run(12, 0.5e6);
    expect(bench.uplink.bytesPerSecond).toBeLessThan(0.8e6);
    bench.scheduler.close();
  });
});
