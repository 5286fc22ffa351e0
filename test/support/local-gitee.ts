import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, existsSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './ports.js';
import { afterFailure } from './suite-end.js';
import { spawnTied } from './tied.js';

export interface LocalGiteeOptions {
  /** Merged over the default configuration, key by key of the top level. */
  readonly config?: Record<string, unknown>;
  /** Merged into both default repositories, acme/images and acme/files. */
  readonly repository?: Record<string, unknown>;
  /** Its ports, of Gitee and of the LFS storage, and how clients reach them where something stands between. */
  readonly behind?: { readonly ports: readonly [number, number]; readonly urls: readonly [string, string] };
}

/** Names of docs/local-gitee.md, with the options that stand there but for `count`: see `passingFault`. */
export interface FaultOptions {
  readonly match?: { readonly repo?: string; readonly oid?: string };
  readonly count?: never;
  readonly every?: number;
  readonly afterBytes?: number;
  readonly ms?: number;
  readonly status?: number;
  readonly retryAfterSeconds?: number;
  readonly text?: string;
  readonly branch?: string;
}

interface RepositoryStats {
  readonly id: number;
  readonly branches: Record<string, { readonly head: string; readonly commits: number }>;
  readonly lfsObjects: number;
  readonly lfsBytes: number;
  readonly pushes: number;
  readonly batchCalls: number;
  readonly uploads: number;
  readonly uploadedBytes: number;
  readonly downloads: number;
  readonly downloadedBytes: number;
  readonly verifyCalls: number;
  readonly tokenLeaks: number;
}

interface LocalGiteeStats {
  readonly repositories: Record<string, RepositoryStats>;
  readonly apiCalls: number;
  readonly tokenLeaks: readonly { readonly atMs: number; readonly method: string; readonly path: string }[];
  readonly faults: readonly { readonly id: number; readonly name: string; readonly hits: number }[];
  readonly heldConnections: number;
}

/**
 * A running local Gitee in a process and a data directory of its own. It has the account `gateway` (its
 * `token` may push, not administrate), the account `maintainer` (administrator, with the scope `hook`), and
 * the enterprise's empty repositories `acme/images` (id 4711, LFS) and `acme/files` (id 4712, LFS).
 */
export interface RunningLocalGitee {
  readonly url: string;
  readonly lfsUrl: string;
  readonly adminToken: string;
  readonly token: string;
  readonly login: 'gateway';
  readonly maintainerToken: string;
  readonly owner: 'acme';
  readonly repo: 'images';
  readonly dataDir: string;
  /** What it wrote to standard error. */
  readonly logFile: string;
  /** Goes wrong for all that it meets, until it is cleared: what a test that expects a failure asks for. */
  fault(name: string, options?: FaultOptions): Promise<void>;
  /**
   * Goes wrong for so many requests and then no more: only for what must get through in spite of it. Nobody can count
   * on a failure with it, since clients repeat by themselves what they were not told of: git's libcurl and Go's HTTP
   * client send a request again where a kept connection ends before a byte of the answer, SDKs and tools after a 5xx.
   */
  passingFault(name: string, count: number, options?: FaultOptions): Promise<void>;
  /** How many requests a fault in force has met. */
  hits(name: string): Promise<number>;
  clearFaults(): Promise<void>;
  stats(): Promise<LocalGiteeStats>;
  /** POST /_local/<path>. Throws with the answer's text if it is no 2xx. */
  admin(call: string, body: unknown): Promise<Record<string, unknown>>;
  /** Ends it and removes its directory. */
  stop(): Promise<void>;
  /** kill -9; the directory stays for `restart`. */
  kill(): Promise<void>;
  /** Ends it if it runs, and starts it again on the same ports and data. */
  restart(): Promise<void>;
}

export async function startLocalGitee(options: LocalGiteeOptions = {}): Promise<RunningLocalGitee> {
  const directory = await mkdtemp(path.join(tmpdir(), 'local-gitee-'));
  const [token, maintainerToken, adminToken] = [16, 16, 24].map((n) => randomBytes(n).toString('hex'));
  const repository = {
    owner: 'acme',
    private: true,
    enterprise: true,
    lfs: true,
    collaborators: { gateway: 'push', maintainer: 'admin' },
    ...options.repository,
  };
  const config = {
    accounts: [
      {
        id: 101,
        login: 'gateway',
        name: 'Gateway',
        email: 'gateway@example.com',
        tokens: [{ token, scopes: ['user_info', 'projects'] }],
      },
      {
        id: 102,
        login: 'maintainer',
        name: 'Maintainer',
        email: 'maintainer@example.com',
        tokens: [{ token: maintainerToken, scopes: ['user_info', 'projects', 'hook'] }],
      },
    ],
    repositories: [
      { ...repository, name: 'images', id: 4711 },
      { ...repository, name: 'files', id: 4712 },
    ],
    ...options.config,
  };
  const configFile = path.join(directory, 'config.json');
  await writeFile(configFile, JSON.stringify(config), { mode: 0o600 });
  const dataDir = path.join(directory, 'data');
  const logFile = path.join(directory, 'stderr.log');
  const program = new Program(configFile, dataDir, logFile, adminToken!);
  const { behind } = options;
  const ports = (behind?.ports ?? [await freePort(), await freePort()]).map(String) as [string, string];
  const { url, lfsUrl } = await program.start(...ports, behind?.urls);
  const directUrl = behind ? `http://127.0.0.1:${behind.ports[0]}` : url;

  const call = async (method: string, name: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(`${directUrl}/_local/${name}`, {
      method,
      headers: { Authorization: `Bearer ${adminToken}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} /_local/${name}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };
  // What a failed test had go wrong goes wrong in no other.
  afterFailure(() => call('DELETE', 'faults').then(ignore, ignore));
  return {
    url,
    lfsUrl,
    adminToken: adminToken!,
    token: token!,
    login: 'gateway',
    maintainerToken: maintainerToken!,
    owner: 'acme',
    repo: 'images',
    dataDir,
    logFile,
    fault: async (name, faultOptions = {}) => {
      await call('POST', 'faults', { name, ...faultOptions });
    },
    passingFault: async (name, count, faultOptions = {}) => {
      await call('POST', 'faults', { name, ...faultOptions, count });
    },
    hits: async (name) => {
      const { faults } = (await call('GET', 'stats')) as LocalGiteeStats;
      return faults.find((fault) => fault.name === name)?.hits ?? 0;
    },
    clearFaults: async () => {
      await call('DELETE', 'faults');
    },
    stats: async () => (await call('GET', 'stats')) as LocalGiteeStats,
    admin: async (name, body) => (await call('POST', name, body)) as Record<string, unknown>,
    stop: async () => {
      await program.end('SIGTERM');
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
    kill: () => program.end('SIGKILL'),
    restart: async () => {
      await program.end('SIGTERM');
      await program.start(...ports, behind?.urls);
    },
  };
}

/** It may have been stopped. */
function ignore(): void {}

class Program {
  #child: ChildProcess | undefined;

  constructor(
    private readonly configFile: string,
    private readonly dataDir: string,
    private readonly logFile: string,
    private readonly adminToken: string,
  ) {}

  async start(
    port: string,
    lfsPort: string,
    publicUrls?: readonly [string, string],
  ): Promise<{ url: string; lfsUrl: string }> {
    // What the test runner needs of Node is not meant for this program.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const args = ['--config', this.configFile, '--data', this.dataDir, '--port', port, '--lfs-port', lfsPort];
    if (publicUrls) args.push('--public-url', publicUrls[0], '--lfs-public-url', publicUrls[1]);
    const child = spawnTied(process.execPath, [...programArguments(), ...args, '--exit-with-parent'], {
      env: { ...env, LOCAL_GITEE_ADMIN_TOKEN: this.adminToken },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    const log = createWriteStream(this.logFile, { flags: 'a' });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => {
      if (stderr.length < 4096) stderr += data.toString('utf8');
      log.write(data);
    });
    child.once('close', () => log.end());
    const listening = new Promise<{ url: string; lfsUrl: string }>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) => {
        resolve(JSON.parse(line) as { url: string; lfsUrl: string });
      });
      child.once('exit', (code) => reject(new Error(`local Gitee ended with ${code}: ${stderr}`)));
    });
    return listening;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

/** The built program if it is newer than every source of it, otherwise the sources through tsx. */
function programArguments(): string[] {
  const sources = path.resolve('src/local-gitee');
  const built = path.resolve('dist/local-gitee/main.js');
  const newestMs = Math.max(
    ...readdirSync(sources, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => statSync(path.join(sources, name)).mtimeMs),
  );
  if (existsSync(built) && statSync(built).mtimeMs >= newestMs) return [built];
  return ['--import', 'tsx', path.join(sources, 'main.ts')];
}
