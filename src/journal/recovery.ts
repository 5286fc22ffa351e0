/**
 * What to do when a batch did not land. Nothing is ever dropped: a change waits, or it is set aside with a reason
 * (quarantined) where Gitee does not take it, so that it does not stop the rest. What the LFS store says about single
 * objects is believed only after a while (doubts.ts), and never where a good copy is here that can be sent again; and
 * what fails for single objects stops no other.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import { ChunkError } from '../chunks/api.js';
import { RemoteError, UnintendedChangeError } from '../gitee/errors.js';
import type { Batch } from './batch.js';
import { StorageError } from '../index/errors.js';
import type { BaseHolder } from './base-holder.js';
import type { ObjectKey } from '../format/ids.js';
import type { Condition } from './condition.js';
import type { Doubts } from './doubts.js';
import type { ChangeLog } from './change-log.js';
import { ChangeFailed } from './committed-form.js';
import { BeingCutAnew } from './normalisings.js';
import type { JournalEntry } from './overlay-rows.js';
import type { Doomed } from './selection.js';

export interface RecoveryDeps {
  readonly bucket: string;
  readonly journal: ChangeLog;
  readonly bases: BaseHolder;
  readonly condition: Condition;
  readonly doubts: Doubts;
  readonly clock: Clock;
  readonly log: Log;
  readonly timings: RecoveryTimings;
  /**
   * Ends whatever push of these changes is on its way still, by a commit after which it can't land. Rejects as a push
   * does. False where that can't be done now.
   */
  readonly endPushesOf: (entries: readonly JournalEntry[]) => Promise<boolean>;
}

export interface RecoveryTimings {
  /** Longest wait after a transient failure. */
  readonly retryMaxMs: number;
  /** How often a paused bucket tries again by itself. */
  readonly pausedRetryMs: number;
  /**
   * So long bytes must have been missing that are not here either, or have been refused alone for a reason that nobody
   * knows, before their change is set aside.
   */
  readonly missingForMs: number;
  /** So long Gitee must have refused an object, before its change is set aside. */
  readonly refusedForMs: number;
}

export interface Verdict {
  /** Label of gateway_commits_total. */
  readonly result: 'retry' | 'paused' | 'split' | 'quarantined';
  /** How long to wait before the next round, unless woken. */
  readonly waitMs: number;
}

const RETRY_BASE_MS = 500;
/** What can't be committed for a reason of ours is tried so often; another one is set aside at most so often in a row. */
const ODD_TRIES = 3;
const ODD_IN_A_ROW_MAX = 10;

export class Recovery {
  #failures = 0;
  /** How often a change failed for a reason that is not Gitee's, by its seq; 0: a batch of several did. */
  readonly #odd = new Map<number, number>();
  /** So many were set aside for such a reason since a commit landed last. */
  #oddInARow = 0;
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
    this.#oddInARow = 0;
    this.#odd.delete(0);
    // The refused change is in what follows: widen step by step, or each search would begin from the top.
    if (this.#narrowedTo !== undefined)
      this.#narrowedTo = this.#narrowedTo >= 5_000 ? undefined : this.#narrowedTo * 2;
    if (this.deps.journal.pendingCount > 0) return;
    this.#narrowedTo = undefined;
    this.#odd.clear();
  }

  /**
   * @param batch undefined where the round failed before one was closed
   * @throws what must stop the process: a broken invariant
   */
  async judge(error: unknown, batch: Batch | undefined): Promise<Verdict> {
    if (isBroken(error)) throw error;
    try {
      return await this.#judge(error, batch);
    } catch (problem) {
      if (isBroken(problem)) throw problem;
      // The disk, most likely. It is judged anew when the round fails again.
      const { bucket, log } = this.deps;
      log.error('what was to be done about a commit that failed could not be done', {
        bucket,
        error,
        problem,
      });
      return this.#later(problem);
    }
  }

  async #judge(error: unknown, batch: Batch | undefined): Promise<Verdict> {
    const { missingForMs, refusedForMs } = this.deps.timings;
    // Bytes of our own that have rotted do not come back; those of a chunk may be had from elsewhere yet.
    if (error instanceof ChangeFailed && error.isLoss)
      return error.cause instanceof StorageError
        ? this.#setAside([error.entry], error)
        : this.#standAside([error.entry], error, missingForMs);
    // It is on Gitee, and comes when that answers.
    if (error instanceof ChangeFailed && error.isAway)
      return this.#standAside([error.entry], error, Infinity);
    if (!(error instanceof RemoteError)) return this.#notOfGitee(error, batch);
    const named = await this.#naming(batch, error.oids);
    // The bytes are here: sooner or later Gitee takes them, or an operator mends what stands in their way. Where nobody
    // knows what that is, nobody would look for it, and what waits for all before it would wait for ever.
    if (named.length > 0 && (error.isTransient || error.pauses))
      return this.#standAside(named, error, error.code === 'refused' ? missingForMs : Infinity);
    // Where it names an object, no change of this batch does any more.
    if (error.pauses && error.oids.length === 0) {
      this.deps.condition.pause('commit', error);
      return { result: 'paused', waitMs: this.deps.timings.pausedRetryMs };
    }
    if (error.code === 'chunk-missing' || error.code === 'chunk-corrupt')
      return this.#standAside(named, error, missingForMs);
    if (batch && (error.code === 'push-too-large' || error.isPoison))
      return named.length > 0 ? this.#standAside(named, error, refusedForMs) : this.#narrow(error, batch);
    return this.#later(error);
  }

  /**
   * What rests on a change that was set aside waits with it: it must not land on its own. False where that can't be done
   * now. @throws RemoteError
   */
  async setAsideDoomed(doomed: readonly Doomed[]): Promise<boolean> {
    const { bucket, endPushesOf, log } = this.deps;
    if (!(await endPushesOf(doomed.map(({ entry }) => entry)))) return false;
    for (const { entry, key } of doomed) {
      const message = `rests on ${key}, which was set aside`;
      // What it rests on may be tried again by now: so is it then.
      const reason = { code: 'rests-on-set-aside', message, restsOn: key };
      if (!(await this.#quarantine(entry, reason))) continue;
      log.error('a change rests on one that was set aside, and is set aside with it; the rest goes on', {
        bucket,
        key: entry.key,
        seq: entry.seq,
        restsOn: key,
      });
    }
    return true;
  }

  #later(error: unknown): Verdict {
    const askedMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
    const { bucket, log, timings } = this.deps;
    this.#failures += 1;
    const ceilingMs = Math.min(timings.retryMaxMs, RETRY_BASE_MS * 2 ** Math.min(this.#failures - 1, 16));
    // Full jitter, but never at once: a server that just failed is not asked again in the same millisecond.
    const waitMs = Math.min(askedMs, 10 * 60_000) + ceilingMs * (0.1 + 0.9 * Math.random());
    log.warn('a commit failed and is tried again', { bucket, failures: this.#failures, waitMs, error });
    return { result: 'retry', waitMs };
  }

  /**
   * What is neither Gitee's nor this machine's doing is a change that can't be committed, or a fault of ours. The change
   * is looked for, tried a few times and set aside; where one after the other fails so, it is none of theirs: all wait.
   */
  async #notOfGitee(error: unknown, batch: Batch | undefined): Promise<Verdict> {
    const entry = error instanceof ChangeFailed ? error.entry : only(batch);
    if (isOfMachine(error) || (!entry && !batch)) return this.#later(error);
    const seq = entry?.seq ?? 0;
    const times = (this.#odd.get(seq) ?? 0) + 1;
    this.#odd.set(seq, times);
    if (times < ODD_TRIES || this.#oddInARow >= ODD_IN_A_ROW_MAX) return this.#later(error);
    if (!entry) return this.#narrow(error, batch!);
    this.#oddInARow += 1;
    this.#odd.delete(seq);
    return this.#setAside([entry], error);
  }

  /** They are left out of what is committed for a while; those that were for all of the patience are set aside. */
  async #standAside(
    entries: readonly JournalEntry[],
    error: RemoteError | ChangeFailed,
    patienceMs: number,
  ): Promise<Verdict> {
    const askedMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
    const reason = { code: codeOf(error), message: error.message };
    const over = entries.filter(({ seq }) => this.deps.doubts.note(seq, { patienceMs, askedMs, reason }));
    if (over.length > 0) return this.#setAside(over, error);
    // It is theirs to wait, not everybody's.
    if (entries.length === 0) return this.#later(error);
    const { bucket, log } = this.deps;
    log.warn('changes stand aside for a while; the rest goes on', { bucket, changes: entries.length, error });
    return { result: 'retry', waitMs: 0 };
  }

  async #narrow(error: unknown, batch: Batch): Promise<Verdict> {
    if (batch.entries > 1 && !batch.isIndivisible) {
      this.#narrowedTo = Math.ceil(batch.entries / 2);
      const { bucket, log } = this.deps;
      log.warn('a commit was refused; it is split to find out which change', {
        bucket,
        cause: codeOf(error),
        error,
        changes: batch.entries,
        next: this.#narrowedTo,
      });
      return { result: 'split', waitMs: 0 };
    }
    return this.#setAside([...batch.net.values()], error);
  }

  async #setAside(entries: readonly JournalEntry[], error: unknown): Promise<Verdict> {
    const { bucket, condition, endPushesOf, log, timings } = this.deps;
    try {
      if (!(await endPushesOf(entries))) return this.#later(error);
    } catch (problem) {
      if (!(problem instanceof RemoteError) || !problem.pauses) throw problem;
      condition.pause('commit', problem);
      return { result: 'paused', waitMs: timings.pausedRetryMs };
    }
    const code = codeOf(error);
    const message = error instanceof Error ? error.message : String(error);
    for (const entry of entries) {
      if (!(await this.#quarantine(entry, { code, message }))) continue;
      log.error('a change does not land and is quarantined; the rest goes on', {
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

  async #quarantine(
    entry: JournalEntry,
    reason: { code: string; message: string; restsOn?: ObjectKey },
  ): Promise<boolean> {
    const { bases, journal } = this.deps;
    const baseOf = async () => (await bases.current.get(entry.key))?.etag ?? null;
    return journal.quarantine(entry, { ...reason, baseOf });
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
      if (entry.record?.body.kind === 'plain') continue;
      const body = entry.record && (await journal.openBody(entry.record));
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

/** The change, where the batch has no other. */
function only(batch: Batch | undefined): JournalEntry | undefined {
  return batch?.entries === 1 ? [...batch.net.values()][0] : undefined;
}

function codeOf(error: unknown): string {
  if (error instanceof RemoteError) return error.code;
  if (error instanceof ChangeFailed && error.cause instanceof BeingCutAnew) return 'being-cut-anew';
  if (error instanceof ChangeFailed && error.isAway) return 'unreachable';
  if (!(error instanceof ChangeFailed) || !error.isLoss) return 'not-committable';
  const { cause } = error;
  return cause instanceof ChunkError || cause instanceof StorageError
    ? `chunk-${cause.code}`
    : 'chunk-corrupt';
}

function isBroken(error: unknown): boolean {
  return (
    error instanceof UnintendedChangeError ||
    (error instanceof StorageError && error.code === 'broken-invariant')
  );
}

/** Disk, memory, network or a stop: it says nothing about the change at which it was met. */
function isOfMachine(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof RemoteError || 'syscall' in at || 'errno' in at) return true;
    if (at instanceof ChunkError && at.code !== 'missing' && at.code !== 'corrupt') return true;
    if (at instanceof StorageError && at.code !== 'corrupt') return true;
    if (/^(AbortError|TimeoutError)$/.test(at.name) || /Commit failed|MDB_|alloc/i.test(at.message))
      return true;
  }
  return false;
}
