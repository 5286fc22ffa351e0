import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { Child, freePort, httpStatus, run, until, type RunResult } from './child.js';
import { afterFailure } from './suite-end.js';

const CLI = 'dist/cli/main.js';

export interface GatewayOptions {
  readonly directory: string;
  readonly gitee: { readonly url: string; readonly token: string };
  /** Deep-merged over the default configuration, as YAML has it. */
  readonly config?: Record<string, unknown>;
  readonly env?: NodeJS.ProcessEnv;
  /** A built checkout whose program it is; this one by default. */
  readonly checkout?: string;
}

/** A gateway of its own process, restarted and killed as a test asks. The ports stay over restarts. */
export class TestGateway {
  child: Child | undefined;
  env: NodeJS.ProcessEnv;

  private constructor(
    readonly directory: string,
    readonly endpoint: string,
    readonly metricsUrl: string,
    readonly accessKeyId: string,
    readonly secretAccessKey: string,
    readonly tokenFile: string,
    readonly configFile: string,
    env: NodeJS.ProcessEnv,
    private readonly program: string,
  ) {
    this.env = env;
  }

  get stateDirectory(): string {
    return path.join(this.directory, 'state');
  }

  /** Writes the configuration: bucket `registry` in acme/images, bucket `files` in acme/files. */
  static async prepare(options: GatewayOptions): Promise<TestGateway> {
    await mkdir(options.directory, { recursive: true });
    const [port, metricsPort] = [await freePort(), await freePort()];
    const accessKeyId = `AK${randomBytes(9).toString('hex').toUpperCase()}`;
    const secretAccessKey = randomBytes(20).toString('hex');
    const tokenFile = path.join(options.directory, 'gitee-token');
    await writeFile(tokenFile, `${options.gitee.token}\n`, { mode: 0o600 });
    const config = merge(
      {
        state_dir: path.join(options.directory, 'state'),
        s3: { host: '127.0.0.1', port },
        metrics: { host: '127.0.0.1', port: metricsPort },
        gitee: { url: options.gitee.url, token_file: tokenFile },
        disk_reserve: '64MiB',
        access_keys: [
          { access_key_id: accessKeyId, secret_access_key: secretAccessKey, buckets: { '*': 'write' } },
        ],
        buckets: [
          { name: 'registry', repository: 'acme/images', branch: 'master', preset: 'registry' },
          { name: 'files', repository: 'acme/files', branch: 'master', preset: 'generic' },
        ],
        log: { level: 'info' },
      },
      options.config ?? {},
    );
    const configFile = path.join(options.directory, 'gateway.yaml');
    await writeFile(configFile, JSON.stringify(config, null, 2), { mode: 0o600 });
    const gateway = new TestGateway(
      options.directory,
      `http://127.0.0.1:${port}`,
      `http://127.0.0.1:${metricsPort}`,
      accessKeyId,
      secretAccessKey,
      tokenFile,
      configFile,
      { ...process.env, ...options.env },
      path.resolve(options.checkout ?? '.', CLI),
    );
    // A test that failed between its kill and its start leaves no dead gateway to the tests after it.
    afterFailure(async () => {
      if (gateway.child && !gateway.child.running && existsSync(configFile))
        await gateway.start({ ready: false });
    });
    return gateway;
  }

  static async start(options: GatewayOptions): Promise<TestGateway> {
    const gateway = await TestGateway.prepare(options);
    await gateway.start();
    return gateway;
  }

  /** One that still runs is ended first: its port and its state directory are needed. */
  async start(options: { ready?: boolean } = {}): Promise<void> {
    await this.stop();
    const child = Child.start(process.execPath, [this.program, 'serve', '--config', this.configFile], {
      env: this.env,
      logFile: path.join(this.directory, 'gateway.log'),
    });
    this.child = child;
    await until('the gateway is ready', async () => {
      if (!child.running) throw new Error(`the gateway ended: ${await child.lastWords()}`);
      return (
        (await httpStatus(`${this.metricsUrl}/${options.ready === false ? 'healthz' : 'readyz'}`)) === 200
      );
    });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.child?.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.child?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  cli(...args: string[]): Promise<RunResult> {
    return run(process.execPath, [this.program, ...args, '--config', this.configFile], { env: this.env });
  }

  /** An AWS SDK client; without retries, since a second try would hide what the first was answered. */
  s3Client(): S3Client {
    return new S3Client({
      endpoint: this.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: this.accessKeyId, secretAccessKey: this.secretAccessKey },
      maxAttempts: 1,
    });
  }

  /** A command that needs no configuration. */
  plainCli(...args: string[]): Promise<RunResult> {
    return run(process.execPath, [this.program, ...args], { env: this.env });
  }

  /** The value of a metric with these labels, 0 where it is not there. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    return (await this.metrics())(name, labels);
  }

  /** All metrics at one moment: what `metric` says of them. */
  async metrics(): Promise<(name: string, labels?: Record<string, string>) => number> {
    const text = await (await fetch(`${this.metricsUrl}/metrics`)).text();
    return (name, labels = {}) => {
      for (const line of text.split('\n')) {
        const m = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
        if (!m || m[1] !== name) continue;
        if (Object.entries(labels).every(([k, v]) => m[2]?.includes(`${k}="${v}"`))) return Number(m[3]);
      }
      return 0;
    };
  }
}

function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const out = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = out[key];
    out[key] = isObject(old) && isObject(value) ? merge(old, value) : value;
  }
  return out;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
