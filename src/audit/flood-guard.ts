/**
 * Keeps whoever knocks ten thousand times from filling the log: of events of one kind from one address the first
 * few of a minute are recorded one by one, the others as one event with their number.
 */
import type { Audit, AuditEvent } from '../async/audit.js';
import type { Clock } from '../async/clock.js';

export interface FloodLimits {
  /** Events of one kind and address that are recorded one by one in a window. Default 10. */
  readonly single?: number;
  /** Default one minute. */
  readonly windowMs?: number;
  /** Kinds and addresses told apart at a time; all others are counted together. Default 1000. */
  readonly kindsMax?: number;
}

interface Count {
  readonly last: AuditEvent;
  seen: number;
}

/** An Audit before another one, for events that anybody can cause. */
export class FloodGuard implements Audit {
  readonly #single: number;
  readonly #windowMs: number;
  readonly #kindsMax: number;
  #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;
  #sinceMs = 0;

  constructor(
    private readonly audit: Audit,
    private readonly clock: Clock,
    limits: FloodLimits = {},
  ) {
    this.#single = limits.single ?? 10;
    this.#windowMs = limits.windowMs ?? 60_000;
    this.#kindsMax = limits.kindsMax ?? 1000;
  }

  async record(event: AuditEvent): Promise<void> {
    this.#openWindow();
    const key = this.#keyOf(event);
    const count = this.#counts.get(key) ?? { last: event, seen: 0 };
    count.seen += 1;
    this.#counts.set(key, count);
    // Of those counted together none is told: a flood from a thousand addresses would be a flood again.
    if (key !== OTHERS && count.seen <= this.#single) await this.audit.record(event);
  }

  /** Ends the window: records what was only counted. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const counts = this.#counts;
    this.#counts = new Map();
    const seconds = Math.round((this.clock.steadyMs() - this.#sinceMs) / 1000);
    for (const [key, { last, seen }] of counts) {
      const events = key === OTHERS ? seen : seen - this.#single;
      if (events <= 0) continue;
      await this.audit.record({
        who: key === OTHERS ? 'several' : last.who,
        action: last.action,
        subject: '',
        from: key === OTHERS ? 'several' : last.from,
        result: last.result,
        detail: { summarised: events, seconds },
      });
    }
  }

  #openWindow(): void {
    if (this.#timer) return;
    this.#sinceMs = this.clock.steadyMs();
    this.#timer = setTimeout(() => void this.flush(), this.#windowMs);
    this.#timer.unref();
  }

  #keyOf({ action, from, result }: AuditEvent): string {
    const key = `${action}\n${result}\n${from}`;
    return this.#counts.has(key) || this.#counts.size < this.#kindsMax ? key : OTHERS;
  }
}

const OTHERS = '';
