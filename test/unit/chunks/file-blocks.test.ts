/** Attacks "an uploaded chunk is what it is called": blocks that are used again while a connection still has their bytes. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockPool } from '../../../src/chunks/block-pool.js';
import { fileBlocks } from '../../../src/chunks/file-blocks.js';
import { seededBytes } from '../../support/bytes.js';

const BLOCK_BYTES = 128 * 1024;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blocks-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** All that the pool has to give gets other bytes, as by the next readers. It stays below what it keeps. */
function useAgain(pool: BlockPool): void {
  const blocks = Array.from({ length: 8 }, () => pool.borrow(BLOCK_BYTES).fill(0xff));
  for (const block of blocks) pool.giveBack(block);
}

test.each([1, 1000, 64 * 1024 - 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 30_000])(
  'a piece that a connection takes without having sent it stays as it is: a file of %i bytes',
  async (sizeBytes) => {
    const pool = new BlockPool();
    const bytes = seededBytes('file', sizeBytes);
    await writeFile(join(directory, 'file'), bytes);
    const whole: Buffer[] = [];
    let taken: Uint8Array[] = [];
    for await (const piece of fileBlocks(join(directory, 'file'), BLOCK_BYTES, pool)) {
      useAgain(pool);
      // undici waits until a large piece is sent; of a small one it asks for more at once.
      if (piece.length === BLOCK_BYTES) whole.push(Buffer.from(piece));
      else taken = [...taken, piece];
    }
    useAgain(pool);
    expect(Buffer.concat([...whole, ...taken]).equals(bytes)).toBe(true);
  },
);

test('blocks that are sent are used again', async () => {
  const pool = new BlockPool();
  await writeFile(join(directory, 'file'), seededBytes('file', 8 * BLOCK_BYTES));
  const memories = new Set<ArrayBufferLike>();
  for await (const piece of fileBlocks(join(directory, 'file'), BLOCK_BYTES, pool))
    memories.add(piece.buffer);
  expect(memories.size).toBe(1);
});
