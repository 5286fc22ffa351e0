import { join } from 'node:path';
import { describeSpace, LfsSpace, type LfsSpaceStatus } from '../space/lfs-space.js';
import { LfsLedger } from '../space/lfs-ledger.js';
import { LfsTrend } from '../space/lfs-trend.js';
import { openStore, type StoreOptions } from '../index/open-store.js';
import type { Config } from './config/config.js';
import type { GatewayParts, ProbeResult } from './gateway.js';

const WARN_SHARE = 0.8;
const FAIL_SHARE = 0.95;
const RUNBOOK = 'docs/runbooks/LfsQuotaNearlyFull.md';

/** What Gitee keeps for this gateway, and how much that may be. A store of its own: the journal shares no fsync. */
export class LfsParts {
  private constructor(
    readonly ledger: LfsLedger,
    readonly space: LfsSpace,
  ) {}

  static async open(config: Config, { clock, log }: GatewayParts, stores: StoreOptions): Promise<LfsParts> {
    const store = openStore(join(config.stateDir, 'lfs-ledger'), stores);
    const ledger = new LfsLedger({ store, clock, log });
    const space = new LfsSpace({
      ...{ ledger, clock, log },
      trend: await LfsTrend.open(store),
      quotaBytes: config.gitee.lfsQuotaBytes,
      action: config.gitee.lfsQuotaAction,
    });
    return new LfsParts(ledger, space);
  }

  async close(): Promise<void> {
    await this.space.close();
    await this.ledger.close();
  }

  /** To be said beside Gitee's own words that something is full. */
  advice(): string {
    return `Known of the LFS space: ${describeSpace(this.space.status())}. What to do: ${RUNBOOK}`;
  }
}

/** What `doctor` says of the LFS space. */
export function probeSpace(space: LfsSpaceStatus): ProbeResult {
  const name = 'lfs space';
  const answer = `${describeSpace(space)}, as far as this gateway knows.`;
  const { quotaBytes, unsentBytes, usedBytes } = space;
  if (quotaBytes === undefined) {
    return {
      ...{ name, verdict: 'warning', answer: `${answer} How much there may be is not known.` },
      nextStep:
        'Set gitee.lfs_quota_bytes: the figure stands in the dashboard of the enterprise at Gitee, under extensions, LFS. Without it nobody is told before the space is full.',
    };
  }
  const share = (usedBytes + unsentBytes) / Math.max(1, quotaBytes);
  if (share <= WARN_SHARE) return { name, verdict: 'ok', answer };
  return { name, verdict: share > FAIL_SHARE ? 'failed' : 'warning', answer, nextStep: `See ${RUNBOOK}.` };
}
