/** What leaves the pinned classes, and when. Evicting from the cache itself is the LRU's (cache.ts). */
import type { Oid } from '../format/ids.js';
import type { ChunkCache } from './cache.js';
import type { PinnedChunks } from './pinned.js';

export interface GraceRules {
  readonly nowMs: number;
  readonly graceMs: number;
  /** spool_hard: where pinned bytes exceed it, the oldest grace time ends early. */
  readonly pinnedMaxBytes: number;
}

/** Ends the grace time of what has been on Gitee long enough; returns how many chunks went to the cache. */
export async function releaseGrace(pinned: PinnedChunks, rules: GraceRules): Promise<number> {
  let released = 0;
  for (const [oid, file] of pinned.entriesOf('grace')) {
    const isOver = file.touchedMs + rules.graceMs <= rules.nowMs;
    const isTooMuch = pinned.unsentBytes + pinned.graceBytes > rules.pinnedMaxBytes;
    // Oldest first: the next ones are younger still.
    if (!isOver && !isTooMuch) break;
    await pinned.release(oid);
    released += 1;
  }
  return released;
}

/** Gives disk space back: the cache first, then chunks within their grace time; never what is unsent. */
export async function relieveDisk(pinned: PinnedChunks, cache: ChunkCache, bytes: number): Promise<void> {
  let freedBytes = await cache.shrink(bytes);
  if (freedBytes >= bytes) return;
  for (const [oid] of pinned.entriesOf('grace')) {
    await pinned.release(oid);
    freedBytes += await cache.shrink(bytes - freedBytes);
    if (freedBytes >= bytes) return;
  }
}

export interface CollectRules {
  readonly nowMs: number;
  readonly graceMs: number;
  /** In the upload queue: it is needed, or will be grace in a moment. */
  readonly isBusy: (oid: Oid) => boolean;
  readonly isReferenced: (oid: string) => Promise<boolean>;
}

/** Deletes unsent chunks that nothing names and that were not touched within the grace time. */
export async function collectUnsent(
  pinned: PinnedChunks,
  rules: CollectRules,
): Promise<{ removedChunks: number; removedBytes: number }> {
  let removedChunks = 0;
  let removedBytes = 0;
  for (const [oid, file] of pinned.entriesOf('unsent')) {
    if (file.touchedMs + rules.graceMs > rules.nowMs || rules.isBusy(oid)) continue;
    if (await rules.isReferenced(oid)) continue;
    // Asking took time: written anew or queued meanwhile, it stays.
    if (rules.isBusy(oid) || !(await pinned.forget(oid, file))) continue;
    removedChunks += 1;
    removedBytes += file.sizeBytes;
  }
  return { removedChunks, removedBytes };
}
