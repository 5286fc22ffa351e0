/** What the configuration says of a bucket to everybody, signed or not. */
export interface BucketSettings {
  /** Everybody may read and list it. */
  isPublicRead(bucket: string): boolean;
}

/** A bucket that only keys can read. */
export const PRIVATE: BucketSettings = { isPublicRead: () => false };
