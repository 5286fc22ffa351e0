/** What accept-remote would do to a bucket: an operator looks before the branch as it is becomes the truth. */
import type { CommitId, ObjectKey } from '../format/ids.js';
import { classifyPath, isLocalKey, type LayoutRules } from '../format/tree-layout.js';
import type { HeadRemote } from '../gitee/remote.js';
import type { BaseHolder } from './base-holder.js';
import type { ChangeLog } from './change-log.js';

/** Keys that are told apart; a difference that touches more is counted up to here. */
const KEYS_MAX = 100_000;
/** Keys that are named of each kind. */
const NAMED_MAX = 10;

/** Keys, the first of them by name. */
export interface KeysOf {
  readonly count: number;
  readonly some: readonly string[];
}

export interface AcceptPreview {
  /** What readers see now; null: nothing was read from the branch yet. */
  readonly previousHead: CommitId | null;
  /** What they would see; null: there is no branch. */
  readonly head: CommitId | null;
  /** Keys that they would find, find with other bytes, and find no more. */
  readonly added: KeysOf;
  readonly changed: KeysOf;
  readonly removed: KeysOf;
  /** False where more keys differ than were counted. */
  readonly isWhole: boolean;
  /** Changes of clients that wait here: they go on top of the branch, whatever it has. */
  readonly pendingChanges: number;
}

export interface PreviewSource {
  readonly bases: BaseHolder;
  readonly journal: Pick<ChangeLog, 'pendingCount'>;
  readonly remote: HeadRemote;
  readonly rules: LayoutRules;
}

/** Asks for the branch and changes nothing. @throws RemoteError */
export async function previewAccept(
  { bases, journal, remote, rules }: PreviewSource,
  signal?: AbortSignal,
): Promise<AcceptPreview> {
  const head = await remote.fetch(signal);
  const index = bases.peek;
  const previousHead = index?.marker?.head ?? null;
  const [added, changed, removed] = [new Keys(), new Keys(), new Keys()];
  let isWhole = true;
  if (head === null) {
    for await (const { key } of index?.all() ?? []) removed.add(key);
  } else if (head !== previousHead) {
    const touched = await touchedKeys(remote, previousHead, head);
    ({ isWhole } = touched);
    for (const [key, isThere] of touched.keys) {
      // Of an upload that is under way: nobody sees it.
      if (isLocalKey(rules, key)) continue;
      const isKnown = (await index?.get(key)) !== undefined;
      if (isThere === false) {
        if (isKnown) removed.add(key);
      } else (isKnown ? changed : added).add(key);
    }
  }
  const figures = { added: added.told, changed: changed.told, removed: removed.told };
  return { previousHead, head, ...figures, isWhole, pendingChanges: journal.pendingCount };
}

/** Whether the object of each key is there afterwards; undefined: as before, with other bytes in the middle. */
async function touchedKeys(
  remote: HeadRemote,
  from: CommitId | null,
  to: CommitId,
): Promise<{ keys: ReadonlyMap<ObjectKey, boolean | undefined>; isWhole: boolean }> {
  const keys = new Map<ObjectKey, boolean | undefined>();
  for await (const { path, blobId } of remote.diff(from, to)) {
    const what = classifyPath(path);
    if (what.kind !== 'plain' && what.kind !== 'object' && what.kind !== 'chunk') continue;
    if (!keys.has(what.key) && keys.size >= KEYS_MAX) return { keys, isWhole: false };
    const isBegin = what.kind !== 'chunk' || what.index === 0;
    // A key that changes its form goes in one and comes in another.
    const isThere = isBegin ? keys.get(what.key) === true || blobId !== undefined : keys.get(what.key);
    keys.set(what.key, isThere);
  }
  return { keys, isWhole: true };
}

class Keys {
  #count = 0;
  readonly #some: string[] = [];

  add(key: string): void {
    this.#count += 1;
    if (this.#some.length < NAMED_MAX) this.#some.push(key);
  }

  get told(): KeysOf {
    return { count: this.#count, some: this.#some };
  }
}
