/**
 * What of a registry's journal may land now. A batch is a set of changes, not a prefix of the log: a change whose
 * chunks are not on Gitee yet is left for a later one, together with what rests on it (rests-on.ts) and with later
 * changes of the same keys; everything else lands in the log's order. So a small push does not wait for a big one,
 * and yet every commit is closed: invariant 4. What can't be looked at is no exception: what waits for it waits. If
 * nothing could land for that alone, the look goes on farther; and changes that wait for each other land together.
 */
import type { ChunksApi } from '../chunks/api.js';
import type { Chunk } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { BatchBuilder, type Batch } from './batch.js';
import type { ChangeLog } from './change-log.js';
import { ChangeFailed } from './committed-form.js';
import type { JournalEntry } from './overlay-rows.js';
import type { Base, Closure, RestsOn } from './rests-on.js';
import { StillNamed } from './still-named.js';

/** See SelectionSource. */
const LOOKED_AT_MAX = 20_000;

/** Why a change can't land yet. There may be very many: no record is kept of those that have nothing to be sent. */
interface Held {
  readonly unsent: JournalEntry | undefined;
  /** Changes that it waits for. */
  readonly behind: readonly number[];
  /** It waits for all before it, too. */
  readonly isBehindAll: boolean;
}

/** A change that rests on one that was set aside: it can never land before that does. */
export interface Doomed {
  readonly entry: JournalEntry;
  readonly key: ObjectKey;
}

export interface SelectionSource {
  readonly journal: ChangeLog;
  readonly chunks: Pick<ChunksApi, 'isUnsent'>;
  readonly closure: Closure;
  /** The branch as we know it. */
  readonly base: Base;
  /** Stands aside at the moment: it is not tried, nor is anything sent for it. */
  readonly isAside: (seq: number) => boolean;
  /**
   * Pending changes that are looked at in one go (20,000); what is behind them waits until some of these landed. More
   * only where all of them wait for what comes later.
   */
  readonly lookedAtMax?: number | undefined;
}

export class Selection {
  private constructor(
    private readonly source: SelectionSource,
    /** Everything that may land, in the log's order, up to the bounds of a batch. */
    readonly batch: Batch | undefined,
    private readonly held: ReadonlyMap<number, Held>,
    readonly doomed: readonly Doomed[],
    /** More could land than a batch may have. */
    readonly isFull: boolean,
    /** Some change is held for itself, not only for others: that ends. */
    private readonly hasCause: boolean,
    private readonly lookedAtUpTo: number,
  ) {}

  static async of(source: SelectionSource, maxEntries: number): Promise<Selection> {
    let lookedAtMax = source.lookedAtMax ?? LOOKED_AT_MAX;
    for (; ; lookedAtMax *= 2) {
      const selection = await Selection.#of(source, maxEntries, lookedAtMax);
      // Each waits for others, and none for something that will end by itself.
      const isStuck = selection.held.size > 0 && !selection.batch && !selection.hasCause;
      if (!isStuck) return selection;
      const together = selection.#waitingForEachOther();
      if (together.at(-1)! <= selection.lookedAtUpTo) return selection.#with(together);
    }
  }

  static async #of(source: SelectionSource, maxEntries: number, lookedAtMax: number): Promise<Selection> {
    const { journal } = source;
    /** Changes before it may have to wait for later ones; it may grow meanwhile. */
    const laterUpTo = () => journal.triedAgainUpToSeq;
    const closable = journal.closableSeq;
    const batch = new BatchBuilder();
    const held = new Map<number, Held>();
    /** The last held change of each key. */
    const heldKeys = new Map<ObjectKey, number>();
    const doomed: Doomed[] = [];
    let floorSeq: number | undefined;
    let lookedAt = 0;
    let lookedAtUpTo = closable;
    let isFull = false;
    let hasCause = false;
    const named = new StillNamed(source, laterUpTo, (tag) => batch.has(tag));
    for await (const entry of journal.entries(closable)) {
      lookedAt += 1;
      if (lookedAt > lookedAtMax) {
        lookedAtUpTo = entry.seq - 1;
        floorSeq ??= lookedAtUpTo;
        break;
      }
      const mayBeBehindLater = () => entry.seq < laterUpTo();
      const isDoubtful = held.size > 0 || journal.quarantinedCount > 0 || mayBeBehindLater();
      let looked = await lookAt(source, entry, isDoubtful, named);
      // While it was looked at, something that had been set aside was tried again, or written anew.
      if (!isDoubtful && mayBeBehindLater()) looked = await lookAt(source, entry, true, named);
      const { restsOn, isUnsent, namedUntil } = looked;
      const keys = typeof restsOn === 'string' ? [] : restsOn;
      const before = seqsOf(heldKeys, [entry.key, ...keys]);
      const isHeldKey = (key: ObjectKey) => heldKeys.has(key);
      const { later, gone } = mayBeBehindLater()
        ? await laterOf(source, entry, keys, batch, isHeldKey)
        : NO_LATER;
      const refused = looked.refused ?? gone;
      if (refused !== undefined) doomed.push({ entry, key: refused });
      const behind = [...before, ...later, ...namedUntil];
      const isBehindAll = restsOn === 'everything';
      const isHeldForItself = refused !== undefined || isUnsent || restsOn === 'unknown';
      // What stands behind an append that is being written can be looked at before long.
      hasCause ||= isHeldForItself || behind.some((seq) => seq > closable);
      const mayLand = !isHeldForItself && behind.length === 0 && !(isBehindAll && held.size > 0);
      isFull ||= mayLand && !batch.hasRoomFor(entry, maxEntries);
      if (mayLand && !isFull) {
        batch.add(entry);
        continue;
      }
      // What came too late for this batch is held too: what rests on it must not be in it either.
      held.set(entry.seq, { unsent: isUnsent ? entry : undefined, behind, isBehindAll });
      heldKeys.set(entry.key, entry.seq);
      floorSeq ??= entry.seq - 1;
      batch.leaveOut();
    }
    const built = batch.build(floorSeq ?? closable);
    return new Selection(source, built, held, doomed, isFull, hasCause, lookedAtUpTo);
  }

  /** The oldest held change, all that it waits for, and so on; in order. It may go beyond what was looked at. */
  #waitingForEachOther(): number[] {
    const [oldest] = this.heldSeqs;
    let seqs = new Set([oldest!]);
    for (;;) {
      const { reached, allBefore } = this.#reachedFrom(seqs);
      for (const seq of this.held.keys()) if (seq < allBefore) reached.add(seq);
      if (reached.size === seqs.size) return [...seqs].sort((a, b) => a - b);
      seqs = reached;
    }
  }

  /**
   * This selection with exactly these held changes as its batch, whatever the bounds of one: they are closed, and no
   * part of them is. They were looked at, so that memory has its bound by that.
   */
  async #with(seqs: readonly number[]): Promise<Selection> {
    const { doomed, hasCause, isFull, lookedAtUpTo, source } = this;
    const batch = new BatchBuilder();
    const held = new Map(this.held);
    const together = new Set(seqs);
    for (const seq of this.held.keys()) {
      if (!together.has(seq)) {
        batch.leaveOut();
        continue;
      }
      const entry = await source.journal.entry(seq);
      // Taken out while this looked at it: then they may not wait for each other any more.
      if (!entry) return this;
      held.delete(seq);
      batch.add(entry);
    }
    const [firstHeld] = held.keys();
    const built = batch.build(firstHeld === undefined ? lookedAtUpTo : firstHeld - 1);
    const whole = built && { ...built, isIndivisible: true as const };
    return new Selection(source, whole, held, doomed, isFull, hasCause, lookedAtUpTo);
  }

  /** Held changes, oldest first. */
  get heldSeqs(): readonly number[] {
    return [...this.held.keys()];
  }

  isHeld(seq: number): boolean {
    return this.held.has(seq);
  }

  /**
   * Unsent chunks of these held changes and of all that they wait for, oldest change first, and whose they are. So
   * many changes and chunks at most.
   */
  async closureOf(
    seqs: Iterable<number>,
    max: { readonly changes: number; readonly chunks: number },
  ): Promise<{ seqs: number[]; chunks: Chunk[] }> {
    const { reached, allBefore } = this.#reachedFrom(seqs);
    for (const seq of this.held.keys()) if (seq < allBefore) reached.add(seq);
    const chunks = new Map<string, Chunk>();
    const sent: number[] = [];
    for (const seq of [...reached].sort((a, b) => a - b)) {
      const entry = this.held.get(seq)?.unsent;
      if (!entry) continue;
      if (sent.length >= max.changes || chunks.size >= max.chunks) break;
      sent.push(seq);
      for await (const chunk of unsentOf(this.source, entry)) {
        chunks.set(chunk.oid, chunk);
        if (chunks.size >= max.chunks) break;
      }
    }
    return { seqs: sent, chunks: [...chunks.values()] };
  }

  /** True where the batch has the change, or one that it waits for. */
  isServedByBatch(seq: number): boolean {
    const { batch } = this;
    if (!batch) return false;
    for (const each of this.#reachedFrom([seq]).reached) if (batch.seqs.has(each)) return true;
    return false;
  }

  /** These changes and all that the held ones among them wait for; `allBefore`: all before this one too. */
  #reachedFrom(seqs: Iterable<number>): { reached: Set<number>; allBefore: number } {
    const reached = new Set<number>();
    let allBefore = 0;
    const open = [...seqs];
    for (let seq = open.pop(); seq !== undefined; seq = open.pop()) {
      if (reached.has(seq)) continue;
      reached.add(seq);
      const held = this.held.get(seq);
      if (held?.isBehindAll) allBefore = Math.max(allBefore, seq);
      open.push(...(held?.behind ?? []));
    }
    return { reached, allBefore };
  }
}

interface Looked {
  readonly restsOn: RestsOn;
  /** What it rests on, and was set aside. */
  readonly refused: ObjectKey | undefined;
  readonly isUnsent: boolean;
  /** Of a deletion: changes by which the branch stops to name the key. */
  readonly namedUntil: readonly number[];
}
const UNKNOWN: Looked = { restsOn: 'unknown', refused: undefined, isUnsent: false, namedUntil: [] };

/** @throws ChangeFailed where it can't be looked at: that must hold up nobody else for ever. */
async function lookAt(
  source: SelectionSource,
  entry: JournalEntry,
  isDoubtful: boolean,
  named: StillNamed,
): Promise<Looked> {
  // What failed at it a moment ago is not looked at again so soon.
  if (source.isAside(entry.seq)) return UNKNOWN;
  try {
    if (!entry.record && isDoubtful) {
      const { by, until } = await named.find(entry);
      return by === 'unknown'
        ? UNKNOWN
        : { ...UNKNOWN, restsOn: 'everything', refused: by, namedUntil: until };
    }
    const restsOn = await source.closure.of(entry, isDoubtful);
    const refused = typeof restsOn === 'string' ? undefined : await firstRefused(source, restsOn);
    const isUnsent = refused === undefined && (await hasUnsent(source, entry));
    return { restsOn, refused, isUnsent, namedUntil: [] };
  } catch (error) {
    throw ChangeFailed.at(entry, error);
  }
}

function seqsOf(heldKeys: ReadonlyMap<ObjectKey, number>, keys: readonly ObjectKey[]): number[] {
  return keys.flatMap((key) => heldKeys.get(key) ?? []);
}

interface Later {
  /** Changes after this one that write what it rests on. */
  readonly later: readonly number[];
  /** Of what it rests on, what does not come any more. */
  readonly gone: ObjectKey | undefined;
}
const NO_LATER: Later = { later: [], gone: undefined };

/**
 * What comes of what a change rests on, if neither the branch nor the batch has it. What was set aside is tried again as
 * the newest of its key, behind a tag that had been pushed again before. And what was refused is not set aside but leaves
 * the log where a newer change of its key replaces it: if that one is a deletion, nothing writes it any more.
 */
async function laterOf(
  { base, journal }: SelectionSource,
  { seq }: JournalEntry,
  keys: readonly ObjectKey[],
  batch: BatchBuilder,
  isHeldKey: (key: ObjectKey) => boolean,
): Promise<Later> {
  const later: number[] = [];
  let gone: ObjectKey | undefined;
  for (const key of keys) {
    if (batch.writes(key)) continue;
    const row = await journal.newest(key);
    if (row?.state !== 'pending' || row.seq < seq) continue;
    // What the batch deletes is not there after it. Asked for last: what has landed meanwhile is there.
    if (!batch.has(key) && (await base.get(key))) continue;
    if (row.record) later.push(row.seq);
    else if (!isHeldKey(key)) gone ??= key;
  }
  return { later, gone };
}

/** Those of the changes that rest on what was set aside. */
export async function doomedOf(source: SelectionSource, entries: Iterable<JournalEntry>): Promise<Doomed[]> {
  const doomed: Doomed[] = [];
  if (source.journal.quarantinedCount === 0) return doomed;
  const named = new StillNamed(
    source,
    () => 0,
    () => false,
  );
  for (const entry of entries) {
    const { refused: key } = await lookAt(source, entry, true, named);
    if (key !== undefined) doomed.push({ entry, key });
  }
  return doomed;
}

/** The first of the keys whose newest change was set aside, where the branch has no earlier one to stand for it. */
async function firstRefused(
  { journal, base }: SelectionSource,
  keys: readonly ObjectKey[],
): Promise<ObjectKey | undefined> {
  if (journal.quarantinedCount === 0) return undefined;
  for (const key of keys) {
    if (!(await journal.isSetAside(key))) continue;
    if ((await journal.newest(key))?.state !== 'pending' && !(await base.get(key))) return key;
  }
  return undefined;
}

async function hasUnsent(source: SelectionSource, entry: JournalEntry): Promise<boolean> {
  for await (const _ of unsentOf(source, entry)) return true;
  return false;
}

async function* unsentOf(
  { journal, chunks }: SelectionSource,
  { record }: JournalEntry,
): AsyncGenerator<Chunk> {
  if (!record || record.body.kind === 'plain') return;
  const body = await journal.openBody(record);
  if (body.kind === 'plain') return;
  for await (const { oid, chunkLengthBytes, volume } of body.list.range(0, record.sizeBytes))
    if (chunks.isUnsent(oid)) yield { oid, sizeBytes: chunkLengthBytes, volume };
}
