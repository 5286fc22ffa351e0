/**
 * Keeps invariant 1, "an acknowledged write is never lost": append() makes the change durable and visible in one
 * commit of the overlay, and only drop() and quarantine() take it out of the journal again.
 *
 * A change is named by its seq, which grows by one per change and is durable with it. Every change up to
 * `closableSeq` is durable or was never acknowledged, so that a batch that ends there misses none.
 * Who owns a body: its journal entry while it has one, then the newest row (local and quarantined changes).
 */
import { AppendTimes } from './append-times.js';
import type { AppendOptions, Change, SetAside } from './bucket-state.js';
import { LRUCache } from 'lru-cache';
import { StorageError } from '../index/errors.js';
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import { Semaphore } from '../async/semaphore.js';
import type { ObjectKey, Oid } from '../format/ids.js';
import { BodyStore, type PreparedBody } from '../index/body-store.js';
import { prefixEnd, sameBytes, u64, utf8 } from '../index/key-bytes.js';
import type { Entry, KeyValueStore, Precondition, Write } from '../index/key-value-store.js';
import { Keyspace } from '../index/keyspace.js';
import type { NewObject, ObjectRecord } from '../index/object-record.js';
import { packRow, unpackRow } from '../index/record-codec.js';
import { walk } from '../index/walk.js';
import {
  decodeEntry,
  decodeNewest,
  decodeQuarantine,
  encodeEntry,
  encodeNewest,
  encodeQuarantine,
  type JournalEntry,
  type NewestRow,
  type QuarantineRow,
} from './overlay-rows.js';
import { SeqSet } from './seq-set.js';

/** A commit loses its race against others at most so often: each time one of them has won. */
const RACES_MAX = 1000;
const DROP_PAGE = 300;
/** Whoever waits for a change asks soon after it has settled. */
const SET_ASIDE_MAX = 10_000;

export interface SetAsideReason {
  readonly code: string;
  readonly message: string;
  /**
   * ETag of what the base has at the key, see QuarantineRow; where an older change of the key lands later, drop() brings
   * it up to date.
   */
  readonly baseOf?: () => Promise<string | null>;
  /** It is set aside only as long as the change of this key is. */
  readonly restsOn?: ObjectKey;
}

export class Journal {
  readonly keys: Keyspace;
  readonly bodies: BodyStore;
  #lastSeq = 0;
  #floorSeq = 0;
  #pending = 0;
  #pendingBytes = 0;
  #quarantined = 0;
  #quarantinedBytes = 0;
  #oldest: { readonly seq: number; readonly appendedMs: number } | undefined;
  #lastPendingSeq = 0;
  #triedAgainUpToSeq = 0;
  /** Told of changes that are no longer pending; everything up to `floorSeq` is not. Must not throw. */
  onSettled: (seqs: SeqSet, floorSeq: number) => void = () => {};
  /** Told every chunk of a change before it leaves the journal because it has landed. Must not fail. */
  onLanding: (oid: Oid) => Promise<void> = async () => {};
  readonly #setAside = new LRUCache<number, SetAside>({ max: SET_ASIDE_MAX });
  /**
   * One at a time takes changes out. Who sets a change aside asks the base first, so that an older change of the key is
   * in it by then, or is dropped afterwards.
   */
  readonly #leaving = new Semaphore(1);
  /** Seqs that are being written, in order. */
  readonly #inFlight = new Set<number>();
  readonly #times: AppendTimes;

  private constructor(
    readonly store: KeyValueStore,
    bucket: string,
    private readonly deps: { clock: Clock; failpoints: Failpoints },
  ) {
    this.keys = Keyspace.overlay(bucket);
    this.bodies = new BodyStore(store, this.keys, deps.clock, 'o');
    this.#times = new AppendTimes(deps.clock);
  }

  /** Opens the journal of a bucket in the overlay store. */
  static async open(
    store: KeyValueStore,
    bucket: string,
    deps: { clock: Clock; failpoints: Failpoints },
  ): Promise<Journal> {
    const journal = new Journal(store, bucket, deps);
    const landedSeq = await journal.#number('landed');
    journal.#lastSeq = Math.max(await journal.#number('seq'), landedSeq);
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
    for await (const row of journal.quarantinedRows()) {
      journal.#quarantined += 1;
      journal.#quarantinedBytes += sizeOf(row);
    }
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

  /**
   * A pending change may rest on one that comes after it, up to this seq: what was set aside is tried again under a new
   * number, and what rests on it may have been written anew before.
   */
  get triedAgainUpToSeq(): number {
    return this.#triedAgainUpToSeq;
  }

  get pendingCount(): number {
    return this.#pending;
  }

  get quarantinedCount(): number {
    return this.#quarantined;
  }

  /** Bytes of the objects that pending changes write. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes of the objects that were set aside and not written anew since. */
  get quarantinedBytes(): number {
    return this.#quarantinedBytes;
  }

  /** When the oldest pending change was appended, steady milliseconds. */
  get oldestPendingSteadyMs(): number | undefined {
    return this.#oldest && this.#times.steadyMsOf(this.#oldest);
  }

  /** When the change of this row was appended, steady milliseconds. */
  steadyMsOf(row: { readonly seq: number; readonly appendedMs: number }): number {
    return this.#times.steadyMsOf(row);
  }

  /**
   * See BucketState.append. `hidesBase` says for a local key whether the base has it, so that its deletion must
   * leave a row behind.
   */
  async append(
    changes: readonly Change[],
    options: AppendOptions & { hidesBase?: (key: ObjectKey) => boolean } = {},
  ): Promise<number | undefined> {
    const bodies: (PreparedBody | undefined)[] = [];
    for (const change of changes) bodies.push(await this.#prepare(change));
    await this.deps.failpoints.hit('journal.beforeSync');
    for (let race = 0; race < RACES_MAX; race += 1) {
      const before = await Promise.all(changes.map((change) => this.#newestRow(change.key)));
      const lastSeq = await this.#write(changes, bodies, before, options);
      if (lastSeq !== undefined) {
        await this.deps.failpoints.hit('journal.afterSync');
        return lastSeq;
      }
      for (const { key, value } of options.preconditions ?? [])
        if (!sameBytes(await this.store.get(key), value)) return undefined;
      // Not the caller's conditions: one of the keys was dropped, quarantined or written meanwhile.
    }
    throw new StorageError(
      'broken-invariant',
      `an append lost ${RACES_MAX} races: the overlay does not settle`,
    );
  }

  async newest(key: string): Promise<NewestRow | undefined> {
    const value = await this.store.get(this.#newestKey(key));
    return value && decodeNewest(value);
  }

  async newestPage(
    start: Uint8Array,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; row: NewestRow }[]> {
    const from = this.keys.key('newest', start);
    const to = end ? this.keys.key('newest', end) : this.keys.end('newest');
    return (await this.store.page(from, to, limit)).map((entry) => this.#newestOf(entry));
  }

  async *newestRows(): AsyncGenerator<{ key: ObjectKey; row: NewestRow }> {
    const rows = walk(this.store, this.keys.key('newest'), this.keys.end('newest'));
    for await (const entry of rows) yield this.#newestOf(entry);
  }

  /** Pending changes between two seqs, in order. */
  async *entries(lastSeq: number, firstSeq = 0): AsyncGenerator<JournalEntry> {
    const start = this.keys.key('journal', u64(firstSeq));
    const end = this.keys.key('journal', u64(Math.min(lastSeq, Number.MAX_SAFE_INTEGER - 1) + 1));
    for await (const entry of walk(this.store, start, end)) yield decodeEntry(entry.value);
  }

  /** The pending change with this seq, as it is now. */
  async entry(seq: number): Promise<JournalEntry | undefined> {
    const value = await this.store.get(this.#entryKey(seq));
    return value && decodeEntry(value);
  }

  /** Whether this change was set aside in the life of this process, and how. */
  setAsideAs(seq: number): SetAside | undefined {
    return this.#setAside.get(seq);
  }

  /** True where a change of this key was set aside and none was written since. */
  async isSetAside(key: ObjectKey): Promise<boolean> {
    return (await this.store.get(this.keys.key('quarantine', utf8(key)))) !== undefined;
  }

  async *quarantinedRows(): AsyncGenerator<QuarantineRow> {
    const rows = walk(this.store, this.keys.key('quarantine'), this.keys.end('quarantine'));
    for await (const entry of rows) yield decodeQuarantine(entry.value);
  }

  /**
   * Gives a pending change another body with the same bytes (cut anew); the newest row follows where it is the
   * same change. Resolves with the entry as it is now, undefined where it is not pending any more.
   */
  async replaceBody(entry: JournalEntry, object: NewObject): Promise<JournalEntry | undefined> {
    const body = await this.bodies.prepare(object.body);
    const record: ObjectRecord = { ...object, body: body.ref };
    const at = this.#entryKey(entry.seq);
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(at);
      if (!stored) return undefined;
      const newest = await this.#newestRow(entry.key);
      const replaced = { ...entry, record };
      const writes: Write[] = [
        ...body.writes,
        { key: at, value: encodeEntry(replaced) },
        ...this.bodies.condemn(decodeEntry(stored).record?.body),
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
    return (await this.store.get(this.#entryKey(seq))) !== undefined;
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
    return this.#leaving.run(() => this.#quarantine(entry, reason, hide));
  }

  async #quarantine(entry: JournalEntry, reason: SetAsideReason, hide: boolean): Promise<boolean> {
    const { restsOn } = reason;
    const base = await reason.baseOf?.();
    const at = this.keys.key('quarantine', utf8(entry.key));
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(this.#entryKey(entry.seq));
      if (!stored) return false;
      const preconditions = restsOn === undefined ? [] : await this.#setAsideRows(restsOn);
      if (!preconditions) return false;
      const setAside = decodeEntry(stored);
      const { record } = setAside;
      const newest = await this.#newestRow(entry.key);
      const earlier = await this.store.get(at);
      const isNewest = newest.row?.seq === entry.seq;
      const writes: Write[] = [{ key: this.#entryKey(entry.seq), value: undefined }];
      if (isNewest) {
        const { code, message } = reason;
        const row = {
          code,
          message,
          base,
          key: entry.key,
          seq: entry.seq,
          sinceMs: this.deps.clock.nowMs(),
          record,
        };
        writes.push(
          { key: at, value: encodeQuarantine({ ...row, shown: !hide }) },
          {
            key: newest.key,
            value: hide ? undefined : encodeNewest({ ...newest.row, state: 'quarantined' }),
          },
          ...this.bodies.condemn(earlier && decodeQuarantine(earlier).record?.body),
        );
      } else writes.push(...this.bodies.condemn(record?.body));
      preconditions.push({ key: newest.key, value: newest.value }, { key: at, value: earlier });
      if (!(await this.store.commit(preconditions, writes))) continue;
      this.#noteGone([setAside]);
      this.#setAside.set(entry.seq, isNewest ? 'newest' : 'replaced');
      if (isNewest && !earlier) this.#quarantined += 1;
      if (isNewest)
        this.#quarantinedBytes += sizeOf(setAside) - (earlier ? sizeOf(decodeQuarantine(earlier)) : 0);
      await this.#settled(SeqSet.range(entry.seq, entry.seq));
      return true;
    }
    throw new StorageError('broken-invariant', `change ${entry.seq} does not settle`);
  }

  /** What was set aside of a key, if that is still its newest change here. */
  async setAsideRow(key: ObjectKey): Promise<QuarantineRow | undefined> {
    const value = await this.store.get(this.keys.key('quarantine', utf8(key)));
    return value && decodeQuarantine(value);
  }

  /**
   * Makes a change that was set aside pending again, as the newest of its key; resolves with its new seq, undefined
   * where it is not set aside any more, or not what readers see.
   */
  async retrySetAside({ key, seq }: Pick<QuarantineRow, 'key' | 'seq'>): Promise<number | undefined> {
    const at = this.keys.key('quarantine', utf8(key));
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(at);
      const row = stored && decodeQuarantine(stored);
      const newest = await this.#newestRow(key);
      if (row?.seq !== seq || !row.shown || newest.row?.seq !== seq) return undefined;
      const { record } = row;
      // Its body goes with it: the entry owns it from now on.
      const newSeq = await this.#commitNumbered(1, sizeOf(row), (seqNow, appendedMs) => {
        this.#triedAgainUpToSeq = Math.max(this.#triedAgainUpToSeq, seqNow);
        return {
          preconditions: [{ key: at, value: stored }, newest],
          writes: [
            { key: at, value: undefined },
            { key: newest.key, value: encodeNewest({ seq: seqNow, appendedMs, state: 'pending', record }) },
            { key: this.#entryKey(seqNow), value: encodeEntry({ seq: seqNow, key, appendedMs, record }) },
          ],
        };
      });
      if (newSeq === undefined) continue;
      this.#quarantined -= 1;
      this.#quarantinedBytes -= sizeOf(row);
      return newSeq;
    }
    throw new StorageError('broken-invariant', `the change of ${key} that was set aside does not settle`);
  }

  /**
   * Takes a change that was set aside out for good, or (`keep`) only out of what readers see: they see the branch from
   * now on. False where it is not set aside any more.
   */
  async unshowSetAside({ key, seq }: Pick<QuarantineRow, 'key' | 'seq'>, keep: boolean): Promise<boolean> {
    const at = this.keys.key('quarantine', utf8(key));
    for (let race = 0; race < RACES_MAX; race += 1) {
      const stored = await this.store.get(at);
      const row = stored && decodeQuarantine(stored);
      if (row?.seq !== seq) return false;
      const newest = await this.#newestRow(key);
      const writes: Write[] = [
        { key: at, value: keep ? encodeQuarantine({ ...row, shown: false }) : undefined },
      ];
      if (newest.row?.seq === seq) writes.push({ key: newest.key, value: undefined });
      if (!keep) writes.push(...this.bodies.condemn(row.record?.body));
      if (!(await this.store.commit([{ key: at, value: stored }, newest], writes))) continue;
      if (keep) return true;
      this.#quarantined -= 1;
      this.#quarantinedBytes -= sizeOf(row);
      return true;
    }
    throw new StorageError('broken-invariant', `the change of ${key} that was set aside does not settle`);
  }

  /** Deletes rows of local keys that were last written before the time and are not kept. */
  async expireLocal(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number> {
    let expired = 0;
    for await (const entry of walk(this.store, this.keys.key('newest'), this.keys.end('newest'))) {
      const { key, value } = entry;
      const { key: name, row } = this.#newestOf(entry);
      if (row.state !== 'local' || row.appendedMs >= beforeMs || isKept(name)) continue;
      const writes = [{ key, value: undefined }, ...this.bodies.condemn(row.record?.body)];
      // Written meanwhile: then it is not old any more.
      if (await this.store.commit([{ key, value }], writes)) expired += 1;
    }
    return expired;
  }

  /** Key of a row that exists once per bucket. */
  single(name: string): Uint8Array {
    return this.keys.key('single', utf8(name));
  }

  async #write(
    changes: readonly Change[],
    bodies: readonly (PreparedBody | undefined)[],
    before: readonly NewestBefore[],
    options: AppendOptions & { hidesBase?: (key: ObjectKey) => boolean },
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
      (firstSeq, appendedMs) => ({
        preconditions,
        writes: this.#appendWrites(changes, bodies, before, { ...options, firstSeq, appendedMs, released }),
      }),
    );
    if (lastSeq === undefined) return undefined;
    this.#quarantined -= released.size;
    for (const bytes of released.values()) this.#quarantinedBytes -= bytes;
    return lastSeq;
  }

  #appendWrites(
    changes: readonly Change[],
    bodies: readonly (PreparedBody | undefined)[],
    before: readonly NewestBefore[],
    options: AppendOptions & {
      readonly hidesBase?: (key: ObjectKey) => boolean;
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
      if (old && old.state !== 'pending') writes.push(...this.bodies.condemn(old.record?.body));
      if (old?.state === 'quarantined') {
        writes.push({ key: this.keys.key('quarantine', utf8(change.key)), value: undefined });
        released.set(change.key, sizeOf(old));
      }
      const state = options.local ? 'local' : 'pending';
      const isGone = options.local && !record && !options.hidesBase?.(change.key);
      writes.push({ key, value: isGone ? undefined : encodeNewest({ seq, appendedMs, state, record }) });
      if (!options.local)
        writes.push({
          key: this.#entryKey(seq),
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
    const body = await this.bodies.prepare(change.object.body);
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
      const newest = await Promise.all(entries.map((entry) => this.#newestRow(entry.key)));
      /** The last of each key of which a newer change was set aside. */
      const landed = new Map<ObjectKey, JournalEntry>();
      entries.forEach((entry, i) => {
        const { key, value, row } = newest[i]!;
        writes.push(...this.bodies.condemn(entry.record?.body));
        if (row?.state === 'quarantined') landed.set(entry.key, entry);
        if (row?.seq !== entry.seq) return;
        preconditions.push({ key, value });
        writes.push({ key, value: undefined });
      });
      for (const entry of landed.values()) await this.#rebase(entry, preconditions, writes);
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

  /** A change of ours that has landed is nobody else's: the newer one that was set aside may still be tried again. */
  async #rebase(
    { key, record }: JournalEntry,
    preconditions: Precondition[],
    writes: Write[],
  ): Promise<void> {
    const at = this.keys.key('quarantine', utf8(key));
    const value = await this.store.get(at);
    if (!value) return;
    preconditions.push({ key: at, value });
    writes.push({
      key: at,
      value: encodeQuarantine({ ...decodeQuarantine(value), base: record?.etag ?? null }),
    });
  }

  async #tellLanding({ record }: JournalEntry): Promise<void> {
    if (!record || record.body.kind === 'plain') return;
    try {
      const body = await this.bodies.open(record.body, record.sizeBytes);
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

  /** That nothing changes of what was set aside of a key; undefined where that is not its newest change. */
  async #setAsideRows(
    key: ObjectKey,
  ): Promise<{ key: Uint8Array; value: Uint8Array | undefined }[] | undefined> {
    const at = this.keys.key('quarantine', utf8(key));
    const newest = await this.#newestRow(key);
    const value = await this.store.get(at);
    if (!value || newest.row?.state === 'pending') return undefined;
    return [{ key: at, value }, newest];
  }

  async #newestRow(key: string): Promise<NewestBefore> {
    const at = this.#newestKey(key);
    const value = await this.store.get(at);
    return { key: at, value, row: value && decodeNewest(value) };
  }

  #newestOf(entry: Entry): { key: ObjectKey; row: NewestRow } {
    const key = Buffer.from(this.keys.rest('newest', entry.key)).toString('utf8') as ObjectKey;
    return { key, row: decodeNewest(entry.value) };
  }

  #newestKey(key: string): Uint8Array {
    return this.keys.key('newest', utf8(key));
  }

  #entryKey(seq: number): Uint8Array {
    return this.keys.key('journal', u64(seq));
  }

  async #number(name: string): Promise<number> {
    const row = await this.store.get(this.single(name));
    return row ? (unpackRow(row)[0] as number) : 0;
  }
}

function bytesOf(changes: readonly Change[]): number {
  return changes.reduce((sum, change) => sum + (change.kind === 'put' ? change.object.sizeBytes : 0), 0);
}

function sizeOf({ record }: { readonly record: ObjectRecord | undefined }): number {
  return record?.sizeBytes ?? 0;
}

interface NewestBefore {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
  readonly row: NewestRow | undefined;
}
