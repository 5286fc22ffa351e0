import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { startLocalGitee } from './local-gitee.js';
import { TestGateway } from './gateway.js';
import { startRegistry, type RunningRegistry } from './registry.js';

export type LocalGitee = Awaited<ReturnType<typeof startLocalGitee>>;

/** Local Gitee, gateway and (where asked for) the stock registry, all real processes in a directory of their own. */
export interface Stack {
  readonly directory: string;
  readonly gitee: LocalGitee;
  readonly gateway: TestGateway;
  /** Starts a registry on the bucket `registry`; ended with the stack. */
  startRegistry(options?: {
    redirect?: boolean;
    rootDirectory?: string;
    auth?: Record<string, unknown>;
    notifications?: Record<string, unknown>;
  }): Promise<RunningRegistry>;
  /** Commits on the branch of a repository, counted on local Gitee. */
  commits(repository: string): Promise<number>;
  close(): Promise<void>;
}

export async function startStack(
  options: {
    config?: Record<string, unknown>;
    env?: NodeJS.ProcessEnv;
    start?: boolean;
    checkout?: string;
  } = {},
): Promise<Stack> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stack-'));
  const gitee = await startLocalGitee();
  const registries: RunningRegistry[] = [];
  const gateway = await TestGateway.prepare({
    directory: path.join(directory, 'gateway'),
    gitee: { url: gitee.url, token: gitee.token },
    ...(options.config ? { config: options.config } : {}),
    ...(options.env ? { env: options.env } : {}),
    ...(options.checkout ? { checkout: options.checkout } : {}),
  });
  if (options.start !== false) await gateway.start();
  return {
    directory,
    gitee,
    gateway,
    startRegistry: async (o = {}) => {
      const registry = await startRegistry({
        directory: path.join(directory, `registry-${registries.length}`),
        s3: {
          endpoint: gateway.endpoint,
          accessKeyId: gateway.accessKeyId,
          secretAccessKey: gateway.secretAccessKey,
          bucket: 'registry',
          ...(o.rootDirectory ? { rootDirectory: o.rootDirectory } : {}),
        },
        ...(o.redirect !== undefined ? { redirect: o.redirect } : {}),
        ...(o.auth ? { auth: o.auth } : {}),
        ...(o.notifications ? { notifications: o.notifications } : {}),
      });
      registries.push(registry);
      return registry;
    },
    commits: (repository) => countCommits(gitee, repository),
    close: async () => {
      for (const registry of registries) await registry.stop();
      await gateway.stop();
      await gitee.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function countCommits(gitee: LocalGitee, repository: string): Promise<number> {
  const { run } = await import('./child.js');
  const result = await run('git', [
    '-C',
    path.join(gitee.dataDir, 'repositories', `${repository}.git`),
    'rev-list',
    '--count',
    'refs/heads/master',
  ]);
  return result.code === 0 ? Number(result.stdout) : 0;
}
