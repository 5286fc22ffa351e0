import type { KeyValueStore } from './key-value-store.js';
import { LmdbStore, type LmdbStoreOptions } from './lmdb-store.js';

export type StoreOptions = LmdbStoreOptions;

/** Opens the store in this directory, which is made where it is missing. */
export function openStore(directory: string, options?: StoreOptions): KeyValueStore {
  return LmdbStore.open(directory, options);
}
