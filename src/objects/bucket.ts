import type { ChunksApi } from '../chunks/api.js';
import type { LayoutRules } from '../format/tree-layout.js';
import type { BucketState } from '../journal/bucket-state.js';
import { ObjectError } from './errors.js';

/** When a write is acknowledged; see docs/durability.md. */
export interface WriteConcernRules {
  readonly mode: 'local' | 'remote' | 'barrier';
  /** With `barrier`: keys that wait until they and everything before them is on Gitee. */
  readonly barrierPatterns: readonly RegExp[];
  /** How long a write is held while nothing gets through to Gitee. */
  readonly holdMs: number;
  /** How long it is held in all, from the first attempt with these bytes. */
  readonly holdMaxMs: number;
  /** When an upload or a commit last got through to Gitee; undefined: never. */
  readonly lineHeardMs?: () => number | undefined;
  /** `accept` acknowledges a held write at the time-out although Gitee does not have it: by choice, at risk. */
  readonly outage: 'reject' | 'accept';
}

/** One bucket as the objects layer works on it. */
export interface Bucket {
  readonly name: string;
  readonly createdMs: number;
  readonly rules: LayoutRules;
  readonly state: BucketState;
  readonly chunks: ChunksApi;
  readonly concern: WriteConcernRules;
}

/** Buckets that come and go by request. Implemented in src/buckets, which can open their state. */
export interface RunTimeBuckets {
  /** Those that are known of. */
  all(): readonly Bucket[];
  /** @throws ObjectError unavailable while it is not known which there are. */
  checkKnown(): void;
  get(name: string): Bucket | undefined;
  /**
   * Resolves once the bucket is usable and will be there after a restart.
   * @throws ObjectError bucket-already-exists, too-many-buckets; unavailable while Gitee cannot be asked.
   */
  create(name: string, owner: string, signal: AbortSignal): Promise<void>;
  /**
   * Resolves once the bucket is gone for good and its name is free again.
   * @throws ObjectError bucket-not-empty, no-such-bucket; not-yet-remote where its last deletions do not land in time.
   */
  delete(name: string, signal: AbortSignal): Promise<void>;
}

/** The buckets of this gateway by name: those of the configuration, and those made at run time. */
export class Buckets {
  readonly #configured: ReadonlyMap<string, Bucket>;

  /** @param runTime undefined: no bucket is made at run time. */
  constructor(
    configured: readonly Bucket[],
    private readonly runTime?: RunTimeBuckets,
  ) {
    this.#configured = new Map(configured.map((b) => [b.name, b]));
  }

  /** Those that are known of, by name. */
  all(): Bucket[] {
    const all = [...this.#configured.values(), ...(this.runTime?.all() ?? [])];
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** All there are. @throws ObjectError unavailable while that is not known. */
  list(): Bucket[] {
    this.runTime?.checkKnown();
    return this.all();
  }

  /** @throws ObjectError no-such-bucket; unavailable while it is not known whether there is one. */
  get(name: string): Bucket {
    const bucket = this.#configured.get(name) ?? this.runTime?.get(name);
    if (bucket) return bucket;
    this.runTime?.checkKnown();
    throw new ObjectError('no-such-bucket', `there is no bucket ${JSON.stringify(name)} on this gateway`, {
      fields: { bucket: name },
    });
  }

  /** @throws ObjectError as RunTimeBuckets.create; forbidden where no repository is configured for new buckets. */
  async create(name: string, owner: string, signal: AbortSignal): Promise<void> {
    if (this.#configured.has(name) || this.runTime?.get(name))
      throw new ObjectError('bucket-already-exists', `there is a bucket ${name}`);
    if (!this.runTime)
      throw new ObjectError(
        'forbidden',
        'Buckets are made in the configuration of this gateway: create_buckets.repository is not set.',
      );
    await this.runTime.create(name, owner, signal);
  }

  /** @throws ObjectError as RunTimeBuckets.delete; forbidden where the bucket is one of the configuration. */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    if (this.#configured.has(name))
      throw new ObjectError(
        'forbidden',
        `Bucket ${name} stands in the configuration of this gateway (buckets): take it out there.`,
      );
    if (!this.runTime) this.get(name);
    await this.runTime?.delete(name, signal);
  }
}
