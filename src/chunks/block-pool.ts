/**
 * Invariant 5. Memory is bounded: what lies here unused is at most FREE_BLOCKS_MAX blocks, over all buckets.
 *
 * Buffers for reads of large bodies, used again. V8 counts each buffer that is made, and looks through its whole heap
 * for each 64 MiB of them that come and go, which was most of what a large read took.
 *
 * Whoever borrows a block may keep it: then it is collected as any other buffer, and only costs what it did. It may be
 * given back once nobody reads it or writes from it any more, the system included: the next one to borrow it writes
 * into it.
 */

/** Bytes of a block; what is read or hashed at once. */
export const BLOCK_BYTES = 512 * 1024;
/** Below it a block of its own would be mostly empty. */
const WORTH_A_BLOCK_BYTES = 128 * 1024;
/** Those that are on their way to clients are not among them. */
const FREE_BLOCKS_MAX = 16;

export class BlockPool {
  readonly #free: ArrayBufferLike[] = [];
  /** By the very view that was lent: one that was given back stands for nothing, whoever has its memory next. */
  readonly #lent = new WeakMap<Uint8Array, ArrayBufferLike>();

  /** So many bytes of any content, which nobody else has. */
  borrow(lengthBytes: number): Buffer {
    // Not from Node's pool either: a slow reader would keep the whole slab alive for a few bytes.
    if (lengthBytes < WORTH_A_BLOCK_BYTES || lengthBytes > BLOCK_BYTES)
      return Buffer.allocUnsafeSlow(lengthBytes);
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES).buffer;
    const block = Buffer.from(memory, 0, lengthBytes);
    this.#lent.set(block, memory);
    return block;
  }

  /** For the next one. What was not borrowed here, or was given back before, is passed over. */
  giveBack(block: Uint8Array): void {
    const memory = this.#lent.get(block);
    if (!memory) return;
    this.#lent.delete(block);
    if (this.#free.length < FREE_BLOCKS_MAX) this.#free.push(memory);
  }
}
