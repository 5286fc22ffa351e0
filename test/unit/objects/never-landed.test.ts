/**
 * What a request has changed, or found changed by an earlier try of it, is not on Gitee and never will be: an operator
 * has dropped it, it was of a restored snapshot, or somebody else has written the key since. Nobody is told OK then.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { Buckets, type WriteConcernRules } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { until } from '../../support/child.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { CONDITION_LIMIT_MS } from '../../support/time-limits.js';

const context = { signal, requestId: 'test' };
const TAG = 'docker/registry/v2/repositories/app/_manifests/tags/latest/current/link';
const linkTo = (digit: string) => `sha256:${digit.repeat(64)}`;
const holdMs = CONDITION_LIMIT_MS;

let b: JournalBucket;
afterEach(async () => {
  expect(b.fatal).toEqual([]);
  await b.remove();
});

function serviceOf(mode: WriteConcernRules['mode']): ObjectService {
  const { rules, state, chunks } = b;
  const concern = { mode, barrierPatterns: [], holdMs, holdMaxMs: holdMs, outage: 'reject' as const };
  const bucket = { name: 'bucket', createdMs: 0, rules, state, chunks, concern };
  return new ObjectService(new Buckets([bucket]), {
    ...{ clock: systemClock, log: silentLog, metrics: silentMetrics },
  });
}

async function* streamOf(text: string) {
  yield bytesOf(text);
}

const put = (s: ObjectService, name: string, text: string) =>
  s.putObject(
    'bucket',
    key(name),
    { bytes: streamOf(text), promise: {} },
    { meta: {}, conditions: {} },
    context,
  );

test('a repeat that waits for a change of a restored snapshot is refused with it', async () => {
  const timings = { maxAgeMs: 3_600_000 };
  b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings });
  await b.start();
  await b.landed(await b.put(TAG, linkTo('1')));
  // Pending in the snapshot, and landed since, with what came after it.
  await put(serviceOf('local'), TAG, linkTo('2'));
  await b.kill();
  const copy = await mkdtemp(join(tmpdir(), 'never-landed-'));
  await cp(b.directory, copy, { recursive: true });
  await b.reopen();
  b.bucket.start();
  await b.landed(await b.put(TAG, linkTo('3')));
  await b.kill();
  await rm(b.directory, { recursive: true });
  await cp(copy, b.directory, { recursive: true });
  await rm(copy, { recursive: true });
  await b.reopen();
  b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  b.bucket.start();
  const answered = put(serviceOf('remote'), TAG, linkTo('2'));
  answered.catch(() => {});
  await until('the change is waited for', () => b.remote.calls.fetch > 1);
  b.remote.heal();
  b.bucket.kick();
  await expect(answered).rejects.toMatchObject({ code: 'not-yet-remote' });
  expect(b.tree().get(TAG)).toBe(linkTo('3'));
});

describe.each(['local', 'remote'] as const)('CompleteMultipartUpload, write concern %s', (mode) => {
  let s: ObjectService;
  let complete: () => Promise<{ etag: string }>;
  beforeEach(async () => {
    b = await JournalBucket.open({ rules: GENERIC, timings: { maxAgeMs: 20 } });
    await b.start();
    s = serviceOf(mode);
    const { uploadId } = await s.createMultipartUpload('bucket', key('big'), { meta: {} });
    const body = { bytes: streamOf('x'.repeat(90)), promise: {} };
    const { etag } = await s.uploadPart('bucket', key('big'), uploadId, 1, body, context);
    const parts = [{ partNumber: 1, etag }];
    complete = () =>
      s.completeMultipartUpload('bucket', key('big'), uploadId, { parts, conditions: {} }, context);
  });

  const gone = { code: 'no-such-upload' };

  test('repeated, is answered as the first time', async () => {
    const first = await complete();
    expect(await complete()).toEqual(first);
    await until('it has landed', () => b.state.status().pendingChanges === 0);
    expect(await complete()).toEqual(first);
  });

  test('repeated after its change was dropped, is not', async () => {
    b.remote.refuse = (path) =>
      path.startsWith('big') ? new RemoteError('content-refused', 'never') : undefined;
    await complete().catch(() => {});
    await until('it is set aside', () => b.state.status().quarantinedChanges === 1);
    await b.bucket.setAside.drop((await b.bucket.setAside.row(key('big')))!);
    await expect(complete()).rejects.toMatchObject(gone);
  });

  test('repeated after somebody wrote the key anew, or deleted it, is not', async () => {
    await complete();
    await put(s, 'big', 'another');
    await expect(complete()).rejects.toMatchObject(gone);
    await s.deleteObject('bucket', key('big'), {}, context);
    await expect(complete()).rejects.toMatchObject(gone);
  });

  test('repeated after others wrote the key on Gitee, is not', async () => {
    await complete();
    await until('it has landed', () => b.state.status().pendingChanges === 0);
    b.repository.foreignCommit({ 'big%object': null, 'big%chunks/000000': null });
    // With concern local nobody looks for that.
    if (mode === 'local') await b.bucket.follower.followOnce(signal);
    await expect(complete()).rejects.toMatchObject(gone);
  });

  test('repeated while the bucket is frozen, is not', async () => {
    await complete();
    await until('it has landed', () => b.state.status().pendingChanges === 0);
    b.repository.rewriteHistory({ another: 'history' });
    await b.bucket.follower.followOnce(signal);
    await expect(complete()).rejects.toMatchObject({ code: 'read-only' });
  });
});
