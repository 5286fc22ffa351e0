/** Rows of bodies and extent lists that no record names and nobody will delete: what a check of a store looks for. */
import { rowIdOf, type BodyStore } from './body-store.js';
import type { KeyValueStore } from './key-value-store.js';
import type { Keyspace, Table } from './keyspace.js';
import type { ObjectRecord } from './object-record.js';
import { walk } from './walk.js';

export interface UnnamedBodies {
  readonly figures: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

/** @param named every record of the store */
export async function unnamedBodies(
  owner: { readonly store: KeyValueStore; readonly keys: Keyspace; readonly bodies: BodyStore },
  named: AsyncIterable<ObjectRecord>,
): Promise<UnnamedBodies> {
  const figures: Record<string, number> = {};
  const count = (name: string) => {
    figures[name] = (figures[name] ?? 0) + 1;
  };
  const rows = new Map<string, Table>();
  for (const table of ['body', 'extents'] as const)
    for await (const { key } of walk(owner.store, owner.keys.key(table), owner.keys.end(table))) {
      const id = owner.keys.rest(table, key).subarray(0, 16);
      rows.set(Buffer.from(id).toString('hex'), table);
      count(table === 'body' ? 'bodies' : 'pages');
    }
  for await (const record of named) {
    const id = rowIdOf(record.body);
    if (id !== undefined) rows.delete(id);
  }
  for await (const id of owner.bodies.discarded()) {
    rows.delete(id);
    count('discarded');
  }
  return { figures, problems: Array.from(rows, ([id, table]) => `${table} ${id} belongs to no object`) };
}
