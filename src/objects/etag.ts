import { createHash } from 'node:crypto';
import type { Extent } from '../format/extent.js';
import { isRegistryBlobData, type LayoutRules } from '../format/tree-layout.js';
import type { ObjectKey } from '../format/ids.js';
import { oidEtag } from '../index/oid-etag.js';

const BLOB_DIGEST = /\/sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data$/;

/** AWS "Checking object integrity": the ETag of a multipart object is the MD5 of its parts' MD5s and their number. */
export function multipartEtag(partEtags: readonly string[]): string {
  const hash = createHash('md5');
  for (const etag of partEtags) hash.update(Buffer.from(etag.slice(0, 32), 'hex'));
  return `${hash.digest('hex')}-${partEtags.length}`;
}

/** MD5 of bytes that are in memory. */
export function md5Hex(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

/**
 * ETag of a registry blob: made from the oids it has on Gitee, since nothing but the bytes survives a rebuild
 * there. A blob that fits one chunk will be one chunk whose oid is the digest in its path, however its upload
 * was cut; so its ETag is right from the first answer on.
 */
export async function registryBlobEtag(
  rules: LayoutRules,
  key: ObjectKey,
  sizeBytes: number,
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): Promise<string> {
  const digest = BLOB_DIGEST.exec(`/${key}`)?.[1];
  if (digest && sizeBytes <= rules.chunkSizeBytes) return oidEtag([digest]);
  const oids: string[] = [];
  for await (const extent of extents) oids.push(extent.oid);
  return oidEtag(oids);
}

/** True where the ETag comes from the oids: registry blobs with bytes in LFS. */
export function hasOidEtag(rules: LayoutRules, key: ObjectKey, sizeBytes: number): boolean {
  return sizeBytes > 0 && isRegistryBlobData(rules, key);
}
