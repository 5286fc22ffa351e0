import type { BucketSettings, CorsRule } from '../s3/endpoint.js';
import type { Config } from './config/config.js';

/** What the configuration says of buckets to the S3 endpoint. */
export class ConfiguredBuckets implements BucketSettings {
  readonly #public: ReadonlySet<string>;
  readonly #registry: ReadonlySet<string>;
  readonly #cors: readonly { readonly buckets: readonly string[]; readonly rule: CorsRule }[];

  constructor(config: Config) {
    this.#public = new Set(config.buckets.filter((b) => b.publicRead).map((b) => b.name));
    this.#registry = new Set(config.buckets.filter((b) => b.preset === 'registry').map((b) => b.name));
    this.#cors = config.cors.map(({ buckets, maxAgeMs, ...rule }) => ({
      buckets,
      rule: { ...rule, ...(maxAgeMs === undefined ? {} : { maxAgeSeconds: Math.floor(maxAgeMs / 1000) }) },
    }));
  }

  isPublicRead(bucket: string): boolean {
    return this.#public.has(bucket);
  }

  isRegistry(bucket: string): boolean {
    return this.#registry.has(bucket);
  }

  /** Rules in the order of the configuration, as S3 tries them. */
  corsRules(bucket: string): readonly CorsRule[] {
    return this.#cors
      .filter(({ buckets }) => buckets.includes(bucket) || buckets.includes('*'))
      .map(({ rule }) => rule);
  }
}
