/** A run of bytes of a body that lies within one chunk. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** The chunk is full after this piece; the last chunk of a body just ends. */
  readonly endsChunk: boolean;
}

/**
 * Cuts incoming runs at multiples of the chunk size, counted from the body's own first byte. Where the runs
 * begin and end makes no difference. No copy: pieces are views.
 */
export class Chunker {
  #filledBytes = 0;

  constructor(readonly chunkSizeBytes: number) {
    if (!Number.isInteger(chunkSizeBytes) || chunkSizeBytes < 1)
      throw new RangeError(`a chunk has at least 1 byte, not ${chunkSizeBytes}`);
  }

  *cut(bytes: Uint8Array): Generator<Piece> {
    for (let at = 0; at < bytes.length;) {
      const lengthBytes = Math.min(bytes.length - at, this.chunkSizeBytes - this.#filledBytes);
      const endsChunk = this.#filledBytes + lengthBytes === this.chunkSizeBytes;
      this.#filledBytes = endsChunk ? 0 : this.#filledBytes + lengthBytes;
      yield { bytes: bytes.subarray(at, at + lengthBytes), endsChunk };
      at += lengthBytes;
    }
  }
}
