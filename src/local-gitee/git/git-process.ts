import { spawn } from 'node:child_process';

/** A git command that ended with an error. */
export class GitFailure extends Error {
  override readonly name = 'GitFailure';

  constructor(
    command: string,
    readonly exitCode: number | null,
    readonly stderr: string,
  ) {
    super(`git ${command} ended with ${exitCode ?? 'a signal'}: ${stderr.trim().slice(0, 500)}`);
  }
}

/** Settings that every git process here runs with: the machine's own configuration has no say. */
export function gitEnvironment(settings: readonly (readonly [string, string])[] = []): NodeJS.ProcessEnv {
  const all: (readonly [string, string])[] = [
    ['safe.directory', '*'],
    ['core.logAllRefUpdates', 'false'],
    ...settings,
  ];
  const env: NodeJS.ProcessEnv = {
    PATH: process.env['PATH'],
    LANG: 'C.UTF-8',
    TZ: 'UTC',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: String(all.length),
    GIT_TERMINAL_PROMPT: '0',
  };
  all.forEach(([key, value], i) => {
    env[`GIT_CONFIG_KEY_${i}`] = key;
    env[`GIT_CONFIG_VALUE_${i}`] = value;
  });
  return env;
}

/** Runs git in a repository to its end; the output is small. Throws GitFailure. */
export async function git(
  directory: string,
  args: readonly string[],
  options: { input?: string | Buffer; maxBytes?: number } = {},
): Promise<Buffer> {
  const child = spawn('git', ['--git-dir', directory, ...args], {
    env: gitEnvironment(),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // A command that ends without reading its input is not our error.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const out: Buffer[] = [];
  let sizeBytes = 0;
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => {
    sizeBytes += data.length;
    if (sizeBytes > (options.maxBytes ?? 64 * 1024 * 1024)) child.kill();
    else out.push(data);
  });
  child.stderr.on('data', (data: Buffer) => {
    if (stderr.length < 4096) stderr += data.toString('utf8');
  });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (exitCode !== 0) throw new GitFailure(args[0] ?? '', exitCode, stderr);
  return Buffer.concat(out);
}
