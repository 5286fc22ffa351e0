import { createHash, hash, type Hash } from 'node:crypto';

/**
 * ETag of an object whose bytes are in LFS and whose metadata is nowhere: the MD5 over its oids (as raw bytes, in
 * order) and their number. So it is the same from the first answer on and after a rebuild.
 */
export function oidEtag(oids: readonly string[]): string {
  return `${hash('md5', Buffer.from(oids.join(''), 'hex'))}-${oids.length}`;
}

/** The same for oids that come one by one. */
export class OidEtag {
  readonly #hash: Hash = createHash('md5');
  #count = 0;

  add(oid: string): void {
    this.#hash.update(Buffer.from(oid, 'hex'));
    this.#count += 1;
  }

  digest(): string {
    return `${this.#hash.digest('hex')}-${this.#count}`;
  }
}
