import { mkdir, writeFile, copyFile } from 'node:fs/promises';
import * as path from 'node:path';
import { Child, mustRun, run, until, type RunResult } from './child.js';

/** overlay2 shares layers; where the file system under the directory cannot do that, vfs copies them. */
const STORAGE_DRIVERS = ['overlay2', 'vfs'] as const;

/**
 * /etc/docker and /etc/hosts are taken from the test's directory, in a mount namespace of the daemon's own: nothing
 * of the machine is changed, and its mounts vanish with it.
 */
const IN_ITS_OWN_MOUNTS =
  'mount --bind "$1" /etc/docker && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"';
/** With a network namespace too: bridges and published ports are seen by nobody else, and vanish as well. */
const IN_ITS_OWN_NETWORK = 'ip link set lo up && ip address add "$0" dev lo && ';
/** An address that no machine has (RFC 5737). */
const OWN_ADDRESS = '198.51.100.1';

export interface DockerDaemonOptions {
  readonly directory: string;
  /** How registries on this machine are called by the daemon and by programs that run `inside`. */
  readonly name: string;
  /**
   * What the name means. Without it the daemon has a network of its own, where its published ports are. It must not
   * be in 127.0.0.0/8, where Docker takes any certificate.
   */
  readonly address?: string;
  /** How the daemon is started in a network namespace that is there already. */
  readonly within?: (command: string, args: readonly string[]) => [string, string[]];
}

/** A dockerd of the test's own, beside whatever else runs on the machine. It needs root. */
export class DockerDaemon {
  private constructor(
    readonly directory: string,
    private readonly child: Child,
    private readonly namespaces: readonly ('mount' | 'net')[],
  ) {}

  static async start(options: DockerDaemonOptions): Promise<DockerDaemon> {
    const { directory } = options;
    await mkdir(path.join(directory, 'etc'), { recursive: true });
    await mkdir(path.join(directory, 'cli'), { recursive: true });
    await mkdir('/etc/docker', { recursive: true });
    await writeFile(
      path.join(directory, 'hosts'),
      `127.0.0.1 localhost\n${options.address ?? OWN_ADDRESS} ${options.name}\n`,
    );
    let said = '';
    for (const driver of STORAGE_DRIVERS) {
      const child = startDockerd(options, driver);
      const namespaces = options.address === undefined ? (['mount', 'net'] as const) : (['mount'] as const);
      const daemon = new DockerDaemon(directory, child, namespaces);
      if (await daemon.answers()) return daemon;
      said = await child.lastWords();
    }
    throw new Error(`dockerd does not start: ${said}`);
  }

  get socket(): string {
    return `unix://${path.join(this.directory, 'docker.sock')}`;
  }

  /** For docker and docker-compose: this daemon, and a configuration of its own. */
  get env(): NodeJS.ProcessEnv {
    return { ...withoutProxies(), DOCKER_HOST: this.socket, DOCKER_CONFIG: path.join(this.directory, 'cli') };
  }

  /** The client's memory of its logins. */
  get configFile(): string {
    return path.join(this.directory, 'cli', 'config.json');
  }

  docker(args: readonly string[], options: { input?: string; timeoutMs?: number } = {}): Promise<RunResult> {
    return run('docker', args, { env: this.env, ...options });
  }

  async mustDocker(...args: string[]): Promise<string> {
    return (await mustRun('docker', args, { env: this.env })).stdout.trim();
  }

  /** Runs a program that sees what the daemon sees of files and network; skopeo and podman look in /etc/docker too. */
  inside(
    command: string,
    args: readonly string[],
    options: { env?: NodeJS.ProcessEnv; input?: string; timeoutMs?: number } = {},
  ): Promise<RunResult> {
    const enter = this.namespaces.map(
      (kind) => `--${kind}=/proc/${this.child.pid}/ns/${kind === 'mount' ? 'mnt' : kind}`,
    );
    return run('nsenter', [...enter, '--', command, ...args], {
      ...options,
      env: { ...withoutProxies(), ...options.env },
    });
  }

  /** As the operator of a client does it: the authority's certificate in /etc/docker/certs.d/NAME:PORT/ca.crt. */
  async trust(registry: string, certificateFile: string): Promise<void> {
    const directory = path.join(this.directory, 'etc', 'certs.d', registry);
    await mkdir(directory, { recursive: true });
    await copyFile(certificateFile, path.join(directory, 'ca.crt'));
  }

  /** An image of one layer. @param tarFile its files */
  async importImage(tarFile: string, name: string): Promise<void> {
    await this.mustDocker('import', tarFile, name);
  }

  /** An image that differs from its base in what a Dockerfile says without running anything. */
  async describeImage(base: string, name: string, instructions: readonly string[]): Promise<void> {
    await mustRun('docker', ['build', '-q', '-t', name, '-'], {
      // The classic builder makes no container for such instructions; BuildKit wants a plugin.
      env: { ...this.env, DOCKER_BUILDKIT: '0' },
      input: [`FROM ${base}`, ...instructions, ''].join('\n'),
    });
  }

  /** Ends all containers at once, then the daemon. */
  async stop(): Promise<void> {
    const containers = (await this.docker(['ps', '-aq'])).stdout.split('\n').filter((id) => id !== '');
    if (containers.length > 0) await this.docker(['rm', '-f', '-v', ...containers]);
    await this.child.stop();
  }

  private async answers(): Promise<boolean> {
    let version = -1;
    await until('dockerd answers', async () => {
      if (!this.child.running) return true;
      version = (await this.docker(['version', '--format', '{{.Server.Version}}'])).code;
      return version === 0;
    });
    return version === 0;
  }
}

function startDockerd({ directory, address, within }: DockerDaemonOptions, storageDriver: string): Child {
  const at = (name: string) => path.join(directory, name);
  const ownNetwork = address === undefined;
  const dockerd = [
    'dockerd',
    ...['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('dockerd.pid')],
    ...['--host', `unix://${at('docker.sock')}`, '--storage-driver', storageDriver],
    // No default bridge, no rules in the machine's firewall, no change of its routing.
    ...['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--ip-forward=false'],
  ];
  const args = [
    ...['--mount', '--propagation', 'private', ...(ownNetwork ? ['--net'] : []), '--', 'sh', '-c'],
    `${ownNetwork ? IN_ITS_OWN_NETWORK : ''}${IN_ITS_OWN_MOUNTS}`,
    ...[`${OWN_ADDRESS}/32`, at('etc'), at('hosts'), ...dockerd],
  ];
  const started: [string, readonly string[]] = within?.('unshare', args) ?? ['unshare', args];
  return Child.start(...started, { env: withoutProxies(), logFile: at('dockerd.log') });
}

/** Every registry of the tests is on this machine. */
function withoutProxies(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(https?_proxy|all_proxy|ssl_cert_file|ssl_cert_dir|aws_ca_bundle|node_options)$/i.test(name),
    ),
  );
}
