/**
 * The right to be the one writer of a state directory, and to collect garbage. Today a lock on the directory;
 * a lease in a shared store later, which is why it is asynchronous and may be lost.
 */
export interface Lease {
  /** Takes the lease, or rejects with a LeaseHeldError that names the holder. */
  acquire(): Promise<void>;
  /** Rejects where it was lost: the holder must stop writing. */
  check(): Promise<void>;
  release(): Promise<void>;
}
