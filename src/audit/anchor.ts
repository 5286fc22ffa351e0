/**
 * Where the chain begins once old files are deleted. Written before they are; confirmed by an event in the chain
 * itself (`audit.retire`), so that an anchor that somebody else put there does not pass.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../disk/durable.js';
import { unlessMissing } from '../disk/failures.js';

const NAME = 'anchor.json';

export interface Anchor {
  /** Number of the first event that is kept. */
  readonly firstSeq: number;
  /** Hash of the last event that was deleted: what the first one that is kept names as `prev`. */
  readonly firstPrev: string;
}

/** undefined: nothing was ever deleted. @throws SyntaxError, TypeError where the file is damaged. */
export async function readAnchor(directory: string): Promise<Anchor | undefined> {
  const text = await unlessMissing(readFile(join(directory, NAME), 'utf8'));
  if (text === undefined) return undefined;
  const { firstSeq, firstPrev } = JSON.parse(text) as Partial<Anchor>;
  if (!Number.isSafeInteger(firstSeq) || typeof firstPrev !== 'string')
    throw new TypeError(`${NAME} does not say where the chain begins`);
  return { firstSeq: firstSeq!, firstPrev };
}

export async function writeAnchor(directory: string, anchor: Anchor): Promise<void> {
  await writeDurably(directory, NAME, `${JSON.stringify(anchor)}\n`);
}
