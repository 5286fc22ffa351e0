import type { Oid } from './ids.js';

/**
 * A run of bytes of one chunk. An object is a list of extents; legal in index and journal, forbidden in
 * commits, where only whole chunks (offset 0, length = chunk length) may stand.
 */
export interface Extent {
  readonly oid: Oid;
  readonly chunkLengthBytes: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Volume that holds the chunk; 0 is the LFS store of the head repository. */
  readonly volume: number;
}

/** A whole chunk, as a commit may name it. */
export interface Chunk {
  readonly oid: Oid;
  readonly sizeBytes: number;
  readonly volume: number;
}

/** True where the extent covers its chunk from the first to the last byte. */
export function isWholeChunk(extent: Extent): boolean {
  return extent.offsetBytes === 0 && extent.lengthBytes === extent.chunkLengthBytes;
}

/** The extent that covers the whole of a chunk. */
export function wholeExtent(chunk: Chunk): Extent {
  return {
    oid: chunk.oid,
    chunkLengthBytes: chunk.sizeBytes,
    offsetBytes: 0,
    lengthBytes: chunk.sizeBytes,
    volume: chunk.volume,
  };
}
