/**
 * Attacks "what a request stores stays on this disk until a row names it": at the moment in which a row is written,
 * every chunk that the request has stored must be held. Each operation that stores bytes has its row.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import type { BucketState } from '../../../src/journal/bucket-state.js';
import { Buckets, type Bucket } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';

const context = { signal, requestId: 'test' };
/** Kept as bytes, and as a chunk, by the format. */
const LINK = key('docker/registry/v2/repositories/a/_layers/sha256/aa/link');
const BLOB = key(`docker/registry/v2/blobs/sha256/aa/${'a'.repeat(64)}/data`);
const body = (text: string) => ({
  bytes: (async function* () {
    yield bytesOf(text);
  })(),
  promise: {},
});
const from = { sourceBucket: 'other', sourceKey: key('big'), sourceConditions: {}, conditions: {} };
const upload = async (s: ObjectService) =>
  (await s.createMultipartUpload('files', key('k'), { meta: {} })).uploadId;

let target: JournalBucket;
let source: JournalBucket;
let service: ObjectService;
/** Chunks of `files` that were not held when a row was written. */
let missed: string[];
let rows = 0;

/** A bucket that looks, before it writes a row, whether all that was stored in it is held. */
function watched(b: JournalBucket): BucketState {
  const look = () => {
    rows += 1;
    missed.push(...[...b.chunks.local.keys()].filter((oid) => !b.chunks.holds.has(oid)));
  };
  const { state } = b;
  const uploads = new Proxy(state.uploads, {
    get: (store, name) => {
      if (name === 'create' || name === 'putPart' || name === 'complete') look();
      const value: unknown = Reflect.get(store, name);
      return typeof value === 'function' ? (value.bind(store) as unknown) : value;
    },
  });
  // The extents of a copy are walked by append() itself.
  b.failpoints = {
    hit: async (name) => {
      if (name === 'journal.beforeSync') look();
    },
  };
  return new Proxy(state, {
    get: (on, name) => {
      if (name === 'uploads') return uploads;
      const value: unknown = Reflect.get(on, name);
      return typeof value === 'function' ? (value.bind(on) as unknown) : value;
    },
  });
}

beforeEach(async () => {
  target = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 3_600_000 } });
  source = await JournalBucket.open({ timings: { maxAgeMs: 3_600_000 } });
  await target.start();
  await source.start();
  missed = [];
  const bucket = (name: string, b: JournalBucket, state: BucketState): Bucket => ({
    ...{ name, createdMs: 0, rules: b.rules, state, chunks: b.chunks },
    concern: { mode: 'local', barrierPatterns: [], holdMs: 300, holdMaxMs: 300, outage: 'reject' },
  });
  service = new ObjectService(
    new Buckets([bucket('files', target, watched(target)), bucket('other', source, source.state)]),
    { clock: systemClock, log: silentLog, metrics: silentMetrics },
  );
  await service.putObject('other', key('big'), body('y'.repeat(250)), { meta: {}, conditions: {} }, context);
});
afterEach(async () => {
  await target.remove();
  await source.remove();
});

test.each<[string, (s: ObjectService) => Promise<unknown>]>([
  [
    'putObject',
    (s) => s.putObject('files', key('k'), body('x'.repeat(250)), { meta: {}, conditions: {} }, context),
  ],
  [
    'uploadPart',
    async (s) => s.uploadPart('files', key('k'), await upload(s), 1, body('x'.repeat(250)), context),
  ],
  [
    'copyObject of bytes to where a chunk must stand',
    async (s) => {
      await s.putObject('files', LINK, body('sha256:aa'), { meta: {}, conditions: {} }, context);
      target.chunks.local.clear();
      missed = [];
      const link = { ...from, sourceBucket: 'files', sourceKey: LINK };
      await s.copyObject('files', BLOB, link, context);
    },
  ],
  [
    'copyObject within the bucket: who walks over all rows meets the copy too late, and its source no more',
    async (s) => {
      await s.putObject('files', key('k'), body('x'.repeat(250)), { meta: {}, conditions: {} }, context);
      missed = [];
      await s.copyObject('files', key('j'), { ...from, sourceBucket: 'files', sourceKey: key('k') }, context);
    },
  ],
  [
    'uploadPartCopy within the bucket',
    async (s) => {
      await s.putObject('files', key('k'), body('x'.repeat(250)), { meta: {}, conditions: {} }, context);
      const uploadId = await upload(s);
      missed = [];
      const part = { ...from, sourceBucket: 'files', sourceKey: key('k') };
      await s.uploadPartCopy('files', key('k'), uploadId, 1, part, context);
    },
  ],
  ['copyObject from another bucket', (s) => s.copyObject('files', key('k'), from, context)],
  [
    'uploadPartCopy from another bucket',
    async (s) => s.uploadPartCopy('files', key('k'), await upload(s), 1, from, context),
  ],
])('%s', async (_name, run) => {
  rows = 0;
  await run(service);
  expect(target.chunks.local.size).toBeGreaterThan(0);
  expect(rows).toBeGreaterThan(0);
  expect(missed).toEqual([]);
  // And nothing is held for ever.
  expect([...target.chunks.local.keys()].filter((oid) => target.chunks.holds.has(oid))).toEqual([]);
});

test('a request that fails holds nothing afterwards', async () => {
  const broken = {
    bytes: (async function* () {
      yield bytesOf('x'.repeat(250));
      throw new Error('the client went away');
    })(),
    promise: {},
  };
  const put = service.putObject('files', key('k'), broken, { meta: {}, conditions: {} }, context);
  await expect(put).rejects.toThrow('the client went away');
  expect([...target.chunks.local.keys()].filter((oid) => target.chunks.holds.has(oid))).toEqual([]);
});
