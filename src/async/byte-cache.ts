/**
 * Keeps invariant 5 for what is kept in memory by its size: the bound is what the process takes, not what is
 * counted. `Buffer.from` and `Buffer.concat` cut what is below 4 KiB out of slabs of 8 KiB that all of the process
 * shares, and a piece of a stream is a view of what was read at once: one small entry then keeps a whole slab alive.
 */
import { LRUCache } from 'lru-cache';

/**
 * What an entry takes beside its bytes, measured with Node 20 and keys of 40 characters: the allocation's own header,
 * ArrayBuffer and Buffer objects, key, and the places in the table.
 */
export const ENTRY_OVERHEAD_BYTES = 640;

/** The bytes in an allocation of their own. For everything that is kept longer than the call that made it. */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** Bytes by name, the ones used last; together they take at most so many bytes of the process's memory. */
export class ByteCache {
  readonly #entries: LRUCache<string, Buffer>;

  constructor(maxBytes: number) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      // eslint-disable-next-line no-restricted-syntax -- the one place that counts memory
      sizeCalculation: (bytes, key) => bytes.length + 2 * Math.max(0, key.length - 40) + ENTRY_OVERHEAD_BYTES,
    });
  }

  /** What the entries take together. */
  get heldBytes(): number {
    return this.#entries.calculatedSize;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The cache's own bytes: they must not be changed. */
  get(key: string): Buffer | undefined {
    return this.#entries.get(key);
  }

  /** Keeps a copy; what is larger than the whole cache is not kept. */
  set(key: string, bytes: Uint8Array): void {
    if (bytes.length + ENTRY_OVERHEAD_BYTES > this.#entries.maxSize) return;
    this.#entries.set(key, ownBytes(bytes));
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
