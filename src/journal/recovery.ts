/**
 * What to do when a batch did not land. Nothing is ever dropped: a change waits, or it is set aside with a reason
 * (quarantined) where Gitee will never take it, so that it does not stop the rest.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import { RemoteError } from '../gitee/errors.js';
import type { Batch } from './batch.js';
import { StorageError } from '../index/errors.js';
import type { Condition } from './condition.js';
import type { Journal } from './journal.js';
import { ChangeFailed } from './normalise.js';
import type { JournalEntry } from './overlay-rows.js';
import type { Doomed } from './selection.js';

export interface RecoveryDeps {
  readonly bucket: string;
  readonly journal: Journal;
  readonly condition: Condition;
  readonly clock: Clock;
  readonly log: Log;
  readonly timings: { readonly retryMaxMs: number; readonly pausedRetryMs: number };
}

export interface Verdict {
  /** Label of gateway_commits_total. */
  readonly result: 'retry' | 'paused' | 'split' | 'quarantined';
  /** How long to wait before the next round, unless woken. */
  readonly waitMs: number;
}

const RETRY_BASE_MS = 500;
/** A missing chunk may be a store that is slow to show what it took; so often in a row it is gone. */
const MISSING_TRIES = 3;

export class Recovery {
  #failures = 0;
  /** How often bytes of a change were missing, by its seq: what else lands meanwhile says nothing about it. */
  readonly #missing = new Map<number, number>();
  /** Most changes of the next batch, while a refused change is searched for or a push was too large. */
  #narrowedTo: number | undefined;

  constructor(private readonly deps: RecoveryDeps) {}

  get isNarrowed(): boolean {
    return this.#narrowedTo !== undefined;
  }

  batchMax(usual: number): number {
    return Math.min(usual, this.#narrowedTo ?? usual);
  }

  succeeded(): void {
    this.#failures = 0;
    // The refused change is in what follows: widen step by step, or each search would begin from the top.
    if (this.#narrowedTo !== undefined)
      this.#narrowedTo = this.#narrowedTo >= 5_000 ? undefined : this.#narrowedTo * 2;
    if (this.deps.journal.pendingCount > 0) return;
    this.#narrowedTo = undefined;
    this.#missing.clear();
  }

  /**
   * @param batch undefined where the round failed before one was closed
   * @throws the error itself where it must stop the process
   */
  async judge(error: unknown, batch: Batch | undefined): Promise<Verdict> {
    if (error instanceof StorageError && error.code === 'broken-invariant') throw error;
    if (error instanceof ChangeFailed) return this.#missingBytes(error, [error.entry]);
    if (!(error instanceof RemoteError)) return this.#later(error);
    if (error.pauses) {
      this.deps.condition.pause('commit', error);
      return { result: 'paused', waitMs: this.deps.timings.pausedRetryMs };
    }
    if (error.code === 'chunk-missing' || error.code === 'chunk-corrupt')
      return this.#missingBytes(error, await this.#naming(batch, error.oids));
    if (batch && (error.code === 'push-too-large' || error.isPoison)) {
      const named = await this.#naming(batch, error.oids);
      return named.length > 0 ? this.#setAside(named, error) : this.#narrow(error, batch);
    }
    return this.#later(error);
  }

  /** What rests on a change that was set aside waits with it: it must not land on its own. */
  async setAsideDoomed(doomed: readonly Doomed[]): Promise<void> {
    const { bucket, journal, log } = this.deps;
    for (const { entry, key } of doomed) {
      const message = `rests on ${key}, which was set aside`;
      await journal.quarantine(entry, { code: 'rests-on-set-aside', message });
      log.error('a change rests on one that was set aside, and is set aside with it; the rest goes on', {
        bucket,
        key: entry.key,
        seq: entry.seq,
        restsOn: key,
      });
    }
  }

  #later(error: unknown): Verdict {
    const { bucket, log, timings } = this.deps;
    this.#failures += 1;
    const ceilingMs = Math.min(timings.retryMaxMs, RETRY_BASE_MS * 2 ** Math.min(this.#failures - 1, 16));
    const askedMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
    // Full jitter, but never at once: a server that just failed is not asked again in the same millisecond.
    const waitMs = Math.min(askedMs, 10 * 60_000) + ceilingMs * (0.1 + 0.9 * Math.random());
    log.warn('a commit failed and is tried again', { bucket, failures: this.#failures, waitMs, error });
    return { result: 'retry', waitMs };
  }

  async #missingBytes(error: RemoteError | ChangeFailed, entries: readonly JournalEntry[]): Promise<Verdict> {
    const gone = entries.filter(({ seq }) => {
      const times = (this.#missing.get(seq) ?? 0) + 1;
      this.#missing.set(seq, times);
      return times >= MISSING_TRIES;
    });
    return gone.length === 0 ? this.#later(error) : this.#setAside(gone, error);
  }

  async #narrow(error: RemoteError, batch: Batch): Promise<Verdict> {
    if (batch.entries > 1) {
      this.#narrowedTo = Math.ceil(batch.entries / 2);
      const { bucket, log } = this.deps;
      log.warn('a commit was refused; it is split to find out which change', {
        bucket,
        cause: error.code,
        changes: batch.entries,
        next: this.#narrowedTo,
      });
      return { result: 'split', waitMs: 0 };
    }
    return this.#setAside([...batch.net.values()], error);
  }

  async #setAside(entries: readonly JournalEntry[], error: RemoteError | ChangeFailed): Promise<Verdict> {
    const { bucket, journal, log } = this.deps;
    const code = error instanceof RemoteError ? error.code : `chunk-${error.cause.code}`;
    for (const entry of entries) {
      await journal.quarantine(entry, { code, message: error.message });
      this.#missing.delete(entry.seq);
      log.error('a change will never land and is quarantined; the rest goes on', {
        bucket,
        key: entry.key,
        seq: entry.seq,
        cause: code,
        error,
      });
    }
    this.#failures = 0;
    return { result: 'quarantined', waitMs: 0 };
  }

  /**
   * Changes of the batch whose objects name one of the chunks; also those that a later one of the batch replaces,
   * since their chunks may have been sent for the sake of the order.
   */
  async #naming(batch: Batch | undefined, oids: readonly string[]): Promise<JournalEntry[]> {
    const wanted = new Set(oids);
    const found: JournalEntry[] = [];
    if (!batch || wanted.size === 0) return found;
    const { journal } = this.deps;
    for await (const entry of journal.entriesOf(batch.seqs)) {
      const body = entry.record && (await journal.bodies.open(entry.record.body, entry.record.sizeBytes));
      if (body?.kind !== 'extents') continue;
      for await (const extent of body.list.range(0, body.list.sizeBytes)) {
        if (!wanted.has(extent.oid)) continue;
        found.push(entry);
        break;
      }
    }
    return found;
  }
}
