// Attacks the order in which uploads of all buckets go out, and that none of them waits for ever.
import { LineScheduler, type LineClass, type LineTurn } from '../../../src/line/scheduler.js';
import { UplinkMeter } from '../../../src/line/uplink.js';
import { ManualClock } from '../../support/chunk-bench.js';

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
      const one = this.#uploads.find(({ isHeld }) => !isHeld);
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
    const uplink = new UplinkMeter(MIB, bench.clock, async () => 3 * MIB);
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
});
