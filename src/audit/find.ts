/** Looks events up in the files, in order. It does not verify: verifyAudit() does. */
import { readLines } from './lines.js';
import type { AuditRecord } from './record.js';
import { listSegments } from './segments.js';

const DAY_MS = 86_400_000;

export interface AuditFilter {
  readonly sinceMs?: number;
  readonly who?: string;
  /** This action, or those below it: `image` finds `image.push`. */
  readonly action?: string;
}

/** Rejects with the system's error. Lines that are no JSON are passed over. */
export async function* findEvents(directory: string, filter: AuditFilter): AsyncGenerator<AuditRecord> {
  const { sinceMs, who, action } = filter;
  for (const segment of await listSegments(directory)) {
    if (sinceMs !== undefined && Date.parse(segment.day) + DAY_MS <= sinceMs) continue;
    for await (const { text, isWhole } of readLines(segment.path)) {
      if (!isWhole) continue;
      const record = parse(text);
      if (!record) continue;
      if (sinceMs !== undefined && Date.parse(record.time) < sinceMs) continue;
      if (who !== undefined && record.who !== who) continue;
      if (action !== undefined && record.action !== action && !record.action.startsWith(`${action}.`))
        continue;
      yield record;
    }
  }
}

function parse(text: string): AuditRecord | undefined {
  try {
    return JSON.parse(text) as AuditRecord;
  } catch {
    return undefined; // damaged: `audit verify` names it
  }
}
