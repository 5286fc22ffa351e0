/** What the configuration says of where buckets lie, and how they are kept. */
import type { BucketPlace, Location } from '../buckets/place.js';
import type { BucketConfig, Config } from './config/config.js';
import { compileKeyPattern } from './config/key-pattern.js';
import { bucketByDefaults } from './config/load.js';

/** Of a bucket of the configuration. */
export function placeOf(config: Config, bucket: BucketConfig): BucketPlace {
  const { name, repository, branch, pathPrefix, preset, registryRoot, writeConcern } = bucket;
  return {
    ...{ name, repository, branch, pathPrefix },
    layout: {
      ...{ preset, registryRoot },
      inlineLimitBytes: config.inlineLimitBytes,
      chunkSizeBytes: config.chunkSizeBytes,
    },
    concern: {
      mode: writeConcern,
      barrierPatterns: bucket.barrierPatterns.map(compileKeyPattern),
      holdMs: config.barrier.holdMs,
      holdMaxMs: config.barrier.holdMaxMs,
      outage: config.outage,
    },
  };
}

/** Of a bucket that is made by request. */
export function placeByDefaults(config: Config, where: Location & { readonly name: string }): BucketPlace {
  return placeOf(config, bucketByDefaults(where));
}

/** Where buckets that are made by request lie; undefined: none are made. */
export function groupOfMade({ createBuckets }: Config): Location | undefined {
  const { repository, branch, pathPrefix } = createBuckets;
  return repository === undefined ? undefined : { repository, branch, pathPrefix };
}
