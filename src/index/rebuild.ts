/**
 * Fills an empty base from one commit: every object of the tree, then the metadata files that still describe their
 * objects, then from the history the time of everything else. Memory does not grow with the number of keys: the
 * tree and the history are streams, and metadata waits in the store itself.
 */
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import { parsePointer } from '../format/lfs-pointer.js';
import { decodeMeta } from '../format/meta.js';
import { classifyPath, isLocalKey, type LayoutRules, type PathKind } from '../format/tree-layout.js';
import type { HeadRemote, TreeFile } from '../gitee/remote.js';
import { told, type ChunkCensus } from './chunk-census.js';
import { utf8 } from './key-bytes.js';
import type { BaseChange, BaseMarker, KeyIndex } from './key-index.js';
import type { Write } from './key-value-store.js';
import type { ObjectRecord } from './object-record.js';
import { bodyOfChunks, bodyOfFile, objectOfBody, PLAIN_FILE_BYTES_MAX, withMeta } from './tree-object.js';
import { walk } from './walk.js';

export interface RebuildSource {
  readonly remote: HeadRemote;
  readonly rules: LayoutRules;
  readonly log: Log;
  /** Told now and then how many objects have been read. */
  onProgress(keys: number): void;
  /** Told every chunk that the objects name. */
  readonly census?: ChunkCensus | undefined;
}

/** Rows of one commit: each waits for an fsync. */
const GROUP = 2_000;
/** Stands for "not yet known" while a base is filled. */
const UNTIMED = 0;

/** Fills the index, which must be empty, and marks it last: a rebuild that was cut short is never taken for a base. */
export async function fillBase(source: RebuildSource, index: KeyIndex, marker: BaseMarker): Promise<void> {
  if (marker.head !== null) {
    const changes = treeChanges(source, index, marker.head);
    await index.load(source.census ? told(changes, source.census) : changes, undefined);
    source.onProgress(index.count);
    const described = await applyMeta(index);
    await applyTimes(source, index, marker.head, index.count - described);
  }
  await index.apply([], marker);
}

async function* treeChanges(
  source: RebuildSource,
  index: KeyIndex,
  head: CommitId,
): AsyncGenerator<BaseChange> {
  const waiting: { file: TreeFile; what: PathKind }[] = [];
  async function* ids(): AsyncGenerator<string> {
    for await (const file of source.remote.files(head)) {
      const what = classifyPath(file.path);
      if (what.kind === 'gateway' || ('key' in what && isLocalKey(source.rules, what.key))) continue;
      waiting.push({ file, what });
      yield file.blobId;
    }
  }
  const metas = new MetaRows(index);
  let chunked: ChunkedObject | undefined;
  let keys = 0;
  for await (const bytes of source.remote.blobs(ids(), PLAIN_FILE_BYTES_MAX)) {
    const { file, what } = waiting.shift()!;
    // The chunks of one object stand next to each other in git's order.
    if (chunked && (what.kind !== 'chunk' || what.key !== chunked.key)) {
      yield* chunked.change(source.log);
      chunked = undefined;
    }
    if (what.kind === 'chunk') {
      chunked ??= new ChunkedObject(what.key);
      chunked.add(bytes);
    } else if (what.kind === 'foreign') yield { kind: 'foreign', path: file.path, present: true };
    else if (what.kind === 'meta') await metas.add(what.key, bytes);
    else if (what.kind !== 'gateway') {
      if (bytes) yield { kind: 'put', key: what.key, object: objectOfBody(bodyOfFile(bytes), UNTIMED) };
      else {
        source.log.warn('a plain file is too large to be an object and is not shown', { path: file.path });
        yield { kind: 'foreign', path: file.path, present: true };
      }
    }
    keys += 1;
    if (keys % 10_000 === 0) source.onProgress(index.count);
  }
  if (chunked) yield* chunked.change(source.log);
  await metas.flush();
}

class ChunkedObject {
  readonly #chunks: Chunk[] = [];
  #damaged = false;

  constructor(readonly key: ObjectKey) {}

  add(bytes: Uint8Array | null): void {
    const chunk = bytes ? parsePointer(bytes) : undefined;
    if (chunk) this.#chunks.push(chunk);
    else this.#damaged = true;
  }

  *change(log: Log): Generator<BaseChange> {
    if (this.#damaged)
      log.error('an object has a chunk that is no LFS pointer and is not shown', { key: this.key });
    else yield { kind: 'put', key: this.key, object: objectOfBody(bodyOfChunks(this.#chunks), UNTIMED) };
  }
}

/** Metadata files come before their objects or after them: they wait in the store. */
class MetaRows {
  #writes: Write[] = [];
  #sizeBytes = 0;

  constructor(private readonly index: KeyIndex) {}

  async add(key: ObjectKey, bytes: Uint8Array | null): Promise<void> {
    if (!bytes) return;
    this.#writes.push({ key: this.index.keys.key('meta', utf8(key)), value: bytes });
    this.#sizeBytes += bytes.length;
    if (this.#writes.length >= GROUP || this.#sizeBytes > 4 * 1024 * 1024) await this.flush();
  }

  async flush(): Promise<void> {
    await this.index.store.commit([], this.#writes);
    this.#writes = [];
    this.#sizeBytes = 0;
  }
}

/** Returns how many objects have got their metadata. */
async function applyMeta(index: KeyIndex): Promise<number> {
  const { keys, store } = index;
  let described = 0;
  let records = new Map<ObjectKey, ObjectRecord>();
  let used: Write[] = [];
  const flush = async () => {
    await index.replaceRecords(records);
    await store.commit([], used);
    described += records.size;
    records = new Map();
    used = [];
  };
  for await (const row of walk(store, keys.key('meta'), keys.end('meta'), 100)) {
    const key = Buffer.from(keys.rest('meta', row.key)).toString('utf8') as ObjectKey;
    const doc = decodeMeta(row.value);
    const record = await index.get(key);
    const found = doc && record && (await withMeta(record, await index.openBody(record), doc));
    if (found) records.set(key, found);
    used.push({ key: row.key, value: undefined });
    if (used.length >= GROUP) await flush();
  }
  await flush();
  return described;
}

/** Gives `untimed` objects the time of the last commit that touched one of their paths. */
async function applyTimes(
  source: RebuildSource,
  index: KeyIndex,
  head: CommitId,
  untimed: number,
): Promise<void> {
  let records = new Map<ObjectKey, ObjectRecord>();
  let left = untimed;
  let oldestMs = UNTIMED;
  if (left === 0) return;
  for await (const { timeMs, paths } of source.remote.history(head)) {
    oldestMs = timeMs;
    for (const path of paths) {
      const what = classifyPath(path);
      if (what.kind !== 'plain' && what.kind !== 'object' && what.kind !== 'chunk') continue;
      const record = records.has(what.key) ? undefined : await index.get(what.key);
      if (record?.lastModifiedMs !== UNTIMED) continue;
      records.set(what.key, { ...record, lastModifiedMs: timeMs });
      left -= 1;
      if (records.size < GROUP) continue;
      await index.replaceRecords(records);
      records = new Map();
    }
    if (left <= 0) break;
  }
  await index.replaceRecords(records);
  if (left > 0) await timeTheRest(index, oldestMs);
}

/** A history that was cut (a shallow clone) tells nothing of what is older than its first commit. */
async function timeTheRest(index: KeyIndex, timeMs: number): Promise<void> {
  for await (const { key, record } of index.all())
    if (record.lastModifiedMs === UNTIMED)
      await index.replaceRecords(new Map([[key, { ...record, lastModifiedMs: timeMs }]]));
}
