import type { CorsRule } from './cors.js';

/** What the configuration says of a bucket to everybody, signed or not. */
export interface BucketSettings {
  /** Everybody may read and list it. */
  isPublicRead(bucket: string): boolean;
  /** The stock registry stores in it. */
  isRegistry(bucket: string): boolean;
  /** In the order in which they are tried; empty: browsers may not use it from pages of another origin. */
  corsRules(bucket: string): readonly CorsRule[];
}

/** A bucket that only keys can read. */
export const PRIVATE: BucketSettings = {
  isPublicRead: () => false,
  isRegistry: () => false,
  corsRules: () => [],
};
