/** What an access key may do with a bucket; `write` includes `read`. */
export type Right = 'none' | 'read' | 'write';

export interface Credential {
  /** The secret access key. */
  readonly secret: string;
  rights(bucket: string): Right;
  /** Absent: it may not create and delete buckets. */
  readonly mayCreateBuckets?: boolean;
}

/** Looks access keys up; asked once per request, so that a reload of the configuration takes hold at once. */
export interface CredentialStore {
  find(accessKeyId: string): Credential | undefined;
}

/** True where a key with `has` may do what needs `needed`. */
export function allows(has: Right, needed: Right): boolean {
  return needed === 'none' || has === 'write' || has === needed;
}
