/**
 * Lands pending changes on the branch, a batch at a time. Keeps invariant 1 ("an acknowledged write is never
 * lost", however Gitee fails: a change leaves the journal only when the base says that it is on the branch, or
 * when it is quarantined) and invariant 2 ("a commit never names a chunk that is not on Gitee"): a batch goes
 *
 *   closed -> normalised -> chunks confirmed on Gitee -> claimed -> pushed -> in the base -> out of the overlay
 *
 * and whatever fails on the way, it is closed and confirmed anew. Every step is durable before the next begins, and
 * repeating one does no harm, so a kill between any two is mended by the next round. A batch whose outcome is not known
 * is sent again as it was, before any other: until it is decided, its push may land at any time (claims.ts). Where that
 * fails before the push, the next commit of ours ends it, an empty one if there is nothing else to send.
 */
import type { ChunksApi } from '../chunks/api.js';
import { wallTime, type Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Semaphore } from '../async/semaphore.js';
import type { Chunk } from '../format/extent.js';
import type { CommitId, ObjectKey } from '../format/ids.js';
import type { LayoutRules } from '../format/tree-layout.js';
import { NotSentError, RemoteError } from '../gitee/errors.js';
import type { HeadRemote, PushRequest, PushResult } from '../gitee/remote.js';
import { UnknownRefusals } from '../gitee/unknown-refusals.js';
import type { BaseHolder } from './base-holder.js';
import { LogOrder, ReadySets, type BatchSource } from './batch-source.js';
import { baseChanges, batchOf, netChanges, type Batch } from './batch.js';
import { bucketFileEdits } from './bucket-files.js';
import type { Condition } from './condition.js';
import type { Doubts } from './doubts.js';
import type { HeadSync } from './head-sync.js';
import type { ChangeLog, Claim, ClaimLog, LogIdentity } from './change-log.js';
import type { Landings } from './landings.js';
import { Normaliser } from './committed-form.js';
import { Normalisings } from './normalisings.js';
import type { JournalEntry } from './overlay-rows.js';
import { ownTrailers } from './own-work.js';
import { Recovery, type RecoveryTimings } from './recovery.js';
import { Closure, type Base } from './rests-on.js';
import { isWithin, SeqSet } from './seq-set.js';
import { treeEdits, type NetChange } from './tree-edit.js';
import { UnseenPush, type UnseenStatus } from './unseen-push.js';
import { AutoResetEvent } from './auto-reset-event.js';

export interface CommitterTimings extends RecoveryTimings {
  /** A change waits at most so long for others. */
  readonly maxAgeMs: number;
  /** So many pending changes are committed at once. */
  readonly maxChanges: number;
  /** See SelectionSource. */
  readonly lookedAtMax?: number;
}

export interface CommitterDeps {
  readonly bucket: string;
  readonly repositoryId: () => number;
  readonly rules: LayoutRules;
  /** Somebody may wait for a change and all that was written before it: preset generic with a barrier. */
  readonly isStrictOrder?: boolean | undefined;
  readonly journal: ChangeLog;
  readonly identity: LogIdentity;
  readonly claims: ClaimLog;
  readonly bases: BaseHolder;
  readonly landings: Landings;
  readonly doubts: Doubts;
  readonly chunks: ChunksApi;
  readonly remote: HeadRemote;
  readonly sync: HeadSync;
  readonly headLock: Semaphore;
  readonly condition: Condition;
  readonly timings: CommitterTimings;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly failpoints: Failpoints;
  readonly onLanded: () => void;
  readonly onFatal: (error: unknown) => void;
  /** Throws where another process has taken over. */
  readonly checkLease?: (() => void) | undefined;
}

interface Pushed {
  readonly claim: Claim;
  /** What the commit means for the base is more than the changes, and read from the tree. */
  readonly gaveWay: boolean;
  readonly result: PushResult;
  /** The branch has the ids of all runs by now (GatewayIdentity): not where no commit was needed. */
  readonly carriesRuns: boolean;
}

/** A batch that may be sent, under this claim. */
interface Claimed {
  readonly claim: Claim;
  /** A commit is made whatever it changes. */
  readonly isFence: boolean;
  /** Under an earlier push: it may land yet. */
  readonly wasSent: boolean;
}

/** The batch of a commit that changes nothing. */
const NOTHING: Batch = { seqs: SeqSet.EMPTY, floorSeq: 0, entries: 0, net: new Map() };
const CHUNKS_ASKED_AT_ONCE = 500;
/** An append takes about as long, at most. */
const APPEND_MS = 20;
/** What two readings of the same moment may differ by. */
const ROUNDING_MS = 1;
/** How often changes that are waited for are looked at when nothing says that they can land. */
const LOOK_MS = 1_000;
/** Each time the head moved under us somebody else's commit landed; more in a row is a storm: back off. */
const REAPPLY_MAX = 8;

export class Committer {
  readonly #work: AutoResetEvent;
  readonly #retry: AutoResetEvent;
  readonly #stop = new AbortController();
  readonly #normalisings: Normalisings;
  readonly #recovery: Recovery;
  #running: Promise<void> | undefined;
  /** While the loop has nothing to do: when it looks again, steady milliseconds. */
  #sleepsUntilMs: number | undefined;
  #lastLandedMs: number | undefined;
  #flush = false;
  /** Rounds in a row that took nothing. */
  #emptyRounds = 0;
  /** Undecided claims, by number, whose batch can't be sent again just as it was: another commit ends them. */
  readonly #givenUp = new Set<number>();
  readonly #unseen: UnseenPush;
  readonly #refusals = new UnknownRefusals();
  readonly #source: BatchSource;
  /** When everything that was due and ready was last taken. */
  #takenMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly deps: CommitterDeps) {
    this.#work = new AutoResetEvent(deps.clock);
    this.#retry = new AutoResetEvent(deps.clock);
    this.#unseen = new UnseenPush(deps.clock);
    const { clock, doubts, isStrictOrder = false, journal, rules } = deps;
    this.#normalisings = new Normalisings(new Normaliser(journal, deps.chunks, rules), clock, (seq) => {
      doubts.settled((each) => each === seq);
      this.#source.kick();
      this.#work.set();
    });
    this.#recovery = new Recovery({
      ...deps,
      endPushesOf: (entries) => this.#endPushesOf(entries, this.#stop.signal),
    });
    this.#source =
      rules.preset === 'registry'
        ? this.#readySets()
        : new LogOrder({ journal, doubts, clock, isStrict: isStrictOrder });
  }

  /** When a commit landed last, for people. */
  get lastLandedMs(): number | undefined {
    return this.#lastLandedMs === undefined ? undefined : wallTime(this.deps.clock, this.#lastLandedMs);
  }

  /** The push that Gitee accepted and that nobody has seen on the branch yet, if there is one. */
  get unseen(): UnseenStatus | undefined {
    return this.#unseen.status(this.deps.claims.undecided);
  }

  start(): void {
    this.#running ??= this.#loop(this.#stop.signal);
  }

  /** There is something new to do. The loop sleeps on where that is not due before it looks again by itself. */
  wake(): void {
    const sleepsUntilMs = this.#sleepsUntilMs ?? Infinity;
    if (sleepsUntilMs <= this.deps.clock.steadyMs() + this.#idleMs() + ROUNDING_MS && !this.#isDue()) return;
    this.#work.set();
  }

  /** What failed may work again: does not wait any longer. */
  kick(): void {
    this.deps.doubts.clear();
    this.#source.kick();
    this.#retry.set();
    this.#work.set();
  }

  /** Commits what is pending without waiting for its age. */
  flush(): void {
    this.#flush = true;
    this.kick();
  }

  /** Ends the round that runs, at once: all of it can be done again. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the committer stops'));
    await this.#source.stop();
    await this.#normalisings.stop();
    await this.#running;
  }

  /** True where a round should begin now. */
  #isDue(): boolean {
    const { bases, claims, condition, journal, landings } = this.deps;
    if (!bases.ready || condition.frozen) return false;
    if (claims.undecided.length > 0) return true; // the sooner it is decided, the less depends on it
    if (journal.pendingCount === 0) return false;
    if (this.#source.isReady) return true;
    return (this.#isUrgent || landings.isWanted) && this.#source.hasNews ? true : this.#isOverdue();
  }

  /** True where all that can be committed should be, now. */
  get #isUrgent(): boolean {
    return this.#flush || this.#recovery.isNarrowed;
  }

  #isOverdue(): boolean {
    const { journal, clock, timings } = this.deps;
    if (journal.pendingCount - this.#source.heldCount >= timings.maxChanges) return true;
    return clock.steadyMs() >= this.#dueMs();
  }

  /** When the oldest change has waited long enough. Where some can't land yet, the others wait as long again. */
  #dueMs(): number {
    const { journal, timings } = this.deps;
    const oldestMs = journal.oldestPendingSteadyMs ?? Infinity;
    return (this.#source.heldCount > 0 ? Math.max(oldestMs, this.#takenMs) : oldestMs) + timings.maxAgeMs;
  }

  #idleMs(): number {
    const { bases, clock, condition, journal, landings, timings } = this.deps;
    if (journal.oldestPendingSteadyMs === undefined) return Math.max(LOOK_MS, timings.maxAgeMs);
    // However old it is, nothing can be done; what ends that rings.
    if (!bases.ready || condition.frozen) return LOOK_MS;
    const dueInMs = Math.max(1, this.#dueMs() - clock.steadyMs());
    return this.#isUrgent || landings.isWanted ? Math.min(dueInMs, LOOK_MS) : dueInMs;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (!this.#isDue()) {
          if (this.deps.journal.pendingCount === 0) this.#flush = false;
          const idleMs = this.#idleMs();
          this.#sleepsUntilMs = this.deps.clock.steadyMs() + idleMs;
          await this.#work.wait(idleMs, signal);
          this.#sleepsUntilMs = undefined;
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
    const { bucket, clock, metrics } = this.deps;
    const startedMs = clock.steadyMs();
    let batch: Batch | undefined;
    try {
      if (!(await this.#decide(signal))) return;
      for (let failed = this.#source.takeFailure(); failed; failed = this.#source.takeFailure()) {
        batch = await batchOf(this.deps.journal, SeqSet.of(failed.seqs), 0);
        // Of what waits no more nothing is to be said.
        if (batch) throw failed.error;
      }
      const isDue = this.#isUrgent || this.#isOverdue();
      const next = await this.#nextBatch(isDue);
      ({ batch } = next);
      if (batch && !(await this.#land(batch, next.again, signal))) return;
      if (!batch && this.#canBeFenced()) await this.#fence(signal);
      if (isDue) this.#takenMs = clock.steadyMs();
      if (!batch) {
        await this.#rest(signal);
        return;
      }
      this.#emptyRounds = 0;
      this.#recovery.succeeded();
      this.#lastLandedMs = clock.steadyMs();
      metrics.observe('gateway_commit_changes', batch.entries, { bucket });
      metrics.observe('gateway_commit_duration_seconds', (clock.steadyMs() - startedMs) / 1000, { bucket });
    } catch (error) {
      if (signal.aborted) throw error;
      const verdict = await this.#recovery.judge(error, batch);
      metrics.count('gateway_commits_total', { bucket, result: verdict.result });
      // Only kick() ends this wait: work that comes in while Gitee is down must not hammer it.
      if (verdict.waitMs > 0) await this.#retry.wait(verdict.waitMs, signal);
      else this.#source.again();
    } finally {
      this.deps.onLanded();
    }
  }

  /**
   * After a round that took nothing: what is pending stands behind an append that is being written, whose end rings, or
   * can't land yet. Whatever still makes a round due, the next one comes when something rings, or after a pause that
   * grows. An undecided claim of which nothing is left to send does make one due: it must not ask Gitee so soon.
   */
  async #rest(signal: AbortSignal): Promise<void> {
    if (this.#source.isReady) return;
    const growingMs = Math.min(LOOK_MS, APPEND_MS * 2 ** Math.min(this.#emptyRounds, 16));
    this.#emptyRounds += 1;
    await this.#work.wait(this.deps.claims.undecided.length > 0 ? LOOK_MS : growingMs, signal);
  }

  /** Reads the branch where that may tell what became of an earlier push. False: it is looked at again. */
  async #decide(signal: AbortSignal): Promise<boolean> {
    const { claims, headLock, sync } = this.deps;
    if (claims.undecided.length === 0) return true;
    try {
      await headLock.run(() => sync.fetch(signal), signal);
    } catch (error) {
      if (signal.aborted || !this.#unseen.forgives(error)) throw error;
    }
    const pauseMs = this.#unseen.pauseMs(claims.undecided);
    if (pauseMs !== undefined) await this.#retry.wait(pauseMs, signal);
    return pauseMs === undefined;
  }

  /** What is sent next: a batch that may land at any time goes before all others, just as it was, if that can be. */
  async #nextBatch(isDue: boolean): Promise<{ batch: Batch | undefined; again?: Claim }> {
    const { claims, timings } = this.deps;
    const { undecided } = claims;
    for (const number of this.#givenUp)
      if (!undecided.some((claim) => claim.number === number)) this.#givenUp.delete(number);
    for (const again of undecided) {
      if (this.#givenUp.has(again.number)) continue;
      const batch = await this.#wholeAgain(again.seqs, again.floorSeq);
      if (batch) return { batch, again };
    }
    const { batch, doomed } = await this.#source.take(this.#recovery.batchMax(timings.maxChanges), isDue);
    if (doomed.length > 0) await this.#recovery.setAsideDoomed(doomed);
    return { batch };
  }

  /** What is pending of a claim. What rests on a change that was set aside since goes too, link by link. */
  async #wholeAgain(seqs: SeqSet, floorSeq: number): Promise<Batch | undefined> {
    for (;;) {
      const again = await batchOf(this.deps.journal, seqs, floorSeq);
      const doomed = again ? await this.#source.doomedOf(again) : [];
      if (doomed.length === 0) return again;
      if (!(await this.#recovery.setAsideDoomed(doomed))) return undefined;
    }
  }

  #readySets(): ReadySets {
    const { bases, bucket, chunks, clock, condition, journal, landings, log, rules, timings } = this.deps;
    const base: Base = {
      get: (key) => bases.current.get(key),
      openBody: (record) => bases.openBody(record),
    };
    return new ReadySets({
      ...{ journal, chunks, landings, clock, base },
      isAside: (seq) => this.deps.doubts.has(seq),
      lookedAtMax: timings.lookedAtMax,
      closure: new Closure(journal, chunks, base, rules.registryRoot, clock),
      onNews: () => this.#work.set(),
      errands: {
        ...{ bucket, chunks, clock, log },
        retryMaxMs: timings.retryMaxMs,
        pausedRetryMs: timings.pausedRetryMs,
        onPause: (error) => condition.pause('commit', error),
      },
    });
  }

  /** False where the bucket froze on the way. @param again the claim of which the batch is sent once more */
  async #land(batch: Batch, again: Claim | undefined, signal: AbortSignal): Promise<boolean> {
    const { headLock } = this.deps;
    const giveUp = () => again && this.#givenUp.add(again.number);
    const { net, confirmed, isAsItWas } = await this.#prepare(batch, signal).catch((error: unknown) => {
      giveUp();
      throw error;
    });
    if (!isAsItWas) giveUp();
    return headLock.run(() => this.#pushUntilLanded(batch, net, confirmed, signal), signal);
  }

  /** All that a commit of the batch needs but the push. `isAsItWas`: nothing of it was cut anew. */
  async #prepare(
    batch: Batch,
    signal: AbortSignal,
  ): Promise<{
    net: ReadonlyMap<ObjectKey, NetChange>;
    confirmed: ReadonlySet<string>;
    isAsItWas: boolean;
  }> {
    const { failpoints } = this.deps;
    await failpoints.hit('committer.batchClosed');
    const entries = await this.#normalised(batch, signal);
    const isAsItWas = [...entries].every(([key, entry]) => batch.net.get(key) === entry);
    const net = await netChanges(this.deps.journal, { ...batch, net: entries });
    await failpoints.hit('committer.beforeUpload');
    const confirmed = await this.#confirmChunks(net, signal);
    await failpoints.hit('committer.chunksRemote');
    return { net, confirmed, isAsItWas };
  }

  /** True where nothing that waits would end a push on its way: its batch can't go out again, or has nothing left. */
  #canBeFenced(): boolean {
    const { claims, journal } = this.deps;
    return this.#givenUp.size > 0 || (journal.pendingCount === 0 && claims.undecided.length > 0);
  }

  /**
   * A change that is set aside may be dropped, or written to by others on Gitee: no push of it may come there after that.
   * True once none can.
   */
  async #endPushesOf(entries: readonly JournalEntry[], signal: AbortSignal): Promise<boolean> {
    const { claims } = this.deps;
    const areOnTheirWay = () => claims.undecided.some(({ seqs }) => entries.some(({ seq }) => seqs.has(seq)));
    if (areOnTheirWay()) await this.#fence(signal);
    return !areOnTheirWay();
  }

  /** Ends all undecided claims by a commit of ours that changes nothing: none of their pushes can land after it. */
  async #fence(signal: AbortSignal): Promise<void> {
    const { bases, bucket, claims, condition, headLock, log, remote, sync } = this.deps;
    await headLock.run(async () => {
      if (remote.knownHead() === null) await sync.fetch(signal);
      if (condition.frozen || claims.undecided.length === 0) return;
      const head = bases.current.marker?.head ?? null;
      const pushed = await this.#push(NOTHING, new Map(), new Set(), head, signal);
      const { result } = pushed;
      // By somebody else's commit they are ended as well.
      if (result.kind === 'moved') await sync.follow(result.head);
      else await this.#landed(NOTHING, new Map(), pushed, result);
      log.info('an empty commit ends a push whose outcome was not known', { bucket });
    }, signal);
  }

  /**
   * What is pending of the batch, in the form in which it can be committed. The follower may take changes out meanwhile
   * (this state is found to be an old snapshot): the rest is then looked at anew, and gets smaller each time.
   */
  async #normalised(batch: Batch, signal: AbortSignal): Promise<ReadonlyMap<ObjectKey, JournalEntry>> {
    let entries = new Map<ObjectKey, JournalEntry>();
    for (let rest: Batch | undefined = batch; rest;) {
      entries = new Map();
      for (const entry of rest.net.values()) {
        signal.throwIfAborted();
        const ready = await this.#normalisings.normalise(entry, signal);
        if (ready) entries.set(entry.key, ready);
      }
      if (entries.size === rest.net.size) break;
      rest = await batchOf(this.deps.journal, batch.seqs, batch.floorSeq);
    }
    return entries;
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
    const { bases, clock, condition, journal, remote, sync } = this.deps;
    if (remote.knownHead() === null) await sync.fetch(signal);
    for (let attempt = 1; attempt <= REAPPLY_MAX; attempt += 1) {
      if (condition.frozen) return false; // by what was just fetched
      // A fetch may have shown that some of it landed: what others have written since must not be undone.
      const rest = await batchOf(journal, batch.seqs, batch.floorSeq);
      if (!rest) return true;
      const restNet = new Map([...net].filter(([key]) => rest.net.has(key)));
      const head = bases.current.marker?.head ?? null;
      const pushed = await this.#push(rest, restNet, confirmed, head, signal);
      const { result } = pushed;
      if (result.kind !== 'moved') {
        await this.#landed(rest, restNet, pushed, result);
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
  ): Promise<Pushed> {
    const { bases, claims, failpoints, identity, landings, remote, rules } = this.deps;
    const isConfirmed = (oid: string) => confirmed.has(oid);
    const { edits, gaveWay } = await treeEdits({ rules, base: bases.current, isConfirmed }, net);
    const others = claims.undecided;
    const again = await this.#sameAs(batch, head);
    // As long as another push may land, "nothing to do" is not "landed": a commit of ours must end that.
    const isFence = batch.entries === 0 || others.some((claim) => claim !== again);
    // Deletions of what never was there are no reason to begin a branch.
    if (head !== null || isFence || edits.some((edit) => edit.kind === 'put'))
      edits.push(...(await bucketFileEdits(remote, head, rules, this.deps.repositoryId())));
    await failpoints.hit('committer.beforeClaim');
    const claim = again ?? (await claims.make(head, batch.seqs, batch.floorSeq));
    await failpoints.hit('committer.claimed');
    // Whoever has taken over since knows the claim, and what he does about it is not to be crossed.
    this.deps.checkLease?.();
    let claimed: Claimed = { claim, isFence, wasSent: again !== undefined };
    const request: PushRequest = {
      expectedHead: head,
      edits,
      subject: `gateway: ${net.size} ${net.size === 1 ? 'object' : 'objects'}`,
      trailers: ownTrailers(identity, claim, head),
      evenIfUnchanged: isFence,
      isWaited: landings.isWanted,
      elsewhere: async (base) => {
        signal.throwIfAborted();
        if (base !== claimed.claim.base) claimed = await this.#claimElsewhere(batch, base);
        const { claim: own, isFence: evenIfUnchanged } = claimed;
        return { trailers: (parent) => ownTrailers(identity, own, parent), evenIfUnchanged };
      },
    };
    try {
      const result = await this.#refusals.of(() => remote.push(request, signal));
      // What was sent under the same id before carries the runs of then.
      const carriesRuns = result.kind === 'landed' && !claimed.wasSent;
      return { claim: claimed.claim, gaveWay, result, carriesRuns };
    } catch (error) {
      this.#unseen.failed(claimed.claim.number, error);
      await this.#refused(error, claimed.claim, claimed.wasSent);
      throw error;
    }
  }

  /**
   * Claims the batch on another head, where nothing but other buckets' commits lies in between. What was claimed before
   * is dead by that: the branch has left its base without it.
   */
  async #claimElsewhere(batch: Batch, base: CommitId | null): Promise<Claimed> {
    const { claims, failpoints } = this.deps;
    await claims.bury(claims.undecided.filter((claim) => claim.base !== base));
    const others = claims.undecided;
    const again = await this.#sameAs(batch, base);
    const claim = again ?? (await claims.make(base, batch.seqs, batch.floorSeq));
    await failpoints.hit('committer.claimedElsewhere');
    this.deps.checkLease?.();
    const isFence = batch.entries === 0 || others.some((other) => other !== again);
    return { claim, isFence, wasSent: again !== undefined };
  }

  /**
   * A claim whose only commit was refused, or never sent, is decided. Where one was sent under it before, a refusal
   * says nothing of that: it may be held up on the way, and land after this.
   */
  async #refused(error: unknown, claim: Claim, wasSentBefore: boolean): Promise<void> {
    const isUnknown = error instanceof RemoteError && error.code === 'refused';
    // Nobody knows why, and whether it stays so; but that it did not land is known.
    const isRefused = isUnknown || (error instanceof RemoteError && !error.isTransient);
    if (!wasSentBefore) {
      if (error instanceof NotSentError || (isRefused && !error.isUndecided))
        await this.deps.claims.bury([claim]);
      // Its content is at fault: it can't go out again as it was.
    } else if (isRefused && !isUnknown && !error.pauses) this.#givenUp.add(claim.number);
  }

  /** The undecided claim on this head of which the batch is all that is pending. */
  async #sameAs(batch: Batch, head: CommitId | null): Promise<Claim | undefined> {
    const { claims, journal } = this.deps;
    for (const claim of claims.undecided) {
      // Its id stands for what was sent under it.
      if (this.#givenUp.has(claim.number)) continue;
      const isSame = batch.entries > 0 ? isWithin(batch.seqs, claim.seqs) : claim.seqs.isEmpty;
      if (claim.base !== head || !isSame) continue;
      // What the claim holds leaves the journal when it lands: all of it must be in its commit.
      const pending = await batchOf(journal, claim.seqs, claim.floorSeq);
      if ((pending?.entries ?? 0) === batch.entries) return claim;
    }
    return undefined;
  }

  async #landed(
    batch: Batch,
    net: ReadonlyMap<ObjectKey, NetChange>,
    { claim, gaveWay, carriesRuns }: Pushed,
    result: Exclude<PushResult, { kind: 'moved' }>,
  ): Promise<void> {
    const { bases, bucket, claims, condition, failpoints, log, metrics, sync } = this.deps;
    const { head } = result;
    condition.resume('commit');
    await failpoints.hit('committer.afterLanded');
    // The base first, durably: until then a reader finds the change in the overlay, afterwards in the base.
    if (gaveWay && result.kind === 'landed') await sync.follow(head);
    else {
      const landedSeq = Math.max(claim.floorSeq, bases.current.marker?.landedSeq ?? 0);
      await bases.current.apply(baseChanges(net), { head, landedSeq, batches: [claim.id] });
      await failpoints.hit('committer.baseApplied');
      await claims.land([claim], { carriesRuns });
      await claims.bury(claims.undecided.filter(({ base }) => base !== head));
    }
    await failpoints.hit('committer.overlayDropped');
    metrics.count('gateway_commits_total', { bucket, result: result.kind });
    log.info('changes are on Gitee', {
      bucket,
      head,
      changes: batch.entries,
      commit: result.kind === 'landed',
    });
  }
}
