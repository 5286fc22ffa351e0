// AWS "Amazon S3 multipart upload limits": 10,000 parts, at most 1,000 of them on a page that was asked for.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { toOid } from '../../../src/format/ids.js';
import { Keyspace } from '../../../src/index/keyspace.js';
import { encodePart } from '../../../src/journal/upload-rows.js';
import type { UploadedPart } from '../../../src/journal/upload-store.js';
import { Buckets, type Bucket } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { JournalBucket, key, signal } from '../../support/journal-bucket.js';

const PARTS = 10_000;
const KEY = key('large');
const context = { signal, requestId: 'test' };
const keys = Keyspace.overlay('bucket');

/** Rows without their uploads' own: thousands in one commit. */
async function putParts({ overlay }: JournalBucket, uploadId: string, parts: readonly UploadedPart[]) {
  const at = (n: number) => keys.key('part', Buffer.from(`${uploadId}\0`), Buffer.of(n >> 8, n & 0xff));
  await overlay.commit(
    [],
    parts.map((part) => ({ key: at(part.partNumber), value: encodePart(part) })),
  );
}

describe('an upload of 10,000 parts', () => {
  let harness: JournalBucket;
  let service: ObjectService;
  let uploadId: string;
  beforeAll(async () => {
    harness = await JournalBucket.open();
    await harness.start();
    const { rules, state, chunks } = harness;
    const concern = {
      mode: 'local',
      barrierPatterns: [],
      holdMs: 0,
      holdMaxMs: 0,
      outage: 'reject',
    } as const;
    const bucket: Bucket = { name: 'files', createdMs: 0, rules, state, chunks, concern };
    const deps = { clock: systemClock, log: silentLog, metrics: silentMetrics };
    service = new ObjectService(new Buckets([bucket]), deps);
    ({ uploadId } = await service.createMultipartUpload('files', KEY, { meta: {} }));
    // Rows as UploadPart writes them; their bytes do not matter to a listing.
    const row = (partNumber: number) => ({
      partNumber,
      sizeBytes: partNumber,
      etag: partNumber.toString(16).padStart(32, '0'),
      lastModifiedMs: 0,
      extents: [],
    });
    const numbers = Array.from({ length: PARTS }, (_, i) => i + 1);
    await putParts(harness, uploadId, numbers.map(row));
  });
  afterAll(() => harness.remove());

  const list = (afterPartNumber: number, limit: number) =>
    service.listParts('files', KEY, uploadId, { afterPartNumber, limit });

  test('is listed by marker in pages, each part once and in order', async () => {
    const numbers: number[] = [];
    let pages = 0;
    for (let after = 0, truncated = true; truncated; pages += 1) {
      const page = await list(after, 999);
      numbers.push(...page.parts.map((p) => p.partNumber));
      after = page.parts.at(-1)!.partNumber;
      truncated = page.truncated;
    }
    expect(numbers).toEqual(Array.from({ length: PARTS }, (_, i) => i + 1));
    expect(pages).toBe(11);
  });

  test('is listed on one page where that is asked for', async () => {
    const page = await list(0, PARTS);
    expect([page.parts.length, page.truncated, page.parts.at(-1)!.partNumber]).toEqual([PARTS, false, PARTS]);
  });

  test('has an end: no marker from the last part on begins anew', async () => {
    for (const after of [PARTS, 65_534, 65_535, 65_536, 70_000, 2 ** 31 - 1])
      expect(await list(after, 1000)).toMatchObject({ parts: [], truncated: false });
  });

  test('a part other than the last that is too small is named, however many there are', async () => {
    const page = await list(0, PARTS);
    const request = {
      parts: page.parts.map(({ partNumber, etag }) => ({ partNumber, etag })),
      conditions: {},
    };
    await expect(
      service.completeMultipartUpload('files', KEY, uploadId, request, context),
    ).rejects.toMatchObject({ code: 'part-too-small', fields: { partNumber: 1 } });
  });

  test('leaves no row behind when it is aborted', async () => {
    await service.abortMultipartUpload('files', KEY, uploadId);
    await expect(list(0, 1)).rejects.toMatchObject({ code: 'no-such-upload' });
    const { overlay } = harness;
    expect(await overlay.page(keys.key('part'), keys.end('part'), 10)).toEqual([]);
  });
});

describe('an object of more chunks than a commit can name', () => {
  let harness: JournalBucket;
  let service: ObjectService;
  let bucket: Bucket;
  beforeAll(async () => {
    harness = await JournalBucket.open();
    await harness.start();
    const { rules, state, chunks } = harness;
    const concern = {
      mode: 'local',
      barrierPatterns: [],
      holdMs: 0,
      holdMaxMs: 0,
      outage: 'reject',
    } as const;
    bucket = { name: 'files', createdMs: 0, rules, state, chunks, concern };
    const deps = { clock: systemClock, log: silentLog, metrics: silentMetrics };
    service = new ObjectService(new Buckets([bucket]), deps);
  });
  afterAll(() => harness.remove());

  /** An upload of so many parts, each of so many chunks, as UploadPartCopy makes them. */
  const complete = async (parts: number, chunksOfPart: number) => {
    const { chunkSizeBytes } = bucket.rules;
    const extent = {
      oid: toOid('a'.repeat(64)),
      chunkLengthBytes: chunkSizeBytes,
      offsetBytes: 0,
      volume: 0,
    };
    const extents = Array.from({ length: chunksOfPart }, () => ({ ...extent, lengthBytes: chunkSizeBytes }));
    const { uploadId } = await service.createMultipartUpload('files', KEY, { meta: {} });
    const sizeBytes = chunksOfPart * chunkSizeBytes;
    const etag = 'e'.repeat(32);
    const numbers = Array.from({ length: parts }, (_, i) => i + 1);
    for (const partNumber of numbers)
      await putParts(harness, uploadId, [{ partNumber, sizeBytes, etag, lastModifiedMs: 0, extents }]);
    const request = { parts: numbers.map((partNumber) => ({ partNumber, etag })), conditions: {} };
    const done = service.completeMultipartUpload('files', KEY, uploadId, request, context);
    return {
      done,
      listed: () => service.listParts('files', KEY, uploadId, { afterPartNumber: 0, limit: 1 }),
    };
  };

  test('is refused before it is acknowledged, and the upload stays as it was', async () => {
    const { done, listed } = await complete(19, 52_632);
    await expect(done).rejects.toMatchObject({ code: 'entity-too-large' });
    expect((await listed()).parts).toHaveLength(1);
    expect(await bucket.state.get(KEY)).toBeUndefined();
    expect(harness.state.status().pendingChanges).toBe(0);
  });

  // Some seconds of work, and no other code than that of all uploads.
  if (process.env['LONG_TESTS'] !== undefined)
    test('is taken with one chunk less', async () => {
      const { done } = await complete(16, 62_500);
      await expect(done).resolves.toMatchObject({ etag: expect.any(String) });
      expect(await bucket.state.get(KEY)).toMatchObject({
        sizeBytes: 1_000_000 * bucket.rules.chunkSizeBytes,
      });
    });
});
