import type { Extent } from '../format/extent.js';
import { StorageError } from './errors.js';
import { unpackExtents } from './extent-codec.js';
import { nextKey, readU64, u64 } from './key-bytes.js';
import type { KeyValueStore } from './key-value-store.js';
import type { Keyspace } from './keyspace.js';
import type { ExtentList } from './object-record.js';

/** A short list that stands in the record itself. */
export class InlineExtentList implements ExtentList {
  readonly sizeBytes: number;

  constructor(private readonly extents: readonly Extent[]) {
    this.sizeBytes = extents.reduce((sum, extent) => sum + extent.lengthBytes, 0);
  }

  get count(): number {
    return this.extents.length;
  }

  async *range(startBytes: number, endBytes: number): AsyncGenerator<Extent> {
    yield* clipped(this.extents, 0, startBytes, endBytes);
  }
}

/**
 * A list in pages, each under the offset of its first byte, so that a read of the last bytes of a huge object
 * seeks instead of walking. Holds one page in memory.
 */
export class PagedExtentList implements ExtentList {
  constructor(
    private readonly store: KeyValueStore,
    private readonly keys: Keyspace,
    private readonly id: Uint8Array,
    readonly sizeBytes: number,
    readonly count: number,
  ) {}

  async *range(startBytes: number, endBytes: number): AsyncGenerator<Extent> {
    const end = Math.min(endBytes, this.sizeBytes);
    if (startBytes >= end) return;
    let offset = startBytes;
    // The page that covers the start is the last one that begins at or before it.
    let [page] = await this.store.page(this.#key(0), nextKey(this.#key(startBytes)), 1, { reverse: true });
    while (page) {
      const pageStart = readU64(page.key, page.key.length - 8);
      const extents = unpackExtents(page.value);
      for (const extent of clipped(extents, pageStart, startBytes, end)) {
        yield extent;
        offset += extent.lengthBytes;
      }
      if (offset >= end) return;
      [page] = await this.store.page(nextKey(page.key), this.#key(Number.MAX_SAFE_INTEGER), 1);
    }
    throw new StorageError('corrupt', `an extent list ends at byte ${offset} of ${this.sizeBytes}`);
  }

  #key(offsetBytes: number): Uint8Array {
    return this.keys.key('extents', this.id, u64(offsetBytes));
  }
}

function* clipped(
  extents: readonly Extent[],
  firstByte: number,
  startBytes: number,
  endBytes: number,
): Generator<Extent> {
  let at = firstByte;
  for (const extent of extents) {
    if (at >= endBytes) return;
    const from = Math.max(startBytes - at, 0);
    const to = Math.min(endBytes - at, extent.lengthBytes);
    if (from < to)
      yield from === 0 && to === extent.lengthBytes
        ? extent
        : { ...extent, offsetBytes: extent.offsetBytes + from, lengthBytes: to - from };
    at += extent.lengthBytes;
  }
}
