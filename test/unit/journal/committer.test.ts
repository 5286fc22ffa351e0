import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints } from '../../../src/async/failpoint.js';
import { wholeExtent } from '../../../src/format/extent.js';
import { formatPointer } from '../../../src/format/lfs-pointer.js';
import { decodeMeta } from '../../../src/format/meta.js';
import { NotSentError, RemoteError } from '../../../src/gitee/errors.js';
import { StorageError } from '../../../src/index/errors.js';
import { Journal } from '../../../src/journal/journal.js';
import { until } from '../../support/child.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

const DAY_MS = 86_400_000;
const long = (letter: string, sizeBytes: number) => letter.repeat(sizeBytes);
const BLOB = 'docker/registry/v2/blobs/sha256/aa/aabb/data';

describe('a bucket of preset generic', () => {
  let b: JournalBucket;
  beforeEach(async () => {
    b = await JournalBucket.open({ rules: GENERIC });
    await b.start();
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  test('what is waited for lands as one commit with everything before it', async () => {
    await b.put('a', 'one');
    await b.put('b', 'two');
    await b.landed(await b.put('c', 'three'));
    expect(b.repository.commits.size).toBe(1);
    expect(b.tree()).toEqual(
      new Map([
        ['a', 'one'],
        ['b', 'two'],
        ['c', 'three'],
      ]),
    );
    expect(b.state.status()).toMatchObject({ pendingChanges: 0, head: b.repository.head });
    expect(await b.read('a')).toBe('one');
    expect(await b.problems()).toEqual([]);
  });

  test('who has lost the lease pushes nothing, not even what he has claimed', async () => {
    await b.landed(await b.put('a', 'one'));
    const head = b.repository.head;
    let isRefused = false;
    b.failpoints = {
      hit: async (name) => {
        if (name !== 'committer.claimed') return;
        b.checkLease = () => {
          isRefused = true;
          throw new StorageError('failed', 'taken over');
        };
      },
    };
    const seq = await b.put('a', 'two');
    b.bucket.committer.flush();
    await until('it was refused', () => isRefused);
    expect(b.repository.head).toBe(head);
    b.failpoints = noFailpoints;
    b.checkLease = () => {};
    b.bucket.kick();
    await b.landed(seq);
    expect(b.tree().get('a')).toBe('two');
  });

  test('a commit carries who made it and which changes it holds', async () => {
    await b.put('a', '1');
    await b.landed(await b.put('a', '2'));
    const commit = b.repository.commit(b.repository.head!);
    expect(Object.fromEntries(commit.trailers)).toEqual({
      'Gateway-Id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'Gateway-Epoch': '1',
      'Journal-Seq': '1..2',
      'Log-Id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'Batch-Id': expect.stringMatching(/^1-[0-9a-f]{24}$/),
      Base: 'none',
      Runs: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });

  test('the first commit has the files of the bucket, a later one leaves them alone', async () => {
    await b.landed(await b.put('a', '1'));
    const texts = b.repository.texts();
    expect(texts.get('.gitattributes')).toContain('%chunks/*');
    expect(JSON.parse(texts.get('.gateway/format.json')!)).toMatchObject({ version: 1, repositoryId: 7 });
    expect(texts.get('.gateway/restore.sh')).toMatch(/^#!\/bin\/sh/);
  });

  test('a large object stands as a directory of pointers with metadata that names them', async () => {
    const content = long('x', 250);
    await b.landed(await b.put('big', content, { etag: 'abc-1', meta: { contentType: 'text/plain' } }));
    const chunks = b.chunks.cut(bytesOf(content));
    const pointers = [...b.tree()].sort();
    expect(pointers).toEqual(
      chunks.map((chunk, i) => [`big%chunks/00000${i}`, Buffer.from(formatPointer(chunk)).toString()]),
    );
    const meta = decodeMeta(bytesOf(b.repository.texts().get('.gateway/meta/big%meta')!));
    expect(meta).toMatchObject({
      etag: 'abc-1',
      meta: { contentType: 'text/plain' },
      describes: { sizeBytes: 250, oids: chunks.map((chunk) => chunk.oid) },
    });
    expect(chunks.every((chunk) => b.chunks.remote.has(chunk.oid))).toBe(true);
    expect(await b.read('big')).toBe(content);
  });

  test('the chunk store is told each chunk that a commit names from now on, however that is found out', async () => {
    await b.landed(await b.put('big', long('x', 250)));
    const oids = [...b.chunks.landedOids];
    expect(oids).toHaveLength(3);
    expect(new Set(oids)).toEqual(new Set(b.chunks.local.keys()));
    // The push lands and its answer is lost.
    b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer in time'));
    await b.landed(await b.put('other', long('y', 150)));
    expect(b.chunks.landedOids.slice(3)).toHaveLength(2);
    await b.landed(await b.delete('big'));
    expect(b.chunks.landedOids).toHaveLength(5);
  });

  test('a shorter object leaves no chunk of the longer one before it', async () => {
    await b.landed(await b.put('big', long('x', 350)));
    await b.landed(await b.put('big', long('y', 150)));
    expect([...b.tree().keys()]).toEqual(['big%chunks/000000', 'big%chunks/000001']);
    await b.landed(await b.put('big', 'small'));
    expect([...b.tree()]).toEqual([['big', 'small']]);
    await b.landed(await b.delete('big'));
    expect(b.tree().size).toBe(0);
    expect(b.repository.texts().has('.gateway/meta/big%meta')).toBe(false);
    expect(await b.problems()).toEqual([]);
  });

  test('extents that cut chunks are committed as whole chunks, with the same ETag and bytes', async () => {
    const [first, second] = b.chunks.cut(bytesOf(long('a', 100) + long('b', 100)));
    const extents = [
      { ...wholeExtent(first!), offsetBytes: 50, lengthBytes: 50 },
      { ...wholeExtent(second!), offsetBytes: 0, lengthBytes: 99 },
    ];
    await b.landed(await b.putExtents('cut', extents));
    expect([...b.tree().keys()].sort()).toEqual(['cut%chunks/000000', 'cut%chunks/000001']);
    expect(await b.read('cut')).toBe(long('a', 50) + long('b', 99));
    expect(await b.problems()).toEqual([]);
  });

  test('a short object of extents becomes a plain file', async () => {
    const [chunk] = b.chunks.cut(bytesOf('0123456789'));
    await b.landed(await b.putExtents('s', [{ ...wholeExtent(chunk!), offsetBytes: 2, lengthBytes: 5 }]));
    expect([...b.tree()]).toEqual([['s', '23456']]);
  });

  test('bytes that look like an LFS pointer are never committed as a plain file', async () => {
    const rules = { ...GENERIC, inlineLimitBytes: 1000, chunkSizeBytes: 1000 };
    const other = await JournalBucket.open({ rules });
    await other.start();
    const pointer = formatPointer(b.chunks.keep(bytesOf('x')));
    await other.landed(await other.put('p', pointer));
    expect([...other.tree().keys()]).toEqual(['p%chunks/000000']);
    expect(await other.read('p')).toBe(Buffer.from(pointer).toString());
    await other.remove();
  });

  test('a key with others below it stands as %object, whichever came first', async () => {
    await b.landed(await b.put('a', 'file'));
    expect([...b.tree()]).toEqual([['a', 'file']]);
    await b.landed(await b.put('a/b', 'below'));
    expect([...b.tree()].sort()).toEqual([
      ['a%object', 'file'],
      ['a/b', 'below'],
    ]);
    await b.landed(await b.put('x/y/z', 'deep'));
    await b.landed(await b.put('x/y', 'mid'));
    expect(b.tree().get('x/y%object')).toBe('mid');
    await b.landed(await b.delete('a/b', 'x/y/z'));
    await b.landed(await b.put('a', 'again'));
    expect([...b.tree()].sort()).toEqual([
      ['a', 'again'],
      ['x/y%object', 'mid'],
    ]);
    expect(await b.problems()).toEqual([]);
  });

  test('a key and one below it in one batch, and one that makes room for the other', async () => {
    await b.put('k', '1');
    await b.landed(await b.put('k/l', '2'));
    expect([...b.tree()].sort()).toEqual([
      ['k%object', '1'],
      ['k/l', '2'],
    ]);
    await b.delete('k/l');
    await b.landed(await b.put('k', '3'));
    expect([...b.tree()]).toEqual([['k', '3']]);
    await b.delete('k');
    await b.landed(await b.put('k/m', '4'));
    expect([...b.tree()]).toEqual([['k/m', '4']]);
    expect(await b.problems()).toEqual([]);
  });

  test('changes that change nothing make no commit and count as landed', async () => {
    await b.landed(await b.put('a', '1'));
    const head = b.repository.head;
    await b.put('b', 'x');
    await b.landed(await b.delete('b'));
    expect(b.repository.head).toBe(head);
    expect(await b.list()).toEqual(['a']);
    expect(b.state.status().pendingChanges).toBe(0);
  });

  test('a change that was written again while its batch is pushed stays pending and visible', async () => {
    let second: number | undefined;
    b.remote.beforePush = async () => {
      second ??= await b.put('a', 'new');
    };
    await b.landed(await b.put('a', 'old'));
    expect(b.tree().get('a')).toBe('old');
    expect(await b.read('a')).toBe('new');
    expect(b.state.status().pendingChanges).toBe(1);
    await b.landed(second!);
    expect(b.tree().get('a')).toBe('new');
    expect(await b.problems()).toEqual([]);
  });

  test('a head that moved under the push is fetched and the edits are worked out anew', async () => {
    await b.landed(await b.put('a', 'ours'));
    let moved = false;
    b.remote.beforePush = async () => {
      if (!moved)
        b.repository.foreignCommit({ a: null, 'a%object': 'ours', 'a/b': 'theirs', other: 'foreign' });
      moved = true;
    };
    await b.landed(await b.put('c', 'new'));
    expect([...b.tree()].sort()).toEqual([
      ['a%object', 'ours'],
      ['a/b', 'theirs'],
      ['c', 'new'],
      ['other', 'foreign'],
    ]);
    expect(await b.read('other')).toBe('foreign');
    await b.landed(await b.put('a', 'again'));
    expect(b.tree().get('a%object')).toBe('again');
  });

  test('the last writer wins per key where both changed it', async () => {
    await b.landed(await b.put('a', '1'));
    b.remote.beforePush = async () => {
      b.remote.beforePush = async () => {};
      b.repository.foreignCommit({ a: 'theirs' });
    };
    await b.landed(await b.put('a', 'ours'));
    expect(b.tree().get('a')).toBe('ours');
    expect(await b.read('a')).toBe('ours');
  });

  test('a push that landed without an answer is found on the branch and keeps its metadata', async () => {
    b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'));
    await b.landed(await b.put('a', '1', { etag: 'kept', lastModifiedMs: 5 }));
    expect(b.repository.commits.size).toBe(1);
    expect(await b.state.get(key('a'))).toMatchObject({ etag: 'kept', lastModifiedMs: 5 });
    expect(await b.state.changeState(key('a'))).toBeUndefined();
    expect(await b.problems()).toEqual([]);
  });

  test('transient failures are tried again and nothing is lost', async () => {
    b.remote.fail('push', new RemoteError('server-fault', '502'), 3);
    b.chunks.beforeEnsure = async () => {
      b.chunks.beforeEnsure = async () => {};
      throw new RemoteError('timeout', 'slow');
    };
    await b.landed(await b.put('big', long('z', 300)));
    expect(b.tree().size).toBe(3);
  });

  test('a cause that needs an operator pauses, is told, and goes on after a kick', async () => {
    await b.landed(await b.put('a', '1'));
    b.remote.fail('push', new RemoteError('unauthorized', 'the token is expired'), Infinity);
    const seq = await b.put('a', '2');
    await until('it pauses', async () => {
      expect(await b.state.waitLanded(seq, { timeoutMs: 100, signal })).toBe(false);
      return b.state.status().paused !== undefined;
    });
    expect(b.state.status().paused).toMatchObject({ code: 'unauthorized', message: 'the token is expired' });
    expect(await b.read('a')).toBe('2');
    b.remote.heal();
    b.bucket.kick();
    await b.landed(seq);
    expect(b.state.status().paused).toBeUndefined();
  });

  test('a reason that is not known pauses only where it stays: it may be a server in trouble', async () => {
    await b.landed(await b.put('a', '1'));
    b.remote.fail('push', new RemoteError('refused', 'out of cheese'), 2);
    const paused: unknown[] = [];
    const watched = b.state.waitLanded(await b.put('a', '2'), { timeoutMs: CONDITION_LIMIT_MS, signal });
    while (!(await Promise.race([watched, b.put('b', 'x').then(() => false)])))
      paused.push(b.state.status().paused);
    expect(paused.filter((each) => each !== undefined)).toEqual([]);
    b.remote.fail('push', new RemoteError('refused', 'out of cheese'), Infinity);
    const seq = await b.put('a', '3');
    await until('it pauses', async () => {
      expect(await b.state.waitLanded(seq, { timeoutMs: 100, signal })).toBe(false);
      return b.state.status().paused?.code === 'refused';
    });
  });

  test('nor does a look at the branch that was refused so, once or twice', async () => {
    await b.landed(await b.put('a', '1'));
    const fetch = b.remote.fetch.bind(b.remote);
    const paused: unknown[] = [];
    let looks = 0;
    b.remote.fetch = async (ended) => {
      paused.push(b.state.status().paused);
      looks += 1;
      return looks > 2 ? fetch(ended) : Promise.reject(new RemoteError('refused', 'out of cheese'));
    };
    await until('it was looked at again', () => {
      b.bucket.follower.hint();
      paused.push(b.state.status().paused);
      return looks > 2;
    });
    expect(paused.filter((each) => each !== undefined)).toEqual([]);
    b.remote.fetch = () => Promise.reject(new RemoteError('refused', 'out of cheese'));
    await until('it pauses', () => {
      b.bucket.follower.hint();
      return b.state.status().paused?.code === 'refused';
    });
  });

  test('a refused change is found among many, quarantined and stays readable; the rest lands', async () => {
    b.remote.refuse = (path) =>
      path === 'poison' ? new RemoteError('content-refused', 'a hook refuses poison') : undefined;
    for (let i = 0; i < 10; i += 1) await b.put(`k${i}`, `${i}`);
    const poison = await b.put('poison', 'p');
    for (let i = 10; i < 20; i += 1) await b.put(`k${i}`, `${i}`);
    await b.landed(b.bucket.state.status().pendingChanges);
    expect(b.tree().size).toBe(20);
    expect(b.tree().has('poison')).toBe(false);
    expect(await b.read('poison')).toBe('p');
    expect(await b.state.changeState(key('poison'))).toMatchObject({ seq: poison, state: 'quarantined' });
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
    await b.restart();
    expect(await b.state.changeState(key('poison'))).toMatchObject({ state: 'quarantined' });
    expect(b.state.status().quarantinedChanges).toBe(1);
    expect(await b.problems()).toEqual([]);
  });

  describe('what fails for a reason that is not Gitee’s', () => {
    /** No commit can be made of edits that hold such a path. */
    const failAt = (isBad: (path: string) => boolean, cause: Error) => {
      const push = b.remote.push.bind(b.remote);
      b.remote.push = async (request, s) => {
        if (request.edits.some((edit) => edit.kind === 'put' && isBad(edit.path)))
          throw new NotSentError(cause);
        return push(request, s);
      };
      return () => (b.remote.push = push);
    };

    test('is found among many and set aside with the reason; the rest lands', async () => {
      failAt((path) => path === 'odd', new RangeError('nothing can stand there'));
      for (let i = 0; i < 10; i += 1) await b.put(`k${i}`, `${i}`);
      await b.put('odd', 'o');
      for (let i = 10; i < 20; i += 1) await b.put(`k${i}`, `${i}`);
      await b.landed(b.state.status().pendingChanges);
      expect(b.tree().size).toBe(20);
      expect(await b.read('odd')).toBe('o');
      const rows = [];
      const journal = await Journal.open(b.overlay, 'bucket', {
        clock: systemClock,
        failpoints: noFailpoints,
      });
      for await (const row of journal.quarantinedRows()) rows.push(row);
      expect(rows).toMatchObject([
        { key: 'odd', code: 'not-committable', message: 'nothing can stand there' },
      ]);
      expect(b.state.status()).toMatchObject({ quarantinedChanges: 1, pendingChanges: 0 });
      expect(b.state.status()).toMatchObject({ quarantinedBytes: 1, pendingBytes: 0 });
    });

    test('is none of the changes’ where all of them fail so: few are set aside, and none where the disk is full', async () => {
      const full = Object.assign(new Error('no space left'), {
        errno: -28,
        code: 'ENOSPC',
        syscall: 'write',
      });
      let heal = failAt(() => true, full);
      for (let i = 0; i < 30; i += 1) await b.put(`k${i}`, `${i}`);
      const wait = { timeoutMs: 500, signal };
      expect(await b.state.waitLanded(30, wait)).toBe(false);
      expect(b.state.status()).toMatchObject({ quarantinedChanges: 0, pendingChanges: 30 });
      heal();
      heal = failAt(() => true, new TypeError('a fault of ours'));
      b.bucket.kick();
      // Longer than all of them would take, one by one.
      expect(await b.state.waitLanded(30, { ...wait, timeoutMs: 4_000 })).toBe(false);
      const { quarantinedChanges, pendingChanges } = b.state.status();
      expect(quarantinedChanges).toBeLessThanOrEqual(10);
      expect(pendingChanges + quarantinedChanges).toBe(30);
      heal();
      b.bucket.kick();
      await b.landed(30);
      // A kick tries again what was set aside, too.
      await until('all of them land', () => b.tree().size === 30);
      await until('nothing is set aside', () => b.state.status().quarantinedChanges === 0);
      expect(await b.read('k0')).toBe('0');
    });
  });

  test('a change that cannot even be looked at is set aside, and the rest of a registry lands', async () => {
    const r = await JournalBucket.open({ rules: REGISTRY });
    await r.start();
    const odd = 'docker/registry/v2/blobs/sha256/bb/bbbb/data';
    await r.put(odd, long('o', 150));
    const [oid] = [...r.chunks.local.keys()];
    const isUnsent = r.chunks.isUnsent.bind(r.chunks);
    r.chunks.isUnsent = (of) => {
      if (of === oid) throw new RangeError('an impossible chunk');
      return isUnsent(of);
    };
    try {
      await r.landed(await r.put(BLOB, long('f', 150)));
      expect(await r.state.changeState(key(odd))).toMatchObject({ state: 'quarantined' });
      expect(r.fatal).toEqual([]);
    } finally {
      await r.remove();
    }
  });

  test('a newer write of a quarantined key is a fresh try', async () => {
    b.remote.refuse = (path, content) =>
      path === 'p' && Buffer.from(content!).toString() === 'bad'
        ? new RemoteError('file-too-large', 'no')
        : undefined;
    await b.landed(await b.put('p', 'bad'));
    expect(b.state.status().quarantinedChanges).toBe(1);
    await b.landed(await b.put('p', 'good'));
    expect(b.state.status().quarantinedChanges).toBe(0);
    expect(b.tree().get('p')).toBe('good');
    expect(await b.problems()).toEqual([]);
  });

  test('a chunk that is nowhere sets its change aside and lets the others land', async () => {
    const [chunk] = b.chunks.cut(bytesOf(long('q', 100)));
    const lost = await b.putExtents('lost', [wholeExtent(chunk!)]);
    b.chunks.local.delete(chunk!.oid);
    await b.landed(await b.put('fine', '1'));
    await b.landed(lost);
    expect([...b.tree().keys()]).toEqual(['fine']);
    expect(await b.state.changeState(key('lost'))).toMatchObject({ state: 'quarantined' });
  });

  test('a push that is too large lands in parts', async () => {
    const push = b.remote.push.bind(b.remote);
    b.remote.push = async (request, s) => {
      if (request.edits.filter((edit) => edit.kind === 'put').length > 9)
        throw new RemoteError('push-too-large', '413');
      return push(request, s);
    };
    for (let i = 0; i < 9; i += 1) await b.put(`k${i}`, `${i}`);
    await b.landed(await b.put('k9', '9'));
    expect(b.tree().size).toBe(10);
    expect(b.repository.commits.size).toBeGreaterThan(1);
  });

  test('local keys are seen, survive a restart, expire, and are never in a commit', async () => {
    const r = await JournalBucket.open({ rules: REGISTRY });
    await r.start();
    const upload = 'docker/registry/v2/repositories/app/_uploads/1/data';
    await r.put(upload, long('u', 300));
    await r.put('docker/registry/v2/repositories/app/_uploads/1/startedat', 'now');
    await r.landed(await r.put('docker/registry/v2/repositories/app/_layers/link', 'sha256:aa'));
    expect([...r.tree().keys()]).toEqual(['docker/registry/v2/repositories/app/_layers/link']);
    await r.restart();
    expect(await r.read(upload)).toBe(long('u', 300));
    expect(await r.state.changeState(key(upload))).toMatchObject({ state: 'local' });
    const oids = [];
    for await (const extent of r.state.overlayExtents()) oids.push(extent.oid);
    expect(oids).toHaveLength(3);
    expect(await r.state.expireLocalKeys(0, () => false)).toBe(0);
    await r.delete('docker/registry/v2/repositories/app/_uploads/1/startedat');
    expect(await r.state.expireLocalKeys(Date.now() + 1, () => false)).toBe(1);
    expect(await r.read(upload)).toBeUndefined();
    expect(await r.problems()).toEqual([]);
    await r.remove();
  });

  test('a registry blob is one pointer at its key where one chunk suffices, and needs no metadata', async () => {
    const r = await JournalBucket.open({ rules: REGISTRY });
    await r.start();
    await r.landed(await r.put(BLOB, 'tiny blob'));
    expect([...r.tree().keys()]).toEqual([BLOB]);
    expect(r.tree().get(BLOB)).toContain('oid sha256:');
    await r.landed(await r.put(BLOB, long('b', 250)));
    expect([...r.tree().keys()].sort()).toEqual([0, 1, 2].map((i) => `${BLOB}%chunks/00000${i}`));
    await r.landed(await r.put(BLOB, ''));
    expect([...r.tree()]).toEqual([[BLOB, '']]);
    expect([...r.repository.texts().keys()].filter((path) => path.includes('meta'))).toEqual([]);
    await r.remove();
  });
});

describe('what starts a commit', () => {
  test('the age of the oldest change', async () => {
    const b = await JournalBucket.open({ timings: { maxAgeMs: 30 } });
    await b.start();
    const landed = new Promise<void>((resolve) => {
      b.remote.beforePush = async () => resolve();
    });
    await b.put('a', '1');
    await landed;
    await b.remove();
  });

  test.each([
    ['back', -DAY_MS],
    ['forward', DAY_MS],
  ])(
    'the age of the oldest change, whatever a wall clock that is set %s by a day says',
    async (_name, byMs) => {
      let aheadMs = 0;
      const clock = { ...systemClock, nowMs: () => Date.now() + aheadMs };
      const b = await JournalBucket.open({ clock, timings: { maxAgeMs: 300 } });
      await b.start();
      const landed = new Promise<void>((resolve) => {
        b.remote.beforePush = async () => resolve();
      });
      await b.put('a', '1');
      aheadMs = byMs;
      // Told by the clock as it is now, so that its age is right.
      const ageMs = clock.nowMs() - b.state.status().oldestPendingMs!;
      expect(Math.abs(ageMs)).toBeLessThan(DAY_MS / 2);
      await landed;
      await b.remove();
    },
  );

  test('the age of a change that an earlier run left, after the clock was set back', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, nowMs: () => Date.now() + aheadMs };
    const b = await JournalBucket.open({ clock, timings: { maxAgeMs: 300 } });
    await b.bucket.follower.followOnce(signal);
    await b.put('a', '1');
    aheadMs = -DAY_MS;
    await b.kill();
    await b.reopen();
    const landed = new Promise<void>((resolve) => {
      b.remote.beforePush = async () => resolve();
    });
    await b.start();
    await landed;
    await b.remove();
  });

  test('the number of changes', async () => {
    const b = await JournalBucket.open({ timings: { maxChanges: 3 } });
    await b.start();
    const landed = new Promise<void>((resolve) => {
      b.remote.beforePush = async () => resolve();
    });
    await b.put('a', '1');
    await b.put('b', '1');
    expect(b.remote.calls.push).toBe(0);
    await b.put('c', '1');
    await landed;
    await b.remove();
  });

  test('a stop, within its grace time', async () => {
    const b = await JournalBucket.open();
    await b.start();
    await b.put('a', '1');
    await b.bucket.stop(4000);
    expect(b.tree().get('a')).toBe('1');
    await b.remove();
  });
});
