/**
 * Lands pending changes on the branch, a batch at a time. Keeps invariant 1 ("an acknowledged write is never
 * lost", however Gitee fails: a change leaves the journal only when the base says that it is on the branch, or
 * when it is quarantined) and invariant 2 ("a commit never names a chunk that is not on Gitee"): a batch goes
 *
 *   closed -> normalised -> chunks confirmed on Gitee -> pushed -> in the base -> out of the overlay
 *
 * and whatever fails on the way, it is closed and confirmed anew. Every step is durable before the next begins, and
 * repeating one does no harm, so a kill between any two is mended by the next round.
 */
import type { ChunksApi } from '../chunks/api.js';
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { Observer } from '../async/observer.js';
import type { Semaphore } from '../async/semaphore.js';
import type { Chunk } from '../format/extent.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import type { LayoutRules } from '../format/tree-layout.js';
import { RemoteError } from '../gitee/errors.js';
import type { HeadRemote, PushResult } from '../gitee/remote.js';
import type { BaseHolder } from './base-holder.js';
import { baseChanges, closeBatch, netChanges, type Batch } from './batch.js';
import { bucketFileEdits } from './bucket-files.js';
import type { Condition } from './condition.js';
import type { GatewayIdentity } from './gateway-identity.js';
import type { HeadSync } from './head-sync.js';
import type { Journal } from './journal.js';
import type { Landings } from './landings.js';
import { Normaliser } from './normalise.js';
import type { JournalEntry } from './overlay-rows.js';
import { Recovery } from './recovery.js';
import { treeEdits, type NetChange } from './tree-edit.js';
import { Wake } from './wake.js';

export interface CommitterTimings {
  /** A change waits at most so long for others. */
  readonly maxAgeMs: number;
  /** So many pending changes are committed at once. */
  readonly maxChanges: number;
  /** Longest wait after a transient failure. */
  readonly retryMaxMs: number;
  /** How often a paused bucket tries again by itself. */
  readonly pausedRetryMs: number;
}

export interface CommitterDeps {
  readonly bucket: string;
  readonly repositoryId: () => number;
  readonly rules: LayoutRules;
  readonly journal: Journal;
  readonly identity: GatewayIdentity;
  readonly bases: BaseHolder;
  readonly landings: Landings;
  readonly chunks: ChunksApi;
  readonly remote: HeadRemote;
  readonly sync: HeadSync;
  readonly headLock: Semaphore;
  readonly condition: Condition;
  readonly timings: CommitterTimings;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
  readonly failpoints: Failpoints;
  readonly onLanded: () => void;
  readonly onFatal: (error: unknown) => void;
}

const CHUNKS_ASKED_AT_ONCE = 500;
/** An append takes about as long, at most. */
const APPEND_MS = 20;
/** Each time the head moved under us somebody else's commit landed; more in a row is a storm: back off. */
const REAPPLY_MAX = 8;

export class Committer {
  readonly #work: Wake;
  readonly #retry: Wake;
  readonly #stop = new AbortController();
  readonly #normaliser: Normaliser;
  readonly #recovery: Recovery;
  #running: Promise<void> | undefined;
  #lastLandedMs: number | undefined;
  /** The outcome of a push is not known: the branch is read before anything else is sent. */
  #isUnclear = false;
  #flush = false;

  constructor(private readonly deps: CommitterDeps) {
    this.#work = new Wake(deps.clock);
    this.#retry = new Wake(deps.clock);
    this.#normaliser = new Normaliser(deps.journal, deps.chunks, deps.rules);
    this.#recovery = new Recovery(deps);
  }

  get lastLandedMs(): number | undefined {
    return this.#lastLandedMs;
  }

  start(): void {
    this.#running ??= this.#loop(this.#stop.signal);
  }

  /** There is something new to do. */
  wake(): void {
    this.#work.ring();
  }

  /** What failed may work again: does not wait any longer. */
  kick(): void {
    this.#retry.ring();
    this.#work.ring();
  }

  /** Commits what is pending without waiting for its age. */
  flush(): void {
    this.#flush = true;
    this.kick();
  }

  /** Ends the round that runs, at once: all of it can be done again. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the committer stops'));
    await this.#running;
  }

  /** True where a round should begin now. */
  #isDue(): boolean {
    const { bases, condition, journal, landings, clock, timings } = this.deps;
    if (!bases.ready || condition.frozen || journal.pendingCount === 0) return false;
    if (this.#flush || this.#recovery.isNarrowed || landings.wantedSeq > journal.landedSeq) return true;
    if (journal.pendingCount >= timings.maxChanges) return true;
    return clock.nowMs() - (journal.oldestPendingMs ?? Infinity) >= timings.maxAgeMs;
  }

  #idleMs(): number {
    const { clock, journal, timings } = this.deps;
    const oldestMs = journal.oldestPendingMs;
    if (oldestMs === undefined) return timings.maxAgeMs;
    return Math.max(1, oldestMs + timings.maxAgeMs - clock.nowMs());
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (!this.#isDue()) {
          if (this.deps.journal.pendingCount === 0) this.#flush = false;
          await this.#work.wait(this.#idleMs(), signal);
          continue;
        }
        await this.round(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.deps.log.error('the committer cannot go on', { bucket: this.deps.bucket, error });
        this.deps.onFatal(error);
        return;
      }
    }
  }

  /**
   * One batch, landed or failed; waits after a failure.
   * @throws what must stop the process: a broken invariant.
   */
  async round(signal: AbortSignal): Promise<void> {
    const { bucket, clock, condition, observer, timings } = this.deps;
    const batch = await closeBatch(this.deps.journal, this.#recovery.batchMax(timings.maxChanges));
    if (!batch) {
      // What is pending stands behind an append that is being written: its end rings.
      await this.#work.wait(APPEND_MS, signal);
      return;
    }
    const startedMs = clock.nowMs();
    try {
      if (!(await this.#land(batch, signal))) return;
      this.#recovery.succeeded();
      condition.resume('commit');
      this.#lastLandedMs = clock.nowMs();
      observer.observe('gateway_commit_changes', batch.entries, { bucket });
      observer.observe('gateway_commit_duration_seconds', (clock.nowMs() - startedMs) / 1000, { bucket });
    } catch (error) {
      if (signal.aborted) throw error;
      this.#isUnclear ||= error instanceof RemoteError && error.isTransient;
      const verdict = await this.#recovery.judge(error, batch);
      observer.count('gateway_commits_total', { bucket, result: verdict.result });
      // Only kick() ends this wait: work that comes in while Gitee is down must not hammer it.
      if (verdict.waitMs > 0) await this.#retry.wait(verdict.waitMs, signal);
    } finally {
      // Whatever failed after the overlay had let go of the batch: those who wait for it need not.
      this.deps.landings.advance(this.deps.journal.landedSeq);
      this.deps.onLanded();
    }
  }

  /** False where the bucket froze on the way. */
  async #land(batch: Batch, signal: AbortSignal): Promise<boolean> {
    const { failpoints, headLock } = this.deps;
    await failpoints.hit('committer.batchClosed');
    await failpoints.hit('committer.beforeNormalise');
    const entries = new Map<ObjectKey, JournalEntry>();
    for (const entry of batch.net.values()) {
      signal.throwIfAborted();
      entries.set(entry.key, await this.#normaliser.normalise(entry));
    }
    const net = await netChanges(this.deps.journal, { ...batch, net: entries });
    await failpoints.hit('committer.beforeUpload');
    const confirmed = await this.#confirmChunks(net, signal);
    await failpoints.hit('committer.afterUpload');
    await failpoints.hit('committer.chunksRemote');
    return headLock.run(() => this.#pushUntilLanded(batch, net, confirmed, signal), signal);
  }

  /** Every chunk that the commit will name, on Gitee: sent where it is missing, then asked for once more. */
  async #confirmChunks(net: ReadonlyMap<ObjectKey, NetChange>, signal: AbortSignal): Promise<Set<string>> {
    const confirmed = new Set<string>();
    let group: Chunk[] = [];
    const flush = async () => {
      if (group.length > 0) await this.deps.chunks.ensureRemote(group, signal);
      for (const chunk of group) confirmed.add(chunk.oid);
      group = [];
    };
    for (const { object } of net.values()) {
      if (object?.body.kind !== 'extents') continue;
      for await (const extent of object.body.list.range(0, object.record.sizeBytes)) {
        if (confirmed.has(extent.oid)) continue;
        group.push({ oid: extent.oid, sizeBytes: extent.chunkLengthBytes, volume: extent.volume });
        if (group.length >= CHUNKS_ASKED_AT_ONCE) await flush();
      }
    }
    await flush();
    return confirmed;
  }

  async #pushUntilLanded(
    batch: Batch,
    net: ReadonlyMap<ObjectKey, NetChange>,
    confirmed: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { bases, clock, condition, identity, journal, remote, sync } = this.deps;
    if (this.#isUnclear || remote.knownHead() === null) await sync.fetch(signal);
    this.#isUnclear = false;
    for (let attempt = 1; attempt <= REAPPLY_MAX; attempt += 1) {
      if (condition.frozen) return false; // by what was just fetched
      if (journal.landedSeq >= batch.lastSeq) return true; // the branch has our changes already
      const base = bases.current;
      const head = base.marker?.head ?? null;
      await identity.setAttempted(batch.lastSeq);
      const result = await this.#push(batch, net, confirmed, head, signal);
      if (result.kind !== 'moved') {
        await this.#landed(batch, net, result);
        return true;
      }
      await sync.follow(result.head);
      await clock.sleep(Math.random() * Math.min(2000, 50 * 2 ** attempt), signal);
    }
    throw new RemoteError('head-moved', `the branch moved ${REAPPLY_MAX} times while a commit was pushed`);
  }

  async #push(
    batch: Batch,
    net: ReadonlyMap<ObjectKey, NetChange>,
    confirmed: ReadonlySet<string>,
    head: CommitId | null,
    signal: AbortSignal,
  ): Promise<PushResult> {
    const { bases, failpoints, identity, remote, rules } = this.deps;
    const isConfirmed = (oid: string) => confirmed.has(oid);
    const edits = await treeEdits({ rules, base: bases.current, isConfirmed }, net);
    // Deletions of what never was there are no reason to begin a branch.
    if (head !== null || edits.some((edit) => edit.kind === 'put'))
      edits.push(...(await bucketFileEdits(remote, head, rules, this.deps.repositoryId())));
    await failpoints.hit('committer.beforePush');
    return remote.push(
      {
        expectedHead: head,
        edits,
        subject: `gateway: ${net.size} ${net.size === 1 ? 'object' : 'objects'}`,
        trailers: [
          ['Gateway-Id', identity.id],
          ['Gateway-Epoch', String(identity.epoch)],
          ['Journal-Seq', `${batch.firstSeq}..${batch.lastSeq}`],
        ],
      },
      signal,
    );
  }

  async #landed(
    batch: Batch,
    net: ReadonlyMap<ObjectKey, NetChange>,
    result: Exclude<PushResult, { kind: 'moved' }>,
  ): Promise<void> {
    const { bases, bucket, failpoints, journal, landings, log, observer } = this.deps;
    await failpoints.hit('committer.afterLanded');
    // The base first, durably: until then a reader finds the change in the overlay, afterwards in the base.
    await bases.current.apply(baseChanges(net), { head: result.head, landedSeq: batch.lastSeq });
    await failpoints.hit('committer.baseApplied');
    await journal.drop(batch.lastSeq);
    await failpoints.hit('committer.overlayDropped');
    landings.advance(batch.lastSeq);
    observer.count('gateway_commits_total', { bucket, result: result.kind });
    log.info('changes are on Gitee', {
      bucket,
      head: result.head,
      changes: batch.entries,
      commit: result.kind === 'landed',
    });
  }
}
