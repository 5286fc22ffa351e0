/**
 * Where the chain begins once old files are deleted. Written before they are; confirmed by an event in the chain
 * itself (`audit.retire`), so that an anchor that somebody else put there does not pass.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from './segments.js';

const NAME = 'anchor.json';

export interface Anchor {
  /** Number of the first event that is kept. */
  readonly firstSeq: number;
  /** Hash of the last event that was deleted: what the first one that is kept names as `prev`. */
  readonly firstPrev: string;
}

/** undefined: nothing was ever deleted. @throws SyntaxError, TypeError where the file is damaged. */
export async function readAnchor(directory: string): Promise<Anchor | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, NAME), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { firstSeq, firstPrev } = JSON.parse(text) as Partial<Anchor>;
  if (!Number.isSafeInteger(firstSeq) || typeof firstPrev !== 'string')
    throw new TypeError(`${NAME} does not say where the chain begins`);
  return { firstSeq: firstSeq!, firstPrev };
}

export async function writeAnchor(directory: string, anchor: Anchor): Promise<void> {
  const path = join(directory, NAME);
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(anchor)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  await syncDirectory(directory);
}
