import { decodeLine } from './record.js';
import { readLines } from './lines.js';
import { listSegments, type Segment } from './segments.js';

const DAY_MS = 86_400_000;

export interface Retirement {
  readonly files: readonly Segment[];
  readonly firstSeq: number;
  readonly firstPrev: string;
}

/**
 * Which files are wholly older than the time, from the oldest on; never the last one, which may still be written.
 * @returns undefined where there are none.
 * @throws Error where the first file that stays does not begin with a good line: then nothing may be deleted.
 */
export async function planRetirement(directory: string, beforeMs: number): Promise<Retirement | undefined> {
  const segments = await listSegments(directory);
  const kept = segments.findIndex(
    (s, i) => i === segments.length - 1 || Date.parse(s.day) + DAY_MS > beforeMs,
  );
  const first = segments[kept];
  if (kept <= 0 || !first) return undefined;
  for await (const { text } of readLines(first.path)) {
    const record = decodeLine(text);
    if ('problem' in record) throw new Error(`${first.name}, line 1 ${record.problem}`);
    return { files: segments.slice(0, kept), firstSeq: record.seq, firstPrev: record.prev };
  }
  throw new Error(`${first.name} is empty`);
}
