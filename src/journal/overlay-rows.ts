/** Rows of the overlay: the newest change of a key, the change that waits for a commit, the change that was refused. */
import type { ObjectKey } from '../format/ids.js';
import type { ObjectRecord } from '../index/object-record.js';
import {
  packRow,
  recordFromTuple,
  recordToTuple,
  unpackRow,
  type RecordTuple,
} from '../index/record-codec.js';
import { StorageError } from '../index/errors.js';

const ROW_VERSION = 1;
const STATES = ['pending', 'quarantined', 'local'] as const;

/** The newest change of a key; `record` undefined: the key is deleted. */
export interface NewestRow {
  readonly seq: number;
  readonly appendedMs: number;
  readonly state: (typeof STATES)[number];
  readonly record: ObjectRecord | undefined;
}

/** A change that waits for a commit. Its body is freed with it, unless the newest row still names it. */
export interface JournalEntry {
  readonly seq: number;
  readonly key: ObjectKey;
  readonly appendedMs: number;
  /** undefined: a deletion. */
  readonly record: ObjectRecord | undefined;
}

/** A change that can't land as it is. */
export interface QuarantineRow {
  readonly key: ObjectKey;
  readonly seq: number;
  readonly sinceMs: number;
  readonly code: string;
  readonly message: string;
  /** The change is what readers see; otherwise it is kept for the operator only. */
  readonly shown: boolean;
  readonly record: ObjectRecord | undefined;
  /**
   * ETag of what the branch had at the key then, or has since an older change of ours has landed; null: nothing;
   * undefined: not known (rows of earlier versions).
   */
  readonly base: string | null | undefined;
}

/** Bytes of the object that a change writes; 0 for a deletion. */
export function sizeOf({ record }: { readonly record: ObjectRecord | undefined }): number {
  return record?.sizeBytes ?? 0;
}

export function encodeNewest(row: NewestRow): Uint8Array {
  return packRow([
    ROW_VERSION,
    row.seq,
    row.appendedMs,
    STATES.indexOf(row.state),
    row.record && recordToTuple(row.record),
  ]);
}

export function decodeNewest(bytes: Uint8Array): NewestRow {
  const [, seq, appendedMs, state, record] = versioned(bytes);
  const name = STATES[state as number];
  if (!name) throw new StorageError('corrupt', `an overlay row has state ${String(state)}`);
  return { seq: seq as number, appendedMs: appendedMs as number, state: name, record: recordOf(record) };
}

export function encodeEntry(entry: JournalEntry): Uint8Array {
  return packRow([
    ROW_VERSION,
    entry.seq,
    entry.key,
    entry.appendedMs,
    entry.record && recordToTuple(entry.record),
  ]);
}

export function decodeEntry(bytes: Uint8Array): JournalEntry {
  const [, seq, key, appendedMs, record] = versioned(bytes);
  return {
    seq: seq as number,
    key: key as ObjectKey,
    appendedMs: appendedMs as number,
    record: recordOf(record),
  };
}

export function encodeQuarantine(row: QuarantineRow): Uint8Array {
  return packRow([
    ROW_VERSION,
    row.key,
    row.seq,
    row.sinceMs,
    row.code,
    row.message,
    row.shown,
    row.record && recordToTuple(row.record),
    row.base ?? (row.base === null ? false : undefined),
  ]);
}

export function decodeQuarantine(bytes: Uint8Array): QuarantineRow {
  const [, key, seq, sinceMs, code, message, shown, record, base] = versioned(bytes);
  return {
    key: key as ObjectKey,
    seq: seq as number,
    sinceMs: sinceMs as number,
    code: code as string,
    message: message as string,
    shown: shown as boolean,
    record: recordOf(record),
    base: base === false ? null : typeof base === 'string' ? base : undefined,
  };
}

function versioned(bytes: Uint8Array): unknown[] {
  const row = unpackRow(bytes);
  if (row[0] !== ROW_VERSION)
    throw new StorageError('corrupt', `an overlay row has version ${String(row[0])}, this gateway knows 1`);
  return row;
}

function recordOf(tuple: unknown): ObjectRecord | undefined {
  return tuple ? recordFromTuple(tuple as RecordTuple) : undefined;
}
