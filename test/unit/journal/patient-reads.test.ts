import { beforeEach, expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { PatientReads } from '../../../src/journal/patient-reads.js';
import { ManualClock } from '../../support/chunk-bench.js';

interface Begun {
  readonly signal: AbortSignal;
  readonly end: (value: string) => void;
  readonly fail: (error: Error) => void;
}

let clock: ManualClock;
let reads: PatientReads<string>;
let begun: Map<string, Begun>;
beforeEach(() => {
  clock = new ManualClock();
  reads = new PatientReads(clock);
  begun = new Map();
});

const ask = (id: string) =>
  reads.read(
    id,
    (signal) =>
      new Promise((end, fail) => {
        begun.set(id, { signal, end, fail });
        signal.addEventListener('abort', () => fail(signal.reason as Error));
      }),
  );
/** Asked, and the time that is given to it has passed. */
async function askLong(id: string): Promise<string> {
  const answer = ask(id);
  clock.advance(2_000);
  return answer;
}

test('what is there in time is given at once, also as an error', async () => {
  const quick = ask('a');
  begun.get('a')!.end('found');
  expect(await quick).toBe('found');
  const failing = ask('a');
  begun.get('a')!.fail(new Error('away'));
  await expect(failing).rejects.toThrow('away');
});

test('what takes longer goes on, is waited for no more, and given to whoever asks when it is there', async () => {
  expect(await askLong('a')).toBe('late');
  const { end } = begun.get('a')!;
  begun.clear();
  expect(await ask('a')).toBe('late');
  end('found');
  await setImmediate();
  expect(await ask('a')).toBe('found');
  expect(begun.size).toBe(0);
  // It was kept for one who asks, not for good.
  expect(await askLong('a')).toBe('late');
  expect(begun.size).toBe(1);
});

test('what fails then is read anew', async () => {
  expect(await askLong('a')).toBe('late');
  begun.get('a')!.fail(new Error('away'));
  await setImmediate();
  const again = ask('a');
  begun.get('a')!.end('found');
  expect(await again).toBe('found');
});

test('four go on; one more is given up unless it is quick, and all end with the committer', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e']) expect(await askLong(id)).toBe('late');
  const aborted = () => [...begun].filter(([, { signal }]) => signal.aborted).map(([id]) => id);
  expect(aborted()).toEqual(['e']);
  const quick = ask('f');
  begun.get('f')!.end('found');
  expect(await quick).toBe('found');
  reads.stop();
  expect(aborted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});

test('after the end no read begins, and none is left that nobody looks at', async () => {
  reads.stop();
  await expect(ask('a')).rejects.toThrow('the committer stops');
  expect(begun.size).toBe(0);
  // A rejection that nobody hears ends the process, and this test.
  await setImmediate();
});
