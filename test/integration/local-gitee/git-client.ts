import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { mustRun, run, type RunResult } from '../../support/child.js';
import type { RunningLocalGitee } from '../../support/local-gitee.js';

/** Real git (and git-lfs) in a directory of its own, with a token that stands in no argument and no URL. */
export class GitClient {
  private constructor(
    readonly directory: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async create(
    gitee: Pick<RunningLocalGitee, 'url'>,
    options: { token?: string; user?: string; headerScope?: string; settings?: [string, string][] } = {},
  ): Promise<GitClient> {
    const directory = await mkdtemp(path.join(tmpdir(), 'git-client-'));
    const settings: [string, string][] = [
      ['user.name', 'A Tester'],
      ['user.email', 'tester@example.com'],
      ['init.defaultBranch', 'master'],
      ['lfs.transfer.maxRetries', '1'],
      ...(options.settings ?? []),
    ];
    if (options.token !== undefined) {
      const scope = options.headerScope ?? `http.${gitee.url}/.extraHeader`;
      settings.push([scope, `Authorization: ${basic(options.token, options.user)}`]);
    }
    const env: NodeJS.ProcessEnv = {
      PATH: process.env['PATH'],
      HOME: directory,
      LANG: 'C.UTF-8',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'true',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_COUNT: String(settings.length),
    };
    settings.forEach(([key, value], i) => {
      env[`GIT_CONFIG_KEY_${i}`] = key;
      env[`GIT_CONFIG_VALUE_${i}`] = value;
    });
    return new GitClient(directory, env);
  }

  /** Runs git; the caller looks at the exit code. */
  try(...args: string[]): Promise<RunResult> {
    return run('git', args, { cwd: this.directory, env: this.env });
  }

  /** Runs git, which must succeed, and gives what it printed. */
  async git(...args: string[]): Promise<string> {
    return (await mustRun('git', args, { cwd: this.directory, env: this.env })).stdout.trim();
  }

  /** An empty repository here with the remote `origin`. */
  async init(url: string): Promise<void> {
    await this.git('init', '-q');
    await this.git('remote', 'add', 'origin', url);
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

export function basic(token: string, user = 'oauth2'): string {
  return `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`;
}

export function oidOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
