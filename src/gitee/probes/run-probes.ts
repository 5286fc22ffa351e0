import {
  probeBranch,
  probeClock,
  probeContents,
  probeHooks,
  probePushRules,
  probeRateLimit,
  probeRepository,
  probeToken,
} from './api-probes.js';
import { probeGit } from './git-probes.js';
import { probeLfs } from './lfs-probes.js';
import type { ProbeDeps, ProbeResult } from './probe.js';

/**
 * Asks everything that can be asked without writing (docs/facts/gitee.md §7). One after the other: a doctor
 * must not run into a rate limit. Each call has its deadline; where the token or the repository is wrong, what
 * follows from it is not asked.
 * @throws the signal's reason only
 */
export async function runReadOnlyProbes(deps: ProbeDeps): Promise<ProbeResult[]> {
  const { result: token, user, hopeless } = await probeToken(deps);
  if (hopeless) return [token];
  const repository = await probeRepository(deps);
  const results = [token, ...repository];
  if (repository[0]?.status === 'ok')
    results.push(
      await probeBranch(deps),
      await probePushRules(deps),
      await probeContents(deps),
      await probeHooks(deps),
    );
  results.push(...(await probeLfs(deps, user?.login)), ...(await probeGit(deps, user?.login)));
  results.push(probeClock(deps), probeRateLimit(deps));
  return results;
}
