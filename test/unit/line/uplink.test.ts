// Attacks the line's estimate: it must follow the line down within seconds, whatever kernel buffers swallow.
import { UplinkMeter, type UplinkRun } from '../../../src/line/uplink.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { queuesOf } from '../../support/kernel-queues.js';

const MBIT = 1e6 / 8;
const MIB = 1024 * 1024;

/** A line with a send buffer of the kernel, over which bodies go out side by side. */
class LineModel {
  readonly #bodies: { run: UplinkRun; leftBytes: number; bufferedBytes: number }[] = [];
  #leftMs = 0;

  /** What the kernel has of all bodies. */
  get queuedBytes(): number {
    return this.#bodies.reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0);
  }

  constructor(
    readonly meter: UplinkMeter,
    readonly clock: ManualClock,
    readonly bodyBytes: number,
    readonly bufferBytes: number,
  ) {}

  /** Keeps so many bodies under way at that speed; the estimate at each second. */
  run(seconds: number, bytesPerSecond: number, bodies: number): number[] {
    const estimates: number[] = [];
    for (let ms = 0; ms < seconds * 1_000; ms += 20) {
      while (this.#bodies.length < bodies)
        this.#bodies.push({ run: this.meter.begin(), leftBytes: this.bodyBytes, bufferedBytes: 0 });
      this.clock.advance(20);
      let bytes = (bytesPerSecond * 20) / 1_000;
      for (const body of [...this.#bodies]) {
        const out = Math.min(bytes / this.#bodies.length, body.bufferedBytes);
        body.bufferedBytes -= out;
      }
      bytes = 0;
      for (const body of [...this.#bodies]) {
        const taken = Math.min(body.leftBytes, this.bufferBytes - body.bufferedBytes);
        if (taken > 0) body.run.sent(taken);
        body.leftBytes -= taken;
        body.bufferedBytes += taken;
        if (body.leftBytes > 0 || body.bufferedBytes > 1) continue;
        body.run.end(true);
        this.#bodies.splice(this.#bodies.indexOf(body), 1);
      }
      this.#leftMs += 20;
      if (this.#leftMs % 1_000 === 0) estimates.push(this.meter.bytesPerSecond);
    }
    return estimates;
  }
}

describe('the speed of the line', () => {
  const clock = new ManualClock();
  let meter: UplinkMeter;
  beforeEach(() => {
    meter = new UplinkMeter(1024 * 1024, clock);
    meter.setFull(true);
  });

  test.each([2, 5, 10, 100, 1000])('%i Mbit/s is found within 15 s', (mbit) => {
    const model = new LineModel(meter, clock, 4 * 1024 * 1024, Math.max(256 * 1024, mbit * MBIT * 0.02));
    const last = model.run(15, mbit * MBIT, 3).at(-1)!;
    expect(last).toBeGreaterThan(0.7 * mbit * MBIT);
    expect(last).toBeLessThan(1.35 * mbit * MBIT);
  });

  test('the first figure is a guess until bytes have crossed for some seconds', () => {
    const model = new LineModel(meter, clock, 1024 * 1024, 256 * 1024);
    model.run(2, 10 * MBIT, 2);
    expect(meter.isMeasured).toBe(false);
    model.run(2, 10 * MBIT, 2);
    expect(meter.isMeasured).toBe(true);
    expect(new UplinkMeter(1024, clock, undefined, true).isMeasured).toBe(true);
  });

  test('from fast to 5 Mbit/s the estimate follows within a few seconds, though buffers swallow megabytes', () => {
    const model = new LineModel(meter, clock, 8 * 1024 * 1024, 2 * 1024 * 1024);
    expect(model.run(10, 800 * MBIT, 4).at(-1)).toBeGreaterThan(60e6);
    const after = model.run(12, 5 * MBIT, 4);
    // 8 s of line at such an estimate are 20 MB, and not 800.
    expect(after[4]).toBeLessThan(2.5e6);
    expect(after.at(-1)).toBeLessThan(1.6 * 5 * MBIT);
  });

  test('a line that got faster is found as well', () => {
    const model = new LineModel(meter, clock, 2 * 1024 * 1024, 256 * 1024);
    model.run(20, 5 * MBIT, 2);
    expect(model.run(12, 50 * MBIT, 8).at(-1)).toBeGreaterThan(0.6 * 50 * MBIT);
  });

  test('idle time says nothing, nor does a slow client', () => {
    const model = new LineModel(meter, clock, 1024 * 1024, 256 * 1024);
    const full = model.run(15, 20 * MBIT, 3).at(-1)!;
    model.run(3, 20 * MBIT, 0);
    clock.advance(600_000);
    expect(meter.bytesPerSecond / full).toBeCloseTo(1, 0.5);
    meter.setFull(false);
    model.run(30, 2 * MBIT, 1);
    expect(meter.bytesPerSecond).toBeGreaterThan(0.9 * full);
  });

  test('an upload that failed, or sent nothing, is no speed', () => {
    meter.begin().end(false);
    const failed = meter.begin();
    clock.advance(100);
    failed.sent(100_000);
    failed.end(false);
    expect(meter.bytesPerSecond).toBeLessThanOrEqual(1024 * 1024);
  });

  test('where the kernel says what it still has, a fall in the middle of bodies is seen as it is', async () => {
    const kernel = { queuedBytes: (): number => 0 };
    const exact = new UplinkMeter(1024 * 1024, clock, async () => queuesOf(kernel.queuedBytes()));
    exact.setFull(true);
    const model = new LineModel(exact, clock, 8 * 1024 * 1024, 4 * 1024 * 1024);
    kernel.queuedBytes = () => model.queuedBytes;
    const run = async (seconds: number, mbit: number) => {
      let last = 0;
      for (let i = 0; i < seconds * 10; i += 1) {
        model.run(0.1, mbit * MBIT, 9);
        for (let k = 0; k < 6; k += 1) await Promise.resolve();
        last = exact.bytesPerSecond / (mbit * MBIT);
        seen.push(last);
      }
      return last;
    };
    const seen: number[] = [];
    expect(await run(15, 100)).toBeCloseTo(1, 0);
    seen.length = 0;
    await run(30, 5);
    // Nothing was handed over for the most part of that time: the buffers were full.
    for (const share of seen.slice(60)) {
      expect(share).toBeGreaterThan(0.7);
      expect(share).toBeLessThan(1.6);
    }
  });

  test.each([
    ['a guess', false],
    ['kept from an earlier run', true],
  ])(
    'what the other side swallows at once is not taken for the line: the first figure is %s',
    (_, wasMeasured) => {
      const swallowing = new UplinkMeter(MIB, clock, async () => queuesOf(0), wasMeasured);
      return swallows(swallowing);
    },
  );

  test('a fast line is found within seconds, though the first figure is low', async () => {
    const fast = new UplinkMeter(MIB, clock, async () => queuesOf(0));
    const run = fast.begin();
    for (let i = 0; i < 40; i += 1) {
      run.sent(100 * MBIT * 0.1);
      await pass(100);
    }
    expect(fast.bytesPerSecond).toBeGreaterThan(0.8 * 100 * MBIT);
    run.end(true);
  });

  async function pass(ms: number): Promise<void> {
    clock.advance(ms);
    for (let k = 0; k < 6; k += 1) await Promise.resolve();
  }

  /** Six megabytes, and then 2 Mbit/s. */
  async function swallows(swallowing: UplinkMeter): Promise<void> {
    swallowing.setFull(true);
    const run = swallowing.begin();
    run.sent(6_000_000);
    let most = 0;
    for (let i = 0; i < 100; i += 1) {
      await pass(100);
      most = Math.max(most, swallowing.bytesPerSecond);
      run.sent(2 * MBIT * 0.1);
    }
    expect(most).toBeLessThan(3.5 * MIB);
    run.end(true);
  }
});
