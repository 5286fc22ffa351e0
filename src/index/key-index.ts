/**
 * The base: every object at the last known commit, that commit's id, and how far our journal had landed with it.
 *
 * A batch is applied in one atomic commit where it is small, otherwise in several, and the marker (head and landed
 * seq) is written with the last one. A crash in between leaves an old marker beside newer rows: applying the
 * same batch, or the difference of the same commits, again makes it right, since every change says what a key is
 * and not how it differs.
 */
import type { Clock } from '../async/clock.js';
import type { CommitId, ObjectKey, TreePath } from '../format/ids.js';
import { escapeKey } from '../format/key-escape.js';
import { BodyStore } from './body-store.js';
import { prefixEnd, utf8 } from './key-bytes.js';
import type { Entry, KeyValueStore, Write } from './key-value-store.js';
import { Keyspace } from './keyspace.js';
import type { NewObject, ObjectBody, ObjectRecord } from './object-record.js';
import { decodeRecord, encodeRecord, packRow, unpackRow } from './record-codec.js';
import { walk } from './walk.js';

/** Where a base stands. */
export interface BaseMarker {
  /** null: the branch does not exist yet. */
  readonly head: CommitId | null;
  /** Every change of our journal up to this seq is in the head (or was found to change nothing). */
  readonly landedSeq: number;
  /** Ids of batches of ours in the head whose changes may not have left the journal yet. */
  readonly batches?: readonly string[];
}

/** Asked instead where the key is there already, by who reads a tree file by file: a key may stand in several forms. */
export type OnDouble = (key: ObjectKey) => Promise<BaseChange>;

/** What a path or key is at a commit. */
export type BaseChange =
  | {
      readonly kind: 'put';
      readonly key: ObjectKey;
      readonly object: NewObject;
      readonly onDouble?: OnDouble | undefined;
    }
  | { readonly kind: 'delete'; readonly key: ObjectKey }
  /** Files that stand for an object and are none; known so that no key is put in their way. */
  | {
      readonly kind: 'damaged';
      readonly key: ObjectKey;
      readonly reason: string;
      readonly onDouble?: OnDouble | undefined;
    }
  /** A file of the tree that is no object of ours; known so that no key is put in its way. */
  | { readonly kind: 'foreign'; readonly path: TreePath; readonly present: boolean };

/** Each group waits for an fsync, which is most of a rebuild's time; it takes the event loop some ten milliseconds. */
const GROUP_CHANGES_MAX = 4_000;
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const MARKER = utf8('marker');
const COUNT = utf8('count');
const DAMAGED_COUNT = utf8('damaged-count');

export class KeyIndex {
  readonly keys = Keyspace.base();
  readonly bodies: BodyStore;
  #marker: BaseMarker | undefined;
  #count: number;
  #damagedCount: number;

  private constructor(
    readonly store: KeyValueStore,
    clock: Clock,
    state: { marker: BaseMarker | undefined; count: number; damagedCount: number },
  ) {
    this.bodies = new BodyStore(store, this.keys, clock, 'b');
    this.#marker = state.marker;
    this.#count = state.count;
    this.#damagedCount = state.damagedCount;
  }

  static async open(store: KeyValueStore, clock: Clock): Promise<KeyIndex> {
    const keys = Keyspace.base();
    const marker = await store.get(keys.key('single', MARKER));
    const count = await store.get(keys.key('single', COUNT));
    const damaged = await store.get(keys.key('single', DAMAGED_COUNT));
    return new KeyIndex(store, clock, {
      marker: marker && markerFromRow(unpackRow(marker)),
      count: count ? (unpackRow(count)[0] as number) : 0,
      damagedCount: damaged ? (unpackRow(damaged)[0] as number) : 0,
    });
  }

  /** undefined: never filled. */
  get marker(): BaseMarker | undefined {
    return this.#marker;
  }

  /** Number of objects. */
  get count(): number {
    return this.#count;
  }

  /** Number of objects of the tree that are damaged: not shown, and not counted in `count`. */
  get damagedCount(): number {
    return this.#damagedCount;
  }

  /** Why the key's files are no object; undefined where they are one, or where there are none. */
  async damage(key: ObjectKey): Promise<string | undefined> {
    if (this.#damagedCount === 0) return undefined;
    const row = await this.store.get(this.damagedRow(key));
    return row && Buffer.from(row).toString('utf8');
  }

  /** Key of the row with the key's record. */
  recordRow(key: string): Uint8Array {
    return this.keys.textKey('record', key);
  }

  /** Key of the row that says why a key is damaged. */
  damagedRow(key: ObjectKey): Uint8Array {
    return this.keys.textKey('damaged', escapeKey(key));
  }

  async get(key: string): Promise<ObjectRecord | undefined> {
    const row = await this.store.get(this.recordRow(key));
    return row && decodeRecord(row);
  }

  /** Keys with start <= key < end in byte order; end undefined: to the last. */
  async page(
    start: Uint8Array,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; record: ObjectRecord }[]> {
    const entries = await this.store.page(
      this.keys.key('record', start),
      end ? this.keys.key('record', end) : this.keys.end('record'),
      limit,
    );
    return entries.map((entry) => this.#recordOf(entry));
  }

  /** Every object, in key order, read in pages. */
  async *all(): AsyncGenerator<{ key: ObjectKey; record: ObjectRecord }, void> {
    for await (const entry of walk(this.store, this.keys.key('record'), this.keys.end('record')))
      yield this.#recordOf(entry);
  }

  /** @throws StorageError corrupt where the body's rows are gone. */
  openBody(record: ObjectRecord): Promise<ObjectBody> {
    return this.bodies.open(record.body, record.sizeBytes);
  }

  /** True where a file that is no object, or a damaged one, stands somewhere below this path. */
  async hasForeignBelow(path: TreePath): Promise<boolean> {
    for (const table of this.#damagedCount > 0 ? (['foreign', 'damaged'] as const) : (['foreign'] as const)) {
      const start = this.keys.textKey(table, `${path}/`);
      if ((await this.store.page(start, prefixEnd(start), 1)).length > 0) return true;
    }
    return false;
  }

  /** True where such a file stands at this path itself, or with `below` anywhere in it. */
  async hasForeignAt(path: TreePath, below: boolean): Promise<boolean> {
    for (const table of this.#damagedCount > 0 ? (['foreign', 'damaged'] as const) : (['foreign'] as const))
      if (await this.store.get(this.keys.textKey(table, path))) return true;
    return below && this.hasForeignBelow(path);
  }

  /** Makes the changes and then the marker durable. One caller at a time; safe to repeat after a failure. */
  async apply(changes: AsyncIterable<BaseChange> | Iterable<BaseChange>, marker: BaseMarker): Promise<void> {
    await this.load(changes, marker);
  }

  /** As apply; without a marker the base stays marked as it was (a rebuild that has more to add). */
  async load(
    changes: AsyncIterable<BaseChange> | Iterable<BaseChange>,
    marker: BaseMarker | undefined,
  ): Promise<void> {
    let group = new ChangeGroup(this, this.#count, this.#damagedCount);
    for await (const change of changes) {
      await group.add(change);
      if (group.changes < GROUP_CHANGES_MAX && group.sizeBytes < GROUP_BYTES_MAX) continue;
      await this.#commit(group);
      group = new ChangeGroup(this, this.#count, this.#damagedCount);
    }
    if (marker)
      group.writes.push({
        key: this.keys.key('single', MARKER),
        value: packRow([marker.head, marker.landedSeq, marker.batches ?? []]),
      });
    await this.#commit(group);
    if (marker) this.#marker = marker;
  }

  /** Writes records whose bodies stay where they are; the keys must exist. For what a rebuild learns late. */
  async replaceRecords(records: ReadonlyMap<ObjectKey, ObjectRecord>): Promise<void> {
    await this.store.commit(
      [],
      [...records].map(([key, record]) => ({
        key: this.recordRow(key),
        value: encodeRecord(record),
      })),
    );
  }

  close(): Promise<void> {
    return this.store.close();
  }

  async #commit(group: ChangeGroup): Promise<void> {
    if (group.writes.length === 0) return;
    await this.store.commit(
      [],
      [
        ...group.writes,
        { key: this.keys.key('single', COUNT), value: packRow([group.count]) },
        { key: this.keys.key('single', DAMAGED_COUNT), value: packRow([group.damagedCount]) },
      ],
    );
    this.#count = group.count;
    this.#damagedCount = group.damagedCount;
  }

  #recordOf(entry: Entry): { key: ObjectKey; record: ObjectRecord } {
    const key = this.keys.restText('record', entry.key) as ObjectKey;
    return { key, record: decodeRecord(entry.value) };
  }
}

/** Writes of one atomic commit of the base. */
class ChangeGroup {
  readonly writes: Write[] = [];
  changes = 0;
  sizeBytes = 0;
  /** Records of this group, which a read of the store does not show yet. */
  readonly #own = new Map<string, ObjectRecord | undefined>();
  readonly #ownDamage = new Map<string, string | undefined>();

  constructor(
    private readonly index: KeyIndex,
    public count: number,
    public damagedCount: number,
  ) {}

  async add(change: BaseChange): Promise<void> {
    this.changes += 1;
    if (change.kind === 'foreign') {
      const key = this.index.keys.textKey('foreign', change.path);
      this.#push({ key, value: change.present ? new Uint8Array(0) : undefined });
      return;
    }
    const { key } = change;
    const at = this.index.recordRow(key);
    const old = this.#own.has(key) ? this.#own.get(key) : await this.#stored(at);
    const oldDamage = this.damagedCount === 0 ? undefined : await this.#damage(key);
    if ('onDouble' in change && change.onDouble && (old || oldDamage !== undefined))
      return this.add(await change.onDouble(key));
    this.#setDamage(key, oldDamage, change.kind === 'damaged' ? change.reason : undefined);
    if (change.kind !== 'put') {
      if (!old) return;
      this.#push({ key: at, value: undefined });
      this.#own.set(key, undefined);
      this.count -= 1;
    } else {
      const body = await this.index.bodies.prepare(change.object.body);
      const record: ObjectRecord = { ...change.object, body: body.ref };
      this.#push({ key: at, value: encodeRecord(record) }, ...body.writes);
      this.#own.set(key, record);
      if (!old) this.count += 1;
    }
    if (old) this.#push(...this.index.bodies.discard(old.body));
  }

  async #stored(at: Uint8Array): Promise<ObjectRecord | undefined> {
    const row = await this.index.store.get(at);
    return row && decodeRecord(row);
  }

  async #damage(key: ObjectKey): Promise<string | undefined> {
    return this.#ownDamage.has(key) ? this.#ownDamage.get(key) : this.index.damage(key);
  }

  #setDamage(key: ObjectKey, old: string | undefined, reason: string | undefined): void {
    if (old === reason) return;
    this.#push({ key: this.index.damagedRow(key), value: reason === undefined ? undefined : utf8(reason) });
    this.#ownDamage.set(key, reason);
    this.damagedCount += Number(reason !== undefined) - Number(old !== undefined);
  }

  #push(...writes: readonly Write[]): void {
    for (const write of writes) {
      this.writes.push(write);
      this.sizeBytes += write.key.length + (write.value?.length ?? 0);
    }
  }
}

function markerFromRow(row: unknown[]): BaseMarker {
  const batches = row[2] as readonly string[] | undefined;
  return {
    head: row[0] as CommitId | null,
    landedSeq: row[1] as number,
    ...(batches && batches.length > 0 ? { batches } : {}),
  };
}
