/** Logs of changes in one LMDB environment, the overlay: rows of all buckets, told apart by their keys (keyspace.ts). */
import { prefixEnd } from '../index/key-bytes.js';
import type { KeyValueStore } from '../index/key-value-store.js';
import { Keyspace } from '../index/keyspace.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import type { BucketLog, ChangeLogs, LogDeps } from './change-log.js';
import { Claims } from './claims.js';
import { GatewayIdentity } from './gateway-identity.js';
import { Journal } from './journal.js';

const DELETED_AT_ONCE = 500;

export class LmdbChangeLogs implements ChangeLogs {
  constructor(private readonly store: KeyValueStore) {}

  /** The environment in this directory, which is made where it is missing. */
  static openAt(directory: string, options?: StoreOptions): LmdbChangeLogs {
    return new LmdbChangeLogs(openStore(directory, options));
  }

  async open(bucket: string, deps: LogDeps): Promise<BucketLog> {
    const journal = await Journal.open(this.store, bucket, deps);
    const identity = await GatewayIdentity.open(journal);
    const claims = await Claims.open(journal, identity);
    return { changes: journal, uploads: journal.uploads, identity, claims };
  }

  async wipe(bucket: string): Promise<void> {
    const { prefix } = Keyspace.overlay(bucket);
    for (;;) {
      const page = await this.store.page(prefix, prefixEnd(prefix), DELETED_AT_ONCE);
      if (page.length === 0) return;
      await this.store.commit(
        [],
        page.map(({ key }) => ({ key, value: undefined })),
      );
    }
  }

  close(): Promise<void> {
    return this.store.close();
  }
}
