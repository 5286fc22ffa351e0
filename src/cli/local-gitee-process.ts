/**
 * The embedded local Gitee as a child process of one command. It is another program that happens to be shipped
 * with this one: it is started and spoken to like any server, never imported.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isNotFound } from '../disk/failures.js';
import type { Config } from '../server/config/config.js';
import { Secret, trimSecret } from '../server/config/secret.js';
import type { CommandConfiguration } from './configuration.js';

/** The built program of local Gitee. */
export const LOCAL_GITEE_PROGRAM = fileURLToPath(new URL('../../dist/local-gitee/main.js', import.meta.url));

/** The account that the gateway has on its own local Gitee. */
const ACCOUNT = 'gateway';
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/**
 * Runs a command with local Gitee beside it where the configuration asks for that, and with the token it made;
 * otherwise just runs it. Local Gitee ends with the command.
 */
export async function withLocalGitee<T>(
  configuration: CommandConfiguration,
  run: (configuration: CommandConfiguration) => Promise<T>,
): Promise<T> {
  const { config, log, redactor } = configuration;
  if (!config.localGitee.enabled) return run(configuration);

  const token = config.gitee.token ?? (await ownToken(config));
  redactor.register(token.reveal());
  const seed = join(config.stateDir, 'local-gitee.json');
  await writeAtomically(seed, JSON.stringify(seedOf(config, token), null, 2));
  const child = start(config, seed);
  child.once('exit', (code, signal) => log.info('local Gitee ended', { code, signal }));
  try {
    await waitUntilListening(child, config.gitee.url);
    log.info('local Gitee started', { url: config.gitee.url, pid: child.pid });
    return await run({
      ...configuration,
      config: { ...config, gitee: { ...config.gitee, token }, secrets: [...config.secrets, token] },
    });
  } finally {
    await stop(child);
  }
}

/** Made once and kept, so that a restart finds its repositories open to it. */
async function ownToken(config: Config): Promise<Secret> {
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
  const file = join(config.stateDir, 'local-gitee.token');
  try {
    return new Secret(trimSecret(await readFile(file, 'utf8')), file);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  const value = randomBytes(16).toString('hex');
  await writeAtomically(file, `${value}\n`);
  return new Secret(value, file);
}

/** In the words of src/local-gitee/config.ts: one account with rights on every configured repository. */
function seedOf(config: Config, token: Secret): unknown {
  const names = new Set(config.buckets.map((bucket) => bucket.repository));
  return {
    accounts: [{ login: ACCOUNT, email: config.gitee.identityEmail, tokens: [{ token: token.reveal() }] }],
    repositories: [...names].map((repository) => {
      const [owner, name] = repository.split('/');
      return { owner, name, lfs: true, enterprise: true, collaborators: { [ACCOUNT]: 'admin' } };
    }),
  };
}

async function writeAtomically(file: string, content: string): Promise<void> {
  const aside = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(aside, content, { mode: 0o600, flag: 'wx' });
  await rename(aside, file);
}

function start(config: Config, seed: string): ChildProcess {
  const { host, port, lfsPort, dataDir } = config.localGitee;
  const flags = {
    '--data': dataDir,
    '--host': host,
    '--port': port,
    '--lfs-port': lfsPort,
    '--config': seed,
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [flag, String(value)]);
  return spawn(process.execPath, [LOCAL_GITEE_PROGRAM, ...args, '--exit-with-parent'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
}

async function waitUntilListening(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(
        `local Gitee ended at its start (exit code ${child.exitCode ?? child.signalCode}): is ${url} in use?`,
      );
    }
    try {
      const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(1000) });
      await response.body?.cancel();
      return;
    } catch {
      // Not there yet: asked again until the deadline.
      await sleep(POLL_MS);
    }
  }
  throw new Error(`local Gitee did not answer at ${url} within ${START_TIMEOUT_MS / 1000} s`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
