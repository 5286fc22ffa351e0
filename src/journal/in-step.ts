import type { Clock } from '../async/clock.js';
import type { AutoResetEvent } from './auto-reset-event.js';

interface Sleeper {
  readonly wake: AutoResetEvent;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/**
 * Loops that do the same on one branch do it together: when one has waited long enough, those that have waited for half
 * of their time come along. So the buckets of a branch look at it with one request, however many they are and whenever
 * each began.
 */
export class InStep {
  readonly #sleepers = new Set<Sleeper>();

  constructor(private readonly clock: Clock) {}

  /** As wake.wait(). */
  async wait(wake: AutoResetEvent, waitMs: number, signal: AbortSignal): Promise<void> {
    const sinceMs = this.clock.steadyMs();
    const sleeper = { wake, sinceMs, untilMs: sinceMs + waitMs };
    this.#sleepers.add(sleeper);
    try {
      await wake.wait(waitMs, signal);
    } finally {
      this.#sleepers.delete(sleeper);
    }
    // Woken by another one, it wakes nobody.
    const nowMs = this.clock.steadyMs();
    if (nowMs < sleeper.untilMs) return;
    for (const other of this.#sleepers) if (nowMs - other.sinceMs >= other.untilMs - nowMs) other.wake.set();
  }
}
