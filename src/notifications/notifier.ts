/**
 * From what the registry reports to who is told. The order of a report is: audit, store, acknowledgement. So a
 * kill at any point loses nothing: before the store the registry sends it again, after it the store has it. An
 * event may then stand twice in the audit log, with the registry's id of it.
 */
import { LRUCache } from 'lru-cache';
import type { Audit } from '../async/audit.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { Semaphore } from '../async/semaphore.js';
import type { Target } from './message.js';
import type { Accepted, NotificationStore, StoredDelivery } from './notification-store.js';
import { imageName, type Envelope, type RegistryEvent } from './registry-event.js';
import type { SenderOptions } from './sender.js';
import { TargetQueue } from './target-queue.js';

export interface NotifierDeps {
  readonly store: NotificationStore;
  readonly targets: readonly Target[];
  /** Keep events of layers too. */
  readonly takesLayers: boolean;
  readonly audit: Audit;
  readonly sender: SenderOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Messages that wait for one target, and as many dead letters of one. Default 10,000. */
  readonly queueMax?: number;
}

/** Which dead letters: all of one target, one event, or all. */
export interface DeadLetterChoice {
  readonly target?: string;
  readonly event?: string;
}

interface DeadLetter {
  readonly target: string;
  readonly event: string;
  readonly action: string;
  readonly image: string;
  readonly acceptedMs: number;
  readonly attempts: number;
  readonly reason: string;
}

export interface NotificationOverview {
  readonly targets: readonly { readonly name: string; readonly queued: number; readonly dead: number }[];
  /** Oldest first; at most a thousand. */
  readonly deadLetters: readonly DeadLetter[];
}

/** What an operator may ask. */
export interface NotificationAdmin {
  overview(): Promise<NotificationOverview>;
  /** How many are tried again. */
  retry(choice: DeadLetterChoice): Promise<number>;
  /** How many are gone. */
  drop(choice: DeadLetterChoice): Promise<number>;
}

const SEEN_MS = 24 * 3600_000;
const FORGET_EVERY_MS = 3600_000;
const RECENT_MAX = 10_000;
const SHOWN_MAX = 1000;

export class Notifier implements NotificationAdmin {
  readonly #queues: ReadonlyMap<string, TargetQueue>;
  readonly #queueMax: number;
  /** Spares the store the question for what the registry sends again at once. */
  readonly #recent = new LRUCache<string, true>({ max: RECENT_MAX });
  /** One report at a time, or the same event in two of them would pass twice. */
  readonly #receiving = new Semaphore(1);
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: NotifierDeps) {
    const { store, sender, clock, log, metrics, targets } = deps;
    this.#queueMax = deps.queueMax ?? 10_000;
    const parts = { store, sender, clock, log, metrics, deadMax: this.#queueMax };
    this.#queues = new Map(targets.map((target) => [target.name, new TargetQueue(target, parts)]));
  }

  /** Begins to deliver. What waits for a target that is configured no more becomes a dead letter. */
  async start(): Promise<void> {
    const { store, clock, log } = this.deps;
    for (const name of store.targets()) {
      if (this.#queues.has(name)) continue;
      const orphans: StoredDelivery[] = [];
      for await (const row of store.queued(name)) orphans.push(row);
      for (const row of orphans)
        await store.bury({ ...row, lastError: 'the target is configured no more' }, this.#queueMax);
    }
    this.#report();
    for (const queue of this.#queues.values()) queue.start();
    const forget = () =>
      store
        .forgetSeen(clock.nowMs() - SEEN_MS)
        .catch((error: unknown) => log.warn('old notifications could not be forgotten', { error }));
    this.#timer = setInterval(() => void forget(), FORGET_EVERY_MS);
    this.#timer.unref();
    await forget();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#queues.values()].map((queue) => queue.stop()));
  }

  /** Resolves when all of it is durable; then the registry may be told. */
  receive(envelope: Envelope): Promise<void> {
    return this.#receiving.run(async () => {
      const { audit, clock, metrics, store, takesLayers } = this.deps;
      const count = (result: string, n = 1) =>
        n > 0 && metrics.count('gateway_notification_events_total', { result }, n);
      count('ignored', envelope.unknown);
      const accepted: Accepted[] = [];
      for (const event of envelope.events) {
        if (event.kind === 'layer' && !takesLayers) count('ignored');
        else if (await this.#isRepeated(event.id)) count('repeated');
        else {
          this.#recent.set(event.id, true);
          accepted.push({ event, ...this.#told(event) });
        }
      }
      if (accepted.length === 0) return;
      try {
        for (const { event } of accepted) await audit.record(auditEvent(event));
        await store.accept(accepted, clock.nowMs());
      } catch (error) {
        for (const { event } of accepted) this.#recent.delete(event.id); // it will come again
        throw error;
      }
      count('accepted', accepted.length);
      this.#report();
      for (const name of new Set(accepted.flatMap((a) => a.targets))) this.#queues.get(name)?.wake();
    });
  }

  async overview(): Promise<NotificationOverview> {
    const { store } = this.deps;
    const names = [...new Set([...this.#queues.keys(), ...store.targets()])];
    const deadLetters: DeadLetter[] = [];
    for await (const { target, event, acceptedMs, attempts, lastError } of store.dead()) {
      if (deadLetters.length === SHOWN_MAX) break;
      const { id, action } = event;
      const image = imageName(event);
      deadLetters.push({ target, event: id, action, image, acceptedMs, attempts, reason: lastError ?? '' });
    }
    return { targets: names.map((name) => ({ name, ...store.counts(name) })), deadLetters };
  }

  async retry(choice: DeadLetterChoice): Promise<number> {
    const { clock, store } = this.deps;
    let n = 0;
    for (const row of await this.#chosen(choice)) {
      // Of a target that is configured no more there is nobody to deliver it.
      if (!this.#queues.has(row.target)) continue;
      await store.revive(row, clock.nowMs());
      n += 1;
    }
    this.#report();
    for (const queue of this.#queues.values()) queue.hurry();
    return n;
  }

  async drop(choice: DeadLetterChoice): Promise<number> {
    const rows = await this.#chosen(choice);
    for (const row of rows) await this.deps.store.drop(row);
    this.#report();
    return rows.length;
  }

  async #chosen({ target, event }: DeadLetterChoice): Promise<StoredDelivery[]> {
    const rows: StoredDelivery[] = [];
    for await (const row of this.deps.store.dead(target))
      if (event === undefined || row.event.id === event) rows.push(row);
    return rows;
  }

  async #isRepeated(id: string): Promise<boolean> {
    return this.#recent.has(id) || (await this.deps.store.isSeen(id));
  }

  #told(event: RegistryEvent): { targets: string[]; overflow: string[] } {
    const { store, targets, log, metrics } = this.deps;
    const told: { targets: string[]; overflow: string[] } = { targets: [], overflow: [] };
    if (event.kind !== 'image') return told;
    for (const { name } of targets.filter((target) => target.events.includes(event.action))) {
      const { queued, dead } = store.counts(name);
      if (queued < this.#queueMax) told.targets.push(name);
      else if (dead < this.#queueMax) told.overflow.push(name);
      else {
        log.error('a notification is lost: queue and dead letters of the target are full', { target: name });
        metrics.count('gateway_notification_deliveries_total', { target: name, result: 'lost' });
      }
    }
    return told;
  }

  #report(): void {
    const { metrics, store } = this.deps;
    for (const name of new Set([...this.#queues.keys(), ...store.targets()])) {
      const { queued, dead } = store.counts(name);
      metrics.set('gateway_notification_queue', queued, { target: name });
      metrics.set('gateway_notification_dead_letters', dead, { target: name });
    }
  }
}

function auditEvent(event: RegistryEvent) {
  const { id, action, actor, digest, from, kind, requestId, time, userAgent, upstreamRequestId } = event;
  return {
    who: actor === '' ? 'anonymous' : actor,
    action: `${kind}.${action}` as const,
    subject: imageName(event),
    from,
    result: 'ok' as const,
    requestId,
    detail: {
      ...{ event: id, at: time, agent: userAgent },
      ...(digest === undefined ? {} : { digest }),
      ...(upstreamRequestId === undefined ? {} : { upstreamRequestId }),
    },
  };
}
