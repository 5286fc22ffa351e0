import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { Child, mustRun, run, until } from '../../support/child.js';

export const CLIENTS = ['docker', 'podman', 'buildah', 'skopeo', 'ctr'] as const;
export type ClientName = (typeof CLIENTS)[number];

/** Exit code of a session that had to be ended. */
export const ENDED = -1;

/** What a terminal would have shown, with the time of each line since the start. */
export interface Session {
  readonly code: number;
  readonly seconds: number;
  readonly lines: readonly { readonly atSeconds: number; readonly text: string }[];
}

export interface Client {
  readonly name: ClientName;
  readonly version: string;
  login(registry: string, user: string, password: string): Promise<void>;
  /** Makes an image of an archive ready to be pushed under a name; not measured. */
  load(archive: string, archiveName: string, name: string): Promise<void>;
  push(name: string, options?: RunOptions): Promise<Session>;
  /** Of an image that is not here. */
  pull(name: string, options?: RunOptions): Promise<Session>;
  /** Forgets an image, its layers too. */
  forget(name: string): Promise<void>;
}

interface RunOptions {
  readonly timeoutSeconds?: number;
  readonly onLine?: (text: string) => void;
}

/** The daemons of the clients that have one, in a directory of their own. */
export class ClientPrograms {
  private constructor(
    readonly directory: string,
    private readonly daemons: readonly Child[],
    readonly clients: Readonly<Record<ClientName, Client>>,
  ) {}

  /**
   * @param certificateFile the authority of the registries; /etc/docker is the caller's own
   * @param uploadsAtOnce layers of all pushes of docker together; its default is five
   */
  static async start(directory: string, certificateFile: string, uploadsAtOnce = 5): Promise<ClientPrograms> {
    await mkdir(directory, { recursive: true });
    const at = (...names: string[]) => path.join(directory, ...names);
    const dockerd = Child.start(
      'dockerd',
      [
        ...['--data-root', at('docker'), '--exec-root', at('docker-exec'), '--pidfile', at('dockerd.pid')],
        ...[
          '--host',
          `unix://${at('docker.sock')}`,
          '--bridge',
          'none',
          '--iptables=false',
          '--ip-masq=false',
        ],
        ...['--ip-forward=false', '--max-concurrent-uploads', String(uploadsAtOnce)],
      ],
      { logFile: at('dockerd.log') },
    );
    await mkdir(at('containerd'), { recursive: true });
    const containerd = Child.start(
      'containerd',
      [
        ...[
          '--root',
          at('containerd'),
          '--state',
          at('containerd-state'),
          '--address',
          at('containerd.sock'),
        ],
      ],
      { logFile: at('containerd.log') },
    );
    // buildah wants the file to be there before the first login.
    for (const name of ['podman', 'buildah', 'skopeo']) {
      await mkdir(at(name), { recursive: true });
      await writeFile(at(name, 'auth.json'), '{}');
    }
    const docker = new Docker(at('docker.sock'), at('docker-cli'));
    const ctr = new Ctr(at('containerd.sock'), certificateFile);
    await until('dockerd and containerd answer', async () => {
      if (!dockerd.running || !containerd.running) throw new Error(`a daemon ended, see ${directory}`);
      return (await docker.probe()) && (await ctr.probe());
    });
    const clients = {
      ...{ docker, ctr },
      podman: new Podman('podman', at('podman')),
      buildah: new Podman('buildah', at('buildah')),
      skopeo: new Skopeo(at('skopeo')),
    };
    for (const client of [clients.podman, clients.buildah, clients.skopeo, clients.ctr])
      client.version = /[0-9]+\.[0-9]+[^\s,]*/.exec((await mustRun(client.name, ['--version'])).stdout)![0];
    return new ClientPrograms(directory, [dockerd, containerd], clients);
  }

  async stop(): Promise<void> {
    await Promise.all(this.daemons.map((daemon) => daemon.stop('SIGTERM', 30_000)));
  }
}

class Docker implements Client {
  readonly name = 'docker';
  version = '';
  readonly #env: NodeJS.ProcessEnv;

  constructor(socket: string, configuration: string) {
    this.#env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: configuration };
  }

  async probe(): Promise<boolean> {
    const { code, stdout } = await run('docker', ['version', '--format', '{{.Server.Version}}'], {
      env: this.#env,
    });
    this.version = stdout.trim();
    return code === 0;
  }

  async login(registry: string, user: string, password: string): Promise<void> {
    const args = ['login', '-u', user, '--password-stdin', registry];
    await mustRun('docker', args, { env: this.#env, input: password });
  }

  async load(archive: string, archiveName: string, name: string): Promise<void> {
    const load = await this.#must('load', '-i', archive);
    if (!load.includes('Loaded image')) throw new Error(load);
    await this.#must('tag', archiveName, name);
    await this.#must('rmi', archiveName);
  }

  push(name: string, options: RunOptions = {}): Promise<Session> {
    return session('docker', ['push', name], this.#env, options);
  }

  pull(name: string, options: RunOptions = {}): Promise<Session> {
    return session('docker', ['pull', name], this.#env, options);
  }

  async forget(name: string): Promise<void> {
    await run('docker', ['rmi', '-f', name], { env: this.#env });
  }

  async #must(...args: string[]): Promise<string> {
    return (await mustRun('docker', args, { env: this.#env, timeoutMs: 600_000 })).stdout;
  }
}

/** podman and buildah: one library, one way to call them. */
class Podman implements Client {
  version = '';
  readonly #own: string[];
  readonly #env: NodeJS.ProcessEnv;

  constructor(
    readonly name: 'podman' | 'buildah',
    private readonly directory: string,
  ) {
    const at = (inner: string) => path.join(directory, inner);
    this.#own = ['--root', at('root'), '--runroot', at('run'), '--storage-driver', STORAGE];
    if (name === 'podman')
      this.#own.push('--tmpdir', at('tmp'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'none');
    this.#env = { ...process.env, REGISTRY_AUTH_FILE: path.join(directory, 'auth.json') };
  }

  async login(registry: string, user: string, password: string): Promise<void> {
    await this.#must(['login', '-u', user, '--password-stdin', registry], password);
  }

  async load(archive: string, archiveName: string, name: string): Promise<void> {
    await this.#must(['pull', '-q', `docker-archive:${archive}`]);
    await this.#must(['tag', archiveName, name]);
  }

  push(name: string, options: RunOptions = {}): Promise<Session> {
    return session(this.name, [...this.#own, 'push', name, `docker://${name}`], this.#env, options);
  }

  pull(name: string, options: RunOptions = {}): Promise<Session> {
    return session(this.name, [...this.#own, 'pull', name], this.#env, options);
  }

  async forget(name: string): Promise<void> {
    await run(this.name, [...this.#own, 'rmi', '-f', name], { env: this.#env });
  }

  async #must(args: string[], input?: string): Promise<void> {
    const options = { env: this.#env, timeoutMs: 600_000, ...(input === undefined ? {} : { input }) };
    await mustRun(this.name, [...this.#own, ...args], options);
  }
}

/** Without a storage: it copies from the archive, and to a directory. */
class Skopeo implements Client {
  readonly name = 'skopeo';
  version = '';
  readonly #archives = new Map<string, string>();
  readonly #env: NodeJS.ProcessEnv;
  readonly #pulled: string[] = [];

  constructor(private readonly directory: string) {
    this.#env = { ...process.env, REGISTRY_AUTH_FILE: path.join(directory, 'auth.json') };
  }

  async login(registry: string, user: string, password: string): Promise<void> {
    const args = ['login', '-u', user, '--password-stdin', registry];
    await mustRun('skopeo', args, { env: this.#env, input: password });
  }

  async load(archive: string, _archiveName: string, name: string): Promise<void> {
    this.#archives.set(name, archive);
  }

  push(name: string, options: RunOptions = {}): Promise<Session> {
    const from = `docker-archive:${this.#archives.get(name)!}`;
    return session('skopeo', ['--insecure-policy', 'copy', from, `docker://${name}`], this.#env, options);
  }

  async pull(name: string, options: RunOptions = {}): Promise<Session> {
    const to = await mkdtemp(path.join(this.directory, 'pulled-'));
    this.#pulled.push(to);
    return session(
      'skopeo',
      ['--insecure-policy', 'copy', `docker://${name}`, `dir:${to}`],
      this.#env,
      options,
    );
  }

  async forget(name: string): Promise<void> {
    const archive = this.#archives.get(name);
    this.#archives.delete(name);
    for (const pulled of [...this.#pulled.splice(0), ...(archive ? [archive] : [])])
      await rm(pulled, { recursive: true, force: true });
  }
}

class Ctr implements Client {
  readonly name = 'ctr';
  version = '';
  #user: string[] = [];

  constructor(
    private readonly socket: string,
    private readonly certificateFile: string,
  ) {}

  async probe(): Promise<boolean> {
    return (await run('ctr', ['-a', this.socket, 'version'])).code === 0;
  }

  async login(_registry: string, user: string, password: string): Promise<void> {
    this.#user = ['--user', `${user}:${password}`];
  }

  async load(archive: string, archiveName: string, name: string): Promise<void> {
    await this.#must('images', 'import', '--no-unpack', archive);
    await this.#must('images', 'tag', '--force', `docker.io/library/${archiveName}`, name);
  }

  push(name: string, options: RunOptions = {}): Promise<Session> {
    const args = ['images', 'push', '--tlscacert', this.certificateFile, ...this.#user, name];
    return session('ctr', [...this.#own, ...args], process.env, options);
  }

  pull(name: string, options: RunOptions = {}): Promise<Session> {
    const snapshots = ['--snapshotter', 'native'];
    const args = ['images', 'pull', ...snapshots, '--tlscacert', this.certificateFile, ...this.#user, name];
    return session('ctr', [...this.#own, ...args], process.env, options);
  }

  async forget(name: string): Promise<void> {
    await run('ctr', [...this.#own, 'images', 'rm', '--sync', name]);
  }

  get #own(): string[] {
    return ['-a', this.socket, '-n', 'test'];
  }

  async #must(...args: string[]): Promise<void> {
    await mustRun('ctr', [...this.#own, ...args], { timeoutMs: 600_000 });
  }
}

const STORAGE = 'overlay';

async function session(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  { timeoutSeconds = 900, onLine }: RunOptions,
): Promise<Session> {
  const began = performance.now();
  const lines: { atSeconds: number; text: string }[] = [];
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (data: string) => {
      const parts = (rest + data).split(/[\r\n]+/);
      rest = parts.pop()!;
      for (const text of parts) take(text);
    });
    stream.on('end', () => take(rest));
  }
  const take = (text: string) => {
    if (text.trim() === '') return;
    lines.push({ atSeconds: (performance.now() - began) / 1000, text: text.trimEnd() });
    onLine?.(text);
  };
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutSeconds * 1000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  return { code: code ?? ENDED, seconds: (performance.now() - began) / 1000, lines };
}
