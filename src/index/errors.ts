export type StorageErrorCode =
  'read-only' | 'disk-full' | 'not-ready' | 'broken-invariant' | 'corrupt' | 'failed';

/** A failure of the storage layer; `broken-invariant` and `failed` (the disk, see LmdbStore) stop the process. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  constructor(
    readonly code: StorageErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
