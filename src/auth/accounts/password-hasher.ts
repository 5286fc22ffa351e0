/**
 * scrypt (RFC 7914) over passwords that the gateway made. Each run takes 32 MiB and a thread of the four that files
 * and name lookups share, so a flood of logins is bounded here: it may make logins slow, never the box.
 */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { Semaphore } from '../../async/semaphore.js';
import { AuthError } from '../errors.js';

const PARALLEL = 2;
const WAITING_MAX = 32;
const BUSY_RETRY_MS = 5_000;
const HASH_BYTES = 32;
const SALT_BYTES = 16;
const DEFAULT_COST = 2 ** 15;
const PROVED_MAX = 1_000;

export const passwordHashSchema = z.object({
  cost: z.number().int(),
  salt: z.string(),
  hash: z.string(),
});
/** What is stored of a password. */
export type PasswordHash = z.infer<typeof passwordHashSchema>;

export class PasswordHasher {
  readonly #running = new Semaphore(PARALLEL);
  readonly #nobody: PasswordHash;
  readonly #key = randomBytes(32);
  /**
   * Right passwords of the last time, by a keyed hash over them and what they were compared with: a build server asks
   * for a token every few seconds. A changed password has another hash, so nothing must be forgotten here.
   */
  readonly #proved = new LRUCache<string, true>({ max: PROVED_MAX });

  /** @param cost N of scrypt, a power of two; tests take a small one. */
  constructor(private readonly cost = DEFAULT_COST) {
    this.#nobody = {
      cost,
      salt: randomBytes(SALT_BYTES).toString('base64'),
      hash: randomBytes(HASH_BYTES).toString('base64'),
    };
  }

  async hash(password: string): Promise<PasswordHash> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#derive(password, salt, this.cost);
    return { cost: this.cost, salt: salt.toString('base64'), hash: hash.toString('base64') };
  }

  /**
   * Takes as long for an account that is not there (undefined) as for one that is, so that names cannot be found out.
   * @throws AuthError `busy`
   */
  async verify(password: string, stored: PasswordHash | undefined): Promise<boolean> {
    const proof = stored && this.#proof(password, stored);
    if (proof !== undefined && this.#proved.has(proof)) return true;
    if (this.#running.waiting >= WAITING_MAX)
      throw new AuthError('busy', 'too many logins at the same time', BUSY_RETRY_MS);
    const against = stored ?? this.#nobody;
    const derived = await this.#derive(password, Buffer.from(against.salt, 'base64'), against.cost);
    const expected = Buffer.from(against.hash, 'base64');
    const equal = expected.length === derived.length && timingSafeEqual(expected, derived);
    if (!equal || proof === undefined) return false;
    this.#proved.set(proof, true);
    return true;
  }

  #proof(password: string, stored: PasswordHash): string {
    return createHmac('sha256', this.#key)
      .update(`${stored.salt} ${stored.hash} ${password}`)
      .digest('base64');
  }

  #derive(password: string, salt: Buffer, cost: number): Promise<Buffer> {
    const options = { N: cost, r: 8, p: 1, maxmem: 2 * 128 * cost * 8 };
    return this.#running.run(
      () =>
        new Promise((resolve, reject) => {
          scrypt(password, salt, HASH_BYTES, options, (error, key) => (error ? reject(error) : resolve(key)));
        }),
    );
  }
}
