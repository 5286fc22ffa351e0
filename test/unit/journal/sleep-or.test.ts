import { expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { sleepOr } from '../../../src/journal/sleep-or.js';
import { ManualClock } from '../../support/chunk-bench.js';

// A rejection that nobody hears ends the process, and here the test that it falls into: each waits a turn for that.
test.each(['before', 'meanwhile', 'after the time', 'before the other'] as const)(
  'a signal that fires %s: what the other promise says later is heard',
  async (when) => {
    const clock = new ManualClock();
    const over = new AbortController();
    let fail!: (error: Error) => void;
    const other = new Promise<void>((_, reject) => (fail = reject));
    if (when === 'before') over.abort(new Error('over'));
    const waited = sleepOr(clock, 1_000, over.signal, other);
    const result = waited.then(
      () => 'time is up',
      (error: Error) => error.message,
    );
    if (when === 'after the time') {
      clock.advance(1_000);
      expect(await result).toBe('time is up');
    } else if (when === 'before the other') {
      fail(new Error('the other failed'));
      expect(await result).toBe('the other failed');
    }
    over.abort(new Error('over'));
    if (when === 'before' || when === 'meanwhile') expect(await result).toBe('over');
    fail(new Error('the other failed'));
    await setImmediate();
  },
);
