/**
 * What a request asks for seems to be done already, by what is known here; but somebody else has written the key since:
 * another gateway on the branch, or a person by hand. Who is told OK, after they were, has the last word.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import type { Conditions } from '../../../src/objects/api.js';
import { Buckets, type WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

const context = { signal, requestId: 'test' };
const TAG = 'docker/registry/v2/repositories/app/_manifests/tags/latest/current/link';
const OTHER = TAG.replace('latest', 'other');
const PATTERN = /\/tags\/[^/]+\/current\/link$/;
const linkTo = (digit: string) => `sha256:${digit.repeat(64)}`;
const holdMs = CONDITION_LIMIT_MS;

describe.each(['remote', 'barrier'] as const)('write concern %s', (mode) => {
  let b: JournalBucket;
  let s: ObjectService;
  let concern: { -readonly [K in keyof WriteConcernRules]: WriteConcernRules[K] };
  beforeEach(async () => {
    b = await JournalBucket.open({
      rules: { ...REGISTRY, inlineLimitBytes: 80 },
      timings: { maxAgeMs: 3_600_000 },
    });
    await b.start();
    const hold = { holdMs, holdMaxMs: holdMs, outage: 'reject' as const };
    concern = { mode, barrierPatterns: [PATTERN], ...hold };
    const { rules, state, chunks } = b;
    const bucket = { name: 'images', createdMs: 0, rules, state, chunks, concern };
    const deps = { clock: systemClock, log: silentLog, metrics: silentMetrics };
    s = new ObjectService(new Buckets([bucket]), deps);
    await put(linkTo('1'));
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  const bodyOf = (text: string) => {
    const bytes = (async function* () {
      yield bytesOf(text);
    })();
    return { bytes, promise: {} };
  };
  const put = (text: string) =>
    s.putObject('images', key(TAG), bodyOf(text), { meta: {}, conditions: {} }, context);
  const byOthers = (text: string | null) => b.repository.foreignCommit({ [TAG]: text });
  const onBranch = () => b.tree().get(TAG);

  test('the same bytes again', async () => {
    byOthers(linkTo('2'));
    await put(linkTo('1'));
    expect(onBranch()).toBe(linkTo('1'));
    expect(await b.read(TAG)).toBe(linkTo('1'));
  });

  test('the same bytes again, where they were deleted', async () => {
    byOthers(null);
    await put(linkTo('1'));
    expect(onBranch()).toBe(linkTo('1'));
  });

  test.each([
    ['one', () => s.deleteObject('images', key(TAG), {}, context)],
    ['many', () => s.deleteObjects('images', [key(TAG), key(`${TAG}x`)], context)],
  ])('a deletion of what is not there (%s)', async (_name, request) => {
    await request();
    byOthers(linkTo('2'));
    await request();
    expect(onBranch()).toBeUndefined();
    expect(await b.read(TAG)).toBeUndefined();
  });

  describe('a condition is decided on what stands there now:', () => {
    const etag = (text: string) => createHash('md5').update(text).digest('hex');
    const conditional = (name: string, conditions: Conditions) =>
      s.putObject('images', key(name), bodyOf(linkTo('3')), { meta: {}, conditions }, context);
    const failed = { code: 'precondition-failed' };

    test('there is none any more', async () => {
      byOthers(null);
      await conditional(TAG, { ifNoneMatch: ['*'] });
      expect(onBranch()).toBe(linkTo('3'));
      byOthers(null);
      await expect(conditional(TAG, { ifMatch: ['*'] })).rejects.toMatchObject({ code: 'no-such-key' });
      expect(onBranch()).toBeUndefined();
    });

    test('there is one by now', async () => {
      b.repository.foreignCommit({ [OTHER]: linkTo('2') });
      await expect(conditional(OTHER, { ifNoneMatch: ['*'] })).rejects.toMatchObject(failed);
      expect(b.tree().get(OTHER)).toBe(linkTo('2'));
    });

    test('it is another one', async () => {
      byOthers(linkTo('2'));
      await expect(conditional(TAG, { ifMatch: [etag(linkTo('1'))] })).rejects.toMatchObject(failed);
      expect(onBranch()).toBe(linkTo('2'));
      byOthers(linkTo('4'));
      await conditional(TAG, { ifMatch: [etag(linkTo('4'))] });
      expect(onBranch()).toBe(linkTo('3'));
    });

    // docs/durability.md, "When is a write safe?": acknowledged as durable here, it is not taken back.
    test('and not again at its commit: what others write in between is overwritten, and is in the history', async () => {
      let theirs: string | undefined;
      b.remote.beforePush = async () => {
        theirs ??= byOthers(linkTo('2'));
      };
      await conditional(TAG, { ifMatch: [etag(linkTo('1'))] });
      expect(onBranch()).toBe(linkTo('3'));
      // What was overwritten is in the history.
      expect(b.repository.commit(b.repository.head!).parent).toBe(theirs);
      byOthers(linkTo('4'));
      await expect(conditional(TAG, { ifMatch: [etag(linkTo('3'))] })).rejects.toMatchObject(failed);
      expect(onBranch()).toBe(linkTo('4'));
    });

    test('and so for a deletion', async () => {
      byOthers(linkTo('2'));
      const remove = (text: string) =>
        s.deleteObject('images', key(TAG), { ifMatch: [etag(linkTo(text))] }, context);
      await expect(remove('1')).rejects.toMatchObject(failed);
      expect(onBranch()).toBe(linkTo('2'));
      await remove('2');
      expect(onBranch()).toBeUndefined();
    });
  });

  describe('what says something of an object leaves its bytes as they are now:', () => {
    const tags = { kind: 'release' };
    const ofItself = { sourceBucket: 'images', sourceKey: key(TAG), sourceConditions: {}, conditions: {} };

    test.each([
      ['tags', () => s.setTags('images', key(TAG), tags, context)],
      ['no tags any more', () => s.setTags('images', key(TAG), undefined, context)],
      ['a copy of itself', () => s.copyObject('images', key(TAG), { ...ofItself, meta: {}, tags }, context)],
    ])('%s', async (_what, request) => {
      byOthers(linkTo('2'));
      await request();
      expect(onBranch()).toBe(linkTo('2'));
      expect(await b.read(TAG)).toBe(linkTo('2'));
      byOthers(null);
      await expect(request()).rejects.toMatchObject({ code: 'no-such-key' });
      expect(onBranch()).toBeUndefined();
    });
  });

  test('nobody has: no commit is made', async () => {
    const { head } = b.repository;
    await put(linkTo('1'));
    expect(b.repository.head).toBe(head);
    await s.deleteObject('images', key(`${TAG}x`), {}, context);
    expect(b.repository.head).toBe(head);
  });

  test('nobody can have, of a key that is on no branch: it is not read', async () => {
    const { fetch } = b.remote.calls;
    const local = key('docker/registry/v2/repositories/app/_uploads/1/data');
    await s.deleteObject('images', local, {}, context);
    await s.deleteObjects('images', [local], context);
    expect(b.remote.calls.fetch).toBe(fetch);
  });

  describe('a push of ours is on its way, for as long as it may take', () => {
    let over: () => void;
    beforeEach(async () => {
      const isOver = new Promise<void>((resolve) => (over = resolve));
      await new Promise<void>((begun) => {
        b.remote.beforePush = async () => {
          begun();
          await isOver;
        };
        void b.put('beside', 'x').then(() => b.bucket.committer.flush());
      });
    });
    afterEach(() => over());

    const requests: [string, () => Promise<unknown>, string | undefined][] = [
      ['the same bytes again', () => put(linkTo('1')), linkTo('1')],
      ['a deletion', () => s.deleteObject('images', key(OTHER), {}, context), undefined],
      ['deletions', () => s.deleteObjects('images', [key(OTHER)], context), undefined],
    ];

    test.each(requests)(
      '%s: what others wrote meanwhile is not overlooked',
      async (_name, request, expected) => {
        b.repository.foreignCommit({ [TAG]: linkTo('2'), [OTHER]: linkTo('2') });
        const answered = request();
        await until('the branch was read', () => b.remote.calls.readHead > 0);
        over();
        await answered;
        expect([onBranch(), b.tree().get(OTHER)]).toContain(expected);
      },
    );

    test.each(requests)('%s: is not answered where that takes too long', async (_name, request) => {
      concern.holdMs = 50;
      b.repository.foreignCommit({ [TAG]: linkTo('2'), [OTHER]: linkTo('2') });
      await expect(request()).rejects.toMatchObject({ code: 'not-yet-remote' });
    });

    test.each(requests)('%s: the key is free for others while it looks', async (_name, request) => {
      b.repository.foreignCommit({ [TAG]: linkTo('2'), [OTHER]: linkTo('2') });
      const answered = request();
      await until('the branch was read', () => b.remote.calls.readHead > 0);
      const seqs = [];
      for (const name of [TAG, OTHER]) {
        const begun = s.putObject(
          'images',
          key(name),
          bodyOf(linkTo('3')),
          { meta: {}, conditions: {} },
          context,
        );
        await until('it is written', async () => (await b.read(name)) === linkTo('3'));
        seqs.push(begun);
      }
      over();
      await Promise.all([answered, ...seqs]);
    });

    test.each(requests)('%s: is done at once where nobody has written', async (_name, request) => {
      const { head } = b.repository;
      await request();
      expect(b.repository.head).toBe(head);
    });
  });

  test('a bucket that is frozen takes nothing for done: what its branch has is not known', async () => {
    b.repository.rewriteHistory({ another: 'history' });
    await b.bucket.follower.followOnce(signal);
    expect(b.state.status().frozen).toBeDefined();
    const readOnly = { code: 'read-only' };
    await expect(put(linkTo('1'))).rejects.toMatchObject(readOnly);
    await expect(s.deleteObject('images', key(`${TAG}x`), {}, context)).rejects.toMatchObject(readOnly);
    await expect(s.deleteObjects('images', [key(`${TAG}x`)], context)).rejects.toMatchObject(readOnly);
    // Also of a key that waits for nothing: the branch that is accepted at last may not have it.
    await expect(s.deleteObject('images', key('beside'), {}, context)).rejects.toMatchObject(readOnly);
  });

  test('a bucket that is found to be frozen by that look, neither', async () => {
    b.repository.rewriteHistory({ another: 'history' });
    await expect(put(linkTo('1'))).rejects.toMatchObject({ code: 'read-only' });
  });

  test('a copy of the repository that lags says nothing: it is done by what was last heard', async () => {
    await b.landed(await b.put('later', 'x'));
    b.remote.lag = () => 1;
    const { head } = b.repository;
    await put(linkTo('1'));
    expect(b.repository.head).toBe(head);
  });

  test('the branch can not be read: it is done by what was last heard', async () => {
    b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
    await put(linkTo('1'));
    await s.deleteObject('images', key(`${TAG}x`), {}, context);
    b.remote.heal();
    expect(onBranch()).toBe(linkTo('1'));
  });
});
