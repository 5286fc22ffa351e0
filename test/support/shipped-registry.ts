import { mkdir } from 'node:fs/promises';
import * as path from 'node:path';
import { Child, freePort, httpStatus, until } from './child.js';

export interface ShippedRegistryOptions {
  readonly directory: string;
  /** A file of registry-config/. */
  readonly variant?: 'config.yml' | 'config.htpasswd.yml' | 'config.token.yml';
  /** As REGISTRY_STORAGE_S3_REGIONENDPOINT. */
  readonly s3Endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly httpSecret: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Debian's docker-registry on a file of registry-config/ as it is, with what an operator gives in the environment. */
export class ShippedRegistry {
  child: Child | undefined;

  private constructor(
    /** host:port */
    readonly address: string,
    /** host:port of metrics and health. */
    readonly debugAddress: string,
    readonly logFile: string,
    private readonly configFile: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async start(options: ShippedRegistryOptions): Promise<ShippedRegistry> {
    await mkdir(options.directory, { recursive: true });
    const [address, debugAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    const { AWS_CA_BUNDLE: _, ...inherited } = process.env;
    const registry = new ShippedRegistry(
      address,
      debugAddress,
      path.join(options.directory, 'registry.log'),
      path.resolve('registry-config', options.variant ?? 'config.yml'),
      {
        ...inherited,
        OTEL_TRACES_EXPORTER: 'none',
        no_proxy: '127.0.0.1,localhost',
        NO_PROXY: '127.0.0.1,localhost',
        REGISTRY_HTTP_ADDR: address,
        REGISTRY_HTTP_DEBUG_ADDR: debugAddress,
        REGISTRY_HTTP_SECRET: options.httpSecret,
        REGISTRY_STORAGE_S3_REGIONENDPOINT: options.s3Endpoint,
        REGISTRY_STORAGE_S3_ACCESSKEY: options.accessKeyId,
        REGISTRY_STORAGE_S3_SECRETKEY: options.secretAccessKey,
        ...options.env,
      },
    );
    await registry.start();
    return registry;
  }

  /** Also after a kill: on the same port. */
  async start(): Promise<void> {
    const child = Child.start('docker-registry', ['serve', this.configFile], {
      env: this.env,
      logFile: this.logFile,
    });
    this.child = child;
    await until('the registry answers', async () => {
      if (!child.running) throw new Error(`the registry ended: ${await child.lastWords()}`);
      return [200, 401].includes(await httpStatus(`http://${this.address}/v2/`));
    });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.child?.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.child?.stop();
  }
}
