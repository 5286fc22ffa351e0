import type { ChunksApi } from '../chunks/api.js';
import type { LayoutRules } from '../format/tree-layout.js';
import type { BucketState } from '../journal/bucket-state.js';
import { ObjectError } from './errors.js';

/** When a write is acknowledged; see docs/durability.md. */
export interface WriteConcernRules {
  readonly mode: 'local' | 'remote' | 'barrier';
  /** With `barrier`: keys that wait until they and everything before them is on Gitee. */
  readonly barrierPatterns: readonly RegExp[];
  /** How long a write is held from the first attempt with these bytes. */
  readonly holdMs: number;
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

/** The buckets of this gateway by name. */
export class Buckets {
  readonly #byName: ReadonlyMap<string, Bucket>;

  constructor(buckets: readonly Bucket[]) {
    this.#byName = new Map(buckets.map((b) => [b.name, b]));
  }

  all(): Bucket[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws ObjectError no-such-bucket. */
  get(name: string): Bucket {
    const bucket = this.#byName.get(name);
    if (!bucket) {
      throw new ObjectError(
        'no-such-bucket',
        `no bucket ${JSON.stringify(name)} is configured on this gateway`,
        { fields: { bucket: name } },
      );
    }
    return bucket;
  }
}
