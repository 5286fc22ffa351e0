/**
 * An ordered store of bytes, durable. All calls are asynchronous, none
 * takes a callback inside a transaction and none holds a read transaction over more than one page, so that a
 * distributed engine can stand behind it later. Every implementation passes test/contract/key-value-store.ts.
 */
export interface KeyValueStore {
  /** The value, or undefined. */
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Entries with `start <= key < end` in byte order, at most `limit`; with `reverse` from the end. */
  page(start: Uint8Array, end: Uint8Array, limit: number, options?: { reverse?: boolean }): Promise<Entry[]>;
  /**
   * Applies all writes or none; durable (fsync) and visible when the promise resolves.
   * @returns false, with nothing written, where a precondition does not hold.
   */
  commit(preconditions: readonly Precondition[], writes: readonly Write[]): Promise<boolean>;
  /** Bytes used on disk, for metrics. */
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** `value` undefined means: the key must not exist. */
export interface Precondition {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** `value` undefined deletes the key. */
export interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}
