import { InStep } from '../../../src/journal/in-step.js';
import { AutoResetEvent } from '../../../src/journal/auto-reset-event.js';
import { ManualClock } from '../../support/chunk-bench.js';

const signal = new AbortController().signal;
let clock: ManualClock;
let step: InStep;
beforeEach(() => {
  clock = new ManualClock();
  step = new InStep(clock);
});

/** Waits, and notes when it was over. */
function sleeper(waitMs: number) {
  const over: number[] = [];
  const wake = new AutoResetEvent(clock);
  const done = step.wait(wake, waitMs, signal).then(() => over.push(clock.steadyMs()));
  return { over, wake, done };
}

test('loops that wait for the same time fall into step with the first', async () => {
  const one = sleeper(1_000);
  clock.advance(400);
  const two = sleeper(1_000);
  clock.advance(600);
  await Promise.all([one.done, two.done]);
  expect(two.over).toEqual(one.over);
});

test('one that has only just begun waits on', async () => {
  const one = sleeper(1_000);
  clock.advance(900);
  const two = sleeper(1_000);
  clock.advance(100);
  await one.done;
  expect(two.over).toEqual([]);
  clock.advance(900);
  await two.done;
  expect(two.over).toHaveLength(1);
});

test('one that is woken before its time wakes nobody', async () => {
  const one = sleeper(1_000);
  const two = sleeper(1_000);
  clock.advance(700);
  one.wake.set();
  await one.done;
  expect(two.over).toEqual([]);
});
