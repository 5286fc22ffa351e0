import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { InOrder } from '../../../src/async/in-order.js';

function started() {
  const order = new InOrder();
  const log: string[] = [];
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const run = (name: string, ...keys: string[]) =>
    order.run(keys, () => {
      log.push(name);
      return new Promise<string>((resolve, reject) => {
        ends.set(name, { resolve: () => resolve(name), reject });
      });
    });
  const end = async (name: string) => {
    ends.get(name)!.resolve();
    await setImmediate();
  };
  return { order, log, ends, run, end };
}

test('runs of one key go in the order of the calls, also where one names more keys; others do not wait', async () => {
  const { order, log, run, end } = started();
  const all = [run('1', 'b'), run('2', 'a', 'b', 'a'), run('3', 'b'), run('4', 'a'), run('5', 'c'), run('6')];
  expect(log).toEqual(['1', '5', '6']);
  await end('1');
  expect(log).toEqual(['1', '5', '6', '2']);
  await end('2');
  expect(log).toEqual(['1', '5', '6', '2', '3', '4']);
  for (const name of ['6', '5', '4', '3']) await end(name);
  expect(await Promise.all(all)).toEqual(['1', '2', '3', '4', '5', '6']);
  expect(order.size).toBe(0);
});

test('a run that fails is told to its caller, and the next one of the key begins', async () => {
  const { order, log, ends, run, end } = started();
  const first = run('1', 'a');
  const second = run('2', 'a');
  ends.get('1')!.reject(new Error('not that'));
  await expect(first).rejects.toThrow('not that');
  await setImmediate();
  expect(log).toEqual(['1', '2']);
  await end('2');
  expect([await second, order.size]).toEqual(['2', 0]);
});
