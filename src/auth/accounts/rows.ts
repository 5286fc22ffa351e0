/** Small documents in a store, by name: accounts, robots, sessions. */
import type { z } from 'zod';
import type { KeyValueStore, Write } from '../../index/key-value-store.js';

const NAME_BYTES_MAX = 512;
const PAGE = 256;

/** One kind of document. Names sort as bytes; one that is too long to be stored is simply not there. */
export class Rows<T> {
  readonly #prefix: Buffer;
  readonly #end: Buffer;

  /** @param kind without `/`, and not the name of another kind in the same store. */
  constructor(
    private readonly store: KeyValueStore,
    kind: string,
    private readonly schema: z.ZodType<T>,
  ) {
    this.#prefix = Buffer.from(`${kind}/`);
    // '0' follows '/' in ASCII.
    this.#end = Buffer.from(`${kind}0`);
  }

  async get(name: string): Promise<T | undefined> {
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) return undefined;
    const value = await this.store.get(this.#key(name));
    return value && this.#parsed(value);
  }

  /** Durable when it resolves. */
  async put(name: string, row: T): Promise<void> {
    await this.store.commit([], [this.write(name, row)]);
  }

  /** @returns false where another one has the name already. */
  async add(name: string, row: T): Promise<boolean> {
    const key = this.#key(name);
    return this.store.commit([{ key, value: undefined }], [this.write(name, row)]);
  }

  /** Doing it twice is fine. */
  async remove(name: string): Promise<void> {
    await this.store.commit([], [this.write(name, undefined)]);
  }

  /** To be committed together with others. */
  write(name: string, row: T | undefined): Write {
    return {
      key: this.#key(name),
      value: row === undefined ? undefined : Buffer.from(JSON.stringify(row)),
    };
  }

  /** In order of the names. @param start only names that begin with it. */
  async *all(start = ''): AsyncGenerator<{ name: string; row: T }> {
    const from = Buffer.concat([this.#prefix, Buffer.from(start)]);
    let next: Uint8Array = from;
    for (;;) {
      const entries = await this.store.page(next, this.#end, PAGE);
      for (const { key, value } of entries) {
        const bytes = Buffer.from(key);
        if (!bytes.subarray(0, from.length).equals(from)) return;
        yield { name: bytes.subarray(this.#prefix.length).toString('utf8'), row: this.#parsed(value) };
      }
      const last = entries[entries.length - 1];
      if (!last || entries.length < PAGE) return;
      next = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  #key(name: string): Buffer {
    if (Buffer.byteLength(name) > NAME_BYTES_MAX)
      throw new RangeError(`a name in the store has at most ${NAME_BYTES_MAX} bytes`);
    return Buffer.concat([this.#prefix, Buffer.from(name)]);
  }

  #parsed(value: Uint8Array): T {
    return this.schema.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  }
}
