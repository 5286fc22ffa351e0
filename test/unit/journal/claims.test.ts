/** Landing is known by id: lost answers, other writers, late pushes, snapshots, and commits of older versions. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RemoteError, type RemoteCause } from '../../../src/gitee/errors.js';
import type { PushRequest } from '../../../src/gitee/remote.js';
import { Keyspace } from '../../../src/index/keyspace.js';
import { packRow, unpackRow } from '../../../src/index/record-codec.js';
import { seqEndOf } from '../../../src/journal/own-work.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, signal } from '../../support/journal-bucket.js';
import { MemoryHeadRemote } from '../../support/memory-head-remote.js';

const open: JournalBucket[] = [];
async function bucket(...args: Parameters<typeof JournalBucket.open>): Promise<JournalBucket> {
  const b = await JournalBucket.open(...args);
  open.push(b);
  return b;
}
afterEach(async () => {
  for (const b of open.splice(0)) {
    expect(b.fatal).toEqual([]);
    await b.remove();
  }
});

const lost = () => new RemoteError('outcome-unknown', 'no answer');
const trailersOf = (b: JournalBucket) =>
  Object.fromEntries(b.repository.commit(b.repository.head!).trailers) as Record<string, string>;

/** Lands on the branch, whose answer is lost; the line is down from then on. */
async function landWithoutAnswer(b: JournalBucket): Promise<void> {
  b.remote.fail('push-answer', lost(), 1);
  b.remote.beforePush = async () => b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  const before = b.repository.commits.size;
  b.bucket.committer.flush();
  await until('the commit is on the branch', async () => b.repository.commits.size > before);
  b.remote.beforePush = async () => {};
}

describe('another writer', () => {
  test('keeps what it wrote after our push landed, though its answer was lost and more was written here', async () => {
    const a = await bucket();
    await a.start();
    for (const name of ['k1', 'k2', 'k3']) await a.put(name, 'ours');
    await landWithoutAnswer(a);
    const other = await bucket({}, a.repository);
    await other.start();
    for (const name of ['k1', 'k2', 'k3']) await other.landed(await other.put(name, 'theirs'));
    const seq = await a.put('k4', 'ours');
    a.remote.heal();
    a.bucket.kick();
    await a.landed(seq);
    expect([...a.tree()]).toEqual([
      ['k1', 'theirs'],
      ['k2', 'theirs'],
      ['k3', 'theirs'],
      ['k4', 'ours'],
    ]);
    expect(await a.read('k1')).toBe('theirs');
    expect(a.state.status().pendingChanges).toBe(0);
    expect(await a.problems()).toEqual([]);
  });

  test('is not overlooked where ours comes to nothing by what was known of the branch', async () => {
    const a = await bucket();
    await a.start();
    await a.landed(await a.put('k', 'ours'));
    a.repository.foreignCommit({ k: 'theirs', new: 'theirs' });
    await a.put('k', 'other');
    await a.put('new', 'ours');
    await a.delete('new');
    await a.landed(await a.put('k', 'ours'));
    expect([...a.tree()]).toEqual([['k', 'ours']]);
    expect(await a.read('k')).toBe('ours');
    expect(await a.read('new')).toBeUndefined();
    expect(await a.problems()).toEqual([]);
  });

  test('who picks our commit onto another base made a change of their own', async () => {
    const a = await bucket();
    await a.start();
    await a.landed(await a.put('a', '1'));
    const ours = a.repository.commit(a.repository.head!);
    a.repository.foreignCommit({ b: '1' });
    const tree = new Map(a.repository.commit(a.repository.head!).tree).set('a', bytesOf('picked'));
    a.repository.add(a.repository.head, tree, 'picked', [
      ...ours.trailers.filter(([name]) => name !== 'Batch-Id'),
      ['Batch-Id', '9-000000000000000000000000'],
    ]);
    const seq = await a.put('c', '1');
    await a.bucket.follower.followOnce(signal);
    await a.landed(seq);
    expect(a.state.status().quarantinedChanges).toBe(0);
    expect(trailersOf(a)['Log-Id']).toBe(Object.fromEntries(ours.trailers)['Log-Id']);
    expect(await a.read('a')).toBe('picked');
  });
});

describe('a push that is held up on the way', () => {
  /** The next push goes out and is heard of no more; gives back what was sent. */
  function holdUp(b: JournalBucket): Promise<PushRequest> {
    return new Promise((resolve) => {
      b.remote.push = (request) => {
        resolve(request);
        return new Promise(() => {});
      };
    });
  }
  const lands = (b: JournalBucket, request: PushRequest) => new MemoryHeadRemote(b.repository).push(request);

  /** kill() waits for the round that hangs: what a killed process does is leave it. */
  async function killHard(b: JournalBucket): Promise<void> {
    await b.bucket.follower.stop();
    await b.bucket.close();
    await b.overlay.close();
    b.remote = new MemoryHeadRemote(b.repository);
    await b.reopen();
  }

  test('does not undo a deletion that was answered after a kill', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('other', '1'));
    const held = holdUp(b);
    await b.put('k', 'old');
    b.bucket.committer.flush();
    const request = await held;
    await killHard(b);
    b.bucket.start();
    await b.landed(await b.delete('k'));
    // It comes at last: the branch has moved on, and it is refused.
    expect((await lands(b, request)).kind).toBe('moved');
    await b.bucket.follower.followOnce(signal);
    expect(b.tree().has('k')).toBe(false);
    expect(await b.read('k')).toBeUndefined();
    expect(await b.problems()).toEqual([]);
  });

  test('and lands before the branch is read again is found, and nothing is done twice', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('other', '1'));
    const held = holdUp(b);
    await b.put('k', 'old');
    b.bucket.committer.flush();
    const request = await held;
    await killHard(b);
    expect((await lands(b, request)).kind).toBe('landed');
    b.repository.foreignCommit({ k: 'by hand' });
    b.bucket.start();
    await b.landed(await b.put('last', '1'));
    expect(b.tree().get('k')).toBe('by hand');
    expect(await b.read('k')).toBe('by hand');
    expect(await b.problems()).toEqual([]);
  });

  test('is sent again as it was before what came later, so that both ways lead to the same state', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('other', '1'));
    b.remote.fail('push', new RemoteError('timeout', 'no answer in time'), 1);
    await b.put('k', 'old');
    const seen: PushRequest[] = [];
    const push = b.remote.push.bind(b.remote);
    b.remote.push = (request, s) => {
      seen.push(request);
      return push(request, s);
    };
    b.bucket.committer.flush();
    await until('one was sent', async () => seen.length > 0);
    await b.landed(await b.delete('k'));
    const ids = seen.map(({ trailers }) => Object.fromEntries(trailers)['Batch-Id']);
    expect(ids).toHaveLength(3);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(b.tree().has('k')).toBe(false);
  });

  /** k goes out and its answer is lost; sent again it is refused with this, and k is deleted meanwhile. */
  async function thenRefused(
    b: JournalBucket,
    code: RemoteCause,
  ): Promise<{ held: PushRequest; seq: number }> {
    const push = b.remote.push.bind(b.remote);
    const sent: PushRequest[] = [];
    let seq: number | undefined;
    b.remote.push = async (request) => {
      sent.push(request);
      if (sent.length === 1) throw new RemoteError('timeout', 'no answer in time');
      seq = await b.delete('k');
      b.remote.push = push;
      throw new RemoteError(code, 'asked for');
    };
    await b.put('k', 'old');
    b.bucket.committer.flush();
    await until('it was sent again', async () => b.remote.push === push);
    return { held: sent[0]!, seq: seq! };
  }

  test.each(['unauthorized', 'quota-full', 'refused', 'content-refused', 'push-too-large'] as const)(
    'undoes no deletion, though what was sent after it was refused: %s',
    async (code) => {
      const b = await bucket();
      await b.start();
      await b.landed(await b.put('other', '1'));
      const { held, seq } = await thenRefused(b, code);
      b.bucket.kick();
      await b.landed(seq);
      expect((await lands(b, held)).kind).toBe('moved');
      await b.bucket.follower.followOnce(signal);
      expect(b.tree().has('k')).toBe(false);
      expect(await b.read('k')).toBeUndefined();
      expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
      expect(await b.problems()).toEqual([]);
    },
  );

  test('undoes no deletion, though it was said to be refused', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('other', '1'));
    const { push } = b.remote;
    let held: PushRequest | undefined;
    let seq: number | undefined;
    b.remote.push = async (request) => {
      held = request;
      seq = await b.delete('k');
      b.remote.push = push;
      throw new RemoteError('review-mode', 'accepted, and not there', { isUndecided: true });
    };
    await b.put('k', 'old');
    b.bucket.committer.flush();
    await until('it was sent', async () => b.remote.push === push);
    b.bucket.kick();
    await b.landed(seq!);
    expect((await lands(b, held!)).kind).toBe('moved');
    expect(b.tree().has('k')).toBe(false);
  });

  test('ends with a commit of ours where nothing else is left to do', async () => {
    const b = await bucket({ timings: { maxAgeMs: 20 } });
    await b.start();
    await b.landed(await b.put('other', '1'));
    const held = holdUp(b);
    await b.put('big', 'x'.repeat(150));
    b.bucket.committer.flush();
    const request = await held;
    await killHard(b);
    // The only copy of its bytes is gone: it is set aside, and the deletion after it has nothing to delete.
    for (const { oid } of b.chunks.cut(bytesOf('x'.repeat(150)))) {
      b.chunks.local.delete(oid);
      b.chunks.remote.delete(oid);
    }
    b.bucket.start();
    await until('it is set aside', async () => b.state.status().quarantinedChanges === 1);
    await b.landed(await b.delete('big'));
    expect((await lands(b, request)).kind).toBe('moved');
    await b.bucket.follower.followOnce(signal);
    expect([...b.tree()]).toEqual([['other', '1']]);
    expect(b.state.status().pendingChanges).toBe(0);
  });
});

describe('a state directory that is older than the branch', () => {
  async function copyOf(b: JournalBucket): Promise<string> {
    const copy = await mkdtemp(join(tmpdir(), 'journal-snapshot-'));
    await cp(b.directory, copy, { recursive: true });
    return copy;
  }

  async function putBack(b: JournalBucket, copy: string): Promise<void> {
    await rm(b.directory, { recursive: true });
    await cp(copy, b.directory, { recursive: true });
    await rm(copy, { recursive: true });
  }

  test('rolls nothing back, though Gitee is away at its start and another key is written', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('first', '1'));
    const before = trailersOf(b)['Log-Id'];
    await b.put('tag', 'old');
    await b.kill();
    const copy = await copyOf(b);
    await b.reopen();
    b.bucket.start();
    await b.landed(await b.put('tag', 'new'));
    await b.landed(await b.put('tag', 'newest'));
    await b.kill();
    await putBack(b, copy);
    b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
    await b.reopen();
    b.bucket.start();
    const seq = await b.put('other', '1');
    void b.state.waitLanded(seq, { timeoutMs: 1, signal });
    await until('it was tried', async () => b.remote.calls.fetch > 3);
    b.remote.heal();
    b.bucket.kick();
    await b.landed(seq);
    expect(b.tree().get('tag')).toBe('newest');
    expect(b.tree().get('other')).toBe('1');
    expect(await b.read('tag')).toBe('newest');
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
    expect(trailersOf(b)['Log-Id']).not.toBe(before);
    // Known from now on: a restart finds nothing new.
    await b.restart();
    await b.landed(await b.put('again', '1'));
    expect(b.state.status().quarantinedChanges).toBe(1);
    expect(await b.problems()).toEqual([]);
  });

  test.each([
    // Of numbers alone, and of batches where all that was written since has been set aside.
    ['changes', async (b: JournalBucket) => void (await b.landed(await b.put('tag', 'newest')))],
    ['commits', async () => {}],
  ])(
    'and has an index that is newer, by %s: what is written then is not taken for landed',
    async (_by, more) => {
      const b = await bucket();
      await b.start();
      await b.landed(await b.put('first', '1'));
      await b.put('tag', 'old');
      await b.kill();
      const copy = await mkdtemp(join(tmpdir(), 'journal-snapshot-'));
      await cp(join(b.directory, 'overlay'), copy, { recursive: true });
      await b.reopen();
      b.bucket.start();
      b.bucket.committer.flush();
      await until('it has landed', () => b.state.status().pendingChanges === 0);
      await more(b);
      const tag = b.tree().get('tag');
      await b.kill();
      await rm(join(b.directory, 'overlay'), { recursive: true });
      await cp(copy, join(b.directory, 'overlay'), { recursive: true });
      await rm(copy, { recursive: true });
      b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
      await b.reopen();
      b.bucket.start();
      // Nothing is known of the branch that could be believed.
      await expect(b.put('new', '2')).rejects.toMatchObject({ code: 'not-ready' });
      b.remote.heal();
      b.bucket.kick();
      await until('the branch was read', () => b.state.status().ready);
      await b.put('new', '2');
      await b.kill();
      await b.reopen();
      expect(await b.read('new')).toBe('2');
      b.bucket.start();
      await b.landed(await b.put('last', '1'));
      expect(b.tree()).toEqual(
        new Map([
          ['first', '1'],
          ['last', '1'],
          ['new', '2'],
          ['tag', tag!],
        ]),
      );
      expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
      expect(await b.problems()).toEqual([]);
    },
  );

  test('knows its own work, however much of it there was before', async () => {
    const b = await bucket();
    await b.start();
    for (let i = 0; i < 30; i += 1) await b.landed(await b.put(`k${i % 3}`, String(i)));
    await b.kill();
    // The base is built anew, from the whole history.
    await rm(join(b.directory, 'buckets'), { recursive: true });
    await b.reopen();
    await b.bucket.follower.followOnce(signal);
    b.bucket.start();
    await b.landed(await b.put('last', '1'));
    expect(b.state.status().quarantinedChanges).toBe(0);
    expect(await b.problems()).toEqual([]);
  });
});

describe('commits of versions that knew numbers only', () => {
  async function oldCommit(b: JournalBucket, seqs: string, files: Record<string, string>): Promise<void> {
    const [id] = unpackRow((await b.overlay.get(identityKey))!) as [string];
    const tree = new Map(b.repository.commit(b.repository.head!).tree);
    for (const [path, text] of Object.entries(files)) tree.set(path, bytesOf(text));
    b.repository.add(b.repository.head, tree, 'old', [
      ['Gateway-Id', id],
      ['Gateway-Epoch', '1'],
      ['Journal-Seq', seqs],
    ]);
  }
  const identityKey = Keyspace.overlay('bucket').key('single', Buffer.from('gateway'));

  /** As an older version leaves it behind: pending, and sent up to this number. */
  async function setAttempted(b: JournalBucket, seq: number): Promise<void> {
    const [id, epoch] = unpackRow((await b.overlay.get(identityKey))!) as [string, number];
    await b.overlay.commit([], [{ key: identityKey, value: packRow([id, epoch, seq]) }]);
  }

  test('are known by their numbers', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('first', '1'));
    await b.bucket.committer.stop();
    await b.put('a', 'ours');
    await b.put('b', 'ours');
    await oldCommit(b, '2..3', { a: 'ours', b: 'ours' });
    b.repository.foreignCommit({ a: 'theirs' });
    await setAttempted(b, 3);
    await b.restart();
    await b.landed(await b.put('c', 'ours'));
    expect(b.tree().get('a')).toBe('theirs');
    expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
    expect(await b.read('a')).toBe('theirs');
  });

  test('and prove a snapshot as well', async () => {
    const b = await bucket();
    await b.start();
    await b.landed(await b.put('first', '1'));
    await b.bucket.committer.stop();
    await b.put('a', 'old');
    await oldCommit(b, '2..9', { a: 'newer' });
    await b.restart();
    await b.landed(await b.put('c', 'ours'));
    expect(b.tree().get('a')).toBe('newer');
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1 });
  });

  test.each([
    ['7', 7],
    ['7..9', 9],
    ['', undefined],
    ['9..', undefined],
    ['x', undefined],
  ])('the end of the seq %j is %j', (text, end) => {
    expect(seqEndOf({ trailers: new Map([['Journal-Seq', text]]) })).toBe(end);
  });
});

test('a change that was set aside is no longer waited for', async () => {
  const b = await bucket();
  await b.start();
  b.remote.refuse = (path) =>
    path === 'bad' ? new RemoteError('content-refused', 'never', { oids: [] }) : undefined;
  const seq = await b.put('bad', '1');
  await b.landed(seq);
  expect(await b.state.changeState(key('bad'))).toMatchObject({ state: 'quarantined' });
});
