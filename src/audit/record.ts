/**
 * One line of the audit log and the hash that chains it to the line before. docs/audit.md describes the canonical
 * form well enough to check a log without us; a test holds its example program to this file.
 */
import { hash as digestOf } from 'node:crypto';
import type { AuditEvent } from '../async/audit.js';
import { maskQuerySecrets } from '../async/secret-query.js';

/** What the first line of all names as the hash of the line before. */
export const GENESIS = '0'.repeat(64);

/** Longer texts are cut: a line stays small whatever a client sends as its name. */
const TEXT_CHARACTERS_MAX = 1024;
const DETAILS_MAX = 20;

type Detail = Readonly<Record<string, string | number | boolean>>;

export interface AuditRecord {
  /** 1, 2, 3, … without a gap over all files. */
  readonly seq: number;
  /** ISO 8601, UTC, milliseconds. */
  readonly time: string;
  /** Hash of the line before, 64 hexadecimal digits. */
  readonly prev: string;
  readonly who: string;
  readonly action: string;
  readonly subject: string;
  readonly from: string;
  readonly result: AuditEvent['result'];
  readonly requestId?: string;
  readonly detail?: Detail;
  readonly hash: string;
}

/** What is known before an event has its place in the chain. */
export type UnchainedRecord = Omit<AuditRecord, 'seq' | 'prev' | 'hash'>;

/** Cuts and cleans what was reported, so that every line can be written and read back byte by byte. */
export function cleanEvent(event: AuditEvent, nowMs: number): UnchainedRecord {
  const { requestId, detail } = event;
  return {
    time: new Date(nowMs).toISOString(),
    who: cleanText(event.who),
    action: cleanText(event.action),
    subject: cleanText(event.subject),
    from: cleanText(event.from),
    result: event.result,
    ...(requestId === undefined ? {} : { requestId: cleanText(requestId) }),
    ...(detail === undefined ? {} : { detail: cleanDetail(detail) }),
  };
}

/** Gives an event its place after the line whose number and hash are given. */
export function chain(record: UnchainedRecord, after: { readonly seq: number; readonly hash: string }) {
  const unhashed = { ...record, seq: after.seq + 1, prev: after.hash };
  return { ...unhashed, hash: hashOf(unhashed) } satisfies AuditRecord;
}

/**
 * SHA-256 over the UTF-8 bytes of the canonical form: a JSON array without blanks, its elements in a fixed order,
 * null where there is none, details as pairs in the order of their names.
 */
function hashOf(record: Omit<AuditRecord, 'hash'>): string {
  const { seq, time, prev, who, action, subject, from, result, requestId, detail } = record;
  const pairs = detail === undefined ? null : Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1));
  const canonical = [seq, time, prev, who, action, subject, from, result, requestId ?? null, pairs];
  return digestOf('sha256', JSON.stringify(canonical), 'hex');
}

/** The line with its end. The order of the fields is part of the format: there is one text for each record. */
export function encodeLine(record: AuditRecord): string {
  const { seq, time, prev, who, action, subject, from, result, requestId, detail, hash } = record;
  // JSON.stringify leaves out what is undefined.
  return `${JSON.stringify({ seq, time, prev, who, action, subject, from, result, requestId, detail, hash })}\n`;
}

/** The record of a line without its end, or what is wrong with the line by itself. */
export function decodeLine(line: string): AuditRecord | { readonly problem: string } {
  let record: AuditRecord;
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== 'object' || parsed === null) return { problem: 'is no JSON object' };
    record = parsed as AuditRecord;
  } catch {
    return { problem: 'is no JSON' };
  }
  if (typeof record.hash !== 'string' || record.hash !== safeHash(record))
    return { problem: 'does not have the hash that it says: it was changed' };
  // The hash covers the fields, this covers the text: nothing may stand in a line beside them.
  if (encodeLine(record) !== `${line}\n`) return { problem: 'is not written as the log writes it' };
  return record;
}

function safeHash(record: AuditRecord): string | undefined {
  try {
    return hashOf(record);
  } catch {
    return undefined; // a detail that is no object: hashed by nobody
  }
}

function cleanText(text: string): string {
  // A lone surrogate has no UTF-8 form, and a hash over bytes must have one.
  const wellFormed = maskQuerySecrets(text).replace(
    /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g,
    '\uFFFD',
  );
  if (wellFormed.length <= TEXT_CHARACTERS_MAX) return wellFormed;
  const cut = wellFormed.slice(0, TEXT_CHARACTERS_MAX).replace(/[\uD800-\uDBFF]$/, '');
  return `${cut}…`;
}

function cleanDetail(detail: Detail): Detail {
  const entries = Object.entries(detail)
    // JSON.parse would make it a prototype, not a field.
    .filter(([name]) => name !== '__proto__')
    .slice(0, DETAILS_MAX);
  return Object.fromEntries(entries.map(([name, value]) => [cleanText(name), cleanValue(value)]));
}

/** Whole numbers look the same in every language; others are kept as texts. */
function cleanValue(value: string | number | boolean): string | number | boolean {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'number' && (!Number.isSafeInteger(value) || Object.is(value, -0)))
    return String(value);
  return value;
}
