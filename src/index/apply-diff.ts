/**
 * Follows the branch: what the difference of two commits means for the base. Every touched key is read anew from
 * the tree, so that it does not matter in which form it stood and stands, and a repeat does no harm.
 */
import type { Log } from '../async/log.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import { classifyPath, hasMeta, isLocalKey, type LayoutRules } from '../format/tree-layout.js';
import type { HeadRemote, PathChange } from '../gitee/remote.js';
import type { BaseChange } from './key-index.js';
import type { NewObject, ObjectBody, ObjectRecord } from './object-record.js';
import {
  objectOfBody,
  damagedChange,
  historyOf,
  sameBody,
  TreeReader,
  withMeta,
  type TouchedFiles,
  type TreeBody,
} from './tree-object.js';

/** An object that is known from elsewhere; its metadata counts where its bytes are those of the tree. */
export interface KnownObject {
  readonly record: ObjectRecord;
  readonly body: ObjectBody;
}

export interface DiffSource {
  readonly remote: HeadRemote;
  readonly rules: LayoutRules;
  readonly log: Log;
  /** The object of the base, and before it that of our own change which this difference may contain. */
  known(key: ObjectKey): AsyncIterable<KnownObject>;
}

const GROUP_KEYS_MAX = 500;
/** Commit times are remembered for so many keys of one difference; the rest gets the time of the head. */
const TIMES_MAX = 50_000;

/** Changes that bring a base at `from` to `to`. */
export async function* changesBetween(
  source: DiffSource,
  from: CommitId | null,
  to: CommitId,
): AsyncGenerator<BaseChange> {
  let times: CommitTimes | undefined;
  const reader = new TreeReader(source.remote, source.rules);
  let group = new Map<ObjectKey, TouchedFiles>();
  for await (const change of source.remote.diff(from, to)) {
    const what = classifyPath(change.path);
    if (what.kind === 'gateway') continue;
    if (what.kind === 'foreign') {
      yield { kind: 'foreign', path: change.path, present: change.blobId !== undefined };
      continue;
    }
    const blobId = change.blobId;
    const file: TouchedFiles =
      blobId === undefined
        ? {}
        : what.kind === 'plain'
          ? { plainBlobId: blobId }
          : what.kind === 'object'
            ? { objectBlobId: blobId }
            : {};
    group.set(what.key, { ...group.get(what.key), ...file });
    if (group.size < GROUP_KEYS_MAX) continue;
    times ??= await commitTimes(source.remote, from, to);
    yield* readGroup(source, reader, to, group, times);
    group = new Map();
  }
  // Mostly it is another bucket of the branch that was written, and the history need not be read.
  if (group.size === 0) return;
  times ??= await commitTimes(source.remote, from, to);
  yield* readGroup(source, reader, to, group, times);
}

/**
 * How many objects of the base a difference removes, not counting those of `ours`. Stops counting above the limit.
 * A key that only changes its form is not removed.
 */
export async function countRemoved(
  remote: HeadRemote,
  from: CommitId | null,
  to: CommitId,
  o: { limit: number; isCounted(key: ObjectKey): Promise<boolean> },
): Promise<number> {
  // Far more than the limit is over it whatever was added elsewhere: the set stays bounded.
  const setMax = o.limit * 2 + 100_000;
  const removed = new Set<ObjectKey>();
  for await (const change of remote.diff(from, to)) {
    const key = change.blobId === undefined ? keyOfContent(change) : undefined;
    if (key === undefined || !(await o.isCounted(key))) continue;
    removed.add(key);
    if (removed.size > setMax) return removed.size;
  }
  if (removed.size <= o.limit) return removed.size;
  for await (const change of remote.diff(from, to)) {
    if (change.blobId === undefined) continue;
    const key = keyOfContent(change);
    if (key !== undefined) removed.delete(key);
  }
  return removed.size;
}

function keyOfContent(change: PathChange): ObjectKey | undefined {
  const what = classifyPath(change.path);
  if (what.kind === 'plain' || what.kind === 'object') return what.key;
  return what.kind === 'chunk' && what.index === 0 ? what.key : undefined;
}

async function* readGroup(
  source: DiffSource,
  reader: TreeReader,
  head: CommitId,
  group: ReadonlyMap<ObjectKey, TouchedFiles>,
  times: CommitTimes,
): AsyncGenerator<BaseChange> {
  for (const [key, touched] of group) {
    // Somebody committed what only ever matters while an upload runs: it is not ours to show.
    if (isLocalKey(source.rules, key)) continue;
    const body = await reader.read(head, key, touched);
    if (!body) yield { kind: 'delete', key };
    else if (body.kind === 'damaged') yield damagedChange(source.log, key, body);
    else yield { kind: 'put', key, object: await objectAt(source, reader, head, key, body, times) };
  }
}

async function objectAt(
  source: DiffSource,
  reader: TreeReader,
  head: CommitId,
  key: ObjectKey,
  body: TreeBody,
  times: CommitTimes,
): Promise<NewObject> {
  const bare = objectOfBody(body, times.of(key));
  const doc = await reader.meta(head, key);
  const described = doc && (await withMeta(bare, body, doc));
  if (described) return described;
  let newestMs = bare.lastModifiedMs;
  for await (const known of source.known(key)) {
    // Of a key that has metadata the tree is the truth: what it no more says, a rebuild would not know.
    if (await sameBody(known.body, body))
      return hasMeta(source.rules, key)
        ? { ...bare, lastModifiedMs: known.record.lastModifiedMs }
        : { ...known.record, body };
    newestMs = Math.max(newestMs, known.record.lastModifiedMs);
  }
  return { ...bare, lastModifiedMs: newestMs };
}

/** Time of the newest commit of a difference that touched a key. */
class CommitTimes {
  readonly #byKey = new Map<string, number>();
  #headMs = 0;

  add(timeMs: number, path: PathChange['path']): void {
    if (this.#byKey.size >= TIMES_MAX) return;
    const what = classifyPath(path);
    if (what.kind !== 'plain' && what.kind !== 'object' && what.kind !== 'chunk') return;
    if (this.#byKey.has(what.key)) return;
    this.#byKey.set(what.key, timeMs);
  }

  setHead(timeMs: number): void {
    this.#headMs = timeMs;
  }

  of(key: ObjectKey): number {
    return this.#byKey.get(key) ?? this.#headMs;
  }
}

async function commitTimes(remote: HeadRemote, from: CommitId | null, to: CommitId): Promise<CommitTimes> {
  const times = new CommitTimes();
  let first = true;
  for await (const { commit, timeMs, paths } of historyOf(remote, to)) {
    if (commit === from) break;
    if (first) times.setHead(timeMs);
    first = false;
    for (const path of paths) times.add(timeMs, path);
  }
  return times;
}
