/** Attacks "what an upload needs stays as long as somebody works on it, and no longer than its time after that". */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { Buckets, type Bucket } from '../../../src/objects/bucket.js';
import { Housekeeping } from '../../../src/objects/housekeeping.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';

const TTL_MS = 24 * 3_600_000;
const context = { signal, requestId: 'test' };
const UPLOADS = 'docker/registry/v2/repositories/a/b/_uploads';
const body = (text: string) => ({
  bytes: (async function* () {
    yield bytesOf(text);
  })(),
  promise: {},
});

let clock: ManualClock;
let harness: JournalBucket;
let service: ObjectService;
let housekeeping: Housekeeping;
let uploadId: string | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  harness = await JournalBucket.open({ rules: REGISTRY, clock });
  await harness.bucket.follower.followOnce(signal);
  const { rules, state, chunks } = harness;
  const concern = { mode: 'local', barrierPatterns: [], holdMs: 0, holdMaxMs: 0, outage: 'reject' } as const;
  const bucket: Bucket = { name: 'registry', createdMs: 0, rules, state, chunks, concern };
  const buckets = new Buckets([bucket]);
  service = new ObjectService(buckets, { clock, log: silentLog, metrics: silentMetrics });
  const times = { intervalMs: 60_000, localKeyTtlMs: TTL_MS };
  housekeeping = new Housekeeping(buckets, service.multipart, times, { clock, log: silentLog });
});
afterEach(() => harness.remove());

const put = (name: string) =>
  service.putObject('registry', key(`${UPLOADS}/${name}`), body('x'), { meta: {}, conditions: {} }, context);
/** Half a day, and a round of housekeeping. */
const halfDay = async () => {
  clock.advance(TTL_MS / 2);
  await housekeeping.runOnce();
};
const isThere = async (name: string) => (await harness.state.get(key(`${UPLOADS}/${name}`))) !== undefined;

describe('an upload of the registry', () => {
  test.each([
    ['whose hash states are written', (n: number) => put(`1/hashstates/sha256/${n}`)],
    [
      'whose parts are written',
      async (n: number) => {
        const data = key(`${UPLOADS}/1/data`);
        uploadId ??= (await service.createMultipartUpload('registry', data, { meta: {} })).uploadId;
        await service.uploadPart('registry', data, uploadId, n, body('y'.repeat(150)), context);
      },
    ],
  ])('%s keeps what it began with for days', async (_name, work) => {
    uploadId = undefined;
    await put('1/startedat');
    // One that nobody works on, beside it, with a name that begins alike.
    await put('11/startedat');
    for (let n = 1; n <= 8; n += 1) {
      await work(n);
      await halfDay();
    }
    expect(await isThere('1/startedat')).toBe(true);
    expect(await isThere('11/startedat')).toBe(false);
    await halfDay();
    await halfDay();
    await halfDay();
    expect(await isThere('1/startedat')).toBe(false);
    const open = await service.listMultipartUploads('registry', { limit: 10, prefix: '' });
    expect(open).toMatchObject({ uploads: [] });
  });

  test('keeps its parts while only its other keys are written', async () => {
    const data = key(`${UPLOADS}/1/data`);
    const { uploadId: id } = await service.createMultipartUpload('registry', data, { meta: {} });
    const { etag } = await service.uploadPart('registry', data, id, 1, body('y'.repeat(150)), context);
    for (let n = 1; n <= 4; n += 1) {
      await put(`1/hashstates/sha256/${n}`);
      await halfDay();
    }
    const request = { parts: [{ partNumber: 1, etag }], conditions: {} };
    await service.completeMultipartUpload('registry', data, id, request, context);
    expect(await isThere('1/data')).toBe(true);
  });
});

test('a clock that is set forward by years ends no upload that goes on, and keeps none that nobody works on', async () => {
  await put('1/startedat');
  clock.stepWall(400 * TTL_MS);
  await put('2/startedat');
  await housekeeping.runOnce();
  await halfDay();
  expect([await isThere('1/startedat'), await isThere('2/startedat')]).toEqual([true, true]);
  await put('1/hashstates/sha256/1');
  await halfDay();
  await halfDay();
  // All of it was written before or at the jump, more than a day ago, but for one.
  expect([await isThere('1/startedat'), await isThere('2/startedat')]).toEqual([true, false]);
  await halfDay();
  await halfDay();
  await halfDay();
  expect(await isThere('1/startedat')).toBe(false);
  // Set back again, nothing is older than it was.
  await put('3/startedat');
  clock.stepWall(-400 * TTL_MS);
  await halfDay();
  expect(await isThere('3/startedat')).toBe(true);
});

test('of all that rows name no more is held than the chunks that are asked for (invariant 5)', async () => {
  const oidOf = (text: string) => harness.chunks.cut(bytesOf(text))[0]!.oid;
  const texts = Array.from({ length: 300 }, (_, i) => `waits ${i} `.padEnd(90, 'x'));
  for (const [i, text] of texts.entries()) await harness.put(`notes/${i}`, text);
  const data = key(`${UPLOADS}/1/data`);
  const { uploadId: id } = await service.createMultipartUpload('registry', data, { meta: {} });
  await service.uploadPart('registry', data, id, 1, body('y'.repeat(90)), context);
  const here = [...texts.slice(7, 9), 'y'.repeat(90)].map(oidOf);
  let named: ReadonlySet<string> | undefined;
  harness.chunks.collect = async (namedHere) => {
    named = await namedHere(new Set([...here, oidOf('named by nothing'.padEnd(90))]));
    return { removedChunks: 0, removedBytes: 0 };
  };
  await housekeeping.runOnce();
  expect([...named!].sort()).toEqual(here.sort());
});
