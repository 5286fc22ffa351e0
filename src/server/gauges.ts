import type { BucketParts } from '../buckets/parts.js';
import { freeBytesOfDisk } from '../chunks/disk-reserve.js';
import type { GatewayComponents } from './components.js';

/** Figures of the whole gateway; each is set when somebody scrapes. */
export class Gauges {
  constructor(private readonly components: GatewayComponents) {}

  /** What does not change while the gateway runs. */
  setLimits(): void {
    const { cache, config, parts } = this.components;
    const { metrics } = parts;
    metrics.set('gateway_lfs_quota_bytes', config.gitee.lfsQuotaBytes ?? 0);
    metrics.set('gateway_spool_limit_bytes', config.spoolSoftBytes, { limit: 'soft' });
    metrics.set('gateway_spool_limit_bytes', config.spoolHardBytes, { limit: 'hard' });
    metrics.set('gateway_disk_reserve_bytes', config.diskReserveBytes);
    metrics.set('gateway_cache_limit_bytes', cache.maxBytes);
    metrics.set('gateway_spool_grace_limit_bytes', cache.graceMaxBytes);
  }

  async refresh(buckets: readonly BucketParts[]): Promise<void> {
    const { config, lfs, parts } = this.components;
    const { metrics } = parts;
    let atRiskBytes = 0;
    for (const { chunks, open } of buckets) {
      open.state.report();
      const { pendingBytes, quarantinedBytes } = open.state.status();
      // What is sent and in no commit yet is an object that Gitee may clean up: only here is it safe.
      atRiskBytes += Math.max(chunks.stats().unsentBytes, pendingBytes + quarantinedBytes);
    }
    metrics.set('gateway_spool_bytes_at_risk', atRiskBytes);
    this.#reportUplink();
    this.#reportDownlink();
    metrics.set('gateway_lfs_used_bytes', lfs.space.status().usedBytes);
    metrics.set('gateway_disk_free_bytes', await freeBytesOfDisk(config.stateDir));
  }

  #reportUplink(): void {
    const { parts, uploads } = this.components;
    const { metrics } = parts;
    const pace = uploads.status();
    metrics.set('gateway_uplink_bytes_per_second', pace.uplinkBytesPerSecond);
    metrics.set('gateway_admission_pending_bytes', pace.pendingBytes);
    metrics.set('gateway_admission_budget_bytes', pace.budgetBytes);
    metrics.set('gateway_admission_waiting', pace.waitingBodies);
    metrics.set('gateway_admission_oldest_wait_seconds', pace.oldestWaitMs / 1000);
  }

  #reportDownlink(): void {
    const { downlink, line, parts } = this.components;
    const { clock, metrics } = parts;
    for (const { use, isDown, sinceMs } of line.state.uses) {
      const seconds = isDown && sinceMs !== undefined ? (clock.nowMs() - sinceMs) / 1000 : 0;
      metrics.set('gateway_gitee_unanswered_seconds', seconds, { use });
    }
    metrics.set('gateway_downlink_bytes_per_second', downlink.bytesPerSecond);
    metrics.set('gateway_downloads', downlink.running, { state: 'running' });
    metrics.set('gateway_downloads', downlink.waiting, { state: 'waiting' });
  }
}
