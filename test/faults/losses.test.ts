/**
 * Invariant 1, each way in which acknowledged writes were once lost, in small: what happened is repeated, and the judge
 * of histories alone says whether something is lost. That it would say so is shown by mutations.test.ts, which takes
 * out what keeps each of them.
 */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { RemoteError } from '../../src/gitee/errors.js';
import type { PushRequest } from '../../src/gitee/remote.js';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import { bytesOf as randomBytesOf, ChunkBench, listOfChunks } from '../support/chunk-bench.js';
import { until } from '../support/child.js';
import { FailingDisk } from '../support/failing-disk/failing-disk.js';
import { TestGateway } from '../support/gateway.js';
import { ABSENT, History, valueOf } from '../support/history/history.js';
import { record, throughGateway } from '../support/history/s3-client.js';
import type { JournalBucket } from '../support/journal-bucket.js';
import { bytesOf, key, REGISTRY, signal, type HarnessOptions } from '../support/journal-bucket.js';
import { pushImage, tagPath } from '../support/journal-images.js';
import { MemoryHeadRemote } from '../support/memory-head-remote.js';
import { startStack } from '../support/stack.js';
import { spawnTied } from '../support/tied.js';
import { imagesOnGitee, Judged } from './losses/judged-bucket.js';
import { bodyOf, context, outcomeOf, serviceOf } from './losses/service.js';

/** In LFS, as one chunk. */
const LARGE = 'x'.repeat(90);
const WRITES = 20;
/** Of a failing disk; what is lost depends on what was on its way. */
const ROUNDS = 3;

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const bucketOf = (history: History, options?: HarnessOptions, repository?: JournalBucket['repository']) =>
  Judged.open(history, ends, options, repository);

async function expectKept(...judged: readonly Judged[]): Promise<void> {
  for (const one of judged) {
    expect(await one.problemsHere()).toEqual([]);
    expect(await one.problemsOnGitee('local')).toEqual([]);
  }
}

test('A1: what another writer wrote after our push landed, whose answer was lost', async () => {
  const history = new History();
  const a = await bucketOf(history);
  for (const name of ['k1', 'k2', 'k3']) await a.put(name, 'ours');
  a.b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'no answer'), 1);
  a.b.remote.beforePush = async () =>
    a.b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  a.b.bucket.committer.flush();
  await until('the commit is on the branch', () => a.b.repository.commits.size > 0);
  a.b.remote.beforePush = async () => {};
  const other = await bucketOf(history, {}, a.b.repository);
  for (const name of ['k1', 'k2', 'k3']) await other.putLanded(name, 'theirs');
  await a.put('k4', 'ours');
  a.b.remote.heal();
  a.b.bucket.kick();
  await a.settled();
  await other.b.bucket.follower.followOnce(signal);
  await expectKept(a, other);
});

test('A2: a tag that was written after a snapshot which is restored', async () => {
  const history = new History();
  const judged = await bucketOf(history);
  const { b } = judged;
  await judged.putLanded('first', '1');
  await judged.put('tag', 'old');
  await b.kill();
  const snapshot = await mkdtemp(path.join(tmpdir(), 'snapshot-'));
  ends.push(() => rm(snapshot, { recursive: true }));
  await cp(b.directory, snapshot, { recursive: true });
  await b.reopen();
  b.bucket.start();
  await judged.putLanded('tag', 'new');
  await b.kill();
  await rm(b.directory, { recursive: true });
  await cp(snapshot, b.directory, { recursive: true });
  b.remote.fail('fetch', new RemoteError('unreachable', 'down'), Infinity);
  await b.reopen();
  b.bucket.start();
  await judged.put('other', '1');
  b.remote.heal();
  b.bucket.kick();
  await judged.settled();
  await expectKept(judged);
});

test('A3: an object that the LFS store confirmed and forgot for some seconds', async () => {
  const history = new History();
  const patience = { missingForMs: 3_600_000, refusedForMs: 3_600_000, maxAgeMs: 20 };
  const judged = await bucketOf(history, { timings: patience });
  const { b } = judged;
  const { oid } = b.chunks.cut(bytesOf(LARGE))[0]!;
  let times = 0;
  let isWell = false;
  b.chunks.beforeEnsure = async (chunks) => {
    if (isWell || !chunks.some((chunk) => chunk.oid === oid)) return;
    times += 1;
    throw new RemoteError('chunk-missing', 'it has it not', { oids: [oid] });
  };
  await judged.put('large', LARGE);
  let n = 0;
  await until('it was forgotten six times, or is not tried any more', async () => {
    await judged.putLanded('other', String((n += 1)));
    return times >= 6 || b.state.status().quarantinedChanges > 0;
  });
  isWell = true;
  await judged.settled();
  await expectKept(judged);
});

test('A4: the image of a tag whose next push is refused', async () => {
  const history = new History();
  const { b } = await bucketOf(history, {
    rules: { ...REGISTRY, inlineLimitBytes: 80 },
    timings: { maxAgeMs: 20 },
  });
  const first = await pushImage(b, 'a', 'v1', [LARGE]);
  await b.landed(first.seq);
  await history.write('a:v1', `sha256:${first.digest}`, 'remote', async () => 'ok');
  const refused = 'y'.repeat(90);
  const { oid } = b.chunks.cut(bytesOf(refused))[0]!;
  b.chunks.beforeUpload = async (chunks) => {
    if (chunks.some((chunk) => chunk.oid === oid))
      throw new RemoteError('chunk-refused', 'no', { oids: [oid] });
  };
  const second = await pushImage(b, 'a', 'v1', [refused]);
  await history.write('a:v1', `sha256:${second.digest}`, 'remote', async () => 'put off');
  await until('nothing waits', () => b.state.status().pendingChanges === 0);
  expect(await history.problems(imagesOnGitee(b), 'remote')).toEqual([]);
});

test('A5: what was acknowledged under write concern remote, at the client’s second try', async () => {
  const history = new History();
  const judged = await bucketOf(history, { timings: { maxAgeMs: 3_600_000 } });
  const { b } = judged;
  const service = serviceOf(b, { mode: 'remote' });
  await judged.putLanded('deleted', 'old');
  const { uploadId } = await service.createMultipartUpload('files', key('parts'), { meta: {} });
  const { etag } = await service.uploadPart('files', key('parts'), uploadId, 1, bodyOf('part'), context);
  b.remote.fail('push', new RemoteError('timeout', 'no answer in time'), Infinity);
  const requests: Record<string, readonly [value: string, send: () => Promise<unknown>]> = {
    put: [
      valueOf('new'),
      () => service.putObject('files', key('put'), bodyOf('new'), { meta: {}, conditions: {} }, context),
    ],
    deleted: [ABSENT, () => service.deleteObjects('files', [key('deleted')], context)],
    parts: [
      valueOf('part'),
      () => {
        const request = { parts: [{ partNumber: 1, etag }], conditions: {} };
        return service.completeMultipartUpload('files', key('parts'), uploadId, request, context);
      },
    ],
  };
  for (const [name, [value, send]] of Object.entries(requests))
    for (const _try of [1, 2]) await history.write(name, value, 'remote', () => outcomeOf(send()));
  // This machine is gone with all that had not landed.
  expect(await judged.problemsOnGitee('remote')).toEqual([]);
});

test('A6: what one of two writers on a state directory wrote, of which one had stood still', async () => {
  const config = { commit: { interval: '10m' } };
  const stack = await startStack({ config });
  ends.push(() => stack.close());
  const first = stack.gateway;
  const second = await TestGateway.prepare({
    directory: path.join(stack.directory, 'second'),
    gitee: { url: stack.gitee.url, token: stack.gitee.token },
    config: { ...config, state_dir: first.stateDirectory },
  });
  ends.push(() => second.stop());
  const history = new History();
  const write = async (gateway: TestGateway, name: string) => {
    const s3 = record(gateway.s3Client(), history);
    const all = Array.from({ length: WRITES }, (_, i) => {
      const Key = `${name}/${i}`;
      return s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body: Key })).catch(() => {});
    });
    await Promise.all(all);
    s3.destroy();
  };
  await write(first, 'before');
  const { process: standing } = first.child!;
  ends.push(async () => standing.kill('SIGCONT'));
  standing.kill('SIGSTOP');
  for (const name of await readdir(first.stateDirectory))
    if (name.startsWith('lock')) await rm(path.join(first.stateDirectory, name));
  await second.start();
  await write(second, 'beside');
  const late = write(first, 'late');
  standing.kill('SIGCONT');
  await late;
  await write(second, 'after');
  standing.kill('SIGKILL');
  await first.child!.exited;
  // It commits all that it knows to be pending; what is there then is what Gitee has.
  await second.stop();
  for (const name of await readdir(first.stateDirectory))
    await rm(path.join(first.stateDirectory, name), { recursive: true });
  await second.start();
  const s3 = second.s3Client();
  ends.push(async () => s3.destroy());
  history.serverEnded();
  expect(await history.problems(throughGateway(s3, 'files'))).toEqual([]);
});

test('A7: bytes of an object whose commit waits for days, of which Gitee has but an orphan', async () => {
  const history = new History();
  const bench = await ChunkBench.start({ graceMaxBytes: 3_000, cacheBytes: 0 });
  ends.push(() => bench.remove());
  const push = async (seed: number) => {
    bench.clock.advance(1);
    const [extent] = await bench.put(randomBytesOf(seed, 1000));
    const chunk = { oid: extent!.oid, sizeBytes: 1000, volume: 0 };
    bench.named.add(chunk.oid);
    await bench.chunks.ensureRemote([chunk]);
    return chunk;
  };
  const chunk = await push(1);
  await history.write('waits', valueOf(randomBytesOf(1, 1000)), 'local', async () => 'ok');
  // Its commit waits; those of others land.
  for (let seed = 2; seed <= 10; seed += 1) bench.named.delete((await push(seed)).oid);
  bench.clock.advance(48 * 3_600_000);
  await bench.chunks.releaseGrace();
  bench.remote.chunks.delete(chunk.oid);
  const view = async () => valueOf(await bench.stepped(bench.read(listOfChunks(chunk))));
  expect(await history.problems(view)).toEqual([]);
});

test('A8: what was committed after a sync of the journal that failed', async () => {
  const history = new History();
  for (let round = 0; round < Number(process.env['LOSS_ROUNDS'] ?? ROUNDS); round += 1) {
    const directory = await mkdtemp(path.join(tmpdir(), 'failing-disk-'));
    ends.push(() => rm(directory, { recursive: true, force: true }));
    const store = path.join(directory, 'store');
    const disk = await FailingDisk.prepare(path.join(directory, 'disk'), '/store/data.mdb');
    const { NODE_OPTIONS: _, ...env } = process.env;
    const writer = spawnTied(process.execPath, ['test/support/failing-disk/writer.mjs', store, 'az'], {
      ...{ env: { ...env, ...disk.env }, stdio: ['ignore', 'pipe', 'inherit'] },
    });
    let acknowledged = 0;
    createInterface({ input: writer.stdout }).on('line', (line) => {
      // What it says of a failure is no key.
      if (line.startsWith('!')) return;
      history.begin(`${round} ${line}`, 'there', 'local').ended('ok');
      acknowledged += 1;
      if (acknowledged === 40 + 37 * round) void disk.nextSync('fail');
      if (acknowledged === 140 + 37 * round) writer.kill('SIGKILL');
    });
    await once(writer, 'close');
    history.serverEnded();
    await rm(path.join(store, 'lock.mdb'), { force: true });
    await disk.cut(path.join(store, 'data.mdb'));
    const opened = LmdbStore.open(store);
    const view = async (name: string) =>
      (await opened.get(Buffer.from(name.split(' ')[1]!))) ? 'there' : ABSENT;
    const keys = history.keys.filter((name) => name.startsWith(`${round} `));
    const problems = await history.problems(view, 'local', keys);
    await opened.close();
    expect(problems).toEqual([]);
  }
});

test('A9: an image of which Gitee has lost a part, after the next push of it', async () => {
  const history = new History();
  const rules = { ...REGISTRY, inlineLimitBytes: 80 };
  const { b } = await bucketOf(history, { rules, timings: { maxAgeMs: 20 } });
  const image = await pushImage(b, 'a', 'v1', [LARGE]);
  await b.landed(image.seq);
  await history.write('a:v1', `sha256:${image.digest}`, 'remote', async () => 'ok');
  for (const { oid } of b.chunks.cut(bytesOf(LARGE))) b.chunks.remote.delete(oid);
  const service = serviceOf(b, { mode: 'barrier', barrierPatterns: [/\/current\/link$/] });
  const link = `sha256:${image.digest}`;
  const tag = () =>
    service.putObject('files', key(tagPath('a', 'v1')), bodyOf(link), { meta: {}, conditions: {} }, context);
  // Its client found all layers here.
  expect(await history.write('a:v1', link, 'remote', () => outcomeOf(tag()))).toBe('ok');
  expect(await history.problems(imagesOnGitee(b), 'remote')).toEqual([]);
});

test('A10: a deletion, while a push from before it is on its way', async () => {
  const history = new History();
  const judged = await bucketOf(history);
  const { b } = judged;
  await judged.putLanded('other', '1');
  const held = new Promise<PushRequest>((resolve) => {
    b.remote.push = (request) => {
      resolve(request);
      return new Promise(() => {});
    };
  });
  await judged.put('k', 'old');
  b.bucket.committer.flush();
  const request = await held;
  // Killed: the round that hangs is left as it is.
  await b.bucket.follower.stop();
  await b.bucket.close();
  await b.overlay.close();
  b.remote = new MemoryHeadRemote(b.repository);
  await b.reopen();
  b.bucket.start();
  await judged.deleteLanded('k');
  await new MemoryHeadRemote(b.repository).push(request);
  await b.bucket.follower.followOnce(signal);
  await expectKept(judged);
});
