import { headRemoteContract } from '../../../contract/head-remote.js';
import { MemoryHeadRemote, MemoryRepository } from '../../../support/memory-head-remote.js';

headRemoteContract('MemoryHeadRemote', async () => {
  const repository = new MemoryRepository();
  return {
    remote: new MemoryHeadRemote(repository),
    foreignCommit: async (files) => repository.foreignCommit(files),
    rewriteHistory: async (files) => repository.rewriteHistory(files),
    serverHead: async () => repository.head,
    serverFiles: async () => repository.texts(),
    close: async () => {},
  };
});
