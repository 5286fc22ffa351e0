/**
 * Fills an empty base from one commit: every object of the tree, then the metadata files that still describe their
 * objects, then from the history the time of everything else. Memory does not grow with the number of keys: the
 * tree and the history are streams, and metadata waits in the store itself.
 */
import type { Log } from '../async/log.js';
import { META_FILE_BYTES_MAX, PLAIN_FILE_BYTES_MAX } from '../format/bounds.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import { decodeMeta } from '../format/meta.js';
import { ChunkFiles, decodeObjectFile, type Damaged, type FileBody } from '../format/object-files.js';
import { classifyPath, hasMeta, isLocalKey, type LayoutRules, type PathKind } from '../format/tree-layout.js';
import type { HeadRemote, TreeFile } from '../gitee/remote.js';
import { told, type ChunkCensus } from './chunk-census.js';
import type { BaseChange, BaseMarker, KeyIndex, OnDouble } from './key-index.js';
import type { Write } from './key-value-store.js';
import type { ObjectRecord } from './object-record.js';
import {
  damagedChange,
  historyOf,
  objectOfBody,
  treeBody,
  TreeReader,
  withMeta,
  type TreeBody,
} from './tree-object.js';
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
const UNTIMED = -1;

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
  const reader = new TreeReader(source.remote, source.rules);
  const change = (key: ObjectKey, body: TreeBody | Damaged, ifDouble?: OnDouble): BaseChange =>
    body.kind === 'damaged'
      ? { ...damagedChange(source.log, key, body), onDouble: ifDouble }
      : { kind: 'put', key, object: objectOfBody(body, UNTIMED), onDouble: ifDouble };
  // A key has one form nearly always. Which one counts of several, the reader of single keys knows.
  const onDouble = async (key: ObjectKey): Promise<BaseChange> => {
    const counting = await reader.read(head, key);
    return counting ? change(key, counting) : { kind: 'delete', key };
  };
  const found = (key: ObjectKey, body: FileBody | Damaged): BaseChange =>
    change(key, body.kind === 'damaged' ? body : treeBody(body), onDouble);
  let chunked: { readonly key: ObjectKey; readonly files: ChunkFiles } | undefined;
  let keys = 0;
  for await (const bytes of source.remote.blobs(ids(), PLAIN_FILE_BYTES_MAX)) {
    const { file, what } = waiting.shift()!;
    // The chunks of one object stand next to each other in git's order, but for foreign files between them.
    if (chunked && what.kind !== 'foreign' && (what.kind !== 'chunk' || what.key !== chunked.key)) {
      yield found(chunked.key, chunked.files.body()!);
      chunked = undefined;
    }
    if (what.kind === 'chunk') {
      chunked ??= { key: what.key, files: new ChunkFiles() };
      chunked.files.add(what.index, bytes);
    } else if (what.kind === 'foreign') yield { kind: 'foreign', path: file.path, present: true };
    else if (what.kind === 'meta') {
      if (hasMeta(source.rules, what.key)) await metas.add(what.key, bytes);
    } else if (what.kind !== 'gateway') yield found(what.key, decodeObjectFile(bytes));
    keys += 1;
    if (keys % 10_000 === 0) source.onProgress(index.count);
  }
  if (chunked) yield found(chunked.key, chunked.files.body()!);
  await metas.flush();
}

/** Metadata files come before their objects or after them: they wait in the store. */
class MetaRows {
  #writes: Write[] = [];
  #sizeBytes = 0;

  constructor(private readonly index: KeyIndex) {}

  async add(key: ObjectKey, bytes: Uint8Array | null): Promise<void> {
    if (!bytes || bytes.length > META_FILE_BYTES_MAX) return;
    this.#writes.push({ key: this.index.keys.textKey('meta', key), value: bytes });
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
    const key = keys.restText('meta', row.key) as ObjectKey;
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
  let oldestMs = 0;
  if (left === 0) return;
  for await (const { timeMs, paths } of historyOf(source.remote, head)) {
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
