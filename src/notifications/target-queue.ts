/**
 * Delivers to one target, in order: the next message is not tried before the one at the head was taken or given up.
 * An attempt that fails is repeated with growing waits for a day; what this very target does not take is given up
 * after a few tries, so that one message does not hold up all others.
 */
import { abortable } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { messageFor, type Target } from './message.js';
import type { NotificationStore, StoredDelivery } from './notification-store.js';
import { send, type SenderOptions } from './sender.js';
import type { Verdict } from './verdict.js';

export interface TargetQueueDeps {
  readonly store: NotificationStore;
  readonly sender: SenderOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly deadMax: number;
  /** In [0, 1); Math.random unless a test owns it. */
  readonly random?: () => number;
}

const GIVE_UP_MS = 24 * 3600_000;
const REJECTED_ATTEMPTS = 3;
const WAIT_BASE_MS = 1000;
const WAIT_MAX_MS = 10 * 60_000;
/** After the store itself failed. */
const BROKEN_MS = 5000;

export class TargetQueue {
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #ring: (() => void) | undefined;
  #isRung = false;
  #patience = new AbortController();

  constructor(
    readonly target: Target,
    private readonly deps: TargetQueueDeps,
  ) {}

  start(): void {
    this.#running ??= this.#loop(this.#stop.signal);
  }

  /** There is something new. A message that failed goes on waiting for its time. */
  wake(): void {
    this.#isRung = true;
    this.#ring?.();
  }

  /** An operator has repaired something: what failed is tried at once. */
  hurry(): void {
    this.#patience.abort(new Error('tried at once'));
    this.wake();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('deliveries stop'));
    await this.#running;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { log, store } = this.deps;
    while (!signal.aborted) {
      try {
        const row = await store.first(this.target.name);
        if (row) await this.#wait(await this.#attempt(row, signal), signal);
        else await this.#wait(undefined, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.error('notifications cannot be delivered', { target: this.target.name, error });
        await this.#wait(BROKEN_MS, signal).catch(() => {}); // the stop: seen by the loop
      }
    }
  }

  /** One attempt; returns how long to wait before the next look. */
  async #attempt(row: StoredDelivery, signal: AbortSignal): Promise<number> {
    const { clock, store, sender } = this.deps;
    const nowMs = clock.nowMs();
    const message = messageFor(this.target, row.event, nowMs);
    const verdict = await send(this.target, message, nowMs, sender, signal);
    if (verdict.kind === 'ok') {
      await store.complete(row);
      this.#count('ok');
      return 0;
    }
    const tried: StoredDelivery = { ...row, attempts: row.attempts + 1, lastError: verdict.reason };
    if (this.#isOver(tried, verdict, clock.nowMs())) {
      await this.#bury(tried);
      return 0;
    }
    await store.update(tried);
    this.#count('retry');
    return this.#waitMs(tried.attempts, verdict);
  }

  #isOver(row: StoredDelivery, verdict: Verdict, nowMs: number): boolean {
    if (nowMs - row.acceptedMs >= GIVE_UP_MS) return true;
    return verdict.kind === 'rejected' && row.attempts >= REJECTED_ATTEMPTS;
  }

  async #bury(row: StoredDelivery): Promise<void> {
    const { log, store, deadMax } = this.deps;
    await store.bury(row, deadMax);
    this.#count('dead');
    log.warn('a notification is given up: see gitee-s3 notifications list', {
      target: this.target.name,
      event: row.event.id,
      attempts: row.attempts,
      reason: row.lastError,
    });
  }

  /** What the target asks for, and a random part of a growing time: those that failed together do not return so. */
  #waitMs(attempts: number, verdict: Verdict): number {
    const ceilingMs = Math.min(WAIT_MAX_MS, WAIT_BASE_MS * 2 ** Math.min(attempts - 1, 20));
    const askedMs = verdict.kind === 'retry' ? (verdict.waitMs ?? 0) : 0;
    const random = this.deps.random ?? Math.random;
    return askedMs + ceilingMs * (0.5 + random() / 2);
  }

  #count(result: 'ok' | 'retry' | 'dead'): void {
    const { metrics, store } = this.deps;
    const target = this.target.name;
    const { queued, dead } = store.counts(target);
    metrics.count('gateway_notification_deliveries_total', { target, result });
    metrics.set('gateway_notification_queue', queued, { target });
    metrics.set('gateway_notification_dead_letters', dead, { target });
  }

  /** Waits the time or, where there is nothing to do, for the ring. */
  async #wait(ms: number | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (ms === 0) return;
    if (ms !== undefined) {
      this.#isRung = false;
      this.#patience = new AbortController();
      await this.deps.clock
        .sleep(ms, AbortSignal.any([signal, this.#patience.signal]))
        .catch(() => signal.throwIfAborted()); // the other reason is hurry()
      return;
    }
    if (!this.#isRung) {
      await abortable<void>(signal, (resolve) => {
        this.#ring = resolve;
      });
      this.#ring = undefined;
    }
    this.#isRung = false;
  }
}
