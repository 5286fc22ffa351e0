import { describe, expect, jest, test } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { abortable, onAbort } from '../../../src/async/abort.js';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;
const reason = new Error('over');

describe('onAbort', () => {
  test('calls once when the signal fires, with its reason, and at once where it has already', () => {
    const over = new AbortController();
    const seen: unknown[] = [];
    onAbort(over.signal, (each) => seen.push(each));
    expect(seen).toEqual([]);
    over.abort(reason);
    onAbort(over.signal, (each) => seen.push(each));
    expect(seen).toEqual([reason, reason]);
  });

  test('calls nobody who has left, and leaves no listener behind', () => {
    const over = new AbortController();
    const release = onAbort(over.signal, () => expect('called').toBe('never called'));
    release();
    release();
    expect(listeners(over.signal)).toBe(0);
    over.abort(reason);
    onAbort(undefined, () => expect('called').toBe('never called'))();
  });
});

describe('abortable', () => {
  test.each(['resolves', 'rejects', 'throws'] as const)(
    'is as the promise that %s, and stops listening',
    async (how) => {
      const over = new AbortController();
      const undo = jest.fn();
      const made = abortable<string>(over.signal, (resolve, reject) => {
        if (how === 'throws') throw new Error('thrown');
        void setImmediate().then(() => (how === 'resolves' ? resolve('done') : reject(new Error('failed'))));
        return undo;
      });
      const end = await made.catch((error: Error) => error.message);
      expect(end).toBe({ resolves: 'done', rejects: 'failed', throws: 'thrown' }[how]);
      expect(listeners(over.signal)).toBe(0);
      over.abort(reason);
      expect(undo).not.toHaveBeenCalled();
    },
  );

  test('is not begun where the signal has fired before', async () => {
    const begin = jest.fn<() => void>();
    await expect(abortable(AbortSignal.abort(reason), begin)).rejects.toBe(reason);
    expect(begin).not.toHaveBeenCalled();
  });

  test.each(['afterwards', 'while it begins'] as const)(
    'rejects and is undone once at an abort %s',
    async (when) => {
      const over = new AbortController();
      const undo = jest.fn();
      let settle!: (value: string) => void;
      const made = abortable<string>(over.signal, (resolve) => {
        settle = resolve;
        if (when === 'while it begins') over.abort(reason);
        return undo;
      });
      over.abort(reason);
      expect(undo).toHaveBeenCalledTimes(1);
      settle('too late');
      await expect(made).rejects.toBe(reason);
      expect(undo).toHaveBeenCalledTimes(1);
    },
  );

  test('that was settled while it began is not undone by a later abort', async () => {
    const over = new AbortController();
    const undo = jest.fn();
    const made = abortable<string>(over.signal, (resolve) => {
      resolve('at once');
      return undo;
    });
    over.abort(reason);
    await expect(made).resolves.toBe('at once');
    expect(undo).not.toHaveBeenCalled();
  });

  test('rejects with what it is told to make of the reason', async () => {
    const over = new AbortController();
    const made = abortable(
      over.signal,
      () => {},
      (signal) => new Error(`left: ${(signal.reason as Error).message}`),
    );
    over.abort(reason);
    await expect(made).rejects.toThrow('left: over');
    const before = AbortSignal.abort(reason);
    await expect(
      abortable(
        before,
        () => {},
        () => new Error('left'),
      ),
    ).rejects.toThrow('left');
  });

  test('works without a signal', async () => {
    await expect(abortable<number>(undefined, (resolve) => resolve(1))).resolves.toBe(1);
  });
});
