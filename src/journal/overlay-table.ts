/** The rows of a bucket's overlay: the keys under which they stand, and what is read of them one by one. */
import type { ObjectKey } from '../format/ids.js';
import { u64, utf8 } from '../index/key-bytes.js';
import type { Entry, KeyValueStore } from '../index/key-value-store.js';
import { Keyspace } from '../index/keyspace.js';
import { unpackRow } from '../index/record-codec.js';
import { decodeNewest, type NewestRow } from './overlay-rows.js';

/** A commit loses its race against others at most so often: each time one of them has won. */
export const RACES_MAX = 1000;

/** The newest row of a key as it was read, to be a precondition. */
export interface NewestBefore {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
  readonly row: NewestRow | undefined;
}

export class OverlayTable {
  readonly keys: Keyspace;

  constructor(
    readonly store: KeyValueStore,
    bucket: string,
  ) {
    this.keys = Keyspace.overlay(bucket);
  }

  /** Of a row that exists once per bucket. */
  single(name: string): Uint8Array {
    return this.keys.key('single', utf8(name));
  }

  entryKey(seq: number): Uint8Array {
    return this.keys.key('journal', u64(seq));
  }

  newestKey(key: string): Uint8Array {
    return this.keys.key('newest', utf8(key));
  }

  quarantineKey(key: ObjectKey): Uint8Array {
    return this.keys.key('quarantine', utf8(key));
  }

  async newestRow(key: string): Promise<NewestBefore> {
    const at = this.newestKey(key);
    const value = await this.store.get(at);
    return { key: at, value, row: value && decodeNewest(value) };
  }

  /** A row of the walk over the newest ones. */
  newestOf(entry: Entry): { key: ObjectKey; row: NewestRow } {
    const key = this.keys.restText('newest', entry.key) as ObjectKey;
    return { key, row: decodeNewest(entry.value) };
  }

  /** 0 where there is none. */
  async number(name: string): Promise<number> {
    const row = await this.store.get(this.single(name));
    return row ? (unpackRow(row)[0] as number) : 0;
  }
}
