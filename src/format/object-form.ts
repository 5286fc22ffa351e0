/**
 * Plain file, one pointer or chunks: decided here and nowhere else, by key, size and bytes alone (docs/storage-format.md,
 * "Representation"). Asked when a body comes in, before a commit, and by what writes the files of a commit.
 */
import type { ObjectKey } from './ids.js';
import { looksLikePointer } from './lfs-pointer.js';
import { isRegistryBlobData, type LayoutRules } from './tree-layout.js';

/** 'pointer': one LFS pointer where one chunk suffices, else chunks. Registry blobs only. */
type Representation = 'plain' | 'pointer' | 'chunks';

/** Up to this size objects of this key stand as plain files, unless their bytes look like a pointer. */
export function plainUpToBytes(rules: LayoutRules, key: ObjectKey): number {
  // An empty one always does: there are no empty chunks, and git-lfs takes an empty file for itself.
  return isRegistryBlobData(rules, key) ? 0 : rules.inlineLimitBytes;
}

/** True where key and size ask for a plain file; bytes that look like a pointer overrule it. */
export function mustBePlain(rules: LayoutRules, key: ObjectKey, sizeBytes: number): boolean {
  return sizeBytes <= plainUpToBytes(rules, key);
}

/**
 * How the object must stand. `plainBytes`: all of its bytes; may be left out only where the size alone rules out
 * a plain file, otherwise an object that looks like a pointer would become one.
 */
export function representation(
  rules: LayoutRules,
  key: ObjectKey,
  sizeBytes: number,
  plainBytes?: Uint8Array,
): Representation {
  if (!mustBePlain(rules, key, sizeBytes)) return isRegistryBlobData(rules, key) ? 'pointer' : 'chunks';
  return plainBytes && looksLikePointer(plainBytes) ? 'chunks' : 'plain';
}

/** All bytes of an object that must stand as a plain file; undefined where it must not. Read only where they decide it. */
export async function plainBytes(
  rules: LayoutRules,
  key: ObjectKey,
  sizeBytes: number,
  read: () => Promise<Uint8Array>,
): Promise<Uint8Array | undefined> {
  if (!mustBePlain(rules, key, sizeBytes)) return undefined;
  const bytes = await read();
  return representation(rules, key, sizeBytes, bytes) === 'plain' ? bytes : undefined;
}

/** Whether the pointer of its only chunk stands at the key itself; else each stands in `%chunks`. */
export function isOnePointer(rules: LayoutRules, key: ObjectKey, chunks: number): boolean {
  return chunks === 1 && isRegistryBlobData(rules, key);
}
