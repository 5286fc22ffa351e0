import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { Child, httpStatus, mustRun, run, until } from '../../test/support/child.js';
import { makeCertificate } from '../../test/support/nginx.js';
import type { RegistryLogin } from './registry-client.js';
import { FRONT, GITEE, type LineNetwork } from './network.js';
import { shippedBounds } from '../../test/support/shipped-bounds.js';

const ACCESS_KEY = 'LINES';
export const USER = 'lines';
const READY_MS = 120_000;

/** What the harness asks of local Gitee besides being a Gitee. */
export interface GiteeFault {
  readonly name: string;
  readonly [option: string]: unknown;
}

export interface OfficeOptions {
  readonly network: LineNetwork;
  readonly directory: string;
  /** A built checkout: its gateway, its nginx/ and its registry-config/ are what is measured. */
  readonly checkout: string;
  readonly gatewayConfig?: Record<string, unknown>;
}

/**
 * The shipped stack on the hosts of a network: Nginx with TLS, Debian's docker-registry with a login, Nginx's S3
 * listener and the gateway on the server, local Gitee (of this checkout) on its own. The caller must run inside the
 * server's namespace; files are the shipped ones but for names and paths.
 */
export class Office {
  readonly password = randomBytes(12).toString('hex');
  readonly secretKey = randomBytes(20).toString('hex');
  readonly #giteeToken = randomBytes(16).toString('hex');
  readonly #adminToken = randomBytes(24).toString('hex');
  readonly #children: Child[] = [];
  gateway: Child | undefined;
  gitee: Child | undefined;
  registry: Child | undefined;

  constructor(private readonly options: OfficeOptions) {}

  get registryAddress(): string {
    return `${FRONT}:443`;
  }

  /** What a client needs to push and pull. */
  async login(): Promise<RegistryLogin> {
    const ca = await readFile(this.certificateFile, 'utf8');
    return { address: this.registryAddress, user: USER, password: this.password, ca };
  }

  /** Of the registry, for those who trust nothing else. */
  get certificateFile(): string {
    return this.#file('nginx', 'tls', 'registry.crt');
  }

  get stateDirectory(): string {
    return this.#file('state');
  }

  async start(): Promise<void> {
    await mkdir(this.options.directory, { recursive: true });
    await this.startGitee();
    await this.#writeGatewayConfig();
    await this.startGateway();
    await this.startRegistry();
    await this.#startNginx();
  }

  async startGitee(): Promise<void> {
    const config = this.#file('gitee.json');
    const repository = { owner: 'acme', private: true, enterprise: true, lfs: true };
    const collaborators = { gateway: 'push' };
    await writeFile(
      config,
      JSON.stringify({
        accounts: [{ id: 101, login: 'gateway', tokens: [{ token: this.#giteeToken }] }],
        repositories: [
          { ...repository, collaborators, name: 'images', id: 4711 },
          { ...repository, collaborators, name: 'files', id: 4712 },
        ],
      }),
      { mode: 0o600 },
    );
    const [command, args] = this.options.network.on('gitee', process.execPath, [
      path.resolve('dist/local-gitee/main.js'),
      ...['--data', this.#file('gitee'), '--config', config, '--host', GITEE],
    ]);
    this.gitee = this.#start(command, args, 'gitee.log', {
      ...process.env,
      LOCAL_GITEE_ADMIN_TOKEN: this.#adminToken,
    });
    await until('local Gitee answers', async () => (await httpStatus(`http://${GITEE}:9300/`)) > 0);
  }

  async startGateway(): Promise<void> {
    const gateway = this.#start(
      process.execPath,
      [path.join(this.options.checkout, 'dist/cli/main.js'), 'serve', '--config', this.#file('gateway.yaml')],
      'gateway.log',
      { ...process.env, ...(await shippedBounds(this.options.checkout)) },
    );
    this.gateway = gateway;
    await until(
      'the gateway is ready',
      async () => {
        if (!gateway.running) throw new Error(`the gateway ended, see ${gateway.logFile}`);
        return (await httpStatus('http://127.0.0.1:9464/readyz')) === 200;
      },
      READY_MS,
    );
  }

  async startRegistry(): Promise<void> {
    const passwords = this.#file('htpasswd');
    const { stdout } = await mustRun('htpasswd', ['-niB', USER], { input: this.password });
    await writeFile(passwords, stdout, { mode: 0o600 });
    const { AWS_CA_BUNDLE: _, ...inherited } = process.env;
    const registry = this.#start(
      'docker-registry',
      ['serve', path.join(this.options.checkout, 'registry-config/config.htpasswd.yml')],
      'registry.log',
      {
        ...inherited,
        OTEL_TRACES_EXPORTER: 'none',
        NO_PROXY: '*',
        no_proxy: '*',
        REGISTRY_HTTP_SECRET: 'a secret of the bench',
        REGISTRY_AUTH_HTPASSWD_PATH: passwords,
        REGISTRY_STORAGE_S3_ACCESSKEY: ACCESS_KEY,
        REGISTRY_STORAGE_S3_SECRETKEY: this.secretKey,
      },
    );
    this.registry = registry;
    await until('the registry answers', async () => {
      if (!registry.running) throw new Error(`the registry ended, see ${registry.logFile}`);
      return (await httpStatus('http://127.0.0.1:5000/v2/')) === 401;
    });
  }

  /** Stops registry and gateway, forgets all that they know, and starts them again: everything comes from Gitee. */
  async forgetEverything(): Promise<void> {
    await this.registry?.stop();
    await this.gateway?.stop('SIGTERM', 60_000);
    await rm(this.stateDirectory, { recursive: true, force: true });
    await this.startGateway();
    await this.startRegistry();
  }

  async fault(fault: GiteeFault): Promise<void> {
    await this.#admin('POST', 'faults', fault);
  }

  async clearFaults(): Promise<void> {
    await this.#admin('DELETE', 'faults');
  }

  async giteeStats(): Promise<{
    repositories: Record<string, { lfsBytes: number; batchCalls: number; uploads: number; pushes: number }>;
  }> {
    return JSON.parse(await this.#admin('GET', 'stats')) as never;
  }

  /** SIGSTOP: connections stay, and what is sent there is taken by the kernel until its buffers are full. */
  giteeStandsStill(isStill: boolean): void {
    this.gitee!.process.kill(isStill ? 'SIGSTOP' : 'SIGCONT');
  }

  /** `aws` of Debian on the S3 listener of Nginx. */
  async aws(...args: string[]): Promise<{ code: number; output: string }> {
    const { AWS_CA_BUNDLE: _, ...inherited } = process.env;
    const result = await run('/usr/bin/aws', ['--endpoint-url', 'http://127.0.0.1:9080', ...args], {
      env: {
        ...inherited,
        HOME: this.options.directory,
        AWS_ACCESS_KEY_ID: ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY: this.secretKey,
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_EC2_METADATA_DISABLED: 'true',
        NO_PROXY: '*',
      },
      timeoutMs: 1_800_000,
    });
    return { code: result.code, output: result.stdout + result.stderr };
  }

  /** Answers of Nginx by status, on the S3 listener and to the clients. */
  async answers(log: 's3' | 'registry'): Promise<ReadonlyMap<number, number>> {
    const text = await readFile(this.#file('nginx', 'log', `${log}.access.log`), 'utf8').catch(() => '');
    const counts = new Map<number, number>();
    for (const match of text.matchAll(/"status":(\d+)/g)) {
      counts.set(Number(match[1]), (counts.get(Number(match[1])) ?? 0) + 1);
    }
    return counts;
  }

  async stop(): Promise<void> {
    this.gitee?.process.kill('SIGCONT');
    for (const child of this.#children.reverse()) await child.stop('SIGTERM', 10_000);
  }

  async #writeGatewayConfig(): Promise<void> {
    const tokenFile = this.#file('gitee-token');
    await writeFile(tokenFile, this.#giteeToken, { mode: 0o600 });
    await writeFile(
      this.#file('gateway.yaml'),
      JSON.stringify({
        state_dir: this.stateDirectory,
        gitee: { url: `http://${GITEE}:9300`, token_file: tokenFile },
        access_keys: [
          { access_key_id: ACCESS_KEY, secret_access_key: this.secretKey, buckets: { '*': 'write' } },
        ],
        buckets: [
          { name: 'registry', repository: 'acme/images', preset: 'registry' },
          { name: 'files', repository: 'acme/files', preset: 'generic' },
        ],
        ...this.options.gatewayConfig,
      }),
      { mode: 0o600 },
    );
  }

  async #startNginx(): Promise<void> {
    const root = this.#file('nginx');
    for (const name of ['tls', 'log', 'tmp', 'conf.d', 'snippets', 'acme']) {
      await mkdir(path.join(root, name), { recursive: true });
    }
    await makeCertificate(path.join(root, 'tls'), 'registry', [`IP:${FRONT}`, 'DNS:localhost']);
    const shipped = path.join(this.options.checkout, 'nginx');
    for (const [from, to] of [
      ['.', 'conf.d'],
      ['snippets', 'snippets'],
    ] as const) {
      for (const name of await readdir(path.join(shipped, from))) {
        if (!name.endsWith('.conf')) continue;
        const text = (await readFile(path.join(shipped, from, name), 'utf8'))
          .replaceAll('s3.registry.example.com', 'localhost')
          .replaceAll('registry.example.com', FRONT)
          .replaceAll('/etc/nginx/tls/', `${root}/tls/`)
          .replaceAll('/var/log/nginx/', `${root}/log/`)
          .replaceAll('/var/www/acme', `${root}/acme`);
        await writeFile(path.join(root, to, name), text);
      }
    }
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${root}/tmp/${name};`,
    );
    const config = path.join(root, 'nginx.conf');
    await writeFile(
      config,
      [
        `user root; worker_processes 2; pid ${root}/pid; error_log ${root}/log/error.log; events {}`,
        `http { ${temporary.join(' ')} include conf.d/*.conf; }`,
      ].join('\n'),
    );
    const nginx = this.#start('nginx', ['-c', config, '-g', 'daemon off;'], 'nginx.log');
    await until('nginx answers', async () => {
      if (!nginx.running) throw new Error(`nginx ended, see ${nginx.logFile}`);
      return (await httpStatus('http://127.0.0.1:9081/nginx_status')) === 200;
    });
  }

  async #admin(method: string, call: string, body?: unknown): Promise<string> {
    // From Gitee's own host: it must work while the line is gone.
    const input = [
      `header = "Authorization: Bearer ${this.#adminToken}"`,
      'header = "Content-Type: application/json"',
      `request = ${method}`,
      ...(body === undefined ? [] : [`data = ${JSON.stringify(JSON.stringify(body))}`]),
    ];
    const { stdout } = await mustRun(
      ...this.options.network.on('gitee', 'curl', [
        ...['-sf', '--noproxy', '*', '--config', '-', `http://${GITEE}:9300/_local/${call}`],
      ]),
      { input: `${input.join('\n')}\n` },
    );
    return stdout;
  }

  #start(command: string, args: readonly string[], log: string, env?: NodeJS.ProcessEnv): Child {
    const child = Child.start(command, args, {
      logFile: this.#file(log),
      cwd: this.options.checkout,
      ...(env ? { env } : {}),
    });
    this.#children.push(child);
    return child;
  }

  #file(...names: string[]): string {
    return path.join(this.options.directory, ...names);
  }
}
