import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { mustRun, run } from '../../support/child.js';
import { limitMs } from '../../support/time-limits.js';
import type { S3Client } from './client.js';

/** For the inner run, which has no network. */
const VARIABLE = 'S3_CLIENTS_NPM';
const INSTALL_LIMIT_MS = limitMs(1_800_000);

/** Where the packages of npm are, for the inner run. */
export function npmDirectory(): string {
  const directory = process.env[VARIABLE];
  if (directory === undefined) throw new Error(`${VARIABLE} is not set`);
  return directory;
}

/**
 * Installs what is missing for these clients: packages of Debian into the system, those of npm into a directory of their
 * own, which is gone with the returned function.
 */
export async function installClients(clients: readonly S3Client[]): Promise<() => Promise<void>> {
  const debian = clients.flatMap(({ packages }) => ('debian' in packages ? packages.debian : []));
  const npm = clients.flatMap(({ packages }) => ('npm' in packages ? packages.npm : []));
  await installDebian(debian);
  const directory = await mkdtemp(path.join(tmpdir(), 's3-clients-npm-'));
  process.env[VARIABLE] = directory;
  if (npm.length > 0)
    await mustRun(
      'npm',
      ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', directory, ...new Set(npm)],
      { timeoutMs: INSTALL_LIMIT_MS },
    );
  return () => rm(directory, { recursive: true, force: true });
}

async function installDebian(packages: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const name of new Set(packages)) {
    const { stdout } = await run('dpkg-query', ['-W', '-f', '${Status}', name]);
    if (!stdout.includes('ok installed')) missing.push(name);
  }
  if (missing.length === 0) return;
  process.stderr.write(`Installing ${missing.join(' ')}\n`);
  const script = 'source deploy/packages.sh && log=$(mktemp) && install_packages "$log" "$@" && rm "$log"';
  await mustRun('bash', ['-c', script, 'install', ...missing], { timeoutMs: INSTALL_LIMIT_MS });
}
