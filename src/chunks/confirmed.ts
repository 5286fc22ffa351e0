import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';

/** Half a megabyte; a chunk that is not remembered is asked for again. */
const ENTRIES_MAX = 2_048;
/** Afterwards Gitee is asked again: somebody may have deleted objects there. */
const VALID_MS = 10 * 60_000;
/**
 * As long a commit need not ask for what was asked for with its upload: a small image's parts are sent within it, and
 * a store that confirms and forgets has hardly begun to.
 */
const OF_UPLOAD_MS = 5_000;

/** Chunks that Gitee was seen to have a short while ago, so that not every tag of an image asks for all of it. */
export class ConfirmedChunks {
  readonly #seenMs = new LRUCache<Oid, number>({ max: ENTRIES_MAX });
  /** Those that were asked for as part of their upload. */
  readonly #uploadedMs = new LRUCache<Oid, number>({ max: ENTRIES_MAX });

  constructor(private readonly clock: Clock) {}

  add(chunks: readonly Chunk[]): void {
    for (const { oid } of chunks) this.#seenMs.set(oid, this.clock.steadyMs());
  }

  /** It was sent just now, and asked for after that. */
  addUploaded(chunk: Chunk): void {
    this.add([chunk]);
    this.#uploadedMs.set(chunk.oid, this.clock.steadyMs());
  }

  /** Whether a question now would only repeat the one that went with its upload. */
  isJustUploaded(oid: Oid): boolean {
    const seenMs = this.#uploadedMs.get(oid);
    return seenMs !== undefined && this.clock.steadyMs() - seenMs < OF_UPLOAD_MS;
  }

  /** There is a reason to doubt it. */
  forget(oid: Oid): void {
    this.#seenMs.delete(oid);
    this.#uploadedMs.delete(oid);
  }

  /** Those that it would be worth to ask for. */
  without(chunks: readonly Chunk[]): Chunk[] {
    const sinceMs = this.clock.steadyMs() - VALID_MS;
    return chunks.filter(({ oid }) => (this.#seenMs.get(oid) ?? Number.NEGATIVE_INFINITY) <= sinceMs);
  }
}
