import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/async/clock.js';
import { noFailpoints } from '../../src/async/failpoint.js';
import { silentLog } from '../../src/async/log.js';
import { silentMetrics } from '../../src/async/metrics.js';
import { HttpClient } from '../../src/gitee/http/client.js';
import { createDispatcher } from '../../src/gitee/http/dispatcher.js';
import { GitBranch } from '../../src/gitee/git/git-branch.js';
import { GitHeadRemote } from '../../src/gitee/git/git-head-remote.js';
import type { GitBranchSettings, GitPlaceSettings } from '../../src/gitee/git/settings.js';
import { limitMs } from './time-limits.js';

/** Of a bucket that has a branch for itself. */
export type GitHeadRemoteSettings = GitBranchSettings & GitPlaceSettings;

/** On a branch that it shares with nobody. */
export function onOwnBranch(settings: GitHeadRemoteSettings): GitHeadRemote {
  return new GitHeadRemote(settings, new GitBranch(settings));
}

/** A GitHeadRemote in a temporary directory; what is not given is harmless. */
export async function startGitHeadRemote(
  url: string,
  settings: Partial<GitHeadRemoteSettings> = {},
): Promise<{ remote: GitHeadRemote; settings: GitHeadRemoteSettings; remove(): Promise<void> }> {
  const state = await mkdtemp(join(tmpdir(), 'head-remote-'));
  const http = new HttpClient({
    dispatcher: createDispatcher({ connectTimeoutMs: limitMs(10_000), env: {} }),
    userAgent: 'test',
  });
  const all: GitHeadRemoteSettings = {
    http,
    url,
    branch: 'main',
    pathPrefix: '',
    directory: join(state, 'head.git'),
    token: { current: () => '', reload: async () => false },
    identity: { name: 'Gateway', email: 'gateway@example.com' },
    gatewayId: 'gw-1',
    keyCount: () => 0,
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
    failpoints: noFailpoints,
    ...settings,
  };
  const remote = onOwnBranch(all);
  return {
    remote,
    settings: all,
    remove: async () => {
      await remote.close();
      await http.close();
      await rm(state, { recursive: true, force: true });
    },
  };
}
