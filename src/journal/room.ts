/** Keeps the last bytes of the disk for what frees some: deletions and commits are never asked whether there is room. */
import { StorageError } from '../index/errors.js';
import type { Write } from '../index/key-value-store.js';
import type { Change } from './bucket-state.js';

/** Whether the disk has room for a client's write of so many bytes. */
export type Admits = (bytes: number) => Promise<boolean>;

/** @throws StorageError disk-full where these writes need room that clients may not have. */
export async function checkRoom(
  admits: Admits | undefined,
  changes: readonly Change[],
  writes: readonly Write[] = [],
): Promise<void> {
  let bytes: number | undefined;
  for (const { value } of writes) if (value) bytes = (bytes ?? 0) + value.length;
  for (const change of changes)
    if (change.kind === 'put')
      bytes = (bytes ?? 0) + (change.object.body.kind === 'plain' ? change.object.sizeBytes : 0);
  if (bytes === undefined || !admits || (await admits(bytes))) return;
  throw new StorageError('disk-full', 'the disk of the state directory is full: free space on it');
}
