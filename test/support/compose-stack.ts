import { cp, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun, run, until, type RunResult } from './child.js';
import type { DockerDaemon } from './docker.js';

/** What of the checkout the stack needs where the images are there. */
const PARTS = ['deploy', 'nginx', 'registry-config', 'package.json'];
/** What a checkout has not: an operator's files, if somebody set the stack up in it. */
const MADE = /^deploy\/(\.env|secrets|tls|acme|registry\.yml|gateway\.env)(\/|$)/;

/** deploy/ of a copy of the checkout, set up by setup.sh and run by docker-compose. */
export class ComposeStack {
  private constructor(
    readonly directory: string,
    private readonly daemon: DockerDaemon,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async copy(
    daemon: DockerDaemon,
    directory: string,
    env: Record<string, string>,
  ): Promise<ComposeStack> {
    await mkdir(directory, { recursive: true });
    for (const part of PARTS) {
      await cp(part, path.join(directory, part), {
        recursive: true,
        filter: (source) => !MADE.test(source),
      });
    }
    return new ComposeStack(directory, daemon, { ...daemon.env, ...env });
  }

  file(name: string): string {
    return path.join(this.directory, 'deploy', name);
  }

  async read(name: string): Promise<string> {
    return readFile(this.file(name), 'utf8');
  }

  /** Contents of all files that setup.sh may make, by name. */
  async files(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const name of await readdir(this.file(''), { recursive: true })) {
      if (!(await stat(this.file(name))).isFile() || !MADE.test(`deploy/${name}`)) continue;
      found.set(name, await this.read(name));
    }
    return found;
  }

  setup(...flags: string[]): Promise<RunResult> {
    return run('bash', [this.file('setup.sh'), ...flags], { env: this.env });
  }

  bundle(...args: string[]): Promise<RunResult> {
    return run('bash', [this.file('bundle.sh'), ...args], { env: this.env });
  }

  compose(...args: string[]): Promise<RunResult> {
    return run('docker-compose', args, { env: this.env, cwd: this.file('') });
  }

  async mustCompose(...args: string[]): Promise<string> {
    const options = { env: this.env, cwd: this.file('') };
    return (await mustRun('docker-compose', args, options)).stdout;
  }

  /** A command of the gateway, in its container. */
  gateway(...args: string[]): Promise<RunResult> {
    return this.compose('exec', '-T', 'gateway', 'gitee-s3', ...args);
  }

  async container(service: string): Promise<string> {
    return (await this.mustCompose('ps', '-q', service)).trim();
  }

  async inspect(service: string): Promise<ContainerView> {
    const [view] = JSON.parse(await this.daemon.mustDocker('inspect', await this.container(service))) as [
      ContainerView,
    ];
    return view;
  }

  /** Standard output and standard error of a service's container. */
  async logs(service: string): Promise<{ stdout: string; stderr: string }> {
    return this.daemon.docker(['logs', await this.container(service)]);
  }

  async untilHealthy(...services: string[]): Promise<void> {
    for (const service of services) {
      await until(
        `${service} is healthy`,
        async () => (await this.inspect(service)).State.Health?.Status === 'healthy',
      );
    }
  }
}

/** Of `docker inspect`, what tests look at. */
export interface ContainerView {
  readonly RestartCount: number;
  /** Id of its image. */
  readonly Image: string;
  readonly State: { readonly Pid: number; readonly Health?: { readonly Status: string } };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
  readonly Config: { readonly User: string; readonly Env: readonly string[] };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly Privileged: boolean;
    readonly CapDrop: readonly string[];
    readonly CapAdd: readonly string[] | null;
    readonly SecurityOpt: readonly string[];
    readonly Memory: number;
    readonly PidsLimit: number | null;
    readonly RestartPolicy: { readonly Name: string };
  };
}
