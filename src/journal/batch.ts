/** A batch of changes on its way to one commit. */
import type { ObjectKey } from '../format/ids.js';
import type { BaseChange } from '../index/key-index.js';
import type { Journal } from './journal.js';
import type { JournalEntry } from './overlay-rows.js';
import type { NetChange } from './tree-edit.js';

/** Extents of one batch, so that its edits fit into memory whatever the sizes of the objects. */
const BATCH_EXTENTS_MAX = 200_000;
/** Bytes of plain bodies of one batch, which are in memory until it has landed. */
const BATCH_PLAIN_BYTES_MAX = 64 * 1024 * 1024;

export interface Batch {
  readonly firstSeq: number;
  /** Everything up to here is in the batch, or needs no commit. */
  readonly lastSeq: number;
  readonly entries: number;
  /** The last change of every key within the batch. */
  readonly net: ReadonlyMap<ObjectKey, JournalEntry>;
}

/** Takes the oldest pending changes, or undefined where there are none. */
export async function closeBatch(journal: Journal, maxEntries: number): Promise<Batch | undefined> {
  const closable = journal.closableSeq;
  const net = new Map<ObjectKey, JournalEntry>();
  let firstSeq: number | undefined;
  let lastSeq = closable;
  let entries = 0;
  let extents = 0;
  let plainBytes = 0;
  for await (const entry of journal.entries(closable)) {
    extents += extentsOf(entry);
    plainBytes += entry.record?.body.kind === 'plain' ? entry.record.sizeBytes : 0;
    const isHeavy = extents > BATCH_EXTENTS_MAX || plainBytes > BATCH_PLAIN_BYTES_MAX;
    if (entries >= maxEntries || (entries > 0 && isHeavy)) {
      lastSeq = entry.seq - 1;
      break;
    }
    firstSeq ??= entry.seq;
    net.set(entry.key, entry);
    entries += 1;
  }
  return firstSeq === undefined ? undefined : { firstSeq, lastSeq, entries, net };
}

/** The batch as the tree sees it; opens every body once. */
export async function netChanges(journal: Journal, batch: Batch): Promise<Map<ObjectKey, NetChange>> {
  const net = new Map<ObjectKey, NetChange>();
  for (const { key, record } of batch.net.values()) {
    const object = record && { record, body: await journal.bodies.open(record.body, record.sizeBytes) };
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

function extentsOf({ record }: JournalEntry): number {
  if (record?.body.kind === 'extent-list') return record.body.count;
  return record?.body.kind === 'extents' ? record.body.extents.length : 0;
}
