/**
 * How many objects somebody removed from the branch who may not have meant it. Not counted is what any gateway removed:
 * whoever deletes through one means it, whether that is us, with the answer lost and the keys written anew since, or a
 * registry's garbage collection in another region.
 */
import type { CommitId, ObjectKey } from '../format/ids.js';
import type { HeadRemote } from '../gitee/remote.js';
import { countRemoved } from '../index/apply-diff.js';
import type { KeyIndex } from '../index/key-index.js';
import type { ChangeLog } from './change-log.js';
import { isOfGateway } from './own-work.js';

/** Commits whose removals are told apart; each that no gateway made costs a comparison. */
const COMMITS_LOOKED_AT_MAX = 1_000;

export interface RemovalSource {
  readonly journal: ChangeLog;
  readonly remote: HeadRemote;
  /** The base at the older head. */
  readonly index: KeyIndex;
  /** Counting stops above it. */
  readonly limit: number;
}

/** Objects of the base that the difference removes, of others' doing. */
export async function removedByOthers(
  source: RemovalSource,
  from: CommitId,
  head: CommitId,
): Promise<number> {
  const { remote, limit } = source;
  const options = { limit, isCounted: notOurs(source) };
  const whole = await countRemoved(remote, from, head, options);
  if (whole <= limit) return whole;
  let removed = 0;
  let looked = 0;
  let last: CommitId | null = null;
  for await (const commit of remote.commitsSince(head, from)) {
    looked += 1;
    if (looked > COMMITS_LOOKED_AT_MAX) return whole;
    last = commit.parent;
    if (isOfGateway(commit)) continue;
    removed += await countRemoved(remote, commit.parent, commit.commit, options);
    if (removed > limit) return Math.min(removed, whole);
  }
  // Where the way back leads past the older head, that lies on the other side of a merge.
  return last === from ? removed : whole;
}

function notOurs({ index, journal }: RemovalSource): (key: ObjectKey) => Promise<boolean> {
  return async (key) => {
    if (!(await index.get(key))) return false;
    // Deleted here and pending: it is to go.
    const newest = await journal.newest(key);
    return !newest || newest.record !== undefined;
  };
}
