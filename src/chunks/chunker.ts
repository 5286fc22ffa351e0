/** A run of bytes of a body that lies within one chunk. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** The chunk is full after this piece; the last chunk of a body just ends. */
  readonly endsChunk: boolean;
}

/**
 * Cuts incoming runs into chunks, from the body's own first byte on. How large a chunk is to be is asked when
 * it begins. Where the runs begin and end makes no difference. No copy: pieces are views.
 */
export class Chunker {
  #filledBytes = 0;
  #sizeBytes: number | undefined;

  constructor(private readonly nextSizeBytes: () => number) {}

  /** Bytes that complete the chunk that is being filled, or the next one. */
  get restBytes(): number {
    return (this.#sizeBytes ??= this.#askSize()) - this.#filledBytes;
  }

  *cut(bytes: Uint8Array): Generator<Piece> {
    for (let at = 0; at < bytes.length;) {
      const { restBytes } = this;
      const lengthBytes = Math.min(bytes.length - at, restBytes);
      const endsChunk = lengthBytes === restBytes;
      this.#filledBytes = endsChunk ? 0 : this.#filledBytes + lengthBytes;
      if (endsChunk) this.#sizeBytes = undefined;
      yield { bytes: bytes.subarray(at, at + lengthBytes), endsChunk };
      at += lengthBytes;
    }
  }

  #askSize(): number {
    const sizeBytes = this.nextSizeBytes();
    if (!Number.isInteger(sizeBytes) || sizeBytes < 1)
      throw new RangeError(`a chunk has at least 1 byte, not ${sizeBytes}`);
    return sizeBytes;
  }
}
