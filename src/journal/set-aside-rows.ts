/**
 * Changes that were set aside: what Gitee does not take stands here with its reason, and is the newest of its key for
 * readers, until it is tried again, written anew or dropped by an operator. The journal alone calls what takes changes
 * out of it, one at a time.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import type { ObjectKey } from '../format/ids.js';
import type { BodyStore } from '../index/body-store.js';
import { StorageError } from '../index/errors.js';
import type { Precondition, Write } from '../index/key-value-store.js';
import { walk } from '../index/walk.js';
import type { SetAside } from './bucket-state.js';
import {
  decodeEntry,
  decodeQuarantine,
  encodeEntry,
  encodeNewest,
  encodeQuarantine,
  sizeOf,
  type JournalEntry,
  type QuarantineRow,
} from './overlay-rows.js';
import { RACES_MAX, type NewestBefore, type OverlayTable } from './overlay-table.js';

/** Whoever waits for a change asks soon after it has settled. */
const KINDS_MAX = 10_000;

export interface SetAsideReason {
  readonly code: string;
  readonly message: string;
  /**
   * ETag of what the base has at the key, see QuarantineRow; where an older change of the key lands later, rebase()
   * brings it up to date.
   */
  readonly baseOf?: () => Promise<string | null>;
  /** It is set aside only as long as the change of this key is. */
  readonly restsOn?: ObjectKey;
}

/** A row that readers see, with what must not change meanwhile. */
export interface ShownRow {
  readonly row: QuarantineRow;
  readonly at: Uint8Array;
  readonly stored: Uint8Array;
  readonly newest: NewestBefore;
}

/** A change that waits, as its row was read. */
export interface PendingRow extends Precondition {
  readonly entry: JournalEntry;
}

export class SetAsideRows {
  #count = 0;
  #bytes = 0;
  readonly #kinds = new LRUCache<number, SetAside>({ max: KINDS_MAX });

  constructor(
    private readonly table: OverlayTable,
    private readonly bodies: BodyStore,
    private readonly clock: Clock,
  ) {}

  async open(): Promise<void> {
    for await (const row of this.rows()) {
      this.#count += 1;
      this.#bytes += sizeOf(row);
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Of the objects that these changes write. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether this change was set aside in the life of this process, and how. */
  kindOf(seq: number): SetAside | undefined {
    return this.#kinds.get(seq);
  }

  /** What was set aside of a key, if none was written since. */
  async row(key: ObjectKey): Promise<QuarantineRow | undefined> {
    const value = await this.table.store.get(this.table.quarantineKey(key));
    return value && decodeQuarantine(value);
  }

  async *rows(): AsyncGenerator<QuarantineRow> {
    const { keys, store } = this.table;
    const rows = walk(store, keys.key('quarantine'), keys.end('quarantine'));
    for await (const entry of rows) yield decodeQuarantine(entry.value);
  }

  /** So many are not set aside any more. */
  noteGone(count: number, bytes: number): void {
    this.#count -= count;
    this.#bytes -= bytes;
  }

  /**
   * Sets a pending change aside; see Journal.quarantine.
   * @param onReplaced told, before it can be seen, of a newer change of the key that waits: what rested on this one rests
   *   on that from now on, and may have been written before it
   * @returns the change as it left the journal; undefined where it was not set aside, or is not pending any more
   */
  async put(
    entry: JournalEntry,
    reason: SetAsideReason,
    hide: boolean,
    onReplaced: (newestSeq: number) => void,
  ): Promise<JournalEntry | undefined> {
    const { store } = this.table;
    const { restsOn } = reason;
    const base = await reason.baseOf?.();
    const at = this.table.quarantineKey(entry.key);
    const entryKey = this.table.entryKey(entry.seq);
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await store.get(entryKey);
      if (!stored) return undefined;
      const preconditions = restsOn === undefined ? [] : await this.#asItIs(restsOn);
      if (!preconditions) return undefined;
      const setAside = decodeEntry(stored);
      const newest = await this.table.newestRow(entry.key);
      const value = await store.get(at);
      const earlier = value && decodeQuarantine(value);
      const isNewest = newest.row?.seq === entry.seq;
      const writes: Write[] = [{ key: entryKey, value: undefined }];
      if (isNewest) {
        const row = this.#rowOf(setAside, { ...reason, base, shown: !hide });
        writes.push(
          { key: at, value: encodeQuarantine(row) },
          {
            key: newest.key,
            value: hide ? undefined : encodeNewest({ ...newest.row, state: 'quarantined' }),
          },
          ...this.bodies.discard(earlier?.record?.body),
        );
      } else {
        writes.push(...this.bodies.discard(setAside.record?.body));
        if (newest.row?.state === 'pending') onReplaced(newest.row.seq);
      }
      preconditions.push({ key: newest.key, value: newest.value }, { key: at, value });
      if (!(await store.commit(preconditions, writes))) continue;
      this.#kinds.set(entry.seq, isNewest ? 'newest' : 'replaced');
      if (isNewest && earlier) this.noteGone(1, sizeOf(earlier));
      if (isNewest) this.noteGone(-1, -sizeOf(setAside));
      return setAside;
    }
    throw new StorageError('broken-invariant', `change ${entry.seq} does not settle`);
  }

  /** This change, if it is set aside still, and what readers see. */
  async shown({ key, seq }: Pick<QuarantineRow, 'key' | 'seq'>): Promise<ShownRow | undefined> {
    const at = this.table.quarantineKey(key);
    const stored = await this.table.store.get(at);
    const row = stored && decodeQuarantine(stored);
    const newest = await this.table.newestRow(key);
    if (!stored || row?.seq !== seq || !row.shown || newest.row?.seq !== seq) return undefined;
    return { row, at, stored, newest };
  }

  /** What makes it pending again under this number. Its body goes with it: the entry owns it from then on. */
  pendingAgain(
    { row: { key, record }, at, stored, newest }: ShownRow,
    seq: number,
    appendedMs: number,
  ): { preconditions: Precondition[]; writes: Write[] } {
    return {
      preconditions: [{ key: at, value: stored }, newest],
      writes: [
        { key: at, value: undefined },
        { key: newest.key, value: encodeNewest({ seq, appendedMs, state: 'pending', record }) },
        { key: this.table.entryKey(seq), value: encodeEntry({ seq, key, appendedMs, record }) },
      ],
    };
  }

  /**
   * Takes a change that was set aside out for good, or (`keep`) only out of what readers see: they see the branch from
   * now on, or an older change of the key that waits still and will land. False where it is not set aside any more.
   * @param olderOf the newest change of a key that waits
   */
  async unshow(
    { key, seq }: Pick<QuarantineRow, 'key' | 'seq'>,
    keep: boolean,
    olderOf: (key: ObjectKey) => Promise<PendingRow | undefined>,
  ): Promise<boolean> {
    const at = this.table.quarantineKey(key);
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.table.store.get(at);
      const row = stored && decodeQuarantine(stored);
      if (row?.seq !== seq) return false;
      const newest = await this.table.newestRow(key);
      const writes: Write[] = [
        { key: at, value: keep ? encodeQuarantine({ ...row, shown: false }) : undefined },
      ];
      const preconditions: Precondition[] = [{ key: at, value: stored }, newest];
      if (newest.row?.seq === seq) {
        const older = await olderOf(key);
        if (older) preconditions.push(older);
        writes.push({ key: newest.key, value: older && encodeNewest({ ...older.entry, state: 'pending' }) });
      }
      if (!keep) writes.push(...this.bodies.discard(row.record?.body));
      if (!(await this.table.store.commit(preconditions, writes))) continue;
      if (!keep) this.noteGone(1, sizeOf(row));
      return true;
    }
    throw new StorageError('broken-invariant', `the change of ${key} that was set aside does not settle`);
  }

  /**
   * Adds what says that this change of ours has landed: it is nobody else's, and the newer one of its key that was set
   * aside may still be tried again.
   */
  async rebase({ key, record }: JournalEntry, preconditions: Precondition[], writes: Write[]): Promise<void> {
    const at = this.table.quarantineKey(key);
    const value = await this.table.store.get(at);
    if (!value) return;
    preconditions.push({ key: at, value });
    writes.push({
      key: at,
      value: encodeQuarantine({ ...decodeQuarantine(value), base: record?.etag ?? null }),
    });
  }

  #rowOf(
    { key, seq, record }: JournalEntry,
    { code, message, base, shown }: SetAsideReason & Pick<QuarantineRow, 'base' | 'shown'>,
  ): QuarantineRow {
    return { code, message, base, key, seq, sinceMs: this.clock.nowMs(), record, shown };
  }

  /**
   * That nothing changes of what was set aside of a key, or of the deletion that replaced what was refused; undefined if
   * its newest change is neither.
   */
  async #asItIs(key: ObjectKey): Promise<Precondition[] | undefined> {
    const at = this.table.quarantineKey(key);
    const newest = await this.table.newestRow(key);
    const value = await this.table.store.get(at);
    if (newest.row?.state === 'pending') return newest.row.record ? undefined : [newest];
    return value && [{ key: at, value }, newest];
  }
}
