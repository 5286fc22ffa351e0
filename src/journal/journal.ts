/**
 * Keeps invariant 1, "an acknowledged write is never lost": append() makes the change durable and visible in one
 * commit of the overlay, and only drop() and quarantine() take it out of the journal again.
 *
 * A change is named by its seq, which grows by one per change and is durable with it. Every change up to
 * `closableSeq` is durable or was never acknowledged, so that a batch that ends there misses none.
 * Who owns a body: its journal entry while it has one, then the newest row (local and quarantined changes).
 */
import { AppendTimes } from './append-times.js';
import type { Change, SetAside } from './bucket-state.js';
import type { ChangeLog, LogAppendOptions, LogDeps } from './change-log.js';
import { JournaledUploads, type UploadEdit } from './journaled-uploads.js';
import { checkRoom } from './room.js';
import { unnamedBodies, type UnnamedBodies } from '../index/unnamed-bodies.js';
import { StorageError } from '../index/errors.js';
import { InOrder } from '../async/in-order.js';
import { Semaphore } from '../async/semaphore.js';
import type { ObjectKey, Oid } from '../format/ids.js';
import { BodyStore, type PreparedBody } from '../index/body-store.js';
import { prefixEnd, sameBytes, u64 } from '../index/key-bytes.js';
import type { KeyValueStore, Precondition, Write } from '../index/key-value-store.js';
import type { Keyspace } from '../index/keyspace.js';
import type { NewObject, ObjectBody, ObjectRecord } from '../index/object-record.js';
import { packRow } from '../index/record-codec.js';
import { walk } from '../index/walk.js';
import {
  decodeEntry,
  decodeNewest,
  encodeEntry,
  encodeNewest,
  sizeOf,
  type JournalEntry,
  type NewestRow,
  type QuarantineRow,
} from './overlay-rows.js';
import { OverlayTable, RACES_MAX, type NewestBefore } from './overlay-table.js';
import { SeqSet } from './seq-set.js';
import { SetAsideRows, type PendingRow, type SetAsideReason } from './set-aside-rows.js';

const DROP_PAGE = 300;

/** Rows of the end of an upload, which change in the same durable commit. */
type AppendOptions = LogAppendOptions & Partial<UploadEdit>;

export class Journal implements ChangeLog {
  readonly keys: Keyspace;
  readonly uploads: JournaledUploads;
  readonly #bodies: BodyStore;
  #lastSeq = 0;
  #floorSeq = 0;
  #pending = 0;
  #pendingBytes = 0;
  #oldest: { readonly seq: number; readonly appendedMs: number } | undefined;
  #lastPendingSeq = 0;
  #triedAgainUpToSeq = 0;
  /** Told of changes that are no longer pending; everything up to `floorSeq` is not. Must not throw. */
  onSettled: (seqs: SeqSet, floorSeq: number) => void = () => {};
  /** Told every chunk of a change before it leaves the journal because it has landed. Must not fail. */
  onLanding: (oid: Oid) => Promise<void> = async () => {};
  readonly #table: OverlayTable;
  readonly #setAside: SetAsideRows;
  /**
   * One at a time takes changes out. Who sets a change aside asks the base first, so that an older change of the key is
   * in it by then, or is dropped afterwards.
   */
  readonly #leaving = new Semaphore(1);
  readonly #order = new InOrder();
  /** Seqs that are being written, in order. */
  readonly #inFlight = new Set<number>();
  readonly #times: AppendTimes;

  private constructor(
    readonly store: KeyValueStore,
    bucket: string,
    private readonly deps: LogDeps,
  ) {
    this.#table = new OverlayTable(store, bucket);
    this.keys = this.#table.keys;
    this.#bodies = new BodyStore(store, this.keys, deps.clock, 'o');
    this.uploads = new JournaledUploads(store, this.keys, deps.admits);
    this.#setAside = new SetAsideRows(this.#table, this.#bodies, deps.clock);
    this.#times = new AppendTimes(deps.clock);
  }

  /** Opens the journal of a bucket in the overlay store. */
  static async open(store: KeyValueStore, bucket: string, deps: LogDeps): Promise<Journal> {
    const journal = new Journal(store, bucket, deps);
    const landedSeq = await journal.#table.number('landed');
    journal.#lastSeq = Math.max(await journal.#table.number('seq'), landedSeq);
    journal.#floorSeq = journal.#lastSeq;
    for await (const entry of journal.entries(Number.MAX_SAFE_INTEGER)) {
      if (journal.#pending === 0) journal.#floorSeq = entry.seq - 1;
      journal.#oldest ??= { seq: entry.seq, appendedMs: entry.appendedMs };
      journal.#pending += 1;
      journal.#pendingBytes += sizeOf(entry);
      journal.#lastPendingSeq = entry.seq;
    }
    // Which of them had been set aside before is not kept.
    journal.#triedAgainUpToSeq = journal.#lastPendingSeq;
    await journal.#setAside.open();
    return journal;
  }

  /** Seq of the last change. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Every change up to here has been dropped or quarantined; so may be others after it. */
  get floorSeq(): number {
    return this.#pending === 0 ? Math.max(this.#floorSeq, this.closableSeq) : this.#floorSeq;
  }

  get closableSeq(): number {
    for (const first of this.#inFlight) return first - 1;
    return this.#lastSeq;
  }

  /** Seq of the last change that had to be committed; local ones are not. */
  get lastPendingSeq(): number {
    return this.#lastPendingSeq;
  }

  /** See ChangeLog. */
  get triedAgainUpToSeq(): number {
    return this.#triedAgainUpToSeq;
  }

  get pendingCount(): number {
    return this.#pending;
  }

  get quarantinedCount(): number {
    return this.#setAside.count;
  }

  /** Bytes of the objects that pending changes write. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes of the objects that were set aside and not written anew since. */
  get quarantinedBytes(): number {
    return this.#setAside.bytes;
  }

  /** When the oldest pending change was appended, steady milliseconds. */
  get oldestPendingSteadyMs(): number | undefined {
    return this.#oldest && this.#times.steadyMsOf(this.#oldest);
  }

  /** When the change of this row was appended, steady milliseconds. */
  steadyMsOf(row: { readonly seq: number; readonly appendedMs: number }): number {
    return this.#times.steadyMsOf(row);
  }

  /** See ChangeLog.append. */
  append(changes: readonly Change[], options: LogAppendOptions = {}): Promise<number | undefined> {
    const keys = changes.map(({ key }) => key);
    return this.#order.run(keys, () => this.#append(changes, options));
  }

  async #append(changes: readonly Change[], options: LogAppendOptions): Promise<number | undefined> {
    const { completes } = options;
    const edit = completes && (await this.uploads.completing(completes));
    if (completes && !edit) return undefined;
    await checkRoom(this.deps.admits, changes, edit?.writes);
    const bodies: (PreparedBody | undefined)[] = [];
    for (const change of changes) bodies.push(await this.#prepare(change));
    await this.deps.failpoints.hit('journal.beforeSync');
    for (let race = 0; race < RACES_MAX; race += 1) {
      const before = await Promise.all(changes.map((change) => this.#table.newestRow(change.key)));
      const lastSeq = await this.#write(changes, bodies, before, { ...options, ...edit });
      if (lastSeq !== undefined) {
        await this.deps.failpoints.hit('journal.afterSync');
        return lastSeq;
      }
      for (const { key, value } of edit?.preconditions ?? [])
        if (!sameBytes(await this.store.get(key), value)) return undefined;
      // Not the upload: one of the keys was dropped, quarantined or written meanwhile.
    }
    throw new StorageError(
      'broken-invariant',
      `an append lost ${RACES_MAX} races: the overlay does not settle`,
    );
  }

  async newest(key: string): Promise<NewestRow | undefined> {
    const value = await this.store.get(this.#table.newestKey(key));
    return value && decodeNewest(value);
  }

  async newestPage(
    start: Uint8Array,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; row: NewestRow }[]> {
    const from = this.keys.key('newest', start);
    const to = end ? this.keys.key('newest', end) : this.keys.end('newest');
    return (await this.store.page(from, to, limit)).map((entry) => this.#table.newestOf(entry));
  }

  async *newestRows(): AsyncGenerator<{ key: ObjectKey; row: NewestRow }> {
    const rows = walk(this.store, this.keys.key('newest'), this.keys.end('newest'));
    for await (const entry of rows) yield this.#table.newestOf(entry);
  }

  /** Pending changes between two seqs, in order. */
  async *entries(lastSeq: number, firstSeq = 0): AsyncGenerator<JournalEntry> {
    const start = this.keys.key('journal', u64(firstSeq));
    const end = this.keys.key('journal', u64(Math.min(lastSeq, Number.MAX_SAFE_INTEGER - 1) + 1));
    for await (const entry of walk(this.store, start, end)) yield decodeEntry(entry.value);
  }

  openBody({ body, sizeBytes }: ObjectRecord): Promise<ObjectBody> {
    return this.#bodies.open(body, sizeBytes);
  }

  ownsBody({ body }: ObjectRecord): boolean {
    return this.#bodies.owns(body);
  }

  sweepBodies(): Promise<number> {
    return this.#bodies.sweep();
  }

  unnamedBodies(): Promise<UnnamedBodies> {
    return unnamedBodies({ store: this.store, keys: this.keys, bodies: this.#bodies }, this.#records());
  }

  async *#records(): AsyncGenerator<ObjectRecord> {
    for await (const { row } of this.newestRows()) if (row.record) yield row.record;
    for await (const { record } of this.entries(Number.MAX_SAFE_INTEGER)) if (record) yield record;
    for await (const { record } of this.quarantinedRows()) if (record) yield record;
  }

  /** The pending change with this seq, as it is now. */
  async entry(seq: number): Promise<JournalEntry | undefined> {
    const value = await this.store.get(this.#table.entryKey(seq));
    return value && decodeEntry(value);
  }

  /** Whether this change was set aside in the life of this process, and how. */
  setAsideAs(seq: number): SetAside | undefined {
    return this.#setAside.kindOf(seq);
  }

  /** True where a change of this key was set aside and none was written since. */
  async isSetAside(key: ObjectKey): Promise<boolean> {
    return (await this.#setAside.row(key)) !== undefined;
  }

  quarantinedRows(): AsyncGenerator<QuarantineRow> {
    return this.#setAside.rows();
  }

  /**
   * Gives a pending change another body with the same bytes (cut anew); the newest row follows where it is the
   * same change. Resolves with the entry as it is now, undefined where it is not pending any more.
   */
  async replaceBody(entry: JournalEntry, object: NewObject): Promise<JournalEntry | undefined> {
    const body = await this.#bodies.prepare(object.body);
    const record: ObjectRecord = { ...object, body: body.ref };
    const at = this.#table.entryKey(entry.seq);
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(at);
      if (!stored) return undefined;
      const newest = await this.#table.newestRow(entry.key);
      const replaced = { ...entry, record };
      const writes: Write[] = [
        ...body.writes,
        { key: at, value: encodeEntry(replaced) },
        ...this.#bodies.discard(decodeEntry(stored).record?.body),
      ];
      if (newest.row?.seq === entry.seq)
        writes.push({ key: newest.key, value: encodeNewest({ ...newest.row, record }) });
      const held = await this.store.commit(
        [
          { key: at, value: stored },
          { key: newest.key, value: newest.value },
        ],
        writes,
      );
      if (held) return replaced;
    }
    throw new StorageError('broken-invariant', `change ${entry.seq} does not settle`);
  }

  /** Of these changes, those that are pending still, in order. */
  async *entriesOf(seqs: SeqSet): AsyncGenerator<JournalEntry> {
    for (const { first, last } of seqs.ranges()) yield* this.entries(last, first);
  }

  async isPending(seq: number): Promise<boolean> {
    return (await this.store.get(this.#table.entryKey(seq))) !== undefined;
  }

  /**
   * These changes are on Gitee and in the base: takes them out of the overlay, unless written since. `last` are rows
   * that change with the last of them.
   */
  async drop(seqs: SeqSet, last: readonly Write[] = []): Promise<void> {
    await this.#leaving.run(async () => {
      const ranges = [...seqs.ranges()];
      const final = ranges.pop();
      for (const range of ranges) await this.#dropRange(range, []);
      if (final) await this.#dropRange(final, last);
      else if (last.length > 0) await this.store.commit([], last);
    });
    await this.#settled(seqs);
  }

  /** A row that says how far the journal is empty. */
  floorWrite(): Write {
    return { key: this.single('landed'), value: packRow([this.floorSeq]) };
  }

  /**
   * Sets a pending change aside: it is not tried again by itself. It stays what readers see, unless `hide`: a change
   * of a restored snapshot would show what the branch has long replaced.
   * @returns false where it was not set aside, or is not pending any more
   */
  quarantine(entry: JournalEntry, reason: SetAsideReason, hide = false): Promise<boolean> {
    return this.#leaving.run(async () => {
      const setAside = await this.#setAside.put(entry, reason, hide, (seq) => this.#noteAgain(seq));
      if (!setAside) return false;
      this.#noteGone([setAside]);
      await this.#settled(SeqSet.range(entry.seq, entry.seq));
      return true;
    });
  }

  /** What was set aside of a key, if that is still its newest change here. */
  setAsideRow(key: ObjectKey): Promise<QuarantineRow | undefined> {
    return this.#setAside.row(key);
  }

  /**
   * Makes a change that was set aside pending again, as the newest of its key; resolves with its new seq, undefined
   * where it is not set aside any more, or not what readers see.
   */
  async retrySetAside(change: Pick<QuarantineRow, 'key' | 'seq'>): Promise<number | undefined> {
    for (let race = 0; race < RACES_MAX; race += 1) {
      const shown = await this.#setAside.shown(change);
      if (!shown) return undefined;
      const newSeq = await this.#commitNumbered(1, sizeOf(shown.row), (seq, appendedMs) => {
        this.#noteAgain(seq);
        return this.#setAside.pendingAgain(shown, seq, appendedMs);
      });
      if (newSeq === undefined) continue;
      this.#setAside.noteGone(1, sizeOf(shown.row));
      return newSeq;
    }
    throw new StorageError(
      'broken-invariant',
      `the change of ${change.key} that was set aside does not settle`,
    );
  }

  /** See SetAsideRows.unshow. */
  unshowSetAside(change: Pick<QuarantineRow, 'key' | 'seq'>, keep: boolean): Promise<boolean> {
    // What is only hidden is of a restored snapshot, and so is whatever of its key is older.
    const olderOf = (key: ObjectKey) => (keep ? Promise.resolve(undefined) : this.#lastPendingOf(key));
    return this.#setAside.unshow(change, keep, olderOf);
  }

  /** Looks through all that waits. */
  async #lastPendingOf(key: ObjectKey): Promise<PendingRow | undefined> {
    let last: PendingRow | undefined;
    for await (const row of walk(this.store, this.keys.key('journal'), this.keys.end('journal'))) {
      const entry = decodeEntry(row.value);
      if (entry.key === key) last = { ...row, entry };
    }
    return last;
  }

  /** Deletes rows of local keys that were last written before the time and are not kept. */
  async expireLocal(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number> {
    let expired = 0;
    for await (const entry of walk(this.store, this.keys.key('newest'), this.keys.end('newest'))) {
      const { key, value } = entry;
      const { key: name, row } = this.#table.newestOf(entry);
      if (row.state !== 'local' || row.appendedMs >= beforeMs || isKept(name)) continue;
      const writes = [{ key, value: undefined }, ...this.#bodies.discard(row.record?.body)];
      // Written meanwhile: then it is not old any more.
      if (await this.store.commit([{ key, value }], writes)) expired += 1;
    }
    return expired;
  }

  /** Key of a row that exists once per bucket. */
  single(name: string): Uint8Array {
    return this.#table.single(name);
  }

  async #write(
    changes: readonly Change[],
    bodies: readonly (PreparedBody | undefined)[],
    before: readonly NewestBefore[],
    options: AppendOptions,
  ): Promise<number | undefined> {
    /** Sizes of what was set aside and is written anew. */
    const released = new Map<string, number>();
    const preconditions = [
      ...(options.preconditions ?? []),
      ...before.map(({ key, value }) => ({ key, value })),
    ];
    const lastSeq = await this.#commitNumbered(
      changes.length,
      options.local ? undefined : bytesOf(changes),
      (firstSeq, appendedMs) => {
        const writes = this.#appendWrites(changes, bodies, before, {
          ...{ ...options, firstSeq, appendedMs, released },
        });
        if (released.size > 0) this.#noteAgain(firstSeq + changes.length - 1);
        return { preconditions, writes };
      },
    );
    if (lastSeq === undefined) return undefined;
    for (const bytes of released.values()) this.#setAside.noteGone(1, bytes);
    return lastSeq;
  }

  #appendWrites(
    changes: readonly Change[],
    bodies: readonly (PreparedBody | undefined)[],
    before: readonly NewestBefore[],
    options: AppendOptions & {
      readonly firstSeq: number;
      readonly appendedMs: number;
      /** Gets the keys of which a change that was set aside is replaced, and its size. */
      readonly released: Map<string, number>;
    },
  ): Write[] {
    const { firstSeq, appendedMs, released } = options;
    const writes: Write[] = [...(options.writes ?? [])];
    changes.forEach((change, i) => {
      const seq = firstSeq + i;
      const body = bodies[i];
      const record = change.kind === 'put' && body ? { ...change.object, body: body.ref } : undefined;
      writes.push(...(body?.writes ?? []));
      const { key, row: old } = before[i]!;
      if (old && old.state !== 'pending') writes.push(...this.#bodies.discard(old.record?.body));
      if (old?.state === 'quarantined') {
        writes.push({ key: this.#table.quarantineKey(change.key), value: undefined });
        released.set(change.key, sizeOf(old));
      }
      const state = options.local ? 'local' : 'pending';
      const isGone = options.local && !record && !options.hidesBase?.(change.key);
      writes.push({ key, value: isGone ? undefined : encodeNewest({ seq, appendedMs, state, record }) });
      if (!options.local)
        writes.push({
          key: this.#table.entryKey(seq),
          value: encodeEntry({ seq, key: change.key, appendedMs, record }),
        });
    });
    return writes;
  }

  /**
   * One durable commit that takes so many numbers; resolves with the last one, undefined where a precondition did not
   * hold. @param pendingBytes of the changes, where they wait for a commit
   */
  async #commitNumbered(
    count: number,
    pendingBytes: number | undefined,
    commitOf: (firstSeq: number, appendedMs: number) => { preconditions: Precondition[]; writes: Write[] },
  ): Promise<number | undefined> {
    // From here to commit() nothing is awaited: the store takes commits in the order of the calls, so that the
    // order of seqs is the order in which changes become durable.
    const firstSeq = this.#lastSeq + 1;
    const appendedMs = this.#times.stamp(firstSeq);
    const { preconditions, writes } = commitOf(firstSeq, appendedMs);
    this.#lastSeq += count;
    const lastSeq = this.#lastSeq;
    this.#inFlight.add(firstSeq);
    try {
      const numbered = [...writes, { key: this.single('seq'), value: packRow([lastSeq]) }];
      if (!(await this.store.commit(preconditions, numbered))) return undefined;
    } catch (error) {
      // A commit that was given up waiting for may be visible: nobody was told, but it is pending all the same.
      if (pendingBytes !== undefined && (await this.entry(lastSeq).catch(() => undefined)))
        this.#noteAppended(count, pendingBytes, firstSeq, appendedMs);
      throw error;
    } finally {
      this.#inFlight.delete(firstSeq);
    }
    if (pendingBytes !== undefined) this.#noteAppended(count, pendingBytes, firstSeq, appendedMs);
    return lastSeq;
  }

  #noteAgain(seq: number): void {
    this.#triedAgainUpToSeq = Math.max(this.#triedAgainUpToSeq, seq);
  }

  #noteAppended(count: number, bytes: number, firstSeq: number, appendedMs: number): void {
    if (count === 0) return;
    this.#pending += count;
    this.#pendingBytes += bytes;
    this.#lastPendingSeq = Math.max(this.#lastPendingSeq, firstSeq + count - 1);
    this.#oldest ??= { seq: firstSeq, appendedMs };
  }

  #noteGone(entries: readonly JournalEntry[]): void {
    this.#pending = Math.max(0, this.#pending - entries.length);
    const bytes = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    this.#pendingBytes = this.#pending === 0 ? 0 : Math.max(0, this.#pendingBytes - bytes);
  }

  async #prepare(change: Change): Promise<PreparedBody | undefined> {
    if (change.kind === 'delete') return undefined;
    const body = await this.#bodies.prepare(change.object.body);
    // Asserted before the write: a record that promises more bytes than its body has can never be read.
    if (body.sizeBytes !== change.object.sizeBytes)
      throw new StorageError(
        'broken-invariant',
        `${change.key} has ${change.object.sizeBytes} bytes and a body of ${body.sizeBytes}`,
      );
    return body;
  }

  async #dropRange(range: { first: number; last: number }, last: readonly Write[]): Promise<void> {
    const start = this.keys.key('journal', u64(range.first));
    const end = this.keys.key('journal', u64(range.last + 1));
    for (let race = 0; race < RACES_MAX;) {
      const page = await this.store.page(start, end, DROP_PAGE);
      const entries = page.map((row) => decodeEntry(row.value));
      for (const entry of entries) await this.#tellLanding(entry);
      const preconditions: Precondition[] = [];
      const writes: Write[] = page.map((row) => ({ key: row.key, value: undefined }));
      const newest = await Promise.all(entries.map((entry) => this.#table.newestRow(entry.key)));
      /** The last of each key of which a newer change was set aside. */
      const landed = new Map<ObjectKey, JournalEntry>();
      entries.forEach((entry, i) => {
        const { key, value, row } = newest[i]!;
        writes.push(...this.#bodies.discard(entry.record?.body));
        if (row?.state === 'quarantined') landed.set(entry.key, entry);
        if (row?.seq !== entry.seq) return;
        preconditions.push({ key, value });
        writes.push({ key, value: undefined });
      });
      for (const entry of landed.values()) await this.#setAside.rebase(entry, preconditions, writes);
      const isLast = page.length < DROP_PAGE;
      if (isLast) writes.push(...last);
      if (writes.length > 0 && !(await this.store.commit(preconditions, writes))) {
        race += 1;
        continue;
      }
      this.#noteGone(entries);
      if (isLast) return;
    }
    throw new StorageError('broken-invariant', `changes up to ${range.last} do not settle`);
  }

  async #tellLanding({ record }: JournalEntry): Promise<void> {
    if (!record || record.body.kind === 'plain') return;
    try {
      const body = await this.#bodies.open(record.body, record.sizeBytes);
      if (body.kind !== 'extents') return;
      for await (const { oid } of body.list.range(0, record.sizeBytes)) await this.onLanding(oid);
    } catch (error) {
      // What was committed leaves the journal all the same: only the time that its chunks stay here hangs on this.
      if (!(error instanceof StorageError)) throw error;
    }
  }

  async #settled(seqs: SeqSet): Promise<void> {
    // The limit is read first: what is appended while the journal is looked at has a higher seq.
    const closable = this.closableSeq;
    try {
      const [first] = await this.store.page(this.keys.key('journal'), prefixEnd(this.keys.key('journal')), 1);
      const oldest = first && decodeEntry(first.value);
      this.#oldest = oldest && { seq: oldest.seq, appendedMs: oldest.appendedMs };
      this.#floorSeq = Math.max(this.#floorSeq, Math.min(closable, (oldest?.seq ?? Infinity) - 1));
    } catch {
      // They have left the journal all the same, and whoever waits is told. The next that leave find out the rest.
      if (this.#pending === 0) this.#oldest = undefined;
    }
    this.onSettled(seqs, this.floorSeq);
  }
}

function bytesOf(changes: readonly Change[]): number {
  return changes.reduce((sum, change) => sum + (change.kind === 'put' ? change.object.sizeBytes : 0), 0);
}
