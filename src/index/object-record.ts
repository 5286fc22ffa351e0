import type { Extent } from '../format/extent.js';
import type { MetaChecksum } from '../format/meta.js';
import type { ObjectMeta } from '../format/object-meta.js';

export type { ObjectMeta } from '../format/object-meta.js';

/** A checksum as the client gave it or asked for it: base64, for composite ones with `-<parts>`. */
export interface StoredChecksum {
  readonly algorithm: MetaChecksum['algorithm'];
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
  readonly value: string;
}

/** What the index knows of an object without its bytes. */
export interface ObjectRecord {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** Time of the write; never moves backwards for a key. */
  readonly lastModifiedMs: number;
  readonly meta: ObjectMeta;
  readonly checksum?: StoredChecksum;
  /** Sizes of the parts of a multipart upload, for GET ?partNumber; absent for a single PUT or copy. */
  readonly partSizesBytes?: readonly number[];
  /** Checksums of those parts in the algorithm of `checksum`, base64, in order; only beside a composite one. */
  readonly partChecksums?: readonly string[];
  readonly body: BodyRef;
}

/** Where the bytes of an object stand; opened by KeyIndex.openBody. */
export type BodyRef =
  | {
      readonly kind: 'plain';
      readonly bytes?: Uint8Array;
      /** key of the body in the store, if not inline */ readonly at?: Uint8Array;
      /** SHA-256 of the bytes; rows that versions up to 1.0 have written have none. */
      readonly sha256?: Uint8Array;
    }
  | { readonly kind: 'extents'; readonly extents: readonly Extent[] }
  | { readonly kind: 'extent-list'; readonly listId: string; readonly count: number };

/** The opened body. */
export type ObjectBody =
  | { readonly kind: 'plain'; readonly bytes: Uint8Array }
  | { readonly kind: 'extents'; readonly list: ExtentList };

/** Extents of one object in order; may be long, so it is only ever walked in pages. */
export interface ExtentList {
  readonly sizeBytes: number;
  readonly count: number;
  /** Extents that cover [startBytes, endBytes) of the object, the first and last one clipped to it. */
  range(startBytes: number, endBytes: number): AsyncIterable<Extent>;
}

/** What a writer hands in: a record whose body is bytes or extents (any length). */
export type NewBody =
  | { readonly kind: 'plain'; readonly bytes: Uint8Array }
  | { readonly kind: 'extents'; readonly extents: AsyncIterable<Extent> | Iterable<Extent> };

export interface NewObject extends Omit<ObjectRecord, 'body'> {
  readonly body: NewBody;
}
