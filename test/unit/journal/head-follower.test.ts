import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { wholeExtent } from '../../../src/format/extent.js';
import { formatPointer } from '../../../src/format/lfs-pointer.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { oidEtag } from '../../../src/index/oid-etag.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { MemoryRepository } from '../../support/memory-head-remote.js';

let b: JournalBucket;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

const follow = () => b.bucket.follower.followOnce(signal);
const MD5_OF_HELLO = '5d41402abc4b2a76b9719d911017c592';

describe('a branch that others write to', () => {
  test('an existing branch is indexed at the first start', async () => {
    const repository = new MemoryRepository(() => 1_650_000_000_000);
    b = await JournalBucket.open({}, repository);
    const chunk = b.chunks.keep(bytesOf('0123456789'));
    repository.foreignCommit({
      'docs/hello': 'hello',
      pointer: formatPointer(chunk),
      'big%chunks/000000': formatPointer(chunk),
      'big%chunks/000001': formatPointer(chunk),
      'dir%object': 'both',
      'dir/below': '1',
      'not a key%': 'foreign',
    });
    await b.start();
    expect(await b.list()).toEqual(['big', 'dir', 'dir/below', 'docs/hello', 'pointer']);
    expect(await b.state.get(key('docs/hello'))).toMatchObject({
      sizeBytes: 5,
      etag: MD5_OF_HELLO,
      lastModifiedMs: 1_650_000_000_000,
    });
    expect(await b.state.get(key('big'))).toMatchObject({
      sizeBytes: 20,
      etag: oidEtag([chunk.oid, chunk.oid]),
    });
    expect(await b.read('dir')).toBe('both');
    expect(b.state.status()).toMatchObject({ ready: true, head: repository.head });
    b.chunks.remote.add(chunk.oid);
    expect(await b.problems()).toEqual([]);
  });

  test('changes of others are seen, removed ones too, and only the base is touched', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('ours', '1'));
    await b.put('pending', 'p');
    b.repository.foreignCommit({ theirs: 'x', ours: '2' });
    await follow();
    expect(await b.read('theirs')).toBe('x');
    expect(await b.read('ours')).toBe('2');
    expect(await b.read('pending')).toBe('p');
    b.repository.foreignCommit({ theirs: null });
    await follow();
    expect(await b.list()).toEqual(['ours', 'pending']);
    expect(await b.problems()).toEqual([]);
  });

  test('metadata counts only while it is about the bytes that stand there', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', 'hello', { etag: 'own-etag', meta: { contentType: 'text/x' } }));
    b.repository.foreignCommit({ a: 'edited' });
    await follow();
    const edited = await b.state.get(key('a'));
    expect(edited).toMatchObject({ sizeBytes: 6, meta: {} });
    expect(edited!.etag).not.toBe('own-etag');
    b.repository.foreignCommit({ a: 'hello' });
    await follow();
    expect(await b.state.get(key('a'))).toMatchObject({ etag: 'own-etag', meta: { contentType: 'text/x' } });
  });

  test('a rebuild finds the same objects with the same metadata', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.put('a', 'hello', { etag: 'e1', meta: { userMetadata: { k: 'v' } }, lastModifiedMs: 123 });
    await b.put('a/b', 'x'.repeat(250), { etag: 'e2-2', partSizesBytes: [100, 150] });
    await b.landed(await b.put('empty', ''));
    const before = await b.state.page('', undefined, 10);
    await b.put('pending', 'p');
    await b.bucket.rebuild();
    const after = (await b.state.page('', undefined, 10)).filter((item) => item.key !== 'pending');
    const bare = (items: typeof after) => items.map(({ key: k, record: { body: _, ...rest } }) => [k, rest]);
    expect(bare(after)).toEqual(bare(before));
    expect(await b.read('a/b')).toBe('x'.repeat(250));
    expect(await b.read('pending')).toBe('p');
    expect(await b.problems()).toEqual([]);
  });

  test('a base that is lost is rebuilt, and what was pending still lands', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', '1'));
    await b.put('b', '2');
    await b.kill();
    await rm(join(b.directory, 'buckets'), { recursive: true });
    await b.reopen();
    expect(b.state.status().ready).toBe(false);
    await expect(b.put('c', '3')).rejects.toMatchObject({ code: 'not-ready' });
    await b.start();
    await b.landed(await b.put('c', '3'));
    expect([...b.tree().keys()]).toEqual(['a', 'b', 'c']);
  });

  test('reads and writes go on from what is known while Gitee is down', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', '1'));
    await b.kill();
    b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
    await b.reopen();
    b.bucket.start();
    expect(await b.read('a')).toBe('1');
    const seq = await b.put('b', '2');
    expect(await b.state.waitLanded(seq, { timeoutMs: 50, signal })).toBe(false);
    b.remote.heal();
    b.bucket.kick();
    await b.landed(seq);
  });

  test('the id of the repository is asked for when Gitee answers; a state of another one is refused', async () => {
    let answers = false;
    b = await JournalBucket.open({
      repositoryId: async () => {
        if (!answers) throw new RemoteError('unreachable', 'down');
        return 9;
      },
    });
    await expect(b.start()).rejects.toThrow('down');
    answers = true;
    await b.start();
    await b.landed(await b.put('a', '1'));
    expect(JSON.parse(b.repository.texts().get('.gateway/format.json')!)).toMatchObject({ repositoryId: 9 });
    Object.assign(b.options, { branch: 'other' });
    await b.kill();
    await expect(b.reopen()).rejects.toMatchObject({ code: 'not-ready' });
    Object.assign(b.options, { branch: 'master' });
    await b.reopen().catch(() => {});
  });
});

describe('a branch that may not be followed', () => {
  test('a rewritten history freezes the bucket until an operator accepts it', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', '1'));
    const old = b.repository.head!;
    await b.put('pending', 'p');
    b.repository.rewriteHistory({ other: 'x' });
    await follow();
    expect(b.state.status().frozen?.reason).toContain('rewritten');
    expect(b.remote.kept).toEqual(new Set([old]));
    expect(await b.read('a')).toBe('1');
    await expect(b.put('b', '2')).rejects.toMatchObject({ code: 'read-only' });
    await b.restart();
    await expect(b.put('b', '2')).rejects.toMatchObject({ code: 'read-only' });
    await b.bucket.acceptRemote();
    expect(await b.list()).toEqual(['other', 'pending']);
    await b.landed(await b.put('b', '2'));
    expect([...b.tree().keys()].sort()).toEqual(['b', 'other', 'pending']);
    expect(await b.problems()).toEqual([]);
  });

  test('a moved head that must not be followed is met by a push, too', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', '1'));
    b.repository.rewriteHistory({ other: 'x' });
    const seq = await b.put('b', '2');
    await until('it freezes', async () => {
      expect(await b.state.waitLanded(seq, { timeoutMs: 100, signal })).toBe(false);
      return b.state.status().frozen !== undefined;
    });
    expect(b.state.status()).toMatchObject({ pendingChanges: 1, lastLandedMs: expect.any(Number) });
    expect([...b.tree().keys()]).toEqual(['other']);
  });

  test('a foreign change that removes more than 100 objects freezes, one that only moves them does not', async () => {
    b = await JournalBucket.open();
    const many = Array.from({ length: 150 }, (_, i) => `k${String(i).padStart(3, '0')}`);
    b.repository.foreignCommit(Object.fromEntries(many.map((name) => [name, name])));
    await b.start();
    b.repository.foreignCommit(
      Object.fromEntries(
        many.flatMap((name) => [
          [name, null],
          [`${name}%object`, name],
        ]),
      ),
    );
    await follow();
    expect(b.state.status().frozen).toBeUndefined();
    b.repository.foreignCommit(Object.fromEntries(many.map((name) => [`${name}%object`, null])));
    await follow();
    expect(b.state.status().frozen?.reason).toContain('removes 150 of 150');
    expect(await b.list()).toHaveLength(150);
    await b.bucket.acceptRemote();
    expect(await b.list()).toEqual([]);
  });

  test('our own mass deletion that landed unclearly is not taken for a foreign one', async () => {
    b = await JournalBucket.open();
    const many = Array.from({ length: 150 }, (_, i) => `k${i}`);
    b.repository.foreignCommit(Object.fromEntries(many.map((name) => [name, name])));
    await b.start();
    b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'));
    await b.landed(await b.delete(...many));
    expect(b.state.status().frozen).toBeUndefined();
    expect(await b.list()).toEqual([]);
  });

  describe('a mass deletion through a gateway freezes nobody:', () => {
    const many = Array.from({ length: 150 }, (_, i) => `k${i}`);
    const text = (value: string) => Object.fromEntries(many.map((name) => [name, value]));

    test('ours, whose answer was lost, with the keys written anew since', async () => {
      b = await JournalBucket.open();
      b.repository.foreignCommit(text('1'));
      await b.start();
      b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'));
      b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
      const stop = new AbortController();
      const seq = await b.delete(...many);
      const landing = b.state.waitLanded(seq, { timeoutMs: 60_000, signal: stop.signal });
      await until('the push was applied', async () => b.tree().size === 0);
      stop.abort(new Error('seen'));
      await expect(landing).rejects.toThrow('seen');
      let last = 0;
      for (const name of many) last = await b.put(name, '2');
      b.remote.heal();
      b.bucket.kick();
      await b.landed(last);
      expect(b.state.status()).toMatchObject({ frozen: undefined, pendingChanges: 0 });
      expect(b.tree()).toEqual(new Map(Object.entries(text('2'))));
      expect(await b.problems()).toEqual([]);
    });

    test('another one’s, between commits of people', async () => {
      const other = await JournalBucket.open();
      other.repository.foreignCommit(text('1'));
      await other.start();
      b = await JournalBucket.open({}, other.repository);
      await b.start();
      expect(await b.list()).toHaveLength(150);
      b.repository.foreignCommit({ hand: 'made', k0: null });
      await other.landed(await other.delete(...many));
      b.repository.foreignCommit({ later: 'too' });
      await follow();
      expect(b.state.status().frozen).toBeUndefined();
      expect(await b.list()).toEqual(['hand', 'later']);
      await b.landed(await b.put('k0', 'again'));
      await other.remove();
    });

    test('but what people remove beside it counts, and so does a copy of such a commit', async () => {
      const other = await JournalBucket.open();
      other.repository.foreignCommit({ ...text('1'), a: '1', b: '1' });
      await other.start();
      b = await JournalBucket.open({}, other.repository);
      await b.start();
      await other.landed(await other.delete('a'));
      const { trailers } = b.repository.commit(b.repository.head!);
      b.repository.foreignCommit(Object.fromEntries(many.map((name) => [name, null])), 'a copy', trailers);
      await follow();
      expect(b.state.status().frozen?.reason).toContain('removes 150 of 152');
      await other.remove();
    });
  });

  describe('a freeze ends by itself where the branch is again as it was', () => {
    const WAS = { a: '1', ...Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`k${i}`, '1'])) };
    const gone = Object.fromEntries(Object.keys(WAS).map((name) => [name, null]));

    beforeEach(async () => {
      b = await JournalBucket.open();
      b.repository.foreignCommit(WAS);
      await b.start();
      await b.landed(await b.put('a', '2'));
    });
    const writable = async () => {
      await follow();
      expect(b.state.status().frozen).toBeUndefined();
      await b.landed(await b.put('new', '3'));
      expect(await b.read('a')).toBe('2');
      expect(await b.list()).toHaveLength(152);
      expect(await b.problems()).toEqual([]);
    };

    test.each<[string, () => void]>([
      ['set back', () => (b.repository.head = b.repository.commit(b.repository.head!).parent)],
      ['rewritten', () => b.repository.rewriteHistory({ other: 'x' })],
      ['deleted', () => (b.repository.head = null)],
      ['emptied', () => b.repository.foreignCommit(gone)],
    ])('%s', async (_name, spoil) => {
      const head = b.repository.head!;
      const pending = await b.put('pending', 'p');
      expect(pending).toBeGreaterThan(0);
      await b.bucket.committer.stop();
      spoil();
      await follow();
      const { frozen } = b.state.status();
      expect(frozen).toBeDefined();
      // Another wrong head is no reason to begin anew.
      b.repository.rewriteHistory({ yet: 'another' });
      await follow();
      expect(b.state.status().frozen?.sinceMs).toBe(frozen!.sinceMs);
      await b.restart();
      await follow();
      expect(b.state.status().frozen).toBeDefined();
      await expect(b.put('new', '3')).rejects.toMatchObject({ code: 'read-only' });
      b.repository.head = head;
      await follow();
      await b.landed(pending);
      await b.landed(await b.delete('pending'));
      await writable();
    });

    test('mended on top of what somebody removed', async () => {
      b.repository.foreignCommit(gone);
      await follow();
      expect(b.state.status().frozen).toBeDefined();
      b.repository.foreignCommit({ ...WAS, a: '2' });
      await writable();
    });
  });

  test('a deleted branch freezes', async () => {
    b = await JournalBucket.open();
    await b.start();
    await b.landed(await b.put('a', '1'));
    b.repository.head = null;
    await follow();
    expect(b.state.status().frozen?.reason).toContain('gone');
    expect(await b.read('a')).toBe('1');
  });

  test('a newer storage format is refused until it is gone', async () => {
    b = await JournalBucket.open();
    b.repository.foreignCommit({ '.gateway/format.json': '{"version": 2}', a: '1' });
    await follow();
    expect(b.state.status()).toMatchObject({ ready: false });
    expect(b.state.status().frozen?.reason).toContain('storage format 2');
    b.repository.foreignCommit({ '.gateway/format.json': null });
    await b.start();
    expect(b.state.status().frozen).toBeUndefined();
    expect(await b.read('a')).toBe('1');
  });

  test('a copy of another repository waits for the word of an operator, then becomes ours', async () => {
    const first = await JournalBucket.open({ repositoryId: 1 });
    await first.start();
    await first.landed(await first.put('a', '1'));
    b = await JournalBucket.open({ repositoryId: 2 }, first.repository);
    await follow();
    expect(b.state.status().frozen?.reason).toContain('repository 1');
    await b.bucket.acceptRemote();
    b.bucket.start();
    await b.landed(await b.put('b', '2'));
    expect(JSON.parse(b.repository.texts().get('.gateway/format.json')!)).toMatchObject({ repositoryId: 2 });
    await first.remove();
  });
});

describe('a restored snapshot of the state', () => {
  /** The state as it is now comes back after `meanwhile`. */
  async function takeBack(meanwhile: () => Promise<void>): Promise<void> {
    await b.kill();
    const snapshot = `${b.directory}-snapshot`;
    await cp(b.directory, snapshot, { recursive: true });
    await b.reopen();
    await meanwhile();
    await b.kill();
    await rm(b.directory, { recursive: true });
    await cp(snapshot, b.directory, { recursive: true });
    await rm(snapshot, { recursive: true });
    await b.reopen();
  }

  test('takes a new id and never replays what was pending, so that no tag rolls back', async () => {
    b = await JournalBucket.open({ rules: REGISTRY });
    const tag = 'docker/registry/v2/repositories/app/_manifests/tags/latest/current/link';
    await b.start();
    await b.landed(await b.put('x', '0'));
    const firstId = b.repository.commit(b.repository.head!).trailers[0]![1];
    await b.put(tag, 'sha256:old');
    const local = 'docker/registry/v2/repositories/app/_uploads/1/data';
    await b.put(local, 'upload');
    await takeBack(async () => {
      await b.start();
      await b.landed(await b.put(tag, 'sha256:new'));
    });
    const fresh = await b.put('fresh', 'written before the branch was seen');
    await b.start();
    await b.landed(fresh);
    expect(b.tree().get(tag)).toBe('sha256:new');
    expect(await b.read(tag)).toBe('sha256:new');
    expect(await b.read(local)).toBe('upload');
    expect(b.tree().get('fresh')).toBe('written before the branch was seen');
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
    expect(b.repository.commit(b.repository.head!).trailers[0]![1]).not.toBe(firstId);
    expect(await b.problems()).toEqual([]);
  });

  test.each(
    [true, false].flatMap((hasLanded) => [0, 1, 2, 25].map((restarts) => [hasLanded, restarts] as const)),
  )(
    'replays nothing of its own and lands all that came since (a commit landed in its last run: %s; starts before the branch could be read: %i more)',
    async (hasLanded, restarts) => {
      b = await JournalBucket.open({ timings: { maxAgeMs: 20 } });
      await b.start();
      await b.landed(await b.put('k', '0'));
      if (!hasLanded) await b.restart();
      await b.bucket.committer.stop();
      await b.put('k', 'of the snapshot');
      await takeBack(async () => {
        // Started once more without a commit, so that the next one must speak for this run as well.
        await b.restart();
        await b.landed(await b.put('k', 'after the snapshot'));
        await b.landed(await b.put('k', 'newest'));
      });
      const away = () => {
        b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
        b.bucket.start();
      };
      away();
      const fresh = ['fresh 0'];
      await b.put('fresh 0', 'since it was restored');
      for (let i = 1; i <= restarts; i += 1) {
        await b.kill();
        await b.reopen();
        away();
        // What crashes at each start has nothing to write in between.
        if (i > 2) continue;
        fresh.push(`fresh ${i}`);
        await b.put(`fresh ${i}`, 'since it was restored');
      }
      b.remote.heal();
      await b.bucket.follower.followOnce(signal);
      expect(await b.read('k')).toBe('newest');
      for (const name of fresh) expect(await b.read(name)).toBe('since it was restored');
      b.bucket.kick();
      await until('all lands', () => b.state.status().pendingChanges === 0);
      expect([...b.tree().keys()].sort()).toEqual([...fresh, 'k'].sort());
      expect(b.tree().get('k')).toBe('newest');
      expect(b.state.status()).toMatchObject({ quarantinedChanges: 1 });
      expect(await b.problems()).toEqual([]);
    },
  );

  test('replays nothing of its own where that had needed no commit', async () => {
    b = await JournalBucket.open({ timings: { maxAgeMs: 20 } });
    await b.start();
    await b.landed(await b.put('first', '1'));
    await b.restart();
    await b.bucket.committer.stop();
    const nothing = await b.delete('k');
    await takeBack(async () => {
      await b.restart();
      await b.landed(nothing);
      await b.landed(await b.put('k', 'newest'));
    });
    await b.start();
    b.bucket.kick();
    await until('all is settled', () => b.state.status().pendingChanges === 0);
    expect(b.tree().get('k')).toBe('newest');
    expect(await b.read('k')).toBe('newest');
  });

  test('hides what was set aside before it, not what was written and set aside here since', async () => {
    b = await JournalBucket.open({ timings: { maxAgeMs: 20 } });
    const refused = 'x'.repeat(90);
    const { oid } = b.chunks.cut(bytesOf(refused))[0]!;
    let isWell = false;
    b.chunks.beforeEnsure = async (chunks) => {
      if (!isWell && chunks.some((chunk) => chunk.oid === oid))
        throw new RemoteError('chunk-refused', 'no', { oids: [oid] });
    };
    const setAside = async (name: string) => {
      await b.landed(await b.put(name, refused));
      expect(await b.state.changeState(key(name))).toMatchObject({ state: 'quarantined' });
    };
    await b.start();
    await b.landed(await b.put('first', '1'));
    await setAside('old');
    await takeBack(async () => {
      await b.start();
      await b.landed(await b.put('second', '2'));
    });
    b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
    b.bucket.start();
    await setAside('fresh');
    b.remote.heal();
    await b.bucket.follower.followOnce(signal);
    expect(await b.read('second')).toBe('2');
    expect(await b.read('old')).toBeUndefined();
    expect(await b.read('fresh')).toBe(refused);
    isWell = true;
    b.bucket.kick();
    await until('it lands', () => b.tree().has('fresh%chunks/000000') || b.tree().has('fresh'));
    expect(await b.read('fresh')).toBe(refused);
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1 });
    expect(await b.problems()).toEqual([]);
  });

  test('may be found out while what was pending is made ready for a commit', async () => {
    b = await JournalBucket.open({ timings: { maxAgeMs: 20 } });
    await b.start();
    await b.landed(await b.put('first', '1'));
    await b.bucket.committer.stop();
    const whole = (text: string) => wholeExtent(b.chunks.keep(bytesOf(text)));
    await b.putExtents('old', [whole('p'.repeat(60)), whole('q'.repeat(30))]);
    await b.put('old too', 'r'.repeat(90));
    await takeBack(async () => {
      await b.start();
      await b.landed(await b.put('second', '2'));
    });
    const normalise = b.chunks.normalise.bind(b.chunks);
    let enter: () => void;
    const entered = new Promise<void>((resolve) => (enter = resolve));
    let go: () => void;
    const gone = new Promise<void>((resolve) => (go = resolve));
    b.chunks.normalise = async function* (list) {
      enter();
      await gone;
      yield* normalise(list);
    };
    b.bucket.committer.start();
    await entered;
    await b.bucket.follower.followOnce(signal);
    go!();
    await b.landed(await b.put('fresh', '3'));
    expect(b.fatal).toEqual([]);
    expect(b.tree().get('fresh')).toBe('3');
    // The log had landed both before it was taken back: they are seen as they stand on the branch.
    expect(await b.list()).toEqual(['first', 'fresh', 'old', 'old too', 'second']);
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 2, pendingChanges: 0 });
    expect(await b.problems()).toEqual([]);
  });
});
