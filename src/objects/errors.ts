/**
 * Errors of the objects layer, in terms of buckets, keys and uploads. Only src/s3/error-map.ts turns them
 * into S3 codes.
 */
export type ObjectErrorCode =
  | 'no-such-bucket'
  | 'no-such-key'
  | 'no-such-upload'
  /** A part number or ETag in Complete that was never uploaded; `fields.partNumber`, `fields.etag`. */
  | 'invalid-part'
  | 'invalid-part-order'
  /** A part other than the last is below 5 MiB; `fields.partNumber`, `fields.sizeBytes`, `fields.minimumBytes`. */
  | 'part-too-small'
  | 'entity-too-large'
  | 'key-too-long'
  | 'invalid-range'
  /** The body's bytes do not have the promised MD5. */
  | 'bad-digest'
  /** The body's bytes do not have the promised SHA-256 (x-amz-content-sha256). */
  | 'content-sha256-mismatch'
  /** The body's bytes do not have the promised checksum; `fields.algorithm`. */
  | 'checksum-mismatch'
  /** Fewer or more bytes than Content-Length promised. */
  | 'incomplete-body'
  | 'precondition-failed'
  | 'not-modified'
  /** Key locked by another request for too long, or a conditional write lost a race. */
  | 'conflict'
  | 'invalid-argument'
  /** What is asked for contradicts the upload it belongs to, as a checksum of another algorithm. */
  | 'invalid-request'
  /** A barrier was held as long as it may be: visible here, will land, not yet on Gitee. No Retry-After. */
  | 'not-yet-remote'
  /** Spool full, or line too slow: `retryAfterMs` says when. */
  | 'slow-down'
  /** The disk reserve is reached. */
  | 'disk-full'
  /** Gitee's LFS quota has no room: an operator must act, so trying again does not help. */
  | 'quota-full'
  /** Bucket frozen until accept-remote, or starting, or rebuilding; reads may work. */
  | 'read-only'
  | 'unavailable'
  /** Gitee does not answer and the bytes are not in the cache. */
  | 'remote-unavailable'
  /** The same, and known to last: the same request again would get the same answer. */
  | 'remote-down'
  /** The bytes on Gitee or on disk do not hash to what the index says, or are gone. */
  | 'corrupt'
  | 'bucket-already-exists'
  | 'bucket-not-empty'
  | 'too-many-buckets'
  /** The configuration does not allow it; the message says which option. */
  | 'forbidden'
  | 'not-implemented'
  | 'aborted'
  /** A broken invariant: a bug. */
  | 'internal';

/** A request that cannot be done, and why. `message` says what to do; it holds no secret. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError';
  readonly retryAfterMs: number | undefined;
  readonly fields: Readonly<Record<string, string | number>>;

  constructor(
    readonly code: ObjectErrorCode,
    message: string,
    extra: { cause?: unknown; retryAfterMs?: number; fields?: Record<string, string | number> } = {},
  ) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.retryAfterMs = extra.retryAfterMs;
    this.fields = extra.fields ?? {};
  }
}
