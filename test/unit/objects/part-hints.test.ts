// Attacks what is said of a part before its bytes come: a slow line cuts large objects small from their first part on.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { Buckets } from '../../../src/objects/bucket.js';
import { ObjectService } from '../../../src/objects/object-service.js';
import { bytesOf, JournalBucket, key, signal } from '../../support/journal-bucket.js';

const CHUNK_BYTES = 100;

let harness: JournalBucket;
beforeEach(async () => {
  harness = await JournalBucket.open();
  await harness.start();
});
afterEach(() => harness.remove());

test.each([
  [1, CHUNK_BYTES - 1, false],
  // The registry's driver: all parts but the last fill a chunk.
  [1, CHUNK_BYTES, true],
  [1, CHUNK_BYTES + 1, true],
  [2, 1, true],
  [1, undefined, false],
  [2, undefined, true],
])('part %i of %p bytes is of a large object: %p', async (partNumber, lengthBytes, isLarge) => {
  const { rules, state, chunks } = harness;
  const concern = { mode: 'local', barrierPatterns: [], holdMs: 0, holdMaxMs: 0, outage: 'reject' } as const;
  const buckets = new Buckets([{ name: 'files', createdMs: 0, rules, state, chunks, concern }]);
  const service = new ObjectService(buckets, {
    ...{ clock: systemClock, log: silentLog, metrics: silentMetrics },
  });
  expect(rules.chunkSizeBytes).toBe(CHUNK_BYTES);
  const ingest = jest.spyOn(chunks, 'ingest');
  const { uploadId } = await service.createMultipartUpload('files', key('layer'), { meta: {} });
  const body = {
    bytes: (async function* () {
      yield bytesOf('y'.repeat(lengthBytes ?? CHUNK_BYTES));
    })(),
    promise: lengthBytes === undefined ? {} : { lengthBytes },
  };
  await service.uploadPart('files', key('layer'), uploadId, partNumber, body, { signal, requestId: 'test' });
  expect(ingest.mock.calls.map(([, , options]) => options?.isLarge)).toEqual([isLarge]);
});
