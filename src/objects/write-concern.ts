/**
 * Keeps invariant 6 for writers ("No request waits longer than its stated bound") and the promise of a barrier:
 * `docker push` returns success only when the whole image is on Gitee.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { ObjectKey } from '../format/ids.js';
import { writingStep } from '../format/registry-keys.js';
import { isLocalKey } from '../format/tree-layout.js';
import type { Bucket } from './bucket.js';
import { ObjectError } from './errors.js';
import { ensureImageKept, PAUSED_HOLD_MS } from './image-kept.js';
import { closureState, imageParts, type ClosureState } from './manifest-closure.js';

/** After a refusal the driver repeats its request 3 times within seconds: those are answered at once. */
const RETRY_WINDOW_MS = 60_000;
/** How often a wait asks whether there is still hope. */
const LOOK_MS = 1_000;

/** A push waits no longer for a Gitee that does not answer, where nothing seems to be left to do. */
const LOOK_AGAIN_MS = 5_000;

const NOTHING_LACKS: ClosureState = { refused: undefined, pending: [] };
/** So deep a manifest, its links and its tag stand on each other. */
const AGAIN_ROUNDS = 3;

interface Attempt {
  readonly etag: string;
  /** The change that was waited for. */
  readonly seq: number;
  readonly firstMs: number;
  /** When it was refused, if it was. */
  readonly refusedMs?: number;
}

/** What an operation wrote, or found written already. */
export interface Write {
  readonly keys: readonly ObjectKey[];
  /** Tells a repeat of it from another write of the last key. */
  readonly etag: string;
  /** False where nothing new was appended. */
  readonly appended: boolean;
}

interface Hold {
  readonly begunMs: number;
  readonly seq: number;
  /** Begin of the first attempt; undefined: not held, only asked. */
  readonly firstMs: number | undefined;
}

/** Decides when a write is acknowledged and waits for that. One per gateway. */
export class WriteConcern {
  /** First attempt by bucket and key; forgetting one only costs a longer hold. */
  readonly #attempts = new LRUCache<string, Attempt>({ max: 10_000 });
  /** When what was set aside was last tried again for somebody who pushed it. */
  readonly #againMs = new LRUCache<string, number>({ max: 10_000 });

  constructor(private readonly deps: { clock: Clock; log: Log; metrics: Metrics }) {}

  /** True where a write of this key waits for Gitee. */
  mustWait(bucket: Bucket, key: ObjectKey): boolean {
    if (bucket.concern.mode === 'local') return false;
    if (bucket.concern.mode === 'remote') return true;
    return bucket.concern.barrierPatterns.some((pattern) => pattern.test(key));
  }

  /**
   * Before it is said that there is nothing to do for these keys: somebody else may have written one since the branch
   * was read last. A change of ours that waits lands on whatever stands there, and a local key is on no branch. Where
   * Gitee gives no answer, what was last heard counts. True where the branch was read.
   * @throws ObjectError not-yet-remote where others are known to have written, and what is not known in time; read-only
   * where the bucket is frozen: what its branch has may be something else
   */
  async lookAgain(bucket: Bucket, keys: readonly ObjectKey[], signal: AbortSignal): Promise<boolean> {
    demandThawed(bucket);
    for (const key of keys) {
      if (!this.mustWait(bucket, key) || isLocalKey(bucket.rules, key)) continue;
      if ((await bucket.state.changeState(key))?.state === 'pending') continue;
      const followMs = bucket.concern.holdMs;
      const look = await bucket.state.lookAtBranch({ timeoutMs: LOOK_AGAIN_MS, followMs, signal });
      demandThawed(bucket);
      if (look === 'elsewhere')
        throw new ObjectError(
          'not-yet-remote',
          'others have written to this bucket on Gitee since, and what could not be read in time. Please try again later.',
        );
      return look === 'seen';
    }
    return false;
  }

  /**
   * Returns once a write may be acknowledged: all that it changed, or found as it wanted it, is on Gitee. That there
   * was nothing to do does not say so, since a client's repeat finds the first try done here. So every operation that
   * changes anything ends here, whatever it found.
   * @throws ObjectError not-yet-remote after the hold: visible here, and it will land.
   */
  async settle(bucket: Bucket, write: Write, signal: AbortSignal): Promise<void> {
    const keys = write.keys.filter((key) => this.mustWait(bucket, key));
    const last = keys.at(-1);
    if (last === undefined) return;
    const id = `${bucket.name}/${last}`;
    const again = await this.#tryAgain(bucket, keys, signal);
    let hold: Hold | undefined;
    for (const key of await this.#latestFirst(bucket, keys, again)) {
      for (let seq = await this.#pendingSeq(bucket, key, again); seq !== undefined;) {
        hold ??= await this.#hold(bucket, id, write, await this.#since(bucket, key, seq), signal);
        if (!(await this.#wait(bucket, seq, hold, signal))) return this.#notYet(bucket, id, key, write, hold);
        seq = await this.#afterWait(bucket, key, seq, again);
      }
    }
    for (const key of keys) {
      let lacking = await this.#closurePending(bucket, key, write, signal);
      for (; lacking.length > 0; lacking = await this.#closurePending(bucket, key, write, signal)) {
        for (const each of await this.#latestFirst(bucket, lacking)) {
          const seq = await this.#pendingSeq(bucket, each);
          if (seq === undefined) continue;
          hold ??= await this.#hold(bucket, id, write, await this.#since(bucket, each, seq), signal);
          if (!(await this.#wait(bucket, seq, hold, signal)))
            return this.#notYet(bucket, id, key, write, hold);
          await this.#afterWait(bucket, each, seq);
        }
      }
    }
    for (const key of keys) await ensureImageKept(bucket, key, this.deps, signal);
    this.#attempts.delete(id);
    this.#count(bucket, 'landed');
  }

  /**
   * Whoever pushes an image again may have it that Gitee takes now what it refused before: all of it that was set aside
   * is tried once more, what it rests on first. Not for each of a client's quick repeats.
   * @returns those of the keys that may be tried again, too, should they be set aside for what is tried again now
   */
  async #tryAgain(bucket: Bucket, keys: readonly ObjectKey[], signal: AbortSignal): Promise<Set<ObjectKey>> {
    const again = new Set<ObjectKey>();
    const tried = new Set<ObjectKey>();
    for (const key of keys) {
      // Meanwhile other parts may be set aside for those that were: they are found in the next round.
      for (let round = 0; round < AGAIN_ROUNDS; round += 1) {
        if (bucket.state.status().quarantinedChanges === 0) break;
        const { setAside } = await imageParts(bucket, key, signal);
        const found = await setAsideOf(bucket, [...setAside, key]);
        const due = found.filter((each) => tried.has(each) || this.#mayTryAgain(bucket, each));
        if (due.length === 0) break;
        for (const each of due) {
          tried.add(each);
          if ((await bucket.state.retrySetAside(each)) !== undefined && each !== key) again.add(key);
        }
      }
    }
    return again;
  }

  #mayTryAgain(bucket: Bucket, key: ObjectKey): boolean {
    const id = `${bucket.name}/${key}`;
    const nowMs = this.deps.clock.steadyMs();
    if (nowMs - (this.#againMs.get(id) ?? Number.NEGATIVE_INFINITY) < RETRY_WINDOW_MS) return false;
    this.#againMs.set(id, nowMs);
    return true;
  }

  /** Those that wait, the last change first: what was written before it has mostly landed when it has. */
  async #latestFirst(
    bucket: Bucket,
    keys: readonly ObjectKey[],
    again?: Set<ObjectKey>,
  ): Promise<ObjectKey[]> {
    const waiting: { key: ObjectKey; seq: number }[] = [];
    for (const key of keys) {
      const seq = await this.#pendingSeq(bucket, key, again);
      if (seq !== undefined) waiting.push({ key, seq });
    }
    return waiting.sort((a, b) => b.seq - a.seq).map(({ key }) => key);
  }

  /**
   * The change of this key that is not on Gitee yet.
   * @param again tried again once where they were set aside
   * @throws ObjectError not-yet-remote where it was set aside
   */
  async #pendingSeq(bucket: Bucket, key: ObjectKey, again?: Set<ObjectKey>): Promise<number | undefined> {
    const change = await bucket.state.changeState(key);
    if (change?.state === 'quarantined') {
      const seq = again?.delete(key) ? await bucket.state.retrySetAside(key) : undefined;
      return seq ?? this.#refused(bucket);
    }
    return change?.state === 'pending' ? change.seq : undefined;
  }

  /**
   * What is to be waited for after this change, which waits no more; undefined: nothing, it is on Gitee.
   * @throws ObjectError not-yet-remote where it was set aside, and nothing newer stands for it: it is not even shown where
   * an operator has dropped it, or it was of a restored snapshot
   */
  async #afterWait(
    bucket: Bucket,
    key: ObjectKey,
    seq: number,
    again?: Set<ObjectKey>,
  ): Promise<number | undefined> {
    const setAside = bucket.state.setAsideAs(seq);
    if (!setAside) return undefined;
    // Behind a newer change of its key, that one stands for it.
    const next = await this.#pendingSeq(bucket, key, again);
    return next === undefined && setAside === 'newest' ? this.#refused(bucket) : next;
  }

  #refused(bucket: Bucket): never {
    this.#count(bucket, 'quarantined');
    throw new ObjectError(
      'not-yet-remote',
      "Gitee refuses this object: see 'gitee-s3 status' for the reason",
    );
  }

  async #since(bucket: Bucket, key: ObjectKey, seq: number): Promise<{ seq: number; appendedMs: number }> {
    const change = await bucket.state.changeState(key);
    return { seq, appendedMs: change?.appendedMs ?? this.deps.clock.steadyMs() };
  }

  /** Acknowledges at risk where that is asked for. */
  #notYet(bucket: Bucket, id: string, key: ObjectKey, { etag }: Write, { seq, firstMs }: Hold): void {
    if (bucket.concern.outage === 'accept') {
      this.deps.log.warn('acknowledged a write that is not on Gitee, as outage: accept asks for', {
        bucket: bucket.name,
        key,
      });
      this.#count(bucket, 'accepted-at-risk');
      return;
    }
    // A repeat that was answered at once has not waited, and its write is counted already.
    if (firstMs !== undefined) this.#count(bucket, 'timeout');
    // A repeat that was only asked for changes nothing of what was refused: were its own change remembered instead,
    // whoever repeats faster than changes land would never be held again, and never hear that they have.
    if (firstMs !== undefined)
      this.#attempts.set(id, { etag, seq, firstMs, refusedMs: this.deps.clock.steadyMs() });
    const { paused, unseen } = bucket.state.status();
    throw new ObjectError(
      'not-yet-remote',
      paused
        ? `stored here, but not yet on Gitee: ${paused.message} It will land once that is mended.`
        : `stored here, but not yet on Gitee${unseen ? ` (${unseen.message})` : ''}; it will land by itself. Please try again later.`,
    );
  }

  /**
   * True once the change has landed, false where there is no more hope: no client repeats a refused manifest, and
   * none that was measured gives up on one that is held (docs/durability.md). So it is held as long as anything gets
   * through to Gitee, within bounds.
   */
  async #wait(bucket: Bucket, seq: number, hold: Hold, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.deps;
    const { holdMs, holdMaxMs, lineHeardMs } = bucket.concern;
    const { begunMs, firstMs } = hold;
    for (;;) {
      const nowMs = clock.steadyMs();
      const { paused, frozen } = bucket.state.status();
      const movedMs = Math.max(firstMs ?? 0, lineHeardMs?.() ?? 0);
      const untilMs =
        firstMs === undefined
          ? nowMs
          : Math.min(
              movedMs + holdMs,
              firstMs + holdMaxMs,
              paused || frozen ? begunMs + PAUSED_HOLD_MS : Infinity,
            );
      const timeoutMs = Math.min(LOOK_MS, Math.max(0, untilMs - nowMs));
      if (await bucket.state.waitLanded(seq, { timeoutMs, signal })) return true;
      if (timeoutMs === 0) return false;
    }
  }

  /** How long these bytes may be held; not at all for a repeat of what was just refused, and waits still. */
  async #hold(
    bucket: Bucket,
    id: string,
    { etag, appended }: Write,
    { seq, appendedMs }: { seq: number; appendedMs: number },
    signal: AbortSignal,
  ): Promise<Hold> {
    const now = this.deps.clock.steadyMs();
    const known = this.#attempts.get(id);
    const isSame = known?.etag === etag;
    const isRefused = isSame && known.refusedMs !== undefined;
    if (isRefused && now - known.refusedMs <= RETRY_WINDOW_MS) {
      const hasLanded = await bucket.state.waitLanded(known.seq, { timeoutMs: 0, signal });
      if (!hasLanded) return { begunMs: now, seq, firstMs: undefined };
    }
    let firstMs = isRefused || appended ? now : isSame ? known.firstMs : appendedMs;
    // A new try by the same client a good while later is a first attempt again.
    if (now - firstMs > bucket.concern.holdMs + RETRY_WINDOW_MS) firstMs = now;
    this.#attempts.set(id, { etag, seq, firstMs });
    return { begunMs: now, seq, firstMs };
  }

  /**
   * What of the image that a tag names is not on Gitee yet. Mostly a tag lands with all of that or after it; but a tag
   * that was there already may have got its image anew, and what was set aside is tried again behind it.
   */
  async #closurePending(
    bucket: Bucket,
    key: ObjectKey,
    { appended }: Write,
    signal: AbortSignal,
  ): Promise<readonly ObjectKey[]> {
    const { pendingChanges, quarantinedChanges } = bucket.state.status();
    if (pendingChanges === 0 && quarantinedChanges === 0) return [];
    const { refused, pending } = await closureState(bucket, key, signal).catch((error: unknown) => {
      // An image too large for that has landed in order: nothing of it was set aside.
      if (error instanceof ObjectError && appended && quarantinedChanges === 0) return NOTHING_LACKS;
      throw error;
    });
    if (refused === undefined) return pending;
    this.#count(bucket, 'quarantined');
    throw new ObjectError(
      'not-yet-remote',
      `Gitee refuses ${refused}, which this image needs: see 'gitee-s3 status' for the reason`,
    );
  }

  #count(bucket: Bucket, result: string): void {
    this.deps.metrics.count('gateway_barrier_waits_total', { bucket: bucket.name, result });
  }
}

/** @throws ObjectError read-only */
function demandThawed(bucket: Bucket): void {
  const { frozen } = bucket.state.status();
  if (frozen)
    throw new ObjectError('read-only', `the bucket is read-only until accept-remote: ${frozen.reason}`);
}

/** Those of the keys that are set aside, what the others rest on first. */
async function setAsideOf(bucket: Bucket, keys: readonly ObjectKey[]): Promise<ObjectKey[]> {
  const found: { key: ObjectKey; seq: number; step: number }[] = [];
  for (const key of keys) {
    const change = await bucket.state.changeState(key);
    const step = writingStep(bucket.rules.registryRoot, key);
    if (change?.state === 'quarantined') found.push({ key, seq: change.seq, step });
  }
  return found.sort((a, b) => a.step - b.step || a.seq - b.seq).map(({ key }) => key);
}
