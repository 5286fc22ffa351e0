/**
 * Finds the end of the chain after a kill or a power cut. What stands after the last good line is not thrown away
 * and not passed over in silence: it is put aside in a file of its own, and the log then records that.
 */
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory, syncFile } from '../disk/durable.js';
import { decodeLine, GENESIS, type AuditRecord } from './record.js';
import { listSegments, type Segment } from './segments.js';

export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
  /** The file to go on with; undefined: there is none. */
  readonly segment: Segment | undefined;
  readonly sizeBytes: number;
  readonly aside: readonly AsidePiece[];
}

interface AsidePiece {
  /** File that it was cut off from. */
  readonly from: string;
  /** File that has it now. */
  readonly to: string;
  readonly sizeBytes: number;
}

/** Leaves a directory whose last file ends with a whole, good line. Nobody else may write there. */
export async function recoverEnd(directory: string): Promise<ChainEnd> {
  const aside: AsidePiece[] = [];
  for (const segment of (await listSegments(directory)).reverse()) {
    const bytes = await readFile(segment.path);
    const end = goodEnd(bytes);
    if (end.sizeBytes < bytes.length) {
      const rest = bytes.subarray(end.sizeBytes);
      const to = await putAside(directory, segment, end.sizeBytes, rest);
      aside.push({ from: segment.name, to, sizeBytes: rest.length });
      await truncate(segment.path, end.sizeBytes);
      await syncFile(segment.path);
    }
    if (end.last) {
      const { seq, hash } = end.last;
      return { seq, hash, segment, sizeBytes: end.sizeBytes, aside };
    }
    // A file that was made and never got a line, or none that holds.
    await rm(segment.path);
    await syncDirectory(directory);
  }
  return { seq: 0, hash: GENESIS, segment: undefined, sizeBytes: 0, aside };
}

/** Bytes up to the end of the last line that is good by itself. Only the tail is looked at: lines behind are old. */
function goodEnd(bytes: Buffer): { sizeBytes: number; last: AuditRecord | undefined } {
  let end = bytes.lastIndexOf(0x0a);
  while (end >= 0) {
    const start = end === 0 ? 0 : bytes.lastIndexOf(0x0a, end - 1) + 1;
    const record = decodeLine(bytes.toString('utf8', start, end));
    if (!('problem' in record)) return { sizeBytes: end + 1, last: record };
    end = start - 1;
  }
  return { sizeBytes: 0, last: undefined };
}

async function putAside(directory: string, segment: Segment, at: number, rest: Buffer): Promise<string> {
  const name = `${segment.name}.cut-at-${at}`;
  const path = join(directory, name);
  await writeFile(path, rest, { mode: 0o600 });
  await syncFile(path);
  await syncDirectory(directory);
  return name;
}
