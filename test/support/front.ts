/** The whole front of an installation, all real and in a directory of its own: local Gitee, gateway, registry, Nginx. */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, run, type RunResult } from './child.js';
import type { TestImage } from './image.js';
import { TestNginx } from './nginx.js';
import { ShippedRegistry, type ShippedRegistryOptions } from './shipped-registry.js';
import { startStack, type Stack } from './stack.js';

/** What the configurations of a front have to know of each other. */
interface FrontPlace {
  readonly directory: string;
  /** Of the gateway's web listener, behind Nginx. */
  readonly webPort: number;
}

export interface FrontOptions {
  /** Over the default configuration of the gateway. */
  readonly config?: (place: FrontPlace) => Record<string, unknown>;
  readonly registry?: (place: FrontPlace & { readonly nginx: TestNginx }) => {
    readonly variant?: NonNullable<ShippedRegistryOptions['variant']>;
    readonly env?: NodeJS.ProcessEnv;
  };
  /** Replacements in the shipped files of Nginx, as an operator would edit them. */
  readonly nginxEdits?: readonly (readonly [string, string])[];
  /** What stands between Nginx and the gateway's S3 endpoint; its host:port. */
  readonly between?: (s3Endpoint: string) => Promise<string>;
}

export class Front {
  readonly env = { ...process.env, no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly directory: string,
    readonly stack: Stack,
    readonly nginx: TestNginx,
    readonly registry: ShippedRegistry,
    private readonly gatewayS3: string,
    private readonly gatewayWeb: string,
  ) {}

  static async start(options: FrontOptions = {}): Promise<Front> {
    const directory = await mkdtemp(join(tmpdir(), 'front-'));
    const place = { directory, webPort: await freePort() };
    const { webPort } = place;
    const stack = await startStack({
      config: { web: { host: '127.0.0.1', port: webPort }, ...options.config?.(place) },
    });
    const { endpoint } = stack.gateway;
    const gatewayS3 = (await options.between?.(endpoint)) ?? new URL(endpoint).host;
    // Ports first: the registry is told Nginx's S3 listener, and Nginx the registry.
    const nginx = await TestNginx.prepare({
      directory: join(directory, 'nginx'),
      ...(options.nginxEdits ? { edits: options.nginxEdits } : {}),
    });
    const registry = await ShippedRegistry.start({
      ...registryOptions(stack, join(directory, 'registry'), `http://127.0.0.1:${nginx.ports.s3}`),
      ...options.registry?.({ ...place, nginx }),
    });
    const front = new Front(directory, stack, nginx, registry, gatewayS3, `127.0.0.1:${webPort}`);
    await front.useRegistry(registry);
    await nginx.start();
    await mkdir(front.trust);
    await copyFile(nginx.certificateFile, join(front.trust, 'ca.crt'));
    return front;
  }

  /** A directory of certificates, as skopeo takes one, that holds the one of Nginx. */
  get trust(): string {
    return join(this.directory, 'trust');
  }

  /** One more registry on the same bucket; whoever starts it ends it. */
  startRegistry(name: string, s3Endpoint: string, env: NodeJS.ProcessEnv = {}): Promise<ShippedRegistry> {
    return ShippedRegistry.start({
      ...registryOptions(this.stack, join(this.directory, name), s3Endpoint),
      env,
    });
  }

  /** Writes the upstreams again, as an operator who edits that file; a running Nginx takes them at its next reload. */
  useRegistry(registry: ShippedRegistry): Promise<void> {
    const { gatewayS3, gatewayWeb } = this;
    return this.nginx.setUpstreams({ registries: [registry.address], gatewayS3, gatewayWeb });
  }

  /** Copies the image there with skopeo, over TLS through Nginx. */
  push(image: TestImage, name: string, more: readonly string[] = []): Promise<RunResult> {
    return this.skopeo(
      ['--dest-cert-dir', this.trust, ...more],
      [`oci:${image.directory}:latest`, this.at(name)],
    );
  }

  /** Copies it into a directory. */
  pull(name: string, to: string, more: readonly string[] = []): Promise<RunResult> {
    return this.skopeo(['--src-cert-dir', this.trust, ...more], [this.at(name), `dir:${to}`]);
  }

  /** What is done while nobody else uses this front: tests that run side by side take it in turn. */
  inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(step);
    this.#turn = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.nginx.stop();
    await this.registry.stop();
    await this.stack.close();
    await rm(this.directory, { recursive: true });
  }

  private at(name: string): string {
    return `docker://${this.nginx.registry}/${name}`;
  }

  private skopeo(options: readonly string[], places: readonly string[]): Promise<RunResult> {
    return run('skopeo', ['copy', '--insecure-policy', ...options, ...places], { env: this.env });
  }
}

function registryOptions({ gateway }: Stack, directory: string, s3Endpoint: string): ShippedRegistryOptions {
  const { accessKeyId, secretAccessKey } = gateway;
  return { directory, s3Endpoint, accessKeyId, secretAccessKey, httpSecret: 'a secret of the test' };
}
