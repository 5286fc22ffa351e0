import { RemoteError } from '../../../src/gitee/errors.js';
import { BucketGate, GatedChunks } from '../../../src/buckets/gate.js';
import { chunksApiContract, type ChunksApiFixture } from '../../contract/chunks-api.js';
import { ChunkBench, smallLimits } from '../../support/chunk-bench.js';
import { MemoryChunks } from '../../support/memory-chunks.js';

const away = () => new RemoteError('unreachable', 'Gitee is away');

async function ofBucket(): Promise<ChunksApiFixture> {
  const bench = await ChunkBench.start();
  const { remote } = bench;
  return {
    chunks: bench.chunks,
    chunkSizeBytes: smallLimits.chunkSizeBytes,
    seedRemote: async (bytes) => remote.seed(bytes),
    setAway: (isAway) => {
      if (!isAway) remote.heal();
      else for (const call of ['get', 'put', 'missing'] as const) remote.fail(call, away);
    },
    age: async () => {
      bench.clock.advance(smallLimits.graceMs + 1);
      // Whatever that woke is tried, and fails: what is being sent is not collected.
      await bench.quiet();
    },
    settle: (promise) => bench.stepped(promise),
    close: () => bench.remove(),
  };
}

async function inMemory(): Promise<ChunksApiFixture> {
  const chunks = new MemoryChunks(smallLimits.chunkSizeBytes);
  return {
    chunks,
    chunkSizeBytes: chunks.chunkSizeBytes,
    seedRemote: async (bytes) => chunks.seedRemote(bytes),
    setAway: (isAway) => {
      chunks.isAway = isAway;
    },
    age: async () => chunks.age(),
    settle: (promise) => promise,
    close: () => chunks.close(),
  };
}

chunksApiContract('BucketChunks', ofBucket);
chunksApiContract('GatedChunks', async () => {
  const inner = await ofBucket();
  return { ...inner, chunks: new GatedChunks(inner.chunks, new BucketGate('images')) };
});
chunksApiContract('MemoryChunks', inMemory);
