import type { Clock } from '../../../src/async/clock.js';
import { retry, type RetryOptions } from '../../../src/async/retry.js';

/** A clock that does not wait and remembers how long it should have. */
class RecordingClock implements Clock {
  readonly waitsMs: number[] = [];
  nowMs = () => 0;
  steadyMs = () => 0;
  sleep = async (ms: number, signal?: AbortSignal) => {
    signal?.throwIfAborted();
    this.waitsMs.push(ms);
  };
}

const failing = (times: number) => async (attempt: number) => {
  if (attempt <= times) throw new Error(`attempt ${attempt}`);
  return attempt;
};

function setup(extra: Partial<RetryOptions> = {}) {
  const clock = new RecordingClock();
  const options: RetryOptions = {
    attempts: 5,
    baseMs: 100,
    maxMs: 300,
    clock,
    isRetryable: () => true,
    random: () => 0.5,
    ...extra,
  };
  return { clock, options };
}

describe('retry', () => {
  test('waits longer each time, up to the maximum', async () => {
    const { clock, options } = setup();
    await expect(retry(failing(4), options)).resolves.toBe(5);
    expect(clock.waitsMs).toEqual([50, 100, 150, 150]);
  });

  test('ends with the last error when the attempts are used up', async () => {
    const { clock, options } = setup({ attempts: 3 });
    await expect(retry(failing(9), options)).rejects.toThrow('attempt 3');
    expect(clock.waitsMs).toHaveLength(2);
  });

  test('ends at once with an error that another try cannot mend', async () => {
    const { clock, options } = setup({ isRetryable: () => false });
    await expect(retry(failing(1), options)).rejects.toThrow('attempt 1');
    expect(clock.waitsMs).toEqual([]);
  });

  test('waits at least as long as the server asks, even beyond its own maximum', async () => {
    const { clock, options } = setup({ retryAfterMs: () => 5000 });
    await retry(failing(1), options);
    expect(clock.waitsMs).toEqual([5050]);
  });

  test('draws the whole range of the jitter', async () => {
    for (const [drawn, waitMs] of [
      [0, 0],
      [0.999, 99.9],
    ] as const) {
      const { clock, options } = setup({ random: () => drawn });
      await retry(failing(1), options);
      expect(clock.waitsMs[0]).toBeCloseTo(waitMs);
    }
  });

  test('does not start after an abort', async () => {
    const { options } = setup({ signal: AbortSignal.abort(new Error('gone')) });
    await expect(retry(failing(0), options)).rejects.toThrow('gone');
  });

  test('does not try again after an abort during an attempt', async () => {
    const controller = new AbortController();
    const { clock, options } = setup({ signal: controller.signal });
    const run = async () => {
      controller.abort();
      throw new Error('cut off');
    };
    await expect(retry(run, options)).rejects.toThrow('cut off');
    expect(clock.waitsMs).toEqual([]);
  });
});
