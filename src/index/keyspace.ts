/**
 * Every prefix of every key in the two stores, in one place.
 *
 * Overlay (one store for all buckets): 0x01 bucket 0x00 table …   Base (one store per bucket): table …
 *
 *   table                 rest of the key           value
 *   newest      'n'       key                       newest change of a key (overlay)
 *   journal     'j'       seq                       change that waits for a commit (overlay)
 *   quarantine  'q'       key                       why Gitee refuses the newest change (overlay)
 *   claim       'c'       number                    batch that was sent, or may have been (overlay)
 *   upload      'u'       objects' own              open multipart uploads (overlay)
 *   part        'p'       objects' own              their parts (overlay)
 *   record      'k'       key                       object at the last known commit (base)
 *   foreign     'x'       path                      file of the tree that is no object (base)
 *   damaged     'w'       escaped key               object of the tree that is damaged: why (base)
 *   meta        'm'       key                       metadata file, while a base is rebuilt (base)
 *   body        'b'       id                        bytes of a plain body over 1 KiB (both)
 *   extents     'e'       id, first byte            page of an extent list (both)
 *   discarded   'f'       time, sort, id            body or list to be deleted after the time (both)
 *   single      's'       name                      rows that exist once (both)
 */
import { asBuffer, joinBytes, prefixEnd, utf8 } from './key-bytes.js';

const TABLES = {
  newest: 'n',
  journal: 'j',
  quarantine: 'q',
  claim: 'c',
  upload: 'u',
  part: 'p',
  record: 'k',
  foreign: 'x',
  damaged: 'w',
  meta: 'm',
  body: 'b',
  extents: 'e',
  discarded: 'f',
  single: 's',
} as const;

export type Table = keyof typeof TABLES;

/** Keys of one bucket's part of a store. */
export class Keyspace {
  readonly #prefixes: Readonly<Record<Table, Uint8Array>>;
  /** The same as text: prefixes are UTF-8. */
  readonly #texts: Readonly<Record<Table, string>>;

  private constructor(readonly prefix: Uint8Array) {
    this.#prefixes = Object.fromEntries(
      Object.entries(TABLES).map(([table, letter]) => [table, joinBytes(prefix, utf8(letter))]),
    ) as Record<Table, Uint8Array>;
    this.#texts = Object.fromEntries(
      Object.entries(this.#prefixes).map(([table, bytes]) => [table, Buffer.from(bytes).toString('utf8')]),
    ) as Record<Table, string>;
  }

  /** Bucket names have no zero byte, so no bucket's keys stand among another's. */
  static overlay(bucket: string): Keyspace {
    return new Keyspace(joinBytes(Uint8Array.of(1), utf8(bucket), Uint8Array.of(0)));
  }

  static base(): Keyspace {
    return new Keyspace(new Uint8Array(0));
  }

  key(table: Table, ...rest: readonly Uint8Array[]): Uint8Array {
    return joinBytes(this.#prefixes[table], ...rest);
  }

  /** As key, for a text in UTF-8: written once and not copied. */
  textKey(table: Table, text: string): Uint8Array {
    return utf8(this.#texts[table] + text);
  }

  /** First key after the table. */
  end(table: Table): Uint8Array {
    return prefixEnd(this.#prefixes[table]);
  }

  /** What follows the table's letter. */
  rest(table: Table, key: Uint8Array): Uint8Array {
    return key.subarray(this.#prefixes[table].length);
  }

  /** The same as text in UTF-8, without a copy of its bytes. */
  restText(table: Table, key: Uint8Array): string {
    return asBuffer(key).toString('utf8', this.#prefixes[table].length);
  }

  owns(key: Uint8Array): boolean {
    return Buffer.compare(key.subarray(0, this.prefix.length), this.prefix) === 0;
  }
}
