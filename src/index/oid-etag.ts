import { hash } from 'node:crypto';

/**
 * ETag of an object whose bytes are in LFS and whose metadata is nowhere: the MD5 over its oids (as raw bytes, in
 * order) and their number. So it is the same from the first answer on and after a rebuild.
 */
export function oidEtag(oids: readonly string[]): string {
  return `${hash('md5', Buffer.from(oids.join(''), 'hex'))}-${oids.length}`;
}
