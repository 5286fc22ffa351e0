// Attacks what is said of a client's pace: when it is new, held back, bursts, or stops.
import { SenderPace } from '../../../src/line/sender-pace.js';
import { ManualClock } from '../../support/chunk-bench.js';

describe('the pace of a sender', () => {
  let clock: ManualClock;
  let pace: SenderPace;
  beforeEach(() => {
    clock = new ManualClock();
    pace = new SenderPace(clock);
  });
  const send = (seconds: number, bytesPerSecond: number) => {
    for (let i = 0; i < seconds * 10; i += 1) {
      clock.advance(100);
      pace.sent(bytesPerSecond / 10);
    }
  };

  test('is not known at first', () => {
    pace.sent(1_000_000);
    clock.advance(500);
    expect(pace.bytesPerSecond).toBeUndefined();
  });

  test.each([1, 50_000, 100_000_000])('is what it sends: %i bytes a second', (bytesPerSecond) => {
    send(20, bytesPerSecond);
    expect(pace.bytesPerSecond! / bytesPerSecond).toBeCloseTo(1, 1);
  });

  test('falls soon where a fast one drips', () => {
    send(20, 10_000_000);
    send(30, 1);
    expect(pace.bytesPerSecond).toBeLessThan(30_000);
    send(60, 1);
    expect(pace.bytesPerSecond).toBeLessThan(2);
  });

  test('rises within seconds where a slow one is fast again', () => {
    send(60, 1);
    send(4, 1_000_000);
    expect(pace.bytesPerSecond).toBeGreaterThan(400_000);
  });

  test('stays what it was while the client is held back', () => {
    send(20, 1_000_000);
    pace.hold();
    clock.advance(600_000);
    expect(pace.bytesPerSecond).toBeGreaterThan(900_000);
    pace.release();
    clock.advance(30_000);
    expect(pace.bytesPerSecond).toBeLessThan(10_000);
  });

  test('is the same after release without hold, and hold twice', () => {
    send(10, 1_000_000);
    pace.release();
    send(10, 1_000_000);
    pace.hold();
    pace.hold();
    expect(pace.bytesPerSecond).toBeGreaterThan(900_000);
  });
});
