import type { Clock } from '../async/clock.js';
import type { Metrics } from '../async/metrics.js';
import type { ChunkStats } from './api.js';

const REPORT_INTERVAL_MS = 1_000;

/** What one bucket adds to the gateway's figures. */
export type BucketFigures = Omit<ChunkStats, 'cacheBytes'>;

/**
 * Reports the chunk store's figures on change, at most once a second. The gauges have no bucket label, so the
 * figures of all buckets are added up here.
 */
export class ChunkGauges {
  readonly #buckets = new Map<string, () => BucketFigures>();
  #cacheBytes: () => number = () => 0;
  #reportedMs = Number.NEGATIVE_INFINITY;
  #planned = false;
  readonly #closed = new AbortController();

  constructor(
    private readonly clock: Clock,
    private readonly metrics: Metrics,
  ) {}

  /** Adds a bucket; returns what removes it. */
  addBucket(bucket: string, figures: () => BucketFigures): () => void {
    this.#buckets.set(bucket, figures);
    this.changed();
    return () => {
      this.#buckets.delete(bucket);
      this.changed();
    };
  }

  setCache(cacheBytes: () => number): void {
    this.#cacheBytes = cacheBytes;
  }

  changed(): void {
    if (this.#planned || this.#closed.signal.aborted) return;
    const waitMs = this.#reportedMs + REPORT_INTERVAL_MS - this.clock.steadyMs();
    if (waitMs <= 0) {
      this.#report();
      return;
    }
    this.#planned = true;
    this.clock.sleep(waitMs, this.#closed.signal).then(
      () => {
        this.#planned = false;
        this.#report();
      },
      () => {
        // Closed: nobody reads the figures any more.
      },
    );
  }

  close(): void {
    this.#closed.abort(new Error('closed'));
  }

  #report(): void {
    this.#reportedMs = this.clock.steadyMs();
    const sum = { unsentBytes: 0, unsentChunks: 0, graceBytes: 0, uplinkBytesPerSecond: 0 };
    for (const figures of this.#buckets.values()) {
      const f = figures();
      sum.unsentBytes += f.unsentBytes;
      sum.unsentChunks += f.unsentChunks;
      sum.graceBytes += f.graceBytes;
      // One line for all.
      sum.uplinkBytesPerSecond = f.uplinkBytesPerSecond;
    }
    this.metrics.set('gateway_cache_bytes', this.#cacheBytes());
    this.metrics.set('gateway_spool_unsent_bytes', sum.unsentBytes);
    this.metrics.set('gateway_spool_unsent_chunks', sum.unsentChunks);
    this.metrics.set('gateway_spool_grace_bytes', sum.graceBytes);
    this.metrics.set('gateway_uplink_bytes_per_second', sum.uplinkBytesPerSecond);
  }
}
