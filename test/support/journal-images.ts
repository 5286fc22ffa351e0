/** Images as the registry writes them, key by key, into a bucket's journal; and whether a tree has them whole. */
import { createHash } from 'node:crypto';
import { manifestReferences } from '../../src/format/registry-keys.js';
import { bytesOf, type JournalBucket } from './journal-bucket.js';

const ROOT = 'docker/registry/v2/';
const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export const blobPath = (digest: string) => `${ROOT}blobs/sha256/${digest.slice(0, 2)}/${digest}/data`;
export const tagPath = (name: string, tag: string) =>
  `${ROOT}repositories/${name}/_manifests/tags/${tag}/current/link`;
const link = (digest: string) => `sha256:${digest}`;

export async function putBlob(b: JournalBucket, text: string): Promise<string> {
  const digest = hash(bytesOf(text));
  await b.put(blobPath(digest), text);
  return digest;
}

export const layerLinkPath = (name: string, digest: string) =>
  `${ROOT}repositories/${name}/_layers/sha256/${digest}/link`;

export const revisionPath = (name: string, digest: string) =>
  `${ROOT}repositories/${name}/_manifests/revisions/sha256/${digest}/link`;

export async function putLayer(b: JournalBucket, name: string, text: string): Promise<string> {
  const digest = await putBlob(b, text);
  await b.put(layerLinkPath(name, digest), link(digest));
  return digest;
}

/** Manifest, revision, and the two links of the tag; gives the tag's change and the manifest's digest. */
export async function putManifest(
  b: JournalBucket,
  name: string,
  tag: string | undefined,
  manifest: object,
): Promise<{ seq: number; digest: string }> {
  const digest = await putBlob(b, JSON.stringify(manifest));
  const manifests = `${ROOT}repositories/${name}/_manifests`;
  const seq = await b.put(`${manifests}/revisions/sha256/${digest}/link`, link(digest));
  if (tag === undefined) return { seq, digest };
  await b.put(`${manifests}/tags/${tag}/index/sha256/${digest}/link`, link(digest));
  return { seq: await b.put(tagPath(name, tag), link(digest)), digest };
}

/** Revision and tag of a manifest that is there already. */
export async function linkManifest(
  b: JournalBucket,
  name: string,
  tag: string,
  digest: string,
): Promise<number> {
  await b.put(`${ROOT}repositories/${name}/_manifests/revisions/sha256/${digest}/link`, link(digest));
  return b.put(tagPath(name, tag), link(digest));
}

/** Links to blobs of these texts, as a mount makes them. */
export async function putLinks(b: JournalBucket, name: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const digest = hash(bytesOf(text));
    await b.put(layerLinkPath(name, digest), link(digest));
  }
}

export const named = (digest: string) => ({ digest: `sha256:${digest}` });

/** A whole push: layers, config, manifest, tag. */
export async function pushImage(
  b: JournalBucket,
  name: string,
  tag: string,
  layers: readonly string[],
): Promise<{ seq: number; digest: string }> {
  const digests: string[] = [];
  for (const layer of layers) digests.push(await putLayer(b, name, layer));
  const config = await putLayer(b, name, `{"config":"${name}:${tag}"}`);
  return putManifest(b, name, tag, { config: named(config), layers: digests.map(named) });
}

/**
 * What is missing of the images in the trees of all commits: each tag's manifest, revision, layers and links. `texts`
 * are the bytes behind pointers.
 */
export function openImages(b: JournalBucket): string[] {
  const texts = new Map([...b.chunks.local.values()].map((bytes) => [hash(bytes), bytes]));
  const problems: string[] = [];
  for (const { id, tree } of b.repository.commits.values()) {
    const has = (path: string) => tree.has(path) || tree.has(`${path}%chunks/000000`);
    const need = (path: string, why: string) => {
      if (!has(path)) problems.push(`${id.slice(0, 8)}: ${why} needs ${path}`);
    };
    const visit = (repository: string, digest: string, why: string) => {
      need(blobPath(digest), why);
      need(`${repository}/_manifests/revisions/sha256/${digest}/link`, why);
      for (const child of manifestReferences(bytesOfBlob(tree, digest, texts) ?? new Uint8Array(0)))
        if (child.isManifest) visit(repository, child.digest, `${why} > ${digest.slice(0, 8)}`);
        else {
          need(blobPath(child.digest), why);
          need(`${repository}/_layers/sha256/${child.digest}/link`, why);
        }
    };
    for (const [path, bytes] of tree) {
      const [, repository, tag] = /^(.*)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(path) ?? [];
      if (repository !== undefined)
        visit(repository, Buffer.from(bytes).toString().slice('sha256:'.length), `tag ${tag}`);
    }
  }
  return problems;
}

function bytesOfBlob(
  tree: ReadonlyMap<string, Uint8Array>,
  digest: string,
  texts: ReadonlyMap<string, Uint8Array>,
): Uint8Array | undefined {
  const path = blobPath(digest);
  const single = tree.get(path);
  const pointers = single
    ? [single]
    : [...tree.keys()]
        .filter((name) => name.startsWith(`${path}%chunks/`))
        .sort()
        .map((name) => tree.get(name)!);
  const chunks = pointers.map((pointer) => {
    const [, oid] = /oid sha256:([0-9a-f]{64})/.exec(Buffer.from(pointer).toString())!;
    return texts.get(oid!)!;
  });
  return pointers.length === 0 ? undefined : Buffer.concat(chunks);
}
