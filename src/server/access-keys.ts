import type { Credential, CredentialStore, Right } from '../s3/router.js';
import type { Config } from './config/config.js';

/** The access keys of the configuration; a secret is asked for at each request, so a reload takes hold at once. */
export class ConfiguredKeys implements CredentialStore {
  readonly #keys: ReadonlyMap<string, Config['accessKeys'][number]>;

  constructor(config: Config) {
    this.#keys = new Map(config.accessKeys.map((key) => [key.accessKeyId, key]));
  }

  find(accessKeyId: string): Credential | undefined {
    const key = this.#keys.get(accessKeyId);
    if (!key) return undefined;
    const rights = key.buckets as Readonly<Record<string, Right>>;
    return {
      secret: key.secretAccessKey.reveal(),
      rights: (bucket) => rights[bucket] ?? rights['*'] ?? 'none',
    };
  }
}
