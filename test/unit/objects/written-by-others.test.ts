/**
 * What a request asks for seems to be done already, by what is known here; but somebody else has written the key since:
 * another gateway on the branch, or a person by hand. Who is told OK, after they were, has the last word.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentObserver } from '../../../src/async/observer.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { Buckets, type WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

const context = { signal, requestId: 'test' };
const TAG = 'docker/registry/v2/repositories/app/_manifests/tags/latest/current/link';
const PATTERN = /\/tags\/[^/]+\/current\/link$/;
const linkTo = (digit: string) => `sha256:${digit.repeat(64)}`;
const holdMs = CONDITION_LIMIT_MS;

describe.each(['remote', 'barrier'] as const)('write concern %s', (mode) => {
  let b: JournalBucket;
  let s: ObjectService;
  beforeEach(async () => {
    b = await JournalBucket.open({
      rules: { ...REGISTRY, inlineLimitBytes: 80 },
      timings: { maxAgeMs: 3_600_000 },
    });
    await b.start();
    const hold = { holdMs, holdMaxMs: holdMs, outage: 'reject' as const };
    const concern: WriteConcernRules = { mode, barrierPatterns: [PATTERN], ...hold };
    const { rules, state, chunks } = b;
    const bucket = { name: 'images', createdMs: 0, rules, state, chunks, concern };
    const deps = { clock: systemClock, log: silentLog, observer: silentObserver };
    s = new ObjectService(new Buckets([bucket]), deps);
    await put(linkTo('1'));
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  const put = (text: string) => {
    const bytes = (async function* () {
      yield bytesOf(text);
    })();
    const options = { meta: {}, conditions: {} };
    return s.putObject('images', key(TAG), { bytes, promise: {} }, options, context);
  };
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

  test('the branch can not be read: it is done by what was last heard', async () => {
    b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
    await put(linkTo('1'));
    await s.deleteObject('images', key(`${TAG}x`), {}, context);
    b.remote.heal();
    expect(onBranch()).toBe(linkTo('1'));
  });
});
