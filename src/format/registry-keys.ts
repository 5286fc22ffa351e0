/**
 * What the registry's keys mean to each other: which blob a link names, and what a manifest needs. From
 * distribution's registry/storage/paths.go (2.7.1), and the manifest formats of Docker (schema 2) and OCI.
 */
import type { ObjectKey } from './ids.js';

/** What is larger is no manifest: distribution refuses it (registry/handlers/manifests.go, 4 MiB). */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;
/** `sha256:<hex>` is 71 bytes. */
export const LINK_MAX_BYTES = 256;

/** `repository` is the key of its directory, without the slash at the end. */
export type RegistryKey =
  | { readonly kind: 'blob'; readonly digest: string }
  | { readonly kind: 'layer-link' | 'revision-link'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'tag-index-link'; readonly repository: string; readonly digest: string }
  /** Its content is the digest. */
  | { readonly kind: 'tag-link'; readonly repository: string };

export interface ManifestReference {
  /** 64 hex digits. */
  readonly digest: string;
  readonly isManifest: boolean;
}

const BASE = 'docker/registry/v2/';
const BLOB = /^blobs\/sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data$/;
const LINK =
  /^(repositories\/.+)\/(?:_layers\/sha256\/([0-9a-f]{64})|_manifests\/revisions\/sha256\/([0-9a-f]{64})|_manifests\/tags\/[^/]+\/(?:(current)|index\/sha256\/([0-9a-f]{64})))\/link$/s;
const DIGEST = /^sha256:([0-9a-f]{64})$/;

/** What a key of the registry below this root is (LayoutRules.registryRoot); undefined for any other. */
export function registryKey(registryRoot: string, key: ObjectKey): RegistryKey | undefined {
  const base = `${registryRoot}${BASE}`;
  if (!key.startsWith(base)) return undefined;
  const rest = key.slice(base.length);
  const blob = BLOB.exec(rest);
  if (blob) return { kind: 'blob', digest: blob[1]! };
  const [, directory, layer, revision, current, index] = LINK.exec(rest) ?? [];
  if (directory === undefined) return undefined;
  const repository = `${base}${directory}`;
  if (layer !== undefined) return { kind: 'layer-link', repository, digest: layer };
  if (revision !== undefined) return { kind: 'revision-link', repository, digest: revision };
  if (index !== undefined) return { kind: 'tag-index-link', repository, digest: index };
  return current === undefined ? undefined : { kind: 'tag-link', repository };
}

const WRITTEN_IN: Record<RegistryKey['kind'], number> = {
  ...{ blob: 0, 'layer-link': 1, 'revision-link': 2, 'tag-index-link': 3, 'tag-link': 4 },
};
/** One more than the largest step of writingStep. */
export const WRITING_STEPS = 5;

/** At which step of a push the registry writes this key: what it rests on comes in the same one or before. */
export function writingStep(registryRoot: string, key: ObjectKey): number {
  const what = registryKey(registryRoot, key);
  return what ? WRITTEN_IN[what.kind] : 0;
}

export function blobKey(registryRoot: string, digest: string): ObjectKey {
  return `${registryRoot}${BASE}blobs/sha256/${digest.slice(0, 2)}/${digest}/data` as ObjectKey;
}

export function layerLinkKey(repository: string, digest: string): ObjectKey {
  return `${repository}/_layers/sha256/${digest}/link` as ObjectKey;
}

export function revisionLinkKey(repository: string, digest: string): ObjectKey {
  return `${repository}/_manifests/revisions/sha256/${digest}/link` as ObjectKey;
}

/** The link that stands beside a tag's own for each manifest that it has named. */
export function tagIndexLinkKey(tagLinkKey: ObjectKey, digest: string): ObjectKey {
  return tagLinkKey.replace(/current\/link$/, `index/sha256/${digest}/link`) as ObjectKey;
}

/** The digest that a link's content names, in 64 hex digits. */
export function digestOfLink(bytes: Uint8Array): string | undefined {
  return DIGEST.exec(Buffer.from(bytes).toString('utf8').trim())?.[1];
}

/** Config, layers, blobs and child manifests that a manifest names, each once; empty for any other bytes. */
export function manifestReferences(bytes: Uint8Array): ManifestReference[] {
  if (bytes.length > MANIFEST_MAX_BYTES || bytes[0] !== 0x7b) return []; // '{'
  let manifest: unknown;
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    // Not a manifest: a blob has no closure.
    return [];
  }
  const found = new Map<string, ManifestReference>();
  const add = (item: unknown, isManifest: boolean) => {
    const named = (item as { digest?: unknown } | null)?.digest;
    const digest = typeof named === 'string' ? DIGEST.exec(named)?.[1] : undefined;
    if (digest) found.set(digest, { digest, isManifest });
  };
  const { config, layers, blobs, manifests } = (manifest ?? {}) as Record<string, unknown>;
  add(config, false);
  for (const list of [layers, blobs]) if (Array.isArray(list)) for (const item of list) add(item, false);
  if (Array.isArray(manifests)) for (const item of manifests) add(item, true);
  return [...found.values()];
}
