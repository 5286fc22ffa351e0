import type { Clock } from '../async/clock.js';

/** The first estimate counts as if it had been seen for so long. */
const PRIOR_MS = 10_000;
/** Beyond so much busy time, what was seen earlier loses half its weight. */
const MEMORY_MS = 60_000;
/** A period that lasts is counted in slices, so that a long push updates the figure while it runs. */
const SLICE_MS = 5_000;

/**
 * The line to Gitee in bytes per second: an average over the time in which at least one upload ran. Uploads
 * share the line, so single uploads say little; idle time and uploads that sent nothing say nothing.
 */
export class UplinkMeter {
  #bytes: number;
  #busyMs = PRIOR_MS;
  #active = 0;
  #periodStartMs = 0;
  #periodBytes = 0;

  constructor(
    initialBytesPerSecond: number,
    private readonly clock: Clock,
  ) {
    this.#bytes = (initialBytesPerSecond * PRIOR_MS) / 1_000;
  }

  get bytesPerSecond(): number {
    return (this.#bytes * 1_000) / this.#busyMs;
  }

  begin(): void {
    if (this.#active === 0) {
      this.#periodStartMs = this.clock.nowMs();
      this.#periodBytes = 0;
    }
    this.#active += 1;
  }

  /** `sentBytes` are the bytes that crossed the line: 0 where Gitee had the chunk, or the upload failed. */
  end(sentBytes: number): void {
    this.#active -= 1;
    this.#periodBytes += sentBytes;
    const nowMs = this.clock.nowMs();
    const lastedMs = nowMs - this.#periodStartMs;
    if (this.#active > 0 && lastedMs < SLICE_MS) return;
    if (this.#periodBytes > 0 && lastedMs > 0) {
      this.#bytes += this.#periodBytes;
      this.#busyMs += lastedMs;
    }
    if (this.#busyMs > MEMORY_MS) {
      this.#bytes /= 2;
      this.#busyMs /= 2;
    }
    this.#periodStartMs = nowMs;
    this.#periodBytes = 0;
  }
}
