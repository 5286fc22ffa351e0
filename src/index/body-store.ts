/**
 * Bodies of records in one store: bytes up to 1 KiB and up to 64 extents stand in the record itself, the rest in
 * rows of their own. A list of any length is written page by page and never held in memory.
 *
 * Invariant 3 ("no reader gets a complete answer whose bytes do not hash to what the index says"): plain bytes have their
 * hash in the record, and are checked by it whenever they are read: by a client, before a commit and by fsck.
 *
 * Nothing leaks and no reader loses its list: every row is born discarded (a row says when it will be deleted),
 * the commit that names it pardons it, and the commit that stops naming it discards it anew, with a grace time
 * that lets readers of this process finish.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Clock } from '../async/clock.js';
import type { Extent } from '../format/extent.js';
import { StorageError } from './errors.js';
import { packExtents } from './extent-codec.js';
import { InlineExtentList, PagedExtentList } from './extent-list.js';
import { joinBytes, prefixEnd, sameBytes, u64 } from './key-bytes.js';
import type { KeyValueStore, Write } from './key-value-store.js';
import type { Keyspace } from './keyspace.js';
import type { BodyRef, NewBody, ObjectBody } from './object-record.js';

const INLINE_BYTES_MAX = 1024;
export const INLINE_EXTENTS_MAX = 64;
export const EXTENTS_PER_PAGE = 4096;
const ID_BYTES = 16;
/** How long a reader may go on with a body that was replaced, and a writer with one it has not committed. */
export const BODY_GRACE_MS = 24 * 3600_000;

const BODY = 0x62;
const LIST = 0x65;

/** A body on its way in: `writes` belong into the same commit as the record that holds `ref`. */
export interface PreparedBody {
  readonly ref: BodyRef;
  readonly sizeBytes: number;
  readonly writes: readonly Write[];
}

export class BodyStore {
  constructor(
    private readonly store: KeyValueStore,
    private readonly keys: Keyspace,
    private readonly clock: Clock,
    /** First character of list ids, which tells the stores apart. */
    private readonly origin: 'o' | 'b',
  ) {}

  async prepare(body: NewBody): Promise<PreparedBody> {
    if (body.kind === 'plain') return this.#preparePlain(body.bytes);
    if (isShort(body.extents)) return inlineExtents(body.extents);
    const writer = this.listWriter();
    for await (const extent of body.extents) await writer.add(extent);
    return writer.finish();
  }

  listWriter(): ExtentListWriter {
    return new ExtentListWriter(this.store, this.keys, this.origin, this.clock);
  }

  /** True where this body's rows are in this store (or where it has none). */
  owns(ref: BodyRef): boolean {
    if (ref.kind === 'extent-list') return ref.listId.startsWith(this.origin);
    return ref.kind !== 'plain' || ref.at === undefined || this.keys.owns(ref.at);
  }

  /** @throws StorageError corrupt where the rows are gone, or the bytes are others than were written (invariant 3). */
  async open(ref: BodyRef, sizeBytes: number): Promise<ObjectBody> {
    if (ref.kind === 'extents') return { kind: 'extents', list: new InlineExtentList(ref.extents) };
    if (ref.kind === 'extent-list') {
      const id = idOfList(ref.listId);
      return {
        kind: 'extents',
        list: new PagedExtentList(this.store, this.keys, id, sizeBytes, ref.count),
      };
    }
    const bytes = ref.bytes ?? (ref.at && (await this.store.get(ref.at)));
    if (!bytes) throw new StorageError('corrupt', 'the bytes of an object are missing in the store');
    if (ref.sha256 && !sameBytes(sha256(bytes), ref.sha256))
      throw new StorageError(
        'corrupt',
        'the bytes of an object are not those that were written to the store',
      );
    return { kind: 'plain', bytes };
  }

  /** Writes that delete the body after the grace time. */
  discard(ref: BodyRef | undefined): Write[] {
    const row = ref && this.#rowOf(ref);
    if (!row) return [];
    const key = this.keys.key('discarded', u64(this.clock.nowMs() + BODY_GRACE_MS), row);
    return [{ key, value: new Uint8Array(0) }];
  }

  /** Deletes what was to be gone before now. Returns how many bodies and lists that were. */
  async sweep(): Promise<number> {
    const start = this.keys.key('discarded');
    const end = this.keys.key('discarded', u64(this.clock.nowMs()));
    for (let swept = 0; ;) {
      const [row] = await this.store.page(start, end, 1);
      if (!row) return swept;
      const rest = this.keys.rest('discarded', row.key).subarray(8);
      const id = rest.subarray(1);
      if (rest[0] === LIST) await this.#deleteList(id);
      await this.store.commit(
        [],
        [
          { key: this.keys.key('body', id), value: undefined },
          { key: row.key, value: undefined },
        ],
      );
      swept += 1;
    }
  }

  /** Ids (hex) of rows that are discarded: not orphans, only not yet deleted. */
  async *discarded(): AsyncGenerator<string> {
    let from = this.keys.key('discarded');
    for (;;) {
      const rows = await this.store.page(from, this.keys.end('discarded'), 200);
      for (const row of rows)
        yield Buffer.from(this.keys.rest('discarded', row.key).subarray(9)).toString('hex');
      const last = rows.at(-1);
      if (!last) return;
      from = joinBytes(last.key, Uint8Array.of(0));
    }
  }

  #preparePlain(bytes: Uint8Array): PreparedBody {
    const hash = sha256(bytes);
    if (bytes.length <= INLINE_BYTES_MAX)
      return { ref: { kind: 'plain', bytes, sha256: hash }, sizeBytes: bytes.length, writes: [] };
    const at = this.keys.key('body', randomBytes(ID_BYTES));
    const ref: BodyRef = { kind: 'plain', at, sha256: hash };
    return { ref, sizeBytes: bytes.length, writes: [{ key: at, value: bytes }] };
  }

  #rowOf(ref: BodyRef): Uint8Array | undefined {
    if (ref.kind === 'extent-list') return joinBytes(Uint8Array.of(LIST), idOfList(ref.listId));
    if (ref.kind === 'plain' && ref.at)
      return joinBytes(Uint8Array.of(BODY), ref.at.subarray(ref.at.length - ID_BYTES));
    return undefined;
  }

  async #deleteList(id: Uint8Array): Promise<void> {
    const start = this.keys.key('extents', id);
    for (;;) {
      const pages = await this.store.page(start, prefixEnd(start), 8);
      if (pages.length === 0) return;
      await this.store.commit(
        [],
        pages.map(({ key }) => ({ key, value: undefined })),
      );
    }
  }
}

/** Takes extents one by one and writes full pages as it goes. */
export class ExtentListWriter {
  /** Of a list that has rows. */
  #rows: { readonly id: Uint8Array; readonly discarded: Uint8Array } | undefined;
  #page: Extent[] = [];
  #pageStartBytes = 0;
  #sizeBytes = 0;
  #count = 0;
  #written = false;

  constructor(
    private readonly store: KeyValueStore,
    private readonly keys: Keyspace,
    private readonly origin: string,
    private readonly clock: Clock,
  ) {}

  async add(extent: Extent): Promise<void> {
    checkExtent(extent);
    this.#page.push(extent);
    this.#sizeBytes += extent.lengthBytes;
    this.#count += 1;
    if (this.#page.length < EXTENTS_PER_PAGE) return;
    const { discarded } = (this.#rows ??= this.#newRows());
    await this.store.commit([], [{ key: discarded, value: new Uint8Array(0) }, this.#takePage()]);
    this.#written = true;
  }

  finish(): PreparedBody {
    if (this.#count <= INLINE_EXTENTS_MAX) return inlineExtents(this.#page);
    const sizeBytes = this.#sizeBytes;
    const { id, discarded } = (this.#rows ??= this.#newRows());
    const writes: Write[] = this.#written ? [{ key: discarded, value: undefined }] : [];
    if (this.#page.length > 0) writes.push(this.#takePage());
    const listId = this.origin + Buffer.from(id).toString('hex');
    return { ref: { kind: 'extent-list', listId, count: this.#count }, sizeBytes, writes };
  }

  /** Only a list that has rows needs a name: nearly every object has a few extents. */
  #newRows(): { readonly id: Uint8Array; readonly discarded: Uint8Array } {
    const id = randomBytes(ID_BYTES);
    const atMs = u64(this.clock.nowMs() + BODY_GRACE_MS);
    return { id, discarded: this.keys.key('discarded', atMs, Uint8Array.of(LIST), id) };
  }

  #takePage(): Write {
    const { id } = (this.#rows ??= this.#newRows());
    const key = this.keys.key('extents', id, u64(this.#pageStartBytes));
    const value = packExtents(this.#page);
    this.#page = [];
    this.#pageStartBytes = this.#sizeBytes;
    return { key, value };
  }
}

/** The id of a body or list as hex, or undefined where the body stands in the record. */
export function rowIdOf(ref: BodyRef): string | undefined {
  if (ref.kind === 'extent-list') return ref.listId.slice(1);
  if (ref.kind === 'plain' && ref.at)
    return Buffer.from(ref.at.subarray(ref.at.length - ID_BYTES)).toString('hex');
  return undefined;
}

/** True for what is there already and stands in the record. */
function isShort(extents: AsyncIterable<Extent> | Iterable<Extent>): extents is readonly Extent[] {
  return Array.isArray(extents) && extents.length <= INLINE_EXTENTS_MAX;
}

function inlineExtents(extents: readonly Extent[]): PreparedBody {
  let sizeBytes = 0;
  for (const extent of extents) {
    checkExtent(extent);
    sizeBytes += extent.lengthBytes;
  }
  return { ref: { kind: 'extents', extents: [...extents] }, sizeBytes, writes: [] };
}

function checkExtent({ lengthBytes }: Extent): void {
  if (lengthBytes <= 0) throw new RangeError('an extent has at least one byte');
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

function idOfList(listId: string): Uint8Array {
  return Buffer.from(listId.slice(1), 'hex');
}
