/** What nothing names leaves the disk. What ends a grace time is grace.ts, evicting from the cache the LRU's (cache.ts). */
import type { Oid } from '../format/ids.js';
import type { PinnedChunks, PinnedFile } from './pinned.js';

export interface CollectRules {
  /** The clock's. */
  readonly steadyMs: number;
  readonly graceMs: number;
  /** In the upload queue: it is needed, or will be grace in a moment. */
  readonly isBusy: (oid: Oid) => boolean;
  /** Which of them the rows on this disk name. */
  readonly namedHere: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>;
  /** Which of them the branch names. */
  readonly namedOnBranch: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>;
}

/**
 * Deletes unsent chunks that nothing names and that were not touched within the grace time. Invariant 5: it is asked
 * who names these few, not what is named at all, which may be any number of chunks.
 */
export async function collectUnsent(
  pinned: PinnedChunks,
  rules: CollectRules,
): Promise<{ removedChunks: number; removedBytes: number }> {
  const unnamed = new Map<Oid, PinnedFile>();
  for (const [oid, file] of pinned.entriesOf('unsent')) {
    if (file.touchedMs + rules.graceMs > rules.steadyMs || rules.isBusy(oid)) continue;
    unnamed.set(oid, file);
  }
  // The branch may name a chunk that Gitee has lost: then this is the only copy.
  for (const namedOf of [rules.namedHere, rules.namedOnBranch]) {
    if (unnamed.size === 0) break;
    for (const oid of await namedOf(new Set(unnamed.keys()))) unnamed.delete(oid as Oid);
  }
  let removedChunks = 0;
  let removedBytes = 0;
  for (const [oid, file] of unnamed) {
    // Asking took time: written anew or queued meanwhile, it stays.
    if (rules.isBusy(oid) || !(await pinned.forget(oid, file))) continue;
    removedChunks += 1;
    removedBytes += file.sizeBytes;
  }
  return { removedChunks, removedBytes };
}
