import { chunkRemoteContract } from '../../../contract/chunk-remote.js';
import { MemoryChunkRemote } from '../../../support/memory-chunk-remote.js';

chunkRemoteContract('MemoryChunkRemote', async () => {
  const remote = new MemoryChunkRemote();
  return {
    remote,
    cutNextDownload: async (afterBytes) => {
      remote.cutGets = 1;
      remote.cutAfterBytes = afterBytes;
    },
    stall: async () => {
      for (const gate of Object.values(remote.gates)) gate.shut();
    },
    lose: async (chunk) => {
      remote.chunks.delete(chunk.oid);
    },
    close: async () => {},
  };
});
