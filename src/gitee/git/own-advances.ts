import type { CommitId } from '../../format/ids.js';

/** Older ones are forgotten: who asks for them compares the commits. */
const ADVANCES_MAX = 1_000;

interface Advance {
  readonly from: CommitId | null;
  readonly prefixes: ReadonlySet<string>;
}

/**
 * How this process itself has moved a branch that several buckets share, and in which of their directories: between
 * two heads with nothing else in between, a bucket whose directory is not among these is the same.
 */
export class OwnAdvances {
  /** By the head that the branch was moved to. */
  readonly #advances = new Map<CommitId, Advance>();

  note(from: CommitId | null, to: CommitId, prefixes: Iterable<string>): void {
    this.#advances.set(to, { from, prefixes: new Set(prefixes) });
    for (const oldest of this.#advances.keys()) {
      if (this.#advances.size <= ADVANCES_MAX) break;
      this.#advances.delete(oldest);
    }
  }

  forget(): void {
    this.#advances.clear();
  }

  /** True only where it is known. */
  isUntouched(prefix: string, from: CommitId | null, to: CommitId | null): boolean {
    let at = to;
    for (let steps = 0; at !== from; steps += 1) {
      const advance = at === null ? undefined : this.#advances.get(at);
      if (!advance || advance.prefixes.has(prefix) || steps > ADVANCES_MAX) return false;
      at = advance.from;
    }
    return true;
  }
}
