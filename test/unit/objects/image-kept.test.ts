/** A push of an image that is there already: what Gitee has lost of it since comes back, or the push says so. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { type Log, silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { type Bucket, Buckets } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { until } from '../../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import {
  blobPath,
  named,
  openImages,
  pushImage,
  putLayer,
  putManifest,
  tagPath,
} from '../../support/journal-images.js';
import { CONDITION_LIMIT_MS, TEST_LIMIT_MS } from '../../support/time-limits.js';

const LAYER = 'x'.repeat(350);
/** What can't be acknowledged: no test needs to wait for more. What can, has as long as it takes. */
const SHORT_MS = 1_000;

function serviceOf(bucket: Bucket, log: Log = silentLog): ObjectService {
  const silent = { clock: systemClock, log, metrics: silentMetrics };
  return new ObjectService(new Buckets([bucket]), silent);
}

describe('an image that is pushed again', () => {
  let b: JournalBucket;
  let service: ObjectService;
  let digest: string;
  let concern: { holdMs: number; holdMaxMs: number };
  let warned: string[];

  beforeEach(async () => {
    b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs: 20 } });
    await b.start();
    const own = {
      mode: 'barrier' as const,
      barrierPatterns: [/\/_manifests\/tags\/[^/]+\/current\/link$/],
      ...{ holdMs: CONDITION_LIMIT_MS, holdMaxMs: CONDITION_LIMIT_MS, outage: 'reject' as const },
    };
    concern = own;
    const bucket = {
      ...{ name: 'registry', createdMs: 0, rules: b.rules, state: b.state, chunks: b.chunks },
      concern: own,
    };
    warned = [];
    service = serviceOf(bucket, { ...silentLog, warn: (message) => warned.push(message) });
    const image = await pushImage(b, 'a', 'v1', [LAYER, 'small']);
    digest = image.digest;
    await b.landed(image.seq);
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  /** What a client sends last of a push whose layers are there: the link of the tag. */
  const tag = (name: string) =>
    service.putObject(
      'registry',
      key(tagPath('a', name)),
      {
        bytes: (async function* () {
          yield bytesOf(`sha256:${digest}`);
        })(),
        promise: {},
      },
      { meta: {}, conditions: {} },
      { signal, requestId: 'test' },
    );
  /** As far as this gateway knows: another one, which remembers nothing. */
  const aMinuteLater = () => {
    service = serviceOf({ ...(service as unknown as { buckets: Buckets }).buckets.get('registry') });
  };
  const holdShort = () => {
    concern.holdMs = concern.holdMaxMs = SHORT_MS;
  };
  const layer = () => b.chunks.cut(bytesOf(LAYER)).map(({ oid }) => oid);

  test.each(['v1', 'v2'])('brings back what Gitee has lost, under tag %s', async (name) => {
    for (const oid of layer()) b.chunks.remote.delete(oid);
    expect(await b.problems()).not.toEqual([]);
    await tag(name);
    expect(layer().filter((oid) => !b.chunks.remote.has(oid))).toEqual([]);
    expect(await b.problems()).toEqual([]);
  });

  test('is not acknowledged where a part of it is nowhere, and says what to do', async () => {
    for (const oid of layer().slice(1)) {
      b.chunks.remote.delete(oid);
      b.chunks.local.delete(oid);
    }
    holdShort();
    await expect(tag('v2')).rejects.toMatchObject({
      code: 'not-yet-remote',
      message: expect.stringContaining('gitee-s3 fsck'),
    });
  });

  test('is sent again as long as a forgetful store does not keep it, within the hold', async () => {
    let forgotten = 0;
    b.chunks.beforeEnsure = async (chunks) => {
      if (forgotten >= 3) return;
      forgotten += 1;
      throw new RemoteError('chunk-unkept', 'not kept', {
        oids: chunks.map(({ oid }) => oid),
        retryAfterMs: 10,
      });
    };
    await tag('v1');
    expect(forgotten).toBe(3);
    holdShort();
    b.chunks.beforeEnsure = async () => {
      throw new RemoteError('chunk-unkept', 'not kept', { retryAfterMs: SHORT_MS });
    };
    await expect(tag('v1')).rejects.toMatchObject({ code: 'not-yet-remote' });
  });

  test('is acknowledged where Gitee gives no answer: nothing says that it has lost anything', async () => {
    b.chunks.ensureKept = async () => ({ kind: 'unknown', message: 'no answer' });
    await tag('v1');
    b.chunks.ensureKept = async () => {
      throw new TypeError('a bug');
    };
    await expect(tag('v1')).rejects.toThrow('a bug');
  });

  test.each(['quota-full', 'unauthorized'] as const)(
    'whose lost layer Gitee does not take for %s is refused soon, with the reason',
    async (code) => {
      concern.holdMs = concern.holdMaxMs = 2 * TEST_LIMIT_MS;
      let asked = 0;
      b.chunks.beforeEnsure = async () => {
        asked += 1;
        for (const oid of layer()) b.chunks.remote.delete(oid);
        throw new RemoteError(code, 'only an operator can help');
      };
      await expect(tag('v1')).rejects.toMatchObject({
        code: 'not-yet-remote',
        message: expect.stringContaining('only an operator can help'),
      });
      expect(asked).toBeLessThanOrEqual(4);
    },
  );

  test('whose manifest is neither here nor on Gitee is not acknowledged', async () => {
    const { body } = (await b.state.get(key(blobPath(digest))))!;
    expect(body.kind).not.toBe('plain');
    for (const oid of b.chunks.local.keys()) if (!layer().includes(oid)) b.chunks.local.delete(oid);
    await expect(tag('v1')).rejects.toMatchObject({
      code: 'not-yet-remote',
      message: expect.stringContaining('gitee-s3 fsck'),
    });
  });

  test('of more chunks than are asked for is not taken for looked through', async () => {
    const range = async function* () {
      for (let i = 0; i <= 10_000; i += 1) yield { oid: String(i), chunkLengthBytes: 1, volume: 0 };
    };
    const openBody = b.state.openBody.bind(b.state);
    b.state.openBody = async (record) =>
      record.sizeBytes === LAYER.length ? ({ kind: 'extents', list: { range } } as never) : openBody(record);
    await tag('v1');
    expect(warned).toEqual(['whether Gitee still has all of an image could not be found out']);
  });

  test('gets what was set aside tried again, its layer before its tag, and once a minute at most', async () => {
    const oids = new Set(b.chunks.cut(bytesOf('y'.repeat(350))).map(({ oid }) => oid));
    let refusals = 0;
    let isWell = false;
    b.chunks.beforeUpload = async (chunks) => {
      if (isWell || !chunks.some(({ oid }) => oids.has(oid))) return;
      refusals += 1;
      throw new RemoteError('chunk-refused', 'no', { oids: [...oids] });
    };
    const bad = await pushImage(b, 'a', 'v3', ['y'.repeat(350)]);
    await b.landed(bad.seq);
    digest = bad.digest;
    const refused = expect.objectContaining({ code: 'not-yet-remote' });
    await expect(tag('v3')).rejects.toEqual(refused);
    // The push is refused as soon as its first part is: what else of it was tried again is judged first.
    await until('all of it is set aside', () => b.state.status().pendingChanges === 0);
    const before = refusals;
    expect(before).toBeGreaterThanOrEqual(6);
    await expect(tag('v3')).rejects.toEqual(refused);
    expect(refusals).toBe(before);
    isWell = true;
    aMinuteLater();
    await tag('v3');
    expect(b.tree().get(tagPath('a', 'v3'))).toBe(`sha256:${digest}`);
    expect([...b.tree().keys()].some((path) => path.startsWith(blobPath(digest)))).toBe(true);
    expect(b.state.status()).toMatchObject({ quarantinedChanges: 0 });
  });

  test.each([
    ['refused again: the tag that was there stays', true],
    ['taken now: acknowledged when all of it is there', false],
  ])('whose layer was refused, is %s', async (_, refusesStill) => {
    const bad = 'z'.repeat(350);
    const oids = b.chunks.cut(bytesOf(bad)).map(({ oid }) => oid);
    let refuses = true;
    const speak = async (chunks: readonly { oid: string }[]) => {
      const named = chunks.filter(
        ({ oid }) => oids.includes(oid as never) && !b.chunks.remote.has(oid as never),
      );
      if (!refuses || named.length === 0) return;
      throw new RemoteError('chunk-refused', 'no', { oids: named.map(({ oid }) => oid) });
    };
    b.chunks.beforeUpload = speak;
    b.chunks.beforeEnsure = speak;
    const [layerDigest, config] = [await putLayer(b, 'a', bad), await putLayer(b, 'a', '{"config":"bad"}')];
    // The second time its client finds the layers here and sends the manifest only.
    const push = async () => {
      const manifest = { config: named(config), layers: [named(layerDigest)] };
      ({ digest } = await putManifest(b, 'a', undefined, manifest));
      return tag('v1').then(
        () => 'acknowledged',
        (error: { code: string }) => error.code,
      );
    };
    expect(await push()).toBe('not-yet-remote');
    refuses = refusesStill;
    aMinuteLater();
    expect(await push()).toBe(refusesStill ? 'not-yet-remote' : 'acknowledged');
    expect(openImages(b)).toEqual([]);
  });
});
