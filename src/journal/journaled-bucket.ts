/**
 * One bucket as the objects layer sees it: the overlay over the base. The overlay is always read first: a change
 * leaves it only after it is in the base, so that a reader sees the change in one or in the other.
 */
import { wallTime, type Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Extent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { compareText, nextKey, utf8 } from '../index/key-bytes.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import type { BaseHolder } from './base-holder.js';
import type {
  AppendOptions,
  BucketState,
  BucketStatus,
  Change,
  ChangeState,
  Look,
  SetAside,
} from './bucket-state.js';
import type { Condition } from './condition.js';
import type { Doubts } from './doubts.js';
import type { ChangeLog } from './change-log.js';
import type { Landings } from './landings.js';
import type { NewestRow } from './overlay-rows.js';
import { SharedLooks } from '../async/shared-looks.js';
import type { UploadStore } from './upload-store.js';
import { sleepOr } from './sleep-or.js';
import type { UnseenStatus } from './unseen-push.js';

export interface JournaledBucketDeps {
  readonly bucket: string;
  readonly repository: string;
  readonly branch: string;
  readonly journal: ChangeLog;
  readonly uploads: UploadStore;
  readonly bases: BaseHolder;
  readonly landings: Landings;
  readonly doubts: Pick<Doubts, 'count' | 'summary'>;
  readonly condition: Condition;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Something was appended or is waited for. */
  readonly onWork: () => void;
  readonly lastLandedMs: () => number | undefined;
  /** Committer.unseen */
  readonly unseen: () => UnseenStatus | undefined;
  /** Reads the branch and follows it; ends within bounds. */
  readonly look: () => Promise<void>;
  /** See HeadFollower.whereIsIt. */
  readonly whereIsIt: () => Promise<'here' | 'behind' | 'elsewhere'>;
  readonly log: Log;
}

interface Item {
  readonly key: ObjectKey;
  readonly record: ObjectRecord;
}

/** Rows of one store that are looked at in one go where fewer were asked for. */
const GROWN_PAGE_MAX = 1000;

export class JournaledBucket implements BucketState {
  readonly uploads: UploadStore;
  readonly #looks: SharedLooks<void>;
  /** A head is asked for much more cheaply than it is followed. */
  readonly #places: SharedLooks<'here' | 'behind' | 'elsewhere'>;

  constructor(private readonly deps: JournaledBucketDeps) {
    this.#looks = new SharedLooks(deps.look);
    this.#places = new SharedLooks(deps.whereIsIt);
    this.uploads = deps.uploads;
  }

  async get(key: ObjectKey): Promise<ObjectRecord | undefined> {
    const { bases, journal } = this.deps;
    const newest = await journal.newest(key);
    return newest ? newest.record : bases.current.get(key);
  }

  openBody(record: ObjectRecord): Promise<ObjectBody> {
    const { bases, journal } = this.deps;
    return journal.ownsBody(record) ? journal.openBody(record) : bases.openBody(record);
  }

  async page(start: string, end: Uint8Array | undefined, limit: number): Promise<Item[]> {
    const { bases, journal } = this.deps;
    const items: Item[] = [];
    let from: Uint8Array = utf8(start);
    let size = limit;
    while (items.length < limit) {
      const countBefore = items.length;
      const overlay = await journal.newestPage(from, end, size);
      const base = await bases.current.page(from, end, size);
      if (overlay.length === 0 && items.length === 0) return base.slice(0, limit);
      // Both pages are complete up to the horizon: the last key of the shorter-reaching full page.
      const horizon = lowest(lastKeyOfFull(overlay, size), lastKeyOfFull(base, size));
      for (const item of merged(base, overlay)) {
        if (items.length === limit || (horizon !== undefined && compareText(item.key, horizon) > 0)) break;
        items.push(item);
      }
      if (horizon === undefined) break;
      from = nextKey(utf8(horizon));
      // Deleted keys that wait for their commit may be thousands in a row: they are not looked at one by one.
      const isMostlyDeleted = 2 * (items.length - countBefore) < size;
      size = isMostlyDeleted ? Math.min(2 * size, Math.max(limit, GROWN_PAGE_MAX)) : limit - items.length;
    }
    return items;
  }

  async append(changes: readonly Change[], options: AppendOptions = {}): Promise<number | undefined> {
    const { bucket, bases, condition, journal, metrics } = this.deps;
    condition.checkWritable();
    const { local } = options;
    const base = bases.current; // refuses while nothing is known of what is on Gitee
    const inBase = new Set<ObjectKey>();
    if (local) for (const { key } of changes) if (await base.get(key)) inBase.add(key);
    const seq = await journal.append(changes, { ...options, hidesBase: (key) => inBase.has(key) });
    if (seq === undefined) return undefined;
    if (!local) {
      metrics.count('gateway_journal_appends_total', { bucket }, changes.length);
      this.deps.onWork();
    }
    this.report();
    return seq;
  }

  async changeState(key: ObjectKey): Promise<ChangeState | undefined> {
    const row = await this.deps.journal.newest(key);
    return row && { seq: row.seq, appendedMs: this.deps.journal.steadyMsOf(row), state: row.state };
  }

  async lookAtBranch(o: { timeoutMs: number; followMs: number; signal: AbortSignal }): Promise<Look> {
    const { clock } = this.deps;
    o.signal.throwIfAborted();
    const place = await sleepOr(clock, o.timeoutMs, o.signal, this.#orUndefined(this.#places.take()));
    if (place === 'here') return 'seen';
    if (place !== 'elsewhere') return 'unknown';
    const followed = this.#looks.take().then(() => true);
    return (await sleepOr(clock, o.followMs, o.signal, this.#orUndefined(followed))) ? 'seen' : 'elsewhere';
  }

  async #orUndefined<T>(look: Promise<T>): Promise<T | undefined> {
    try {
      return await look;
    } catch (error) {
      this.deps.log.info('the branch could not be read for somebody who asked', { error });
      return undefined;
    }
  }

  async waitLanded(seq: number, options: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    const { landings } = this.deps;
    if (await landings.want(seq)) this.deps.onWork();
    return landings.wait(seq, options);
  }

  setAsideAs(seq: number): SetAside | undefined {
    return this.deps.journal.setAsideAs(seq);
  }

  async retrySetAside(key: ObjectKey): Promise<number | undefined> {
    const { bases, bucket, condition, journal, metrics } = this.deps;
    condition.checkWritable();
    const row = await journal.setAsideRow(key);
    if (!row?.shown) return undefined;
    // Somebody else wrote the key since: that is the newer change.
    if (((await bases.current.get(key))?.etag ?? null) !== (row.base ?? null)) return undefined;
    const seq = await journal.retrySetAside(row);
    if (seq === undefined) return undefined;
    metrics.count('gateway_journal_appends_total', { bucket });
    this.deps.onWork();
    this.report();
    return seq;
  }

  async namedOnBranch(oids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { bases } = this.deps;
    const named = new Set<string>();
    for await (const { record } of bases.current.all()) {
      if (named.size === oids.size) break;
      for await (const { oid } of this.#extentsOf(record)) if (oids.has(oid)) named.add(oid);
    }
    return named;
  }

  async *localKeysSince(sinceMs: number): AsyncGenerator<ObjectKey> {
    for await (const { key, row } of this.deps.journal.newestRows())
      if (row.state === 'local' && row.appendedMs >= sinceMs) yield key;
  }

  expireLocalKeys(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number> {
    return this.deps.journal.expireLocal(beforeMs, isKept);
  }

  async *overlayExtents(): AsyncGenerator<Extent> {
    const { journal } = this.deps;
    for await (const { row } of journal.newestRows()) yield* this.#extentsOf(row.record);
    for await (const entry of journal.entries(Number.MAX_SAFE_INTEGER)) yield* this.#extentsOf(entry.record);
    for await (const row of journal.quarantinedRows()) if (!row.shown) yield* this.#extentsOf(row.record);
  }

  status(): BucketStatus {
    const { bases, clock, condition, doubts, journal } = this.deps;
    const { paused, frozen } = condition;
    const doubtful = doubts.summary();
    const unseen = this.deps.unseen();
    const oldestMs = journal.oldestPendingSteadyMs;
    return {
      bucket: this.deps.bucket,
      repository: this.deps.repository,
      branch: this.deps.branch,
      head: bases.peek?.marker?.head ?? null,
      pendingChanges: journal.pendingCount,
      pendingBytes: journal.pendingBytes,
      oldestPendingMs: oldestMs === undefined ? undefined : wallTime(clock, oldestMs),
      quarantinedChanges: journal.quarantinedCount,
      quarantinedBytes: journal.quarantinedBytes,
      damagedObjects: bases.peek?.damagedCount ?? 0,
      doubtful: doubtful && { ...doubtful, sinceMs: wallTime(clock, doubtful.sinceMs) },
      unseen: unseen && { ...unseen, sinceMs: wallTime(clock, unseen.sinceMs) },
      lastLandedMs: this.deps.lastLandedMs(),
      paused,
      frozen: frozen && { reason: frozen.reason, sinceMs: frozen.sinceMs },
      ready: bases.ready,
    };
  }

  /** Brings the gauges of the journal up to date. */
  report(): void {
    const { bucket, clock, doubts, journal, metrics } = this.deps;
    const oldestMs = journal.oldestPendingSteadyMs;
    metrics.set('gateway_journal_pending_changes', journal.pendingCount, { bucket });
    metrics.set(
      'gateway_journal_oldest_pending_seconds',
      oldestMs === undefined ? 0 : (clock.steadyMs() - oldestMs) / 1000,
      { bucket },
    );
    metrics.set('gateway_quarantined_changes', journal.quarantinedCount, { bucket });
    metrics.set('gateway_doubtful_changes', doubts.count, { bucket });
    metrics.set('gateway_journal_pending_bytes', journal.pendingBytes, { bucket });
    metrics.set('gateway_quarantined_bytes', journal.quarantinedBytes, { bucket });
  }

  async *#extentsOf(record: ObjectRecord | undefined): AsyncGenerator<Extent> {
    if (!record || record.body.kind === 'plain') return;
    const body = await this.openBody(record);
    if (body.kind === 'extents') yield* body.list.range(0, record.sizeBytes);
  }
}

function lastKeyOfFull(page: readonly { key: ObjectKey }[], size: number): ObjectKey | undefined {
  return page.length >= size ? page.at(-1)?.key : undefined;
}

function lowest(a: ObjectKey | undefined, b: ObjectKey | undefined): ObjectKey | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareText(a, b) < 0 ? a : b;
}

/** What a reader sees of two pages in key order: a row of the overlay stands for the base's, or says that it is gone. */
function* merged(
  base: readonly Item[],
  overlay: readonly { readonly key: ObjectKey; readonly row: NewestRow }[],
): Generator<Item> {
  let at = 0;
  for (const { key, row } of overlay) {
    for (; at < base.length && compareText(base[at]!.key, key) < 0; at += 1) yield base[at]!;
    if (base[at]?.key === key) at += 1;
    if (row.record) yield { key, record: row.record };
  }
  for (; at < base.length; at += 1) yield base[at]!;
}
