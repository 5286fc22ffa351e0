import type { Entry, KeyValueStore } from './key-value-store.js';
import { nextKey } from './key-bytes.js';

/** All entries of a range, read in pages: no read transaction is held while the caller works. */
export async function* walk(
  store: KeyValueStore,
  start: Uint8Array,
  end: Uint8Array,
  pageSize = 200,
): AsyncGenerator<Entry> {
  let from = start;
  for (;;) {
    const entries = await store.page(from, end, pageSize);
    yield* entries;
    const last = entries.at(-1);
    if (!last || entries.length < pageSize) return;
    from = nextKey(last.key);
  }
}
