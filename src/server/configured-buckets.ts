import type { BucketSettings } from '../s3/router.js';
import type { Config } from './config/config.js';

/** What the configuration says of buckets to the S3 endpoint. */
export class ConfiguredBuckets implements BucketSettings {
  readonly #public: ReadonlySet<string>;

  constructor(config: Config) {
    this.#public = new Set(config.buckets.filter((b) => b.publicRead).map((b) => b.name));
  }

  isPublicRead(bucket: string): boolean {
    return this.#public.has(bucket);
  }
}
