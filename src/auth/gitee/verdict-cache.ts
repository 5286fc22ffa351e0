/**
 * Remembers what Gitee said. The promise: an answer counts for its time to live; a refusal for a short one; while
 * Gitee cannot be reached, an older answer that let somebody in still counts, and no answer at all is never turned
 * into a refusal.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../async/clock.js';
import type { Metrics } from '../../async/metrics.js';
import { SingleFlight } from '../../async/single-flight.js';
import { AuthError } from '../errors.js';
import type { GiteeLine } from './gitee-line.js';

const ENTRIES_MAX = 10_000;

export interface VerdictTimes {
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  /** Age up to which an answer may be used while Gitee cannot be reached. */
  readonly staleMs: number;
}

export interface VerdictCacheDeps<V> {
  readonly line: GiteeLine;
  readonly times: VerdictTimes;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Does this answer keep somebody out. */
  readonly isNegative: (verdict: V) => boolean;
}

export class VerdictCache<V> {
  readonly #entries = new LRUCache<string, { readonly verdict: V; readonly askedMs: number }>({
    max: ENTRIES_MAX,
  });
  readonly #flights = new SingleFlight<string, V>();

  constructor(private readonly deps: VerdictCacheDeps<V>) {}

  get size(): number {
    return this.#entries.size;
  }

  /**
   * @param key never a secret: a keyed hash of it.
   * @param ask its signal fires at the deadline; it is shared by all who want the same verdict.
   * @throws AuthError `unavailable`; what `ask` rejects with that is no outage.
   */
  async verdict(key: string, ask: (signal: AbortSignal) => Promise<V>): Promise<V> {
    const { line, times, clock, metrics, isNegative } = this.deps;
    const count = (source: string) => metrics.count('gateway_token_verdicts_total', { source });
    const entry = this.#entries.get(key);
    const ageMs = entry ? clock.steadyMs() - entry.askedMs : Infinity;
    const within = (limitMs: number) => ageMs < limitMs;
    if (entry && within(isNegative(entry.verdict) ? times.negativeTtlMs : times.ttlMs)) {
      count('cache');
      return entry.verdict;
    }
    const stale = entry && !isNegative(entry.verdict) && within(times.staleMs) ? entry : undefined;
    if (stale && line.isDown) {
      count('stale');
      return stale.verdict;
    }
    try {
      return await this.#flights.run(key, async () => {
        const verdict = await line.ask(ask);
        this.#entries.set(key, { verdict, askedMs: clock.steadyMs() });
        count('gitee');
        return verdict;
      });
    } catch (error) {
      if (!stale || !(error instanceof AuthError) || error.code !== 'unavailable') throw error;
      count('stale');
      return stale.verdict;
    }
  }
}
