/**
 * As losses.test.ts: what was lost, or undone, where an operator, another writer, a late push or a restored copy came
 * between a change and what is said of it.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { RemoteError } from '../../src/gitee/errors.js';
import type { PushRequest } from '../../src/gitee/remote.js';
import type { ObjectService } from '../../src/objects/object-service.js';
import { until } from '../support/child.js';
import { ABSENT, History, valueOf } from '../support/history/history.js';
import type { JournalBucket } from '../support/journal-bucket.js';
import { bytesOf, key, REGISTRY, signal, type HarnessOptions } from '../support/journal-bucket.js';
import {
  blobPath,
  layerLinkPath,
  named,
  pushImage,
  putLayer,
  putManifest,
  tagPath,
} from '../support/journal-images.js';
import { MemoryHeadRemote } from '../support/memory-head-remote.js';
import { imagesOnGitee, Judged } from './losses/judged-bucket.js';
import { bodyOf, context, outcomeOf, serviceOf } from './losses/service.js';

/** In LFS, as one chunk. */
const LARGE = 'x'.repeat(90);
const SLOW = 's'.repeat(90);
const REFUSED = 'r'.repeat(90);
const IMAGES: HarnessOptions = {
  ...{ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs: 20 } },
};
const NEVER_DUE: HarnessOptions = { timings: { maxAgeMs: 3_600_000 } };
const TAG = 'docker/registry/v2/repositories/app/_manifests/tags/latest/current/link';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const bucketOf = (history: History, options?: HarnessOptions) => Judged.open(history, ends, options);

const put = (service: ObjectService, name: string, text: string) =>
  service.putObject('files', key(name), bodyOf(text), { meta: {}, conditions: {} }, context);

async function drop(b: JournalBucket, name: string): Promise<void> {
  const row = await b.bucket.setAside.row(key(name));
  expect(await b.bucket.setAside.drop(row!)).toBe(true);
}

/** A copy of a part of the state, which is put back when it is asked for. */
async function copyOf(b: JournalBucket, part = '.'): Promise<() => Promise<void>> {
  const copy = await mkdtemp(path.join(tmpdir(), 'copy-'));
  ends.push(() => rm(copy, { recursive: true }));
  const from = path.join(b.directory, part);
  await cp(from, copy, { recursive: true });
  return async () => {
    await rm(from, { recursive: true });
    await cp(copy, from, { recursive: true });
  };
}

test('B1: that a change was given up, while a push of it is on its way', async () => {
  const history = new History();
  const judged = await bucketOf(history);
  const { b } = judged;
  const { remote } = b;
  const push = remote.push.bind(remote);
  const sent = new Promise<PushRequest>((resolve) => {
    remote.push = async (request) => {
      remote.push = push;
      resolve(request);
      throw new RemoteError('timeout', 'no answer in time');
    };
  });
  await judged.put('big', LARGE);
  remote.refuse = (file) =>
    file.startsWith('big') ? new RemoteError('content-refused', 'the rules are others by now') : undefined;
  b.bucket.committer.flush();
  const late = await sent;
  await until('it is set aside', () => b.state.status().quarantinedChanges === 1);
  const dropped = history.begin('big', ABSENT, 'remote');
  await drop(b, 'big');
  dropped.ended('ok');
  await new MemoryHeadRemote(b.repository).push(late);
  await b.bucket.follower.followOnce(signal);
  expect(await judged.problemsHere()).toEqual([]);
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('B2: a deletion of what others wrote while a push of ours was on its way', async () => {
  const history = new History();
  const judged = await bucketOf(history, NEVER_DUE);
  const { b } = judged;
  const service = serviceOf(b, { mode: 'remote' });
  await judged.putLanded('first', '1');
  let over = () => {};
  const isOver = new Promise<void>((resolve) => (over = resolve));
  await new Promise<void>((begun) => {
    b.remote.beforePush = async () => {
      begun();
      await isOver;
    };
    void judged.put('beside', 'x').then(() => b.bucket.committer.flush());
  });
  const theirs = history.begin('k', valueOf('theirs'), 'remote');
  b.repository.foreignCommit({ k: 'theirs' });
  theirs.ended('ok');
  const gone = () => outcomeOf(service.deleteObject('files', key('k'), {}, context));
  await history.write('k', ABSENT, 'remote', gone);
  over();
  await judged.settled();
  await b.bucket.follower.followOnce(signal);
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('B3: a deletion that a frozen bucket took for done', async () => {
  const history = new History();
  const judged = await bucketOf(history);
  const { b } = judged;
  const service = serviceOf(b, { mode: 'remote' });
  await judged.putLanded('first', '1');
  // By somebody who may.
  const gone = history.begin('first', ABSENT, 'remote');
  const theirs = history.begin('theirs', valueOf('history'), 'remote');
  b.repository.rewriteHistory({ theirs: 'history' });
  gone.ended('ok');
  theirs.ended('ok');
  await b.bucket.follower.followOnce(signal);
  expect(b.state.status().frozen).toBeDefined();
  const remove = () => outcomeOf(service.deleteObject('files', key('theirs'), {}, context));
  await history.write('theirs', ABSENT, 'remote', remove);
  await b.bucket.acceptRemote();
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('B4: a repeat that waited for a change of a restored snapshot', async () => {
  const history = new History();
  const judged = await bucketOf(history, { ...IMAGES, ...NEVER_DUE });
  const { b } = judged;
  await judged.putLanded(TAG, 'one');
  // Pending in the copy, and landed since, with what came after it.
  await history.write(TAG, valueOf('two'), 'local', () =>
    outcomeOf(put(serviceOf(b, { mode: 'local' }), TAG, 'two')),
  );
  await b.kill();
  const putBack = await copyOf(b);
  await b.reopen();
  b.bucket.start();
  await judged.putLanded(TAG, 'three');
  await b.kill();
  await putBack();
  await b.reopen();
  b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  b.bucket.start();
  const patient = { mode: 'remote', holdMs: 60_000, holdMaxMs: 60_000 } as const;
  const answered = history.write(TAG, valueOf('two'), 'remote', () =>
    outcomeOf(put(serviceOf(b, patient), TAG, 'two')),
  );
  await until('the change is waited for', () => b.remote.calls.fetch > 1);
  b.remote.heal();
  b.bucket.kick();
  await answered;
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('B5: a Complete that is repeated after its object was deleted', async () => {
  const history = new History();
  const judged = await bucketOf(history);
  const { b } = judged;
  const service = serviceOf(b, { mode: 'remote', holdMs: 60_000, holdMaxMs: 60_000 });
  const { uploadId } = await service.createMultipartUpload('files', key('parts'), { meta: {} });
  const { etag } = await service.uploadPart('files', key('parts'), uploadId, 1, bodyOf('part'), context);
  const request = { parts: [{ partNumber: 1, etag }], conditions: {} };
  const complete = () =>
    history.write('parts', valueOf('part'), 'remote', () =>
      outcomeOf(service.completeMultipartUpload('files', key('parts'), uploadId, request, context)),
    );
  b.bucket.committer.flush();
  expect(await complete()).toBe('ok');
  const gone = () => outcomeOf(service.deleteObject('files', key('parts'), {}, context));
  expect(await history.write('parts', ABSENT, 'remote', gone)).toBe('ok');
  await complete();
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('B6: what is written beside an index that is newer than the log', async () => {
  const history = new History();
  const judged = await bucketOf(history, NEVER_DUE);
  const { b } = judged;
  await judged.putLanded('first', '1');
  await b.kill();
  const putBack = await copyOf(b, 'overlay');
  await b.reopen();
  b.bucket.start();
  for (const name of ['second', 'third']) await judged.putLanded(name, '1');
  await b.kill();
  await putBack();
  b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  await b.reopen();
  b.bucket.start();
  // It may be refused, as long as the branch is not known.
  await judged.put('new', '2').catch(() => {});
  b.remote.heal();
  await b.restart();
  await until('the branch was read', () => b.state.status().ready);
  await judged.put('newer', '3');
  await judged.settled();
  expect(await judged.problemsHere()).toEqual([]);
  expect(await judged.problemsOnGitee('local')).toEqual([]);
});

test('B7: the image of a tag, of which a layer was given up', async () => {
  const history = new History();
  const { b } = await bucketOf(history, IMAGES);
  const old = await pushImage(b, 'a', 'v', [LARGE]);
  await b.landed(old.seq);
  await history.write('a:v', `sha256:${old.digest}`, 'remote', async () => 'ok');
  const refusals = refuses(b, REFUSED);
  const next = await pushImage(b, 'a', 'v', [REFUSED]);
  await history.write('a:v', `sha256:${next.digest}`, 'remote', async () => 'put off');
  await until('nothing waits', () => b.state.status().pendingChanges === 0);
  const layer = blobPath(createHash('sha256').update(REFUSED).digest('hex'));
  await drop(b, layer).catch(() => {});
  const before = refusals();
  b.bucket.kick();
  await until('all that is left was tried again', () => {
    const { pendingChanges, quarantinedChanges } = b.state.status();
    return pendingChanges === 0 && (quarantinedChanges === 0 || refusals() > before);
  });
  expect(await history.problems(imagesOnGitee(b), 'remote')).toEqual([]);
});

test('B8: a deletion after the newer of two changes was given up, of which the older waits', async () => {
  const history = new History();
  const { b } = await bucketOf(history, IMAGES);
  let arrive = () => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const [slow, refused] = [SLOW, REFUSED].map((text) => b.chunks.cut(bytesOf(text))[0]!.oid);
  b.chunks.beforeUpload = async (chunks) => {
    if (chunks.some(({ oid }) => oid === slow)) await arrived;
    if (chunks.some(({ oid }) => oid === refused))
      throw new RemoteError('chunk-refused', 'no', { oids: [refused!] });
  };
  await b.landed((await pushImage(b, 'other', 'v', [REFUSED])).seq);
  const older = await pushImage(b, 'a', 'v', [SLOW]);
  await history.write('a:v', `sha256:${older.digest}`, 'remote', async () => 'put off');
  const layer = createHash('sha256').update(REFUSED).digest('hex');
  await b.put(layerLinkPath('a', layer), `sha256:${layer}`);
  const config = named(await putLayer(b, 'a', 'another config'));
  const newer = await putManifest(b, 'a', 'v', { config, layers: [named(layer)] });
  await history.write('a:v', `sha256:${newer.digest}`, 'remote', async () => 'put off');
  await b.landed(newer.seq);
  await drop(b, tagPath('a', 'v'));
  const service = serviceOf(b, { mode: 'remote' });
  const gone = () => outcomeOf(service.deleteObject('files', key(tagPath('a', 'v')), {}, context));
  await history.write('a:v', ABSENT, 'remote', gone);
  arrive();
  await until('nothing waits', () => b.state.status().pendingChanges === 0);
  expect(await history.problems(imagesOnGitee(b), 'remote')).toEqual([]);
});

/** The LFS store refuses this object; how often it did. */
function refuses(b: JournalBucket, text: string): () => number {
  const refused = b.chunks.cut(bytesOf(text))[0]!.oid;
  let times = 0;
  const refuse = async (chunks: readonly { oid: string }[]) => {
    if (!chunks.some(({ oid }) => oid === refused)) return;
    times += 1;
    throw new RemoteError('chunk-refused', 'no', { oids: [refused] });
  };
  b.chunks.beforeUpload = refuse;
  b.chunks.beforeEnsure = refuse;
  return () => times;
}
