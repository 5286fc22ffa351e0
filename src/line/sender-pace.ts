/**
 * How fast one client sends while it may: the newest seconds count most. Time in which we hold it back does not
 * count, so that a fast client that waits for the line stays a fast one.
 */
import type { Clock } from '../async/clock.js';

/** What was sent so long ago counts a third. */
const MEMORY_MS = 5_000;
/** Before that nothing is known of it. */
const KNOWN_AFTER_MS = 2_000;

export class SenderPace {
  #bytes = 0;
  #ms = 0;
  /** undefined: it is held back. */
  #sinceMs: number | undefined;

  constructor(private readonly clock: Pick<Clock, 'steadyMs'>) {
    this.#sinceMs = clock.steadyMs();
  }

  /** Bytes a second; undefined where it has not had the time to show it. */
  get bytesPerSecond(): number | undefined {
    this.#pass();
    return this.#ms < KNOWN_AFTER_MS ? undefined : (this.#bytes * 1_000) / this.#ms;
  }

  sent(bytes: number): void {
    this.#pass();
    this.#bytes += bytes;
  }

  hold(): void {
    this.#pass();
    this.#sinceMs = undefined;
  }

  release(): void {
    this.#sinceMs ??= this.clock.steadyMs();
  }

  #pass(): void {
    if (this.#sinceMs === undefined) return;
    const nowMs = this.clock.steadyMs();
    const passedMs = nowMs - this.#sinceMs;
    if (passedMs <= 0) return;
    const kept = Math.exp(-passedMs / MEMORY_MS);
    this.#bytes *= kept;
    this.#ms = this.#ms * kept + MEMORY_MS * (1 - kept);
    this.#sinceMs = nowMs;
  }
}
