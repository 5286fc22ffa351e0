/** Several commits as one transaction: each sees what those before it have written. */
import { sameBytes } from './key-bytes.js';
import type { Precondition, Write } from './key-value-store.js';

/** Invariant 5: what a transaction holds in memory beside its first commit, whose size its caller has bounded. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024;
const GROUP_WRITES_MAX = 20_000;

export interface WaitingCommit {
  readonly preconditions: readonly Precondition[];
  readonly writes: readonly Write[];
  readonly resolve: (held: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupBuilder {
  readonly members: WaitingCommit[] = [];
  /** What the group has written so far, by key. */
  readonly #written = new Map<string, Uint8Array | undefined>();

  /** @param stored what the store has, without this group */
  constructor(private readonly stored: (key: Uint8Array) => Uint8Array | undefined) {}

  /** Takes as many as one transaction may have from the front, one at least. */
  take(waiting: WaitingCommit[]): this {
    let bytes = 0;
    let writes = 0;
    let count = 0;
    for (const commit of waiting) {
      writes += commit.writes.length;
      for (const { key, value } of commit.writes) bytes += key.length + (value?.length ?? 0);
      if (count > 0 && (bytes > GROUP_BYTES_MAX || writes > GROUP_WRITES_MAX)) break;
      count += 1;
    }
    this.members.push(...waiting.splice(0, count));
    return this;
  }

  /** The writes of those whose preconditions hold, in order, and whose they are. */
  build(): { readonly writes: readonly Write[]; readonly held: readonly boolean[] } {
    const writes: Write[] = [];
    const isAlone = this.members.length === 1;
    const held = this.members.map((commit) => {
      if (!commit.preconditions.every((condition) => this.#holds(condition))) return false;
      writes.push(...commit.writes);
      if (!isAlone) for (const { key, value } of commit.writes) this.#written.set(nameOf(key), value);
      return true;
    });
    return { writes, held };
  }

  #holds({ key, value }: Precondition): boolean {
    const name = this.#written.size > 0 ? nameOf(key) : undefined;
    const isWritten = name !== undefined && this.#written.has(name);
    return sameBytes(isWritten ? this.#written.get(name) : this.stored(key), value);
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
