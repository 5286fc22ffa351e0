/**
 * Chunks that a request under way has stored and that no row names yet. Its body may take hours, and the first chunks
 * are on Gitee long before the last byte: until the row is there, only the request knows that they are needed.
 *
 * Invariant 5: an entry per chunk of a body that is being read, which are pinned anyway.
 */
import type { ChunkHold } from './api.js';

export class ChunkHolds {
  readonly #counts = new Map<string, number>();

  /** @param onEnded told what one hold held, at its end: rows name it from now on, or nothing does. Must not throw. */
  constructor(private readonly onEnded: (oids: ReadonlySet<string>) => void) {}

  has(oid: string): boolean {
    return this.#counts.has(oid);
  }

  begin(): ChunkHold {
    const own = new Set<string>();
    let isOver = false;
    return {
      add: (oid) => {
        if (isOver || own.has(oid)) return;
        own.add(oid);
        this.#counts.set(oid, (this.#counts.get(oid) ?? 0) + 1);
      },
      end: () => {
        if (isOver) return;
        isOver = true;
        // Told first: at no moment is a chunk known to neither.
        this.onEnded(own);
        for (const oid of own) {
          const left = this.#counts.get(oid)! - 1;
          if (left > 0) this.#counts.set(oid, left);
          else this.#counts.delete(oid);
        }
      },
    };
  }
}
