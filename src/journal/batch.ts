/** A batch of changes on its way to one commit. */
import type { ObjectKey } from '../format/ids.js';
import type { BaseChange } from '../index/key-index.js';
import type { ChangeLog } from './change-log.js';
import type { JournalEntry } from './overlay-rows.js';
import { SeqSetBuilder, type SeqSet } from './seq-set.js';
import type { NetChange } from './tree-edit.js';

/** Extents of one batch, so that its edits fit into memory whatever the sizes of the objects. */
const BATCH_EXTENTS_MAX = 200_000;
/** Bytes of plain bodies of one batch, which are in memory until it has landed. */
const BATCH_PLAIN_BYTES_MAX = 64 * 1024 * 1024;
/** Pending changes that are looked at for one batch, where some stand aside. */
const LOOKED_AT_MAX = 20_000;

export interface Batch {
  readonly seqs: SeqSet;
  /** Once the batch has landed, every change up to here has landed or was set aside. */
  readonly floorSeq: number;
  readonly entries: number;
  /** The last change of every key within the batch. */
  readonly net: ReadonlyMap<ObjectKey, JournalEntry>;
  /** Its changes wait for each other: they land in one commit, or none of them does. */
  readonly isIndivisible?: true;
}

export interface ClosedBatch {
  /** undefined where there is nothing that may land. */
  readonly batch: Batch | undefined;
  /** Pending changes that were left out, as far as they were looked at. */
  readonly heldCount: number;
}

/**
 * Takes the oldest pending changes. One that stands aside is left out, with what was written to its key since; where
 * the order is strict, with everything after it.
 */
export async function closeBatch(
  journal: ChangeLog,
  maxEntries: number,
  order: { readonly isAside: (seq: number) => boolean; readonly isStrict: boolean },
): Promise<ClosedBatch> {
  const closable = journal.closableSeq;
  const batch = new BatchBuilder();
  const heldKeys = new Set<ObjectKey>();
  let floorSeq: number | undefined;
  let heldCount = 0;
  let lookedAt = 0;
  for await (const entry of journal.entries(closable)) {
    const isHeld = heldKeys.has(entry.key) || order.isAside(entry.seq);
    lookedAt += 1;
    if (isHeld) {
      heldCount += 1;
      heldKeys.add(entry.key);
      batch.leaveOut();
    }
    const isEnd = isHeld ? order.isStrict || lookedAt >= LOOKED_AT_MAX : !batch.hasRoomFor(entry, maxEntries);
    if (isHeld || isEnd) floorSeq ??= entry.seq - 1;
    if (isEnd) break;
    if (!isHeld) batch.add(entry);
  }
  return { batch: batch.build(floorSeq ?? closable), heldCount };
}

/** Of these changes those that are pending, as a batch; undefined where none is. */
export async function batchOf(
  journal: ChangeLog,
  seqs: SeqSet,
  floorSeq: number,
): Promise<Batch | undefined> {
  const batch = new BatchBuilder();
  for (const { first, last } of seqs.ranges()) {
    for await (const entry of journal.entries(last, first)) batch.add(entry);
    batch.leaveOut();
  }
  return batch.build(floorSeq);
}

/** Takes entries in the order of their seqs. */
export class BatchBuilder {
  readonly #net = new Map<ObjectKey, JournalEntry>();
  readonly #seqs = new SeqSetBuilder();
  #entries = 0;
  #extents = 0;
  #plainBytes = 0;

  /** False where the batch would have more entries, or need more memory, than one may. The first one always fits. */
  hasRoomFor(entry: JournalEntry, maxEntries: number): boolean {
    if (this.#entries === 0) return true;
    return (
      this.#entries < maxEntries &&
      this.#extents + extentsOf(entry) <= BATCH_EXTENTS_MAX &&
      this.#plainBytes + plainBytesOf(entry) <= BATCH_PLAIN_BYTES_MAX
    );
  }

  add(entry: JournalEntry): void {
    this.#seqs.add(entry.seq);
    this.#net.set(entry.key, entry);
    this.#entries += 1;
    this.#extents += extentsOf(entry);
    this.#plainBytes += plainBytesOf(entry);
  }

  has(key: ObjectKey): boolean {
    return this.#net.has(key);
  }

  /** Whether the object is there once the batch has landed, by what is in it. */
  writes(key: ObjectKey): boolean {
    return this.#net.get(key)?.record !== undefined;
  }

  /** An entry between the last one and the next is not in the batch. */
  leaveOut(): void {
    this.#seqs.leaveOut();
  }

  build(floorSeq: number): Batch | undefined {
    if (this.#entries === 0) return undefined;
    return { seqs: this.#seqs.build(), floorSeq, entries: this.#entries, net: this.#net };
  }
}

/** The batch as the tree sees it; opens every body once. */
export async function netChanges(journal: ChangeLog, batch: Batch): Promise<Map<ObjectKey, NetChange>> {
  const net = new Map<ObjectKey, NetChange>();
  for (const { key, record } of batch.net.values()) {
    const object = record && { record, body: await journal.openBody(record) };
    net.set(key, { key, object });
  }
  return net;
}

/** The batch as the base takes it. */
export function* baseChanges(net: ReadonlyMap<ObjectKey, NetChange>): Generator<BaseChange> {
  for (const { key, object } of net.values()) {
    if (!object) {
      yield { kind: 'delete', key };
      continue;
    }
    const { record, body } = object;
    yield {
      kind: 'put',
      key,
      object: {
        ...record,
        body:
          body.kind === 'plain' ? body : { kind: 'extents', extents: body.list.range(0, record.sizeBytes) },
      },
    };
  }
}

function plainBytesOf({ record }: JournalEntry): number {
  return record?.body.kind === 'plain' ? record.sizeBytes : 0;
}

function extentsOf({ record }: JournalEntry): number {
  if (record?.body.kind === 'extent-list') return record.body.count;
  return record?.body.kind === 'extents' ? record.body.extents.length : 0;
}
