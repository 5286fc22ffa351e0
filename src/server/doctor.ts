import type { ProbeResult as GiteeProbe } from '../gitee/probes/probe.js';
import { runReadOnlyProbes } from '../gitee/probes/run-probes.js';
import type { GatewayComponents } from './components.js';
import type { ProbeResult } from './gateway.js';
import { probeSpace } from './lfs-parts.js';

/** Asks Gitee the read-only questions for every bucket, each repository and branch once. */
export async function doctor({ config, gitee, lfs, parts }: GatewayComponents): Promise<ProbeResult[]> {
  const results: ProbeResult[] = [];
  const seen = new Set<string>();
  const { createBuckets } = config;
  const places = config.buckets.map(({ repository, branch }) => ({ repository, branch }));
  if (createBuckets.repository !== undefined)
    places.push({ repository: createBuckets.repository, branch: createBuckets.branch });
  for (const { repository, branch } of places) {
    const [owner, name] = repository.split('/') as [string, string];
    const probes = await runReadOnlyProbes({
      http: gitee.http,
      api: gitee.api,
      giteeUrl: config.gitee.url,
      ...{ owner, name, branch },
      token: gitee.token,
      user: config.gitee.user,
      lfsUser: config.gitee.lfsUser,
      lfsBatchMax: config.gitee.lfsBatchMax,
      clock: parts.clock,
    });
    for (const probe of probes) {
      // The token, the clock and the rate are the same for all buckets.
      const key = `${probe.name} ${probe.answer}`;
      if (seen.has(key)) continue;
      seen.add(key);
      results.push(present(probe));
    }
  }
  results.push(probeSpace(lfs.space.status()));
  return results;
}

function present(probe: GiteeProbe): ProbeResult {
  const next = [probe.setting === undefined ? '' : `See ${probe.setting}.`, probe.help ?? '']
    .filter((part) => part !== '')
    .join(' ');
  return {
    name: probe.name,
    verdict: probe.status,
    answer: probe.answer,
    ...(next === '' ? {} : { nextStep: next }),
  };
}
