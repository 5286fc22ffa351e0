/**
 * Gitee accepted a push and the branch does not show it: reads meet a copy of the repository that lags, or the branch is
 * in review mode. It is looked at, not sent again, until one of the two is known.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { RemoteError } from '../../../src/gitee/errors.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { JournalBucket, signal } from '../../support/journal-bucket.js';

const STEP_MS = 250;

let b: JournalBucket;
let clock: ManualClock;
beforeEach(async () => {
  clock = new ManualClock();
  b = await JournalBucket.open({ clock, timings: { lagMaxMs: 600_000, pausedRetryMs: 30_000 } });
  await b.bucket.follower.followOnce(signal);
  for (const name of ['first', 'second']) {
    await b.put(name, '1');
    b.bucket.committer.flush();
    await round();
  }
  await b.put('k', '2');
  b.bucket.committer.flush();
});
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

const failure = (code: 'push-not-seen' | 'review-mode') =>
  new RemoteError(code, 'accepted, and not there', { isUndecided: true });

/** One round of the committer with its wait, for which the time passes. */
async function round(): Promise<void> {
  let isOver = false;
  const others = clock.sleepers;
  const running = b.bucket.committer.round(signal).finally(() => (isOver = true));
  while (!isOver) {
    await setImmediate();
    if (clock.sleepers > others) clock.advance(STEP_MS);
  }
  await running;
}

/** Rounds until so much time has passed; returns how long it took by the clock. */
async function roundsFor(ms: number, isEnough: () => boolean = () => false): Promise<number> {
  const begunMs = clock.steadyMs();
  while (clock.steadyMs() - begunMs < ms && !isEnough()) await round();
  return clock.steadyMs() - begunMs;
}

test.each([
  ['as it was', 1],
  ['as it was long ago', 2],
])(
  'copies show the branch %s: it is looked for, nothing pauses, and all goes on right after',
  async (_, lag) => {
    b.remote.fail('push-answer', failure('push-not-seen'));
    b.remote.lag = () => lag;
    const before = { ...b.remote.calls };
    await roundsFor(38_000);
    expect(b.state.status()).toMatchObject({
      pendingChanges: 1,
      unseen: { code: 'push-not-seen', sinceMs: expect.any(Number) },
      paused: undefined,
      frozen: undefined,
    });
    expect(b.remote.calls.push - before.push).toBe(1);
    const looks = b.remote.calls.fetch - before.fetch;
    expect(looks).toBeGreaterThan(5);
    expect(looks).toBeLessThan(25);

    b.remote.lag = () => 0;
    await b.put('next', '3');
    b.bucket.committer.flush();
    const tookMs = await roundsFor(20_000, () => b.state.status().pendingChanges === 0);
    expect(tookMs).toBeLessThan(6_000);
    expect(b.state.status().unseen).toBeUndefined();
    expect([...b.tree().keys()]).toEqual(['first', 'k', 'next', 'second']);
    // It was sent once.
    expect(b.remote.calls.push - before.push).toBe(2);
  },
);

test('the branch does not move at all: it is sent again within a minute, and what that says is believed', async () => {
  b.remote.fail('push', failure('push-not-seen'));
  const before = b.remote.calls.push;
  await roundsFor(38_000);
  expect(b.state.status()).toMatchObject({ unseen: { code: 'push-not-seen' }, paused: undefined });
  expect(b.remote.calls.push - before).toBe(1);
  b.remote.fail('push', failure('review-mode'));
  await roundsFor(22_000, () => b.state.status().paused !== undefined);
  expect(b.state.status()).toMatchObject({ unseen: undefined, paused: { code: 'review-mode' } });
  expect(b.remote.calls.push - before).toBe(2);
  await round();
  expect(b.state.status()).toMatchObject({ pendingChanges: 0, unseen: undefined, paused: undefined });
});
