import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/async/log.js';
import { LfsLedger } from '../../../src/space/lfs-ledger.js';
import { describeSpace, LfsSpace } from '../../../src/space/lfs-space.js';
import { LfsTrend } from '../../../src/space/lfs-trend.js';
import type { KeyValueStore } from '../../../src/index/key-value-store.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { Buckets, type Bucket } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { probeSpace } from '../../../src/server/lfs-parts.js';
import { bytesOf, ManualClock, pieces, until } from '../../support/chunk-bench.js';
import { JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import { oidOf } from '../../support/memory-chunk-remote.js';

const DAY_MS = 86_400_000;

let directory: string;
let clock: ManualClock;
let store: KeyValueStore;
let ledger: LfsLedger;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'space-'));
  clock = new ManualClock();
  store = LmdbStore.open(directory);
  ledger = new LfsLedger({ store, clock, log: silentLog });
});
afterEach(async () => {
  await ledger.close();
  await rm(directory, { recursive: true, force: true });
});

async function spaceOf(quotaBytes: number | undefined, action: 'warn' | 'refuse'): Promise<LfsSpace> {
  const trend = await LfsTrend.open(store);
  return new LfsSpace({ ledger, trend, quotaBytes, action, clock, log: silentLog });
}

let used = 0;
async function use(sizeBytes: number): Promise<void> {
  used += 1;
  await (await ledger.repository('acme/images')).add({ oid: oidOf(bytesOf(used, 32)), sizeBytes, volume: 0 });
}

describe('the room that a quota leaves', () => {
  test('is what is neither used nor waits to be sent', async () => {
    const space = await spaceOf(1_000, 'refuse');
    await use(600);
    const leave = space.addBucket(() => 300);
    expect(() => space.demand(100)).not.toThrow();
    expect(() => space.demand(101)).toThrow(expect.objectContaining({ code: 'quota-full' }));
    leave();
    expect(() => space.demand(400)).not.toThrow();
  });

  test('is told, and not enforced, with the action warn or without a quota', async () => {
    await use(600);
    const warned: unknown[] = [];
    const log = { ...silentLog, warn: (message: string) => warned.push(message) };
    const trend = await LfsTrend.open(store);
    const space = new LfsSpace({ ledger, trend, quotaBytes: 500, action: 'warn', clock, log });
    space.demand(1);
    space.demand(1);
    expect(warned).toHaveLength(1);
    clock.advance(3600_000);
    space.demand(1);
    expect(warned).toHaveLength(2);
    (await spaceOf(undefined, 'refuse')).demand(1e15);
  });
});

describe('the forecast', () => {
  test('is the growth since the oldest figure of the last week, over restarts', async () => {
    const trend = await LfsTrend.open(store);
    await trend.note(clock.nowMs(), ledger.usedBytes);
    expect((await spaceOf(1_000, 'warn')).status().daysLeft).toBeUndefined();
    for (let day = 0; day < 4; day += 1) {
      await use(100);
      clock.advance(DAY_MS);
      await trend.note(clock.nowMs(), ledger.usedBytes);
    }
    const space = await spaceOf(1_000, 'warn');
    expect(space.status()).toMatchObject({ usedBytes: 400, daysLeft: 6 });
    expect(describeSpace(space.status())).toBe(
      '400 B of 1000 B (40 %) in use, full in 6 days if it goes on so',
    );
    for (let day = 0; day < 8; day += 1) {
      clock.advance(DAY_MS);
      await trend.note(clock.nowMs(), ledger.usedBytes);
    }
    expect((await spaceOf(1_000, 'warn')).status().daysLeft).toBeUndefined();
  });

  test('begins when the gateway starts', async () => {
    const space = await spaceOf(1_000, 'warn');
    space.start();
    await until(() => clock.sleepers > 0);
    await use(100);
    clock.advance(2 * DAY_MS);
    expect(space.status().daysLeft).toBe(18);
    await space.close();
  });

  test('takes what a count of the branch has found for no growth', async () => {
    const space = await spaceOf(10_000, 'warn');
    space.start();
    await until(() => clock.sleepers > 0);
    await use(5_000);
    await space.recounted();
    clock.advance(DAY_MS);
    expect(space.status().daysLeft).toBeUndefined();
    await use(100);
    expect(space.status().daysLeft).toBe(49);
    await space.close();
  });
});

describe('doctor', () => {
  const verdict = (usedBytes: number, quotaBytes: number | undefined) =>
    probeSpace({ usedBytes, unsentBytes: 0, quotaBytes, daysLeft: undefined });

  test('warns above 80 %, fails above 95 %, and says how to find a quota that is not set', () => {
    expect(verdict(80, 100).verdict).toBe('ok');
    expect(verdict(81, 100)).toMatchObject({
      verdict: 'warning',
      nextStep: expect.stringMatching(/runbook/),
    });
    expect(verdict(95, 100).verdict).toBe('warning');
    expect(verdict(96, 100).verdict).toBe('failed');
    expect(verdict(0, 0).verdict).toBe('ok');
    expect(verdict(5, undefined)).toMatchObject({
      verdict: 'warning',
      nextStep: expect.stringMatching(/gitee\.lfs_quota_bytes.*dashboard/),
    });
  });
});

describe('writes to a full quota', () => {
  let harness: JournalBucket;
  let service: ObjectService;
  let bucket: Bucket;
  let asked: number[];
  let wasRead = false;
  const context = { signal, requestId: 'test' };
  beforeEach(async () => {
    harness = await JournalBucket.open({ rules: REGISTRY });
    await harness.start();
    asked = [];
    const { rules, state, chunks } = harness;
    const space = await spaceOf(100, 'refuse');
    await use(100);
    chunks.demandSpace = (bytes) => {
      asked.push(bytes);
      space.demand(bytes);
    };
    const concern = {
      mode: 'local',
      barrierPatterns: [],
      holdMs: 0,
      holdMaxMs: 0,
      outage: 'reject',
    } as const;
    bucket = { name: 'files', createdMs: 0, rules, state, chunks, concern };
    service = new ObjectService(new Buckets([bucket]), { clock, log: silentLog, metrics: silentMetrics });
  });
  afterEach(() => harness.remove());

  const unread = {
    bytes: (async function* (): AsyncGenerator<Uint8Array> {
      wasRead = true;
      yield bytesOf(1, 1);
    })(),
  };

  test('are refused before their bytes are taken', async () => {
    const lengthBytes = harness.rules.inlineLimitBytes + 1;
    const refused = { code: 'quota-full' };
    await expect(
      service.putObject('files', key('large'), { ...unread, promise: { lengthBytes } }, PUT, context),
    ).rejects.toMatchObject(refused);
    await expect(service.createMultipartUpload('files', LAYER, { meta: {} })).rejects.toMatchObject(refused);
    expect(wasRead).toBe(false);
    expect(asked).toEqual([lengthBytes, 1]);
  });

  test('are taken where they need no LFS, or bring nothing new', async () => {
    const { inlineLimitBytes } = bucket.rules;
    const put = (name: string, lengthBytes: number | undefined) =>
      service.putObject(
        'files',
        key(name),
        {
          bytes: pieces(bytesOf(1, lengthBytes ?? inlineLimitBytes)),
          promise: lengthBytes === undefined ? {} : { lengthBytes },
        },
        PUT,
        context,
      );
    await put('small', inlineLimitBytes);
    await put('empty', 0);
    // A layer that is there is copied to its place by an upload of parts.
    await service.createMultipartUpload('files', key('docker/registry/v2/blobs/x/data'), { meta: {} });
    expect(asked).toEqual([]);
    await expect(put('of unknown length', undefined)).rejects.toMatchObject({ code: 'quota-full' });
    await expect(put('large', inlineLimitBytes + 1)).rejects.toMatchObject({ code: 'quota-full' });
  });

  test('a copy from another bucket is refused: its bytes are stored once more', async () => {
    const source = await JournalBucket.open({ rules: REGISTRY });
    await source.start();
    try {
      const { rules, state, chunks } = source;
      const other = { ...bucket, name: 'other', rules, state, chunks };
      const both = new ObjectService(new Buckets([bucket, other]), {
        clock,
        log: silentLog,
        metrics: silentMetrics,
      });
      const lengthBytes = rules.inlineLimitBytes + 1;
      const body = { bytes: pieces(bytesOf(1, lengthBytes)), promise: { lengthBytes } };
      await both.putObject('other', key('large'), body, PUT, context);
      const from = { sourceBucket: 'other', sourceKey: key('large') };
      const refused = { code: 'quota-full' };
      await expect(
        both.copyObject('files', key('copy'), { ...from, ...COPY }, context),
      ).rejects.toMatchObject(refused);
      const { uploadId } = await both.createMultipartUpload('files', key('parts'), { meta: {} });
      await expect(
        both.uploadPartCopy('files', key('parts'), uploadId, 1, { ...from, ...COPY }, context),
      ).rejects.toMatchObject(refused);
      expect(asked).toEqual([lengthBytes, lengthBytes]);
    } finally {
      await source.remove();
    }
  });
});

const LAYER = key('docker/registry/v2/repositories/app/_uploads/u/data');
const PUT = { meta: {}, conditions: {} };
const COPY = { conditions: {}, sourceConditions: {} };
