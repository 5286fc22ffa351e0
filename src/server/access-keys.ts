import type { Credential, CredentialStore, Right } from '../s3/endpoint.js';
import type { Config } from './config/config.js';

/** Who made a bucket, for those made at run time. */
export interface BucketOwners {
  /** undefined: nobody did so by request. @throws ObjectError unavailable while that is not known. */
  ownerOf(bucket: string): string | undefined;
}

/** The access keys of the configuration; a secret is asked for at each request, so a reload takes hold at once. */
export class ConfiguredKeys implements CredentialStore {
  readonly #keys: ReadonlyMap<string, Config['accessKeys'][number]>;

  /** @param owners undefined: no bucket is made at run time. */
  constructor(
    config: Config,
    private readonly owners?: BucketOwners,
  ) {
    this.#keys = new Map(config.accessKeys.map((key) => [key.accessKeyId, key]));
  }

  find(accessKeyId: string): Credential | undefined {
    const key = this.#keys.get(accessKeyId);
    if (!key) return undefined;
    const rights = key.buckets as Readonly<Record<string, Right>>;
    return {
      secret: key.secretAccessKey.reveal(),
      mayCreateBuckets: key.createBuckets,
      rights: (bucket) => {
        const given = (Object.hasOwn(rights, bucket) ? rights[bucket] : undefined) ?? rights['*'] ?? 'none';
        // Whoever made a bucket may use it, or CreateBucket would promise what the next request refuses.
        return given !== 'write' && this.owners?.ownerOf(bucket) === accessKeyId ? 'write' : given;
      },
    };
  }
}
