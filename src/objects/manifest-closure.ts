import type { ObjectKey } from '../format/ids.js';
import { readSmall } from './body.js';
import type { Bucket } from './bucket.js';

const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;
const DIGEST = /^sha256:([0-9a-f]{64})$/;
/** An image index has one level of children; what nests deeper is not an image. */
const DEPTH_MAX = 3;
const TAG_LINK =
  /^(.*docker\/registry\/v2\/)repositories\/.+\/_manifests\/(?:tags\/[^/]+\/current|revisions\/sha256\/[0-9a-f]{64})\/link$/;

/**
 * The first blob in the closure (manifest, config, layers, child manifests) of a tag or revision link that
 * stands in quarantine; undefined where all may be pulled from Gitee.
 */
export async function quarantinedInClosure(bucket: Bucket, linkKey: ObjectKey): Promise<string | undefined> {
  const root = TAG_LINK.exec(linkKey)?.[1];
  if (root === undefined) return undefined;
  const link = await readObject(bucket, linkKey);
  const digest = link && DIGEST.exec(Buffer.from(link).toString('utf8').trim())?.[1];
  if (!digest) return undefined;
  return visit(bucket, root, digest, 0);
}

async function visit(
  bucket: Bucket,
  root: string,
  digest: string,
  depth: number,
): Promise<string | undefined> {
  const key = `${root}blobs/sha256/${digest.slice(0, 2)}/${digest}/data` as ObjectKey;
  if ((await bucket.state.changeState(key))?.state === 'quarantined') return key;
  if (depth >= DEPTH_MAX) return undefined;
  const bytes = await readObject(bucket, key);
  if (!bytes) return undefined;
  for (const child of references(bytes)) {
    const leaf = `${root}blobs/sha256/${child.digest.slice(0, 2)}/${child.digest}/data` as ObjectKey;
    if ((await bucket.state.changeState(leaf))?.state === 'quarantined') return leaf;
    if (child.isManifest) {
      const found = await visit(bucket, root, child.digest, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function references(bytes: Uint8Array): { digest: string; isManifest: boolean }[] {
  let manifest: unknown;
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    // Not a manifest: a blob has no closure.
    return [];
  }
  const found: { digest: string; isManifest: boolean }[] = [];
  const add = (item: unknown, isManifest: boolean) => {
    const named = (item as { digest?: unknown } | null)?.digest;
    const digest = typeof named === 'string' ? DIGEST.exec(named)?.[1] : undefined;
    if (digest) found.push({ digest, isManifest });
  };
  const { config, layers, manifests } = (manifest ?? {}) as Record<string, unknown>;
  add(config, false);
  if (Array.isArray(layers)) for (const layer of layers) add(layer, false);
  if (Array.isArray(manifests)) for (const child of manifests) add(child, true);
  return found;
}

async function readObject(bucket: Bucket, key: ObjectKey): Promise<Uint8Array | undefined> {
  const record = await bucket.state.get(key);
  if (!record || record.sizeBytes > MANIFEST_MAX_BYTES) return undefined;
  return readSmall(await bucket.state.openBody(record), record.sizeBytes, MANIFEST_MAX_BYTES, bucket.chunks);
}
