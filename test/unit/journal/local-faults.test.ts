/**
 * A fault of this machine that passes (a full disk, a read that fails) stops nobody, at whichever step the committer
 * meets it: not even where it is about to set something aside.
 */
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { StorageError } from '../../../src/index/errors.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { until } from '../../support/child.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { openImages, pushImage } from '../../support/journal-images.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

const REFUSED = 'x'.repeat(95);
const GOOD = 'y'.repeat(95);
/** Calls that fail one after the other: longer than the tries that a single change has. */
const IN_A_ROW = 4;

const full = () => new StorageError('disk-full', 'the disk of the state directory is full');
const unreadable = () =>
  Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', errno: -5, syscall: 'read' });

let b: JournalBucket;
afterEach(async () => {
  jest.restoreAllMocks();
  await b.remove();
});

/** From the n-th call on this operation of every store fails some times. Gives how many calls there were. */
function failFrom(
  n: number,
  operation: 'commit' | 'get' | 'page',
  error: () => Error,
  times = IN_A_ROW,
): () => number {
  let calls = 0;
  const store = LmdbStore.prototype as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const real = store[operation]!;
  jest.spyOn(store, operation).mockImplementation(function (this: unknown, ...args) {
    calls += 1;
    if (calls >= n && calls < n + times) return Promise.reject(error());
    return real.apply(this, args);
  });
  return () => calls;
}

/** Gitee takes all but one chunk, which it refuses for good. */
function refuse(): void {
  const { oid } = b.chunks.cut(bytesOf(REFUSED))[0]!;
  const speak = async (chunks: readonly { oid: string }[]) => {
    if (chunks.some((chunk) => chunk.oid === oid))
      throw new RemoteError('chunk-refused', 'no', { oids: [oid] });
  };
  b.chunks.beforeUpload = speak;
  b.chunks.beforeEnsure = speak;
}

describe.each([
  ['generic', { ...GENERIC, inlineLimitBytes: 80 }],
  ['registry', { ...REGISTRY, inlineLimitBytes: 80 }],
])('preset %s', (preset, rules) => {
  test.each([
    ['commit', full],
    ['get', unreadable],
    ['page', unreadable],
  ] as const)('a %s of the stores that fails, at every step', async (operation, error) => {
    for (let n = 1, calls = () => n; n <= calls(); n += IN_A_ROW) {
      if (n > 1) await b.remove();
      b = await JournalBucket.open({ rules, timings: { maxAgeMs: 20 } });
      await b.bucket.follower.followOnce(signal);
      await b.put('notes/old', 'old');
      await b.delete('notes/old');
      await pushImage(b, 'bad', 'v1', [REFUSED]);
      const seq = await b.put('notes/good', GOOD);
      refuse();
      const landed = b.state.waitLanded(seq, { timeoutMs: CONDITION_LIMIT_MS, signal });
      await setImmediate(); // it waits now: what fails from here on is the committer's
      calls = failFrom(n, operation, error);
      b.bucket.committer.start();
      await until('all is over', () => b.state.status().pendingChanges === 0 || b.fatal.length > 0);
      expect({ n, fatal: b.fatal }).toEqual({ n, fatal: [] });
      expect(await landed).toBe(true);
      jest.restoreAllMocks();
      expect(b.tree().size).toBeGreaterThan(0);
      expect(await b.read('notes/good')).toBe(GOOD);
      expect(await b.state.changeState(key('notes/good'))).toBeUndefined();
      expect(b.state.status().quarantinedChanges).toBeGreaterThan(0);
      if (preset === 'registry') expect(openImages(b)).toEqual([]);
    }
  });

  test.each([
    ['commit', full],
    ['get', unreadable],
    ['page', unreadable],
  ] as const)(
    'a %s that fails, at every step after a push whose answer was lost',
    async (operation, error) => {
      for (let n = 1, calls = () => n; n <= calls(); n += 1) {
        if (n > 1) await b.remove();
        b = await JournalBucket.open({ rules, timings: { maxAgeMs: 20 } });
        await b.bucket.follower.followOnce(signal);
        const landed: Promise<boolean>[] = [];
        for (const [name, text] of [
          ['a', 'small'],
          ['b', GOOD],
          ['a', 'newer'],
        ] as const)
          landed.push(b.state.waitLanded(await b.put(name, text), { timeoutMs: CONDITION_LIMIT_MS, signal }));
        await setImmediate();
        b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'), 1);
        calls = failFrom(n, operation, error, 1);
        b.bucket.start();
        expect(await Promise.all(landed)).toEqual([true, true, true]);
        jest.restoreAllMocks();
        expect({ n, fatal: b.fatal }).toEqual({ n, fatal: [] });
        expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
        expect(b.tree().get('a')).toBe('newer');
        expect([await b.read('a'), await b.read('b')]).toEqual(['newer', GOOD]);
        expect(await b.problems()).toEqual([]);
      }
    },
  );
});
