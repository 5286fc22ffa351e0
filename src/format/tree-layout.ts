/**
 * What stands where in the tree of a bucket: docs/storage-format.md, "Layout" and "Representation". Which form an
 * object has follows from its key, its size and its bytes alone, so that `.gitattributes` can tell git-lfs the truth.
 * Only whether a file stands as `a` or as `a%object` depends on other keys; readers accept both.
 */
import { attributeLine } from './attribute-pattern.js';
import { escapeKey, toObjectKey, unescapePath } from './key-escape.js';
import type { ObjectKey, TreePath } from './ids.js';

export { RESTORE_SH } from './restore-script.js';

export interface LayoutRules {
  readonly preset: 'registry' | 'generic';
  /** The registry's `rootdirectory` as a prefix of keys: '' or `images/`, no leading and one trailing `/`. */
  readonly registryRoot: string;
  /** Objects up to this size stand as plain files. */
  readonly inlineLimitBytes: number;
  /** Longest chunk; no pointer names a longer one. */
  readonly chunkSizeBytes: number;
}

export type PathKind =
  | { readonly kind: 'plain' | 'object' | 'meta'; readonly key: ObjectKey }
  | { readonly kind: 'chunk'; readonly key: ObjectKey; readonly index: number }
  /** Ours, but of no key: `.gateway/…` and `.gitattributes` at the top. */
  | { readonly kind: 'gateway' }
  /** A path that no key has: somebody's own file, kept and not shown. */
  | { readonly kind: 'foreign' };

/** Directory of everything that is ours. */
export const GATEWAY_DIR = '.gateway' as TreePath;
export const FORMAT_PATH = '.gateway/format.json' as TreePath;
export const RESTORE_PATH = '.gateway/restore.sh' as TreePath;
export const ATTRIBUTES_PATH = '.gitattributes' as TreePath;
const META_DIR = '.gateway/meta' as TreePath;

/** Chunks of one object: their names have six digits, so that the order of names is the order of bytes. */
export const CHUNKS_MAX = 1_000_000;

const OBJECT = '%object';
const CHUNKS = '%chunks';
const META = '%meta';
const BLOBS = 'docker/registry/v2/blobs/';
const REPOSITORIES = 'docker/registry/v2/repositories/';
const LFS = 'filter=lfs diff=lfs merge=lfs -text';

/**
 * What belongs to one upload of the registry: `repositories/<name>/_uploads/<id>`, of a key for which isLocalKey holds;
 * of any other the key itself.
 */
export function uploadOfKey(key: ObjectKey): string {
  const at = key.indexOf('/_uploads/');
  const end = at < 0 ? -1 : key.indexOf('/', at + '/_uploads/'.length);
  return end < 0 ? key : key.slice(0, end);
}

/**
 * Keys that matter only until an upload ends, `repositories/<name>/_uploads/…`: never in a commit. The first
 * component with an underscore decides: names have none at the start (distribution: reference/regexp.go), but
 * `_uploads` is a legal tag, and `…/_manifests/tags/_uploads/current/link` must be committed.
 */
export function isLocalKey(rules: LayoutRules, key: ObjectKey): boolean {
  if (!isUnder(rules, key, REPOSITORIES)) return false;
  const name = rules.registryRoot.length + REPOSITORIES.length;
  return key.startsWith('/_uploads/', key.indexOf('/_', name));
}

/** Keys that the registry itself writes and reads by their bytes alone. They have no metadata. */
export function isRegistryOwnKey(rules: LayoutRules, key: ObjectKey): boolean {
  return isRegistryBlobData(rules, key) || isUnder(rules, key, REPOSITORIES);
}

/** Exactly the keys whose path matches the pattern `<registry_root>docker/registry/v2/blobs/**\/data`. */
export function isRegistryBlobData(rules: LayoutRules, key: ObjectKey): boolean {
  return isUnder(rules, key, BLOBS) && key.endsWith('/data');
}

/** Whether the object's metadata stands in `.gateway/meta/`. */
export function hasMeta(rules: LayoutRules, key: ObjectKey): boolean {
  return !isRegistryOwnKey(rules, key) && !isLocalKey(rules, key);
}

/** All places where something of this key may stand. */
export function pathsOf(key: ObjectKey): {
  plain: TreePath;
  object: TreePath;
  chunksDir: TreePath;
  meta: TreePath;
} {
  const path = escapeKey(key);
  return {
    plain: path,
    object: `${path}${OBJECT}` as TreePath,
    chunksDir: `${path}${CHUNKS}` as TreePath,
    meta: `${META_DIR}/${path}${META}` as TreePath,
  };
}

/** Path of the pointer of one chunk. @throws RangeError where the index has more than six digits. */
export function chunkPath(key: ObjectKey, index: number): TreePath {
  if (!Number.isInteger(index) || index < 0 || index >= CHUNKS_MAX)
    throw new RangeError(`chunk ${index} of ${CHUNKS_MAX} that an object may have: use a larger chunk_size`);
  return `${escapeKey(key)}${CHUNKS}/${String(index).padStart(6, '0')}` as TreePath;
}

/** What a path below `path_prefix` is. Total: every path is of one kind. */
export function classifyPath(path: TreePath): PathKind {
  if (path === ATTRIBUTES_PATH || path === GATEWAY_DIR) return { kind: 'gateway' };
  if (path.startsWith(`${GATEWAY_DIR}/`)) {
    const below = path.startsWith(`${META_DIR}/`) ? path.slice(META_DIR.length + 1) : '';
    const key = keyBefore(below, META);
    return key === undefined ? { kind: 'gateway' } : { kind: 'meta', key };
  }
  // Every mark of ours has one.
  if (!path.includes('%')) return plainPath(path);
  const chunk = /^(.*%chunks)\/([0-9]{6})$/s.exec(path);
  if (chunk) {
    const key = keyBefore(chunk[1]!, CHUNKS);
    if (key !== undefined) return { kind: 'chunk', key, index: Number(chunk[2]) };
  }
  const object = keyBefore(path, OBJECT);
  if (object !== undefined) return { kind: 'object', key: object };
  return plainPath(path);
}

function plainPath(path: TreePath): PathKind {
  const key = unescapePath(path);
  return key === undefined ? { kind: 'foreign' } : { kind: 'plain', key };
}

/**
 * The bucket's `.gitattributes`. Patterns with a `/` are relative to the file, which stands inside `path_prefix`.
 * Every place that a pattern covers holds pointers or empty files only, or `git lfs fsck` would complain.
 */
export function gitattributes(rules: LayoutRules): string {
  const lines = ['* -text', `**/*${CHUNKS}/* ${LFS}`];
  if (rules.preset === 'registry') {
    const blobs = escapeKey(toObjectKey(`${rules.registryRoot}${BLOBS}`.slice(0, -1)));
    lines.push(
      attributeLine(`${blobs}/`, '**/data', LFS),
      attributeLine(`${blobs}/`, `**/data${OBJECT}`, LFS),
    );
  }
  return `${lines.join('\n')}\n`;
}

function isUnder(rules: LayoutRules, key: ObjectKey, below: string): boolean {
  return (
    rules.preset === 'registry' &&
    key.startsWith(rules.registryRoot) &&
    key.startsWith(below, rules.registryRoot.length)
  );
}

function keyBefore(path: string, suffix: string): ObjectKey | undefined {
  return path.endsWith(suffix) ? unescapePath(path.slice(0, -suffix.length) as TreePath) : undefined;
}
