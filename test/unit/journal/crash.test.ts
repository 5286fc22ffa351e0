/** Invariant 1: an acknowledged write is never lost, whichever step the process dies at. */
import { describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { MemoryHeadRemote } from '../../support/memory-head-remote.js';
import { JournalBucket, key } from '../../support/journal-bucket.js';

const POINTS = [
  'committer.batchClosed',
  'committer.beforeUpload',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
];

describe.each(POINTS)('a process that dies at %s', (point) => {
  test('has after a restart everything it acknowledged, and lands it', async () => {
    const b = await JournalBucket.open();
    await b.start();
    await b.put('kept', '0', { etag: 'e0', lastModifiedMs: 1 });
    await b.landed(await b.put('gone', 'x'.repeat(250)));
    const died = new Promise<void>((resolve) => {
      b.failpoints = {
        hit: (name) => {
          if (name !== point) return Promise.resolve();
          resolve();
          return new Promise(() => {}); // never comes back: what a killed process does
        },
      };
    });
    await b.put('new', 'y'.repeat(150), { etag: 'e1', lastModifiedMs: 2 });
    await b.delete('gone');
    const seq = await b.put('kept', '1', { etag: 'e2', lastModifiedMs: 3 });
    const waiting = b.state.waitLanded(seq, { timeoutMs: 1, signal: new AbortController().signal });
    await died;
    await waiting;
    // The hanging round keeps nothing open but promises: the stores are closed under it.
    await b.bucket.follower.stop();
    await b.bucket.close();
    await b.overlay.close();
    b.failpoints = { hit: () => Promise.resolve() };
    b.remote = new MemoryHeadRemote(b.repository);
    await b.reopen();
    expect(await b.read('kept')).toBe('1');
    expect(await b.read('gone')).toBeUndefined();
    expect(await b.list()).toEqual(['kept', 'new']);
    b.bucket.start();
    await b.landed(await b.put('last', 'l'));
    expect([...b.tree().keys()]).toEqual(['kept', 'last', 'new%chunks/000000', 'new%chunks/000001']);
    expect(await b.state.get(key('kept'))).toMatchObject({ etag: 'e2', lastModifiedMs: 3 });
    expect(await b.state.get(key('new'))).toMatchObject({ etag: 'e1', lastModifiedMs: 2 });
    expect(b.state.status().pendingChanges).toBe(0);
    expect(await b.problems()).toEqual([]);
    expect(b.fatal).toEqual([]);
    await b.remove();
  });
});

test.each(['committer.afterLanded', 'committer.baseApplied', 'committer.overlayDropped'])(
  'a failure at %s is mended by the next round of the same process',
  async (point) => {
    const b = await JournalBucket.open();
    await b.start();
    let failures = 2;
    b.failpoints = {
      hit: async (name) => {
        if (name === point && failures-- > 0) throw new Error(`failpoint ${name}`);
      },
    };
    await b.put('a', '1');
    await b.landed(await b.put('b', 'x'.repeat(150)));
    expect(b.repository.commits.size).toBe(1);
    expect(await b.list()).toEqual(['a', 'b']);
    expect(await b.problems()).toEqual([]);
    await b.remove();
  },
);

test.each(['journal.beforeSync', 'journal.afterSync'])(
  'an append that dies at %s is either wholly there or not at all',
  async (point) => {
    const b = await JournalBucket.open();
    await b.start();
    b.failpoints = {
      hit: async (name) => {
        if (name === point) throw new Error('power cut');
      },
    };
    await expect(b.put('a', 'x'.repeat(100_000))).rejects.toThrow('power cut');
    b.failpoints = { hit: () => Promise.resolve() };
    await b.restart();
    expect(await b.list()).toEqual(point === 'journal.afterSync' ? ['a'] : []);
    await b.landed(await b.put('b', '1'));
    expect(await b.problems()).toEqual([]);
    await b.remove();
  },
);

test('a push whose outcome stays unknown over a restart lands exactly once', async () => {
  const b = await JournalBucket.open();
  await b.start();
  b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'), Infinity);
  const pushed = new Promise<void>((resolve) => {
    b.remote.beforePush = async () => {
      b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
      resolve();
    };
  });
  const seq = await b.put('a', '1');
  void b.state.waitLanded(seq, { timeoutMs: 1, signal: new AbortController().signal });
  await pushed;
  await b.restart();
  await b.landed(seq);
  expect(b.repository.commits.size).toBe(1);
  await b.remove();
});
