/** The objects layer over real storage, two buckets of it, with a clock and a remote that the test owns. */
import { silentLog } from '../../src/async/log.js';
import { silentMetrics } from '../../src/async/metrics.js';
import type { ChunksApi } from '../../src/chunks/api.js';
import { wholeExtent } from '../../src/format/extent.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { BucketState } from '../../src/journal/bucket-state.js';
import { BucketGate, GatedChunks, GatedState } from '../../src/buckets/gate.js';
import { Buckets, type Bucket } from '../../src/objects/bucket.js';
import { ObjectService } from '../../src/objects/object-service.js';
import type { ObjectsApiFixture } from '../contract/objects-api.js';
import { ChunkBench, ManualClock } from './chunk-bench.js';
import { GENERIC, JournalBucket, signal } from './journal-bucket.js';

const CHUNK_BYTES = 1024 * 1024;
const RULES = { ...GENERIC, chunkSizeBytes: CHUNK_BYTES };
const LIMITS = {
  chunkSizeBytes: CHUNK_BYTES,
  eagerFromBytes: CHUNK_BYTES / 2,
  spoolSoftBytes: 64 * CHUNK_BYTES,
  spoolHardBytes: 128 * CHUNK_BYTES,
};

/** One bucket: nothing of it is committed, and its chunks go to a remote of their own. */
async function openOne(name: string, clock: ManualClock, isGated: boolean) {
  const journal = await JournalBucket.open({ rules: RULES, clock });
  await journal.bucket.follower.followOnce(signal);
  const bench = await ChunkBench.start({ limits: LIMITS, isBackground: true }, clock);
  let state: BucketState = journal.state;
  let chunks: ChunksApi = bench.chunks;
  if (isGated) {
    const gate = new BucketGate(name);
    state = new GatedState(state, gate);
    chunks = new GatedChunks(chunks, gate);
  }
  const bucket: Bucket = {
    ...{ name, createdMs: 0, rules: RULES, state, chunks },
    concern: { mode: 'local', barrierPatterns: [], holdMs: 1, holdMaxMs: 1, outage: 'reject' },
  };
  return { journal, bench, bucket };
}

/** ObjectService over JournaledBucket and BucketChunks, each behind its gate where `isGated`. */
export async function startObjectService({ isGated = false } = {}): Promise<ObjectsApiFixture> {
  const clock = new ManualClock();
  const images = await openOne('images', clock, isGated);
  const other = await openOne('other', clock, isGated);
  const { bench, journal } = images;
  return {
    objects: new ObjectService(new Buckets([images.bucket, other.bucket]), {
      ...{ clock, log: silentLog, metrics: silentMetrics },
    }),
    putRemoteOnly: async (key, bytes) => {
      await journal.putExtents(key, [wholeExtent(bench.remote.seed(bytes))]);
    },
    setAway: (isAway) => {
      if (!isAway) bench.remote.heal();
      else
        for (const call of ['get', 'put', 'missing'] as const)
          bench.remote.fail(call, () => new RemoteError('unreachable', 'Gitee is away'));
    },
    pass: async (ms) => {
      clock.advance(ms);
      await bench.quiet();
    },
    settle: (promise) => bench.stepped(promise),
    close: async () => {
      for (const one of [images, other]) {
        await one.bench.remove();
        await one.journal.remove();
      }
    },
  };
}
