/**
 * What of a registry's journal rests on a change that was set aside: as long as that is, nothing of it lands. Were it
 * dropped, nothing would keep the others from being tried again, and the tag that was there from being replaced by one
 * of an image that is not whole (invariant 4). So it is dropped last.
 */
import type { Clock } from '../async/clock.js';
import type { ChunksApi } from '../chunks/api.js';
import type { ObjectKey } from '../format/ids.js';
import type { BaseHolder } from './base-holder.js';
import type { ChangeLog } from './change-log.js';
import type { JournalEntry } from './overlay-rows.js';
import { Closure, type Base } from './rests-on.js';

/** By name, of what rests on a change that can't be dropped for that. */
const RESTING_TOLD = 5;

/** Of what waits: what was written after a change that was set aside stands with it before long. */
const PENDING_LOOKED_AT_MAX = 20_000;

export interface RestingSource {
  readonly bases: BaseHolder;
  readonly chunks: Pick<ChunksApi, 'read'>;
  readonly clock: Clock;
  readonly journal: ChangeLog;
  readonly registryRoot: string;
}

/** Keys of changes that were set aside, or wait, and rest on this one. What can't be read now may. */
export async function restingOn(
  key: ObjectKey,
  { bases, chunks, clock, journal, registryRoot }: RestingSource,
): Promise<ObjectKey[]> {
  const base: Base = {
    get: (of) => bases.current.get(of),
    openBody: (record) => bases.openBody(record),
  };
  const closure = new Closure(journal, chunks, base, registryRoot, clock);
  const found: ObjectKey[] = [];
  try {
    const image = await closure.imageOnBranch(key);
    for await (const entry of others(journal, key)) {
      // Without the change the tag has here what it has on the branch, and needs that.
      if (!entry.record && (image === 'unknown' || image.has(entry.key))) found.push(entry.key);
      const restsOn = await closure.of(entry, true);
      if (restsOn === 'unknown' || (restsOn !== 'everything' && restsOn.includes(key))) found.push(entry.key);
    }
  } finally {
    closure.stop();
  }
  return found;
}

async function* others(journal: ChangeLog, key: ObjectKey): AsyncGenerator<JournalEntry> {
  for await (const { key: other, record, seq, shown, sinceMs } of journal.quarantinedRows())
    if (shown && other !== key) yield { key: other, record, seq, appendedMs: sinceMs };
  let lookedAt = 0;
  for await (const entry of journal.entries(Number.MAX_SAFE_INTEGER)) {
    lookedAt += 1;
    if (lookedAt > PENDING_LOOKED_AT_MAX) return;
    if (entry.key !== key) yield entry;
  }
}

/** @throws RangeError if anything rests on it */
export function refuseResting(key: ObjectKey, resting: readonly ObjectKey[]): void {
  if (resting.length === 0) return;
  const more = resting.length > RESTING_TOLD ? ` and ${resting.length - RESTING_TOLD} more` : '';
  throw new RangeError(
    `${resting.length} changes rest on ${key} and would land without it: drop them first (${resting.slice(0, RESTING_TOLD).join(', ')}${more}), or delete what they belong to`,
  );
}
