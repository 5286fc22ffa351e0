import { setImmediate } from 'node:timers/promises';
import { SharedLooks } from '../../../src/async/shared-looks.js';

const never = new AbortController().signal;

/** Looks that end when the test says so. */
function controlled() {
  const begun: { signal: AbortSignal; end: (seen: number) => void; fail: (error: Error) => void }[] = [];
  const looks = new SharedLooks<number>(
    (signal) =>
      new Promise((resolve, reject) => {
        begun.push({ signal, end: resolve, fail: reject });
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
  );
  /** What can begin has begun. */
  const turns = async () => {
    for (let turn = 0; turn < 10; turn += 1) await setImmediate();
  };
  return { begun, looks, turns };
}

test('who asks before a look has begun shares it, who asks later gets the next', async () => {
  const { begun, looks, turns } = controlled();
  const first = [looks.take(never), looks.take(never)];
  await turns();
  const second = [looks.take(never), looks.take(never)];
  await turns();
  expect(begun).toHaveLength(1);
  begun[0]!.end(1);
  expect(await Promise.all(first)).toEqual([1, 1]);
  await turns();
  expect(begun).toHaveLength(2);
  begun[1]!.end(2);
  expect(await Promise.all(second)).toEqual([2, 2]);
});

test('who asks without a signal keeps the look going, whoever leaves', async () => {
  const { begun, looks, turns } = controlled();
  const leaves = new AbortController();
  const [stays, left] = [looks.take(), looks.take(leaves.signal)];
  left.catch(() => {});
  await turns();
  leaves.abort(new Error('leaves'));
  await expect(left).rejects.toThrow('leaves');
  expect(begun[0]!.signal.aborted).toBe(false);
  begun[0]!.end(1);
  expect(await stays).toBe(1);
});

test('a look that fails fails for those who shared it, and the next one begins', async () => {
  const { begun, looks, turns } = controlled();
  const failing = looks.take(never);
  await turns();
  const next = looks.take(never);
  begun[0]!.fail(new Error('away'));
  await expect(failing).rejects.toThrow('away');
  await turns();
  begun[1]!.end(2);
  expect(await next).toBe(2);
});

test('a look goes on while anybody waits for it, and ends with the last', async () => {
  const { begun, looks, turns } = controlled();
  const [one, two] = [new AbortController(), new AbortController()];
  const both = [looks.take(one.signal), looks.take(two.signal)];
  for (const look of both) look.catch(() => {});
  await turns();
  one.abort(new Error('one leaves'));
  await expect(both[0]).rejects.toThrow('one leaves');
  expect(begun[0]!.signal.aborted).toBe(false);
  two.abort(new Error('two leaves'));
  await expect(both[1]).rejects.toThrow('two leaves');
  expect(begun[0]!.signal.aborted).toBe(true);
});

test('nobody is handed a look that was given up before it began', async () => {
  const { begun, looks, turns } = controlled();
  const gone = new AbortController();
  const left = looks.take(gone.signal);
  gone.abort(new Error('gone'));
  const stays = looks.take(never);
  await expect(left).rejects.toThrow('gone');
  await turns();
  begun.at(-1)!.end(7);
  expect(await stays).toBe(7);
});
