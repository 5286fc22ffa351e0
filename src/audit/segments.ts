/**
 * Files of the audit log: `2026-11-24.000000000001.jsonl`, the day in UTC and the number of the first event. So
 * their names in order are the chain in order.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface Segment {
  readonly name: string;
  readonly path: string;
  /** `2026-11-24` */
  readonly day: string;
  readonly firstSeq: number;
}

const NAME = /^(\d{4}-\d{2}-\d{2})\.(\d{12})\.jsonl$/;

export function segmentName(day: string, firstSeq: number): string {
  return `${day}.${String(firstSeq).padStart(12, '0')}.jsonl`;
}

/** By number, not by day: a clock that was set back must not turn the chain around. */
export async function listSegments(directory: string): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const name of await readdir(directory)) {
    const m = NAME.exec(name);
    if (m) segments.push({ name, path: join(directory, name), day: m[1]!, firstSeq: Number(m[2]) });
  }
  return segments.sort((a, b) => a.firstSeq - b.firstSeq);
}
