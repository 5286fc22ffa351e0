/**
 * A host may spread reads of the branch over copies of the repository, and such a copy may lag: it shows the branch as it
 * was, or none. Nothing here goes back for that, and the bucket stays writable; where the branch stays so, it has been
 * set back by somebody, and that freezes as ever.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ManualClock } from '../../support/chunk-bench.js';
import { JournalBucket, signal } from '../../support/journal-bucket.js';

const LAG_MAX_MS = 60_000;

let b: JournalBucket;
let clock: ManualClock;
beforeEach(async () => {
  clock = new ManualClock();
  b = await JournalBucket.open({ clock, timings: { lagMaxMs: LAG_MAX_MS } });
  await b.bucket.follower.followOnce(signal);
});
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

const look = () => b.bucket.follower.followOnce(signal);
const lags = (commits: number) => (b.remote.lag = () => commits);
const isFrozen = () => b.state.status().frozen !== undefined;

/** All that is pending lands in one round. */
async function land(): Promise<void> {
  b.bucket.committer.flush();
  await b.bucket.committer.round(signal);
}

describe.each([
  ['the branch as it was', 1],
  ['none', 9],
])('a copy that shows %s', (_what, commits) => {
  beforeEach(async () => {
    await b.put('gone', '1');
    await b.put('kept', '1');
    await land();
    await b.delete('gone');
    await b.put('kept', '2');
    await land();
    expect([...b.tree().keys()]).toEqual(['kept']);
  });

  const expectNewest = async () => {
    expect(await b.list()).toEqual(['kept']);
    expect(await b.read('kept')).toBe('2');
    expect(isFrozen()).toBe(false);
  };

  test('rolls nothing back, freezes nothing, and is followed when it has caught up', async () => {
    lags(commits);
    for (let i = 0; i < 5; i += 1) {
      await expect(look()).rejects.toMatchObject({ code: 'server-fault' });
      await expectNewest();
      clock.advance(LAG_MAX_MS / 10);
    }
    b.repository.foreignCommit({ theirs: 'x' });
    lags(0);
    await look();
    expect(await b.list()).toEqual(['kept', 'theirs']);
  });

  test('keeps no write from the branch', async () => {
    lags(commits);
    await b.put('new', '3');
    await land();
    expect([...b.tree()]).toEqual([
      ['kept', '2'],
      ['new', '3'],
    ]);
    expect(b.state.status()).toMatchObject({ pendingChanges: 0 });
    lags(commits + 1);
    await expect(look()).rejects.toMatchObject({ code: 'server-fault' });
    expect(await b.list()).toEqual(['kept', 'new']);
  });

  test('is told from a branch that was set back by time alone, however often both are met', async () => {
    for (let i = 0; i < 5; i += 1) {
      lags(commits);
      await expect(look()).rejects.toMatchObject({ code: 'server-fault' });
      clock.advance(LAG_MAX_MS - 1);
      lags(0);
      await look();
    }
    lags(commits);
    await expect(look()).rejects.toMatchObject({ code: 'server-fault' });
    clock.advance(LAG_MAX_MS);
    await look();
    expect(isFrozen()).toBe(true);
    expect(await b.read('kept')).toBe('2');
    lags(0);
    await look();
    await expectNewest();
  });

  test('is not what accept-remote takes for the truth', async () => {
    lags(commits);
    await expect(b.bucket.acceptRemote()).rejects.toMatchObject({ code: 'server-fault' });
    await expectNewest();
    lags(0);
    await b.bucket.acceptRemote();
    await expectNewest();
  });
});

test('a branch that was set back on purpose is accepted once it was seen to stay so', async () => {
  await b.put('a', '1');
  await land();
  await b.put('a', '2');
  await land();
  b.repository.head = b.repository.commit(b.repository.head!).parent;
  await expect(look()).rejects.toMatchObject({ code: 'server-fault' });
  await expect(b.bucket.acceptRemote()).rejects.toMatchObject({ code: 'server-fault' });
  clock.advance(LAG_MAX_MS);
  await b.bucket.acceptRemote();
  expect(await b.read('a')).toBe('1');
  expect(isFrozen()).toBe(false);
});

describe('a bucket without an index, on a branch that others have seen', () => {
  let other: JournalBucket;
  beforeEach(async () => {
    await b.put('gone', '1');
    await land();
    await b.delete('gone');
    await b.put('kept', '2');
    await land();
    other = await JournalBucket.open({ clock, timings: { lagMaxMs: LAG_MAX_MS } }, b.repository);
    await other.remote.fetch();
  });
  afterEach(async () => {
    expect(other.fatal).toEqual([]);
    await other.remove();
  });
  const begin = () => other.bucket.follower.followOnce(signal);
  const older = { code: 'server-fault' };

  test.each([
    ['the branch as it was', 1],
    ['none', 9],
  ])('does not begin with a copy that shows %s, however long', async (_what, commits) => {
    other.remote.lag = () => commits;
    for (let i = 0; i < 3; i += 1) {
      await expect(begin()).rejects.toMatchObject(older);
      await expect(other.bucket.rebuild()).rejects.toMatchObject(older);
      expect(other.state.status()).toMatchObject({ ready: false, frozen: undefined });
      expect(other.state.status().paused !== undefined).toBe(i > 0);
      clock.advance(LAG_MAX_MS);
    }
    other.remote.lag = () => 0;
    await begin();
    expect(other.state.status()).toMatchObject({ ready: true, paused: undefined });
    expect(await other.list()).toEqual(['kept']);
    // What was met before says nothing of what comes after it.
    other.remote.lag = () => commits;
    await expect(begin()).rejects.toMatchObject(older);
    expect(other.state.status()).toMatchObject({ frozen: undefined });
  });

  test('begins where the branch was set back to when an operator says so, once it was seen to stay', async () => {
    b.repository.head = b.repository.commit(b.repository.head!).parent;
    await expect(begin()).rejects.toMatchObject(older);
    await expect(other.bucket.acceptRemote()).rejects.toMatchObject(older);
    clock.advance(LAG_MAX_MS);
    await other.bucket.acceptRemote();
    expect(await other.list()).toEqual(['gone']);
    // So do others that come after it.
    expect(other.remote.knownHead()).toBe(b.repository.head);
  });

  test('begins with a history that others have written anew, and with a newer one', async () => {
    b.repository.rewriteHistory({ anew: '1' });
    await begin();
    expect(await other.list()).toEqual(['anew']);
  });
});
