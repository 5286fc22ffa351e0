/**
 * Which buckets were made at run time: one small object per bucket, in an internal bucket of its own. So the list
 * is as durable as any object, comes back from Gitee alone, and shows what other gateways made.
 * docs/storage-format.md, "Buckets made at run time".
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CommitId, ObjectKey, TreePath } from '../format/ids.js';
import { pathsOf } from '../format/tree-layout.js';
import type { ObjectRecord } from '../index/object-record.js';
import type { BucketState } from '../journal/bucket-state.js';

const SUFFIX = '.json';
const ROW_BYTES_MAX = 64 * 1024;
const PAGE = 500;

/** One bucket that was made by a request. */
export interface CatalogueRow {
  readonly name: string;
  readonly createdMs: number;
  /** The access key that made it; it may use the bucket whatever else is configured. */
  readonly owner: string;
}

const document = z.object({
  format: z.literal(1),
  name: z.string(),
  created: z.iso.datetime(),
  owner: z.string(),
});

/** The bytes of a row. */
export function encodeRow(row: CatalogueRow): Buffer {
  const created = new Date(row.createdMs).toISOString();
  return Buffer.from(
    `${JSON.stringify({ format: 1, name: row.name, created, owner: row.owner }, null, 2)}\n`,
  );
}

/** undefined: not a row that this gateway can read (a newer format, or edited by hand). */
export function decodeRow(bytes: Uint8Array): CatalogueRow | undefined {
  try {
    const { name, created, owner } = document.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return { name, createdMs: Date.parse(created), owner };
  } catch {
    // Whatever it is, it is not ours to use or to remove.
    return undefined;
  }
}

/** What the catalogue says of one name: nothing, a row, or something that cannot be read. */
export type CatalogueEntry = CatalogueRow | 'unreadable' | undefined;

/** The catalogue over the state of its internal bucket. */
export class BucketCatalogue {
  constructor(private readonly state: BucketState) {}

  /** False until it has been read from Gitee for the first time: then nobody knows which buckets there are. */
  get isKnown(): boolean {
    return this.state.status().ready;
  }

  /** Commit on which the answers stand, apart from what was changed here. */
  get head(): CommitId | null {
    return this.state.status().head;
  }

  async get(name: string): Promise<CatalogueEntry> {
    const record = await this.state.get(keyOf(name));
    return record && this.#read(name, record);
  }

  /** Where the row of a name stands on the branch; undefined where what was changed here is not there yet. */
  async pathOnBranch(name: string): Promise<TreePath | undefined> {
    return (await this.state.changeState(keyOf(name))) ? undefined : pathsOf(keyOf(name)).plain;
  }

  /** Every name in it, in order, with what it says of each. */
  async entries(): Promise<Map<string, Exclude<CatalogueEntry, undefined>>> {
    const entries = new Map<string, Exclude<CatalogueEntry, undefined>>();
    for (let after = ''; ;) {
      const page = await this.state.page(after, undefined, PAGE);
      for (const { key, record } of page) {
        if (!key.endsWith(SUFFIX)) continue; // somebody's own file in that directory
        const name = key.slice(0, -SUFFIX.length);
        entries.set(name, await this.#read(name, record));
      }
      const last = page.at(-1);
      if (!last || page.length < PAGE) return entries;
      after = `${last.key}\0`;
    }
  }

  /** Durable when it resolves. @throws StorageError */
  async put(row: CatalogueRow): Promise<void> {
    const bytes = encodeRow(row);
    await this.state.append([
      {
        kind: 'put',
        key: keyOf(row.name),
        object: {
          sizeBytes: bytes.length,
          etag: createHash('md5').update(bytes).digest('hex'),
          lastModifiedMs: row.createdMs,
          meta: { contentType: 'application/json' },
          body: { kind: 'plain', bytes },
        },
      },
    ]);
  }

  /** Durable when it resolves. @throws StorageError */
  async remove(name: string): Promise<void> {
    await this.state.append([{ kind: 'delete', key: keyOf(name) }]);
  }

  async #read(name: string, record: ObjectRecord): Promise<Exclude<CatalogueEntry, undefined>> {
    if (record.sizeBytes > ROW_BYTES_MAX) return 'unreadable';
    const body = await this.state.openBody(record);
    const row = body.kind === 'plain' ? decodeRow(body.bytes) : undefined;
    return row?.name === name ? row : 'unreadable';
  }
}

const keyOf = (name: string): ObjectKey => `${name}${SUFFIX}` as ObjectKey;
