import { onAbort } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import type { Metrics } from '../async/metrics.js';
import { QuotaFullError } from '../space/errors.js';
import type { LfsSpace } from '../space/lfs-space.js';
import { Reservation, type AskedBody } from '../space/reservation.js';
import { ChunkError } from './api.js';
import { abortedBy } from './aborted.js';
import type { ConditionVariable } from './condition-variable.js';
import type { DiskReserve } from './disk-reserve.js';

const LONGEST_WAIT_MS = 5_000;
const RETRY_AFTER_MIN_MS = 1_000;
const RETRY_AFTER_MAX_MS = 60_000;

export interface AdmissionDeps {
  readonly chunkSizeBytes: number;
  readonly spoolSoftBytes: number;
  readonly spoolHardBytes: number;
  readonly disk: DiskReserve;
  /** Gitee's; undefined: it always has room. */
  readonly space: Pick<LfsSpace, 'demand'> | undefined;
  /** Rung when any of the figures changed. */
  readonly changed: ConditionVariable;
  readonly figures: () => { readonly unsentBytes: number; readonly uplinkBytesPerSecond: number };
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** What one bucket may have at Gitee and on this disk. The pace of the line is src/line/admission.ts. */
export class SpoolAdmission {
  constructor(private readonly deps: AdmissionDeps) {}

  /** As ChunksApi.reserve. @throws ChunkError `quota-full`, `spool-full`, `disk-full`, `aborted` */
  async reserve(body: AskedBody, signal: AbortSignal): Promise<Reservation> {
    const { keepUpToBytes, lengthBytes } = body;
    // Of unknown length it needs one byte at least.
    if (lengthBytes === undefined || lengthBytes > keepUpToBytes) this.demandSpace(lengthBytes ?? 1);
    await this.#admit(signal);
    return Reservation.granted(body);
  }

  /** @throws ChunkError `quota-full` */
  demandSpace(bytes: number): void {
    try {
      this.deps.space?.demand(bytes);
    } catch (error) {
      if (!(error instanceof QuotaFullError)) throw error;
      throw new ChunkError('quota-full', error.message, { cause: error });
    }
  }

  /** Resolves at once while less than spool_soft is unsent; else waits up to 5 s for that. */
  async #admit(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw abortedBy(signal);
    const { chunkSizeBytes, disk, metrics } = this.deps;
    await disk.demand(chunkSizeBytes);
    if (this.#isBelowSoft()) return;
    await this.#waitForRoom(signal);
    const admitted = this.#isBelowSoft();
    metrics.count('gateway_admission_waits_total', { result: admitted ? 'admitted' : 'refused' });
    if (!admitted) throw this.#full();
  }

  /** For bytes of a body that has its reservation already. @throws ChunkError `spool-full`, `disk-full` */
  async demandChunk(): Promise<void> {
    if (this.deps.figures().unsentBytes >= this.deps.spoolHardBytes) throw this.#full();
    await this.deps.disk.demand(this.deps.chunkSizeBytes);
  }

  #isBelowSoft(): boolean {
    return this.deps.figures().unsentBytes < this.deps.spoolSoftBytes;
  }

  async #waitForRoom(signal: AbortSignal): Promise<void> {
    const { changed, clock } = this.deps;
    if (signal.aborted) throw abortedBy(signal);
    const over = new AbortController();
    const release = onAbort(signal, (reason) => over.abort(reason));
    const timer = clock.sleep(LONGEST_WAIT_MS, over.signal).then(
      () => true,
      () => true,
    );
    try {
      let timedOut = false;
      while (!timedOut && !this.#isBelowSoft()) {
        timedOut = await Promise.race([timer, changed.wait(over.signal).then(() => false)]);
        if (signal.aborted) throw abortedBy(signal);
      }
    } catch (error) {
      throw signal.aborted ? abortedBy(signal) : error;
    } finally {
      release();
      over.abort(new ChunkError('aborted', 'the wait is over'));
    }
  }

  #full(): ChunkError {
    const { unsentBytes, uplinkBytesPerSecond } = this.deps.figures();
    const surplusBytes = Math.max(0, unsentBytes - this.deps.spoolSoftBytes) + this.deps.chunkSizeBytes;
    const waitMs = (surplusBytes * 1_000) / Math.max(1, uplinkBytesPerSecond);
    return new ChunkError(
      'spool-full',
      `${unsentBytes} bytes wait for Gitee, spool_soft is ${this.deps.spoolSoftBytes}`,
      { retryAfterMs: Math.ceil(Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, waitMs))) },
    );
  }
}
