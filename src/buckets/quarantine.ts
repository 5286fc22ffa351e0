/** What operators may do with changes that were set aside. */
import type { Readable } from 'node:stream';

/** One change that was set aside. */
export interface QuarantinedChange {
  readonly bucket: string;
  readonly key: string;
  /** Its number in the journal. */
  readonly seq: number;
  /** ISO 8601. */
  readonly since: string;
  /** A cause of docs/errors.md, `rests-on-set-aside` or `restored-snapshot`. */
  readonly reason: string;
  /** In the words of Gitee, where it had any. */
  readonly message: string;
  readonly what: 'write' | 'deletion';
  readonly sizeBytes: number;
  /** Readers see it. */
  readonly shown: boolean;
}

export interface QuarantineRetry {
  /** Changes that are pending again. */
  readonly retried: number;
  readonly left: readonly { readonly key: string; readonly why: string }[];
}

export interface QuarantineAdmin {
  /** @param bucket undefined: all */
  list(bucket?: string): AsyncIterable<QuarantinedChange>;
  /** Makes changes pending again, the oldest first. @param key undefined: all of the bucket */
  retry(bucket: string, key?: string): Promise<QuarantineRetry>;
  /** The bytes that a change writes; the stream fails rather than end with wrong ones. @throws RangeError */
  read(bucket: string, key: string): Promise<Readable>;
  /** Gives a change up, with its bytes where nothing else has them. False where it is not set aside. */
  drop(bucket: string, key: string): Promise<boolean>;
}
