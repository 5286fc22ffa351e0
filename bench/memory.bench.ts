import { until } from '../test/support/child.js';
import { startStack } from '../test/support/stack.js';
import { pushBlob } from './blob.js';
import { RssSampler, rssAnonMiB } from './rss.js';

/** One layer goes up through the real registry: the gateway's anonymous memory must not follow its size. */
export async function memory(layerMiB: number): Promise<void> {
  const stack = await startStack({ config: { spool_soft: '12GiB' } });
  try {
    const registry = await stack.startRegistry();
    const pid = stack.gateway.child!.pid;
    const idleMiB = Math.round(rssAnonMiB(pid));
    const sampler = new RssSampler(pid);
    const startedMs = Date.now();
    await pushBlob(registry.address, 'bench/memory', layerMiB * 1024 ** 2);
    const acknowledgedSeconds = (Date.now() - startedMs) / 1000;
    await until(
      'all chunks are on Gitee',
      async () => (await stack.gateway.metric('gateway_spool_unsent_chunks')) <= 1,
      600_000,
    );
    const landedSeconds = (Date.now() - startedMs) / 1000;
    console.log(
      JSON.stringify({
        scenario: 'memory',
        layerMiB,
        idleRssAnonMiB: idleMiB,
        maxRssAnonMiB: sampler.stop(),
        limitMiB: 300,
        acknowledgedSeconds: Math.round(acknowledgedSeconds),
        onGiteeSeconds: Math.round(landedSeconds),
        mibPerSecond: Math.round(layerMiB / landedSeconds),
      }),
    );
  } finally {
    await stack.close();
  }
}
