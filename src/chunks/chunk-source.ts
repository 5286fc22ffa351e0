/** The bytes of one chunk, on disk or on their way. Close it, whatever happened. */
export interface ChunkSource {
  /** The whole chunk is here and hashes to its oid. */
  readonly isVerified: boolean;
  /**
   * Waits until there is a byte at the position, and reads at most so many from there.
   * @throws ChunkError; `aborted` when the signal fires
   */
  read(positionBytes: number, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Resolves when the chunk is verified. @throws ChunkError where it is not going to be */
  verified(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
