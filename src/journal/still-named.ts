/**
 * What Gitee's tags name, where readers here see another image: the change that gave a tag its new one, or deleted it,
 * was set aside, or waits behind the change that is asked about. A registry that collects garbage goes by what it reads
 * here; were its deletions to land, the tag would stand on Gitee without its image (invariant 4).
 *
 * Invariant 5. NAMED_MAX keys at most; where there are more, nothing is known.
 */
import type { ObjectKey } from '../format/ids.js';
import { registryKey } from '../format/registry-keys.js';
import type { ChangeLog } from './change-log.js';
import type { JournalEntry } from './overlay-rows.js';
import type { Base, Closure } from './rests-on.js';

const NAMED_MAX = 50_000;

export interface Named {
  /** A tag that has the key on Gitee, and whose newer change was set aside. */
  readonly by: ObjectKey | 'unknown' | undefined;
  /** Changes of such tags that come later, and wait. */
  readonly until: readonly number[];
}

interface NamingSource {
  readonly journal: ChangeLog;
  readonly base: Base;
  readonly closure: Closure;
}

/** Keys and the tags by which Gitee names them. */
type Names = ReadonlyMap<ObjectKey, readonly ObjectKey[]> | 'unknown';

const NOT: Named = { by: undefined, until: [] };
const UNKNOWN: Named = { by: 'unknown', until: [] };

/** For one look at the journal. */
export class StillNamed {
  #setAside: Promise<Names> | undefined;
  #waiting: Promise<{ names: Names; seqs: ReadonlyMap<ObjectKey, number> }> | undefined;

  /**
   * @param laterUpTo a deletion before this number may have to wait for what comes after it; it may grow meanwhile
   * @param isReplaced true of a tag that gets another image, or none, by what lands with the change that is asked about
   */
  constructor(
    private readonly source: NamingSource,
    private readonly laterUpTo: () => number,
    private readonly isReplaced: (tag: ObjectKey) => boolean,
  ) {}

  /** What on Gitee needs the key that this change deletes. */
  async find({ key, seq }: Pick<JournalEntry, 'key' | 'seq'>): Promise<Named> {
    const { closure, journal } = this.source;
    const kind = registryKey(closure.registryRoot, key)?.kind;
    if (kind === undefined || kind === 'tag-link' || kind === 'tag-index-link') return NOT;
    if (journal.quarantinedCount > 0) {
      const names = await (this.#setAside ??= this.#ofSetAside());
      if (names === 'unknown') return UNKNOWN;
      const by = names.get(key)?.[0];
      if (by !== undefined) return { by, until: [] };
    }
    if (seq >= this.laterUpTo()) return NOT;
    const { names, seqs } = await (this.#waiting ??= this.#ofWaiting());
    if (names === 'unknown') return UNKNOWN;
    const tags = (names.get(key) ?? []).filter((tag) => !this.isReplaced(tag));
    const until = tags.map((tag) => seqs.get(tag)!).filter((later) => later > seq);
    return { by: undefined, until };
  }

  async #ofSetAside(): Promise<Names> {
    const tags: ObjectKey[] = [];
    for await (const { key, shown } of this.source.journal.quarantinedRows())
      if (shown && this.#isTag(key)) tags.push(key);
    return this.#namedBy(tags);
  }

  async #ofWaiting(): Promise<{ names: Names; seqs: ReadonlyMap<ObjectKey, number> }> {
    const seqs = new Map<ObjectKey, number>();
    for await (const { key, seq } of this.source.journal.entries(this.laterUpTo()))
      if (this.#isTag(key)) seqs.set(key, seq);
    return { names: await this.#namedBy(seqs.keys()), seqs };
  }

  #isTag(key: ObjectKey): boolean {
    return registryKey(this.source.closure.registryRoot, key)?.kind === 'tag-link';
  }

  async #namedBy(tags: Iterable<ObjectKey>): Promise<Names> {
    const names = new Map<ObjectKey, ObjectKey[]>();
    for (const tag of tags) {
      const image = await this.source.closure.imageOnBranch(tag);
      if (image === 'unknown') return image;
      for (const key of image) {
        const named = names.get(key);
        if (named) named.push(tag);
        else names.set(key, [tag]);
      }
      if (names.size > NAMED_MAX) return 'unknown';
    }
    return names;
  }
}
