/**
 * The right to be the one writer of a state directory, and to collect garbage. Today a lock on the directory;
 * a lease in a shared store later, which is why it may be lost.
 */
export interface Lease {
  /** Takes the lease, or rejects with a LeaseHeldError that names the holder. */
  acquire(): Promise<void>;
  /**
   * Throws where it was lost: the holder must stop writing. Asked around every write, so it waits for nothing: between
   * the answer and the write nothing else may come.
   */
  check(): void;
  release(): Promise<void>;
}
