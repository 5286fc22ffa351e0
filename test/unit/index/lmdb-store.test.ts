import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { keyValueStoreContract } from '../../contract/key-value-store.js';

let directory: string;
keyValueStoreContract('LmdbStore', {
  open: async () => {
    directory = await mkdtemp(join(tmpdir(), 'lmdb-store-'));
    return LmdbStore.open(directory);
  },
  reopen: async (store) => {
    await store.close();
    return LmdbStore.open(directory);
  },
  remove: () => rm(directory, { recursive: true, force: true }),
});
