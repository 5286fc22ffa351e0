import { open } from 'node:fs/promises';
import { readInto } from '../disk/durable.js';
import type { BlockPool } from './block-pool.js';

/**
 * The bytes of a file in blocks of this size, each lent until the next one is asked for. But a shorter one, at the end,
 * is the reader's: a connection asks for more than a small piece before the system has it. Whoever ends the walk early
 * may still have the last one, too: it is not used again.
 */
export async function* fileBlocks(
  path: string,
  blockBytes: number,
  blocks: BlockPool,
): AsyncGenerator<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    for (let at = 0; ;) {
      const block = blocks.borrow(blockBytes);
      const bytes = await readInto(block, handle, at);
      if (bytes.length > 0) yield bytes;
      if (bytes.length === 0 || bytes.length === blockBytes) blocks.giveBack(block);
      at += bytes.length;
      if (bytes.length < blockBytes) return;
    }
  } finally {
    await handle.close();
  }
}
