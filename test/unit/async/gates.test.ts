import { KeyLock } from '../../../src/async/key-lock.js';
import { Semaphore } from '../../../src/async/semaphore.js';

/** All microtasks that are due have run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function gate() {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

describe('Semaphore', () => {
  test('runs at most its permits at a time, in the order of the calls', async () => {
    const semaphore = new Semaphore(2);
    const started: number[] = [];
    const gates = [0, 1, 2, 3].map(() => gate());
    const runs = gates.map(({ opened }, i) =>
      semaphore.run(async () => {
        started.push(i);
        await opened;
      }),
    );
    await settled();
    expect(started).toEqual([0, 1]);
    expect(semaphore.waiting).toBe(2);
    gates[1]?.open();
    await settled();
    expect(started).toEqual([0, 1, 2]);
    for (const { open } of gates) open();
    await Promise.all(runs);
    expect(started).toEqual([0, 1, 2, 3]);
  });

  test('gives the permit back after a failure', async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await semaphore.run(async () => 1)).toBe(1);
  });

  test('does not lose a permit to one who left the line', async () => {
    const semaphore = new Semaphore(1);
    const { open, opened } = gate();
    const first = semaphore.run(() => opened);
    const controller = new AbortController();
    const left = semaphore.run(async () => 'never', controller.signal);
    const last = semaphore.run(async () => 'ran');
    controller.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    open();
    await first;
    expect(await last).toBe('ran');
    expect(await semaphore.run(async () => 'free again')).toBe('free again');
  });

  test('needs a permit', () => {
    expect(() => new Semaphore(0)).toThrow(RangeError);
    expect(() => new Semaphore(1.5)).toThrow(RangeError);
  });
});

describe('KeyLock', () => {
  test('runs one at a time per key, in order, and others beside it', async () => {
    const locks = new KeyLock();
    const order: string[] = [];
    const { open, opened } = gate();
    const first = locks.run('a', async () => {
      await opened;
      order.push('a1');
    });
    const second = locks.run('a', async () => void order.push('a2'));
    await locks.run('b', async () => void order.push('b'));
    open();
    await Promise.all([first, second]);
    expect(order).toEqual(['b', 'a1', 'a2']);
  });

  test('forgets keys that nobody holds, after failures and aborts too', async () => {
    const locks = new KeyLock();
    const { open, opened } = gate();
    const holder = locks.run('a', () => opened);
    const failing = locks.run('a', () => Promise.reject(new Error('no')));
    const leaving = locks.run('a', async () => {}, AbortSignal.abort(new Error('gone')));
    await expect(leaving).rejects.toThrow('gone');
    open();
    await holder;
    await expect(failing).rejects.toThrow('no');
    expect(locks.size).toBe(0);
  });
});
