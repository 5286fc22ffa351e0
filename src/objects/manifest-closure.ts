import type { ObjectKey } from '../format/ids.js';
import {
  blobKey,
  digestOfLink,
  MANIFEST_MAX_BYTES,
  manifestReferences,
  registryKey,
} from '../format/registry-keys.js';
import { readSmall } from './body.js';
import type { Bucket } from './bucket.js';

/** An image index has one level of children; what nests deeper is not an image. */
const DEPTH_MAX = 3;

/**
 * The first blob in the closure (manifest, config, layers, child manifests) of a tag or revision link that
 * stands in quarantine; undefined where all may be pulled from Gitee.
 */
export async function quarantinedInClosure(bucket: Bucket, linkKey: ObjectKey): Promise<string | undefined> {
  const root = bucket.rules.registryRoot;
  const what = registryKey(root, linkKey);
  if (what?.kind !== 'tag-link' && what?.kind !== 'revision-link') return undefined;
  const link = await readObject(bucket, linkKey);
  const digest = link && digestOfLink(link);
  if (!digest) return undefined;
  return visit(bucket, root, digest, 0);
}

async function visit(
  bucket: Bucket,
  root: string,
  digest: string,
  depth: number,
): Promise<string | undefined> {
  const key = blobKey(root, digest);
  if ((await bucket.state.changeState(key))?.state === 'quarantined') return key;
  if (depth >= DEPTH_MAX) return undefined;
  const bytes = await readObject(bucket, key);
  if (!bytes) return undefined;
  for (const child of manifestReferences(bytes)) {
    const leaf = blobKey(root, child.digest);
    if ((await bucket.state.changeState(leaf))?.state === 'quarantined') return leaf;
    if (child.isManifest) {
      const found = await visit(bucket, root, child.digest, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

async function readObject(bucket: Bucket, key: ObjectKey): Promise<Uint8Array | undefined> {
  const record = await bucket.state.get(key);
  if (!record || record.sizeBytes > MANIFEST_MAX_BYTES) return undefined;
  return readSmall(await bucket.state.openBody(record), record.sizeBytes, MANIFEST_MAX_BYTES, bucket.chunks);
}
