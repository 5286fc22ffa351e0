/**
 * Keeps invariant 6 for writers ("No request waits longer than its stated bound") and the promise of a barrier:
 * `docker push` returns success only when the whole image is on Gitee.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Observer } from '../async/observer.js';
import type { ObjectKey } from '../format/ids.js';
import type { Bucket } from './bucket.js';
import { ObjectError } from './errors.js';
import { quarantinedInClosure } from './manifest-closure.js';

/** After a refusal the driver repeats its request 3 times within seconds: those are answered at once. */
const RETRY_WINDOW_MS = 60_000;
/** How often a wait asks whether there is still hope. */
const LOOK_MS = 1_000;
/** What waits for an operator is answered quickly; but he may just have mended it. */
const PAUSED_HOLD_MS = 2_000;

interface Attempt {
  readonly etag: string;
  readonly firstMs: number;
  /** When it was refused, if it was. */
  readonly refusedMs?: number;
}

/** Decides when a write is acknowledged and waits for that. One per gateway. */
export class WriteConcern {
  /** First attempt by bucket and key; forgetting one only costs a longer hold. */
  readonly #attempts = new LRUCache<string, Attempt>({ max: 10_000 });

  constructor(private readonly deps: { clock: Clock; log: Log; observer: Observer }) {}

  /** True where a write of this key waits for Gitee. */
  mustWait(bucket: Bucket, key: ObjectKey): boolean {
    if (bucket.concern.mode === 'local') return false;
    if (bucket.concern.mode === 'remote') return true;
    return bucket.concern.barrierPatterns.some((pattern) => pattern.test(key));
  }

  /**
   * Returns once the change may be acknowledged.
   * @param appended false where the same bytes were there already and nothing new was appended.
   * @throws ObjectError not-yet-remote after the hold: visible here, and it will land.
   */
  async settle(
    bucket: Bucket,
    key: ObjectKey,
    etag: string,
    appended: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (!this.mustWait(bucket, key)) return;
    const id = `${bucket.name}/${key}`;
    const change = await bucket.state.changeState(key);
    if (!change || change.state === 'landed' || change.state === 'local') {
      await this.#checkClosure(bucket, key);
      this.#done(bucket, id, 'landed');
      return;
    }
    if (change.state === 'quarantined') this.#refused(bucket);

    const firstMs = this.#firstMs(bucket, id, etag, appended, change.appendedMs);
    const landed = await this.#wait(bucket, change.seq, firstMs, signal);
    if (landed) {
      const after = await bucket.state.changeState(key);
      if (after?.state === 'quarantined' && after.seq === change.seq) this.#refused(bucket);
      await this.#checkClosure(bucket, key);
      this.#done(bucket, id, 'landed');
      return;
    }
    if (bucket.concern.outage === 'accept') {
      this.deps.log.warn('acknowledged a write that is not on Gitee, as outage: accept asks for', {
        bucket: bucket.name,
        key,
      });
      this.#count(bucket, 'accepted-at-risk');
      return;
    }
    this.#count(bucket, 'timeout');
    this.#attempts.set(id, { etag, firstMs: firstMs ?? 0, refusedMs: this.deps.clock.nowMs() });
    const paused = bucket.state.status().paused;
    throw new ObjectError(
      'not-yet-remote',
      paused
        ? `stored here, but not yet on Gitee: ${paused.message} It will land once that is mended.`
        : 'stored here, but not yet on Gitee; it will land by itself. Please try again later.',
    );
  }

  /**
   * True once the change has landed, false where there is no more hope: no client repeats a refused manifest, and
   * none that was measured gives up on one that is held (docs/durability.md). So it is held as long as anything gets
   * through to Gitee, within bounds.
   * @param firstMs begin of the first attempt; undefined: not held, only asked
   */
  async #wait(
    bucket: Bucket,
    seq: number,
    firstMs: number | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock } = this.deps;
    const { holdMs, holdMaxMs, lineHeardMs } = bucket.concern;
    const begunMs = clock.nowMs();
    for (;;) {
      const nowMs = clock.nowMs();
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

  /** When the first attempt with these bytes began; undefined for a repeat of what was just refused. */
  #firstMs(
    bucket: Bucket,
    id: string,
    etag: string,
    appended: boolean,
    appendedMs: number,
  ): number | undefined {
    const now = this.deps.clock.nowMs();
    const known = this.#attempts.get(id);
    const isSame = known?.etag === etag;
    if (isSame && known.refusedMs !== undefined && now - known.refusedMs <= RETRY_WINDOW_MS) return undefined;
    const isAgain = isSame && known.refusedMs !== undefined;
    let firstMs = isAgain || appended ? now : isSame ? known.firstMs : appendedMs;
    // A new try by the same client a good while later is a first attempt again.
    if (now - firstMs > bucket.concern.holdMs + RETRY_WINDOW_MS) firstMs = now;
    this.#attempts.set(id, { etag, firstMs });
    return firstMs;
  }

  async #checkClosure(bucket: Bucket, key: ObjectKey): Promise<void> {
    if (bucket.state.status().quarantinedChanges === 0) return;
    const refused = await quarantinedInClosure(bucket, key);
    if (refused === undefined) return;
    this.#count(bucket, 'quarantined');
    throw new ObjectError(
      'not-yet-remote',
      `Gitee refuses ${refused}, which this image needs: see 'gitee-s3 status' for the reason`,
    );
  }

  #refused(bucket: Bucket): never {
    this.#count(bucket, 'quarantined');
    throw new ObjectError(
      'not-yet-remote',
      "Gitee refuses this object: see 'gitee-s3 status' for the reason",
    );
  }

  #done(bucket: Bucket, id: string, result: string): void {
    this.#attempts.delete(id);
    this.#count(bucket, result);
  }

  #count(bucket: Bucket, result: string): void {
    this.deps.observer.count('gateway_barrier_waits_total', { bucket: bucket.name, result });
  }
}
