import { randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun, type RunResult } from './child.js';
import type { DockerDaemon } from './docker.js';
import { makeImage } from './image.js';

/** What people do with a registry; each call is one run of the real program. */
export interface RegistryClient {
  readonly name: 'docker' | 'podman' | 'skopeo';
  /** Where it keeps its logins; there after the first one. */
  readonly loginsFile: string;
  login(user: string, password: string): Promise<RunResult>;
  logout(): Promise<RunResult>;
  /** Pushes an image that was never pushed before, made for this call. @param name as team/app:v1 */
  push(name: string): Promise<RunResult>;
  /** Takes the image from the registry, whatever was pushed from here before. */
  pull(name: string): Promise<RunResult>;
}

/** docker, with the daemon of the test. */
export class DockerClient implements RegistryClient {
  readonly name = 'docker';

  constructor(
    private readonly daemon: DockerDaemon,
    private readonly registry: string,
    private readonly directory: string,
  ) {}

  get loginsFile(): string {
    return this.daemon.configFile;
  }

  login(user: string, password: string): Promise<RunResult> {
    return this.daemon.docker(['login', '-u', user, '--password-stdin', this.registry], { input: password });
  }

  logout(): Promise<RunResult> {
    return this.daemon.docker(['logout', this.registry]);
  }

  async push(name: string): Promise<RunResult> {
    await this.daemon.importImage(await layer(this.directory), `${this.registry}/${name}`);
    return this.daemon.docker(['push', '-q', `${this.registry}/${name}`]);
  }

  async pull(name: string): Promise<RunResult> {
    await this.daemon.docker(['rmi', '-f', `${this.registry}/${name}`]);
    return this.daemon.docker(['pull', '-q', `${this.registry}/${name}`]);
  }
}

/** podman as root, its storage in the directory of the test. */
export class PodmanClient implements RegistryClient {
  readonly name = 'podman';

  constructor(
    private readonly daemon: DockerDaemon,
    private readonly registry: string,
    private readonly directory: string,
  ) {}

  get loginsFile(): string {
    return path.join(this.directory, 'podman-auth.json');
  }

  login(user: string, password: string): Promise<RunResult> {
    return this.podman(['login', '-u', user, '--password-stdin', this.registry], password);
  }

  logout(): Promise<RunResult> {
    return this.podman(['logout', this.registry]);
  }

  async push(name: string): Promise<RunResult> {
    const imported = await this.podman([
      'import',
      '-q',
      await layer(this.directory),
      `${this.registry}/${name}`,
    ]);
    if (imported.code !== 0) throw new Error(`podman import: ${imported.stderr}`);
    return this.podman(['push', '-q', `${this.registry}/${name}`]);
  }

  async pull(name: string): Promise<RunResult> {
    await this.podman(['rmi', '-f', `${this.registry}/${name}`]);
    return this.podman(['pull', '-q', `${this.registry}/${name}`]);
  }

  private podman(args: readonly string[], input?: string): Promise<RunResult> {
    const at = (name: string) => path.join(this.directory, name);
    const own = [
      ...['--root', at('podman'), '--runroot', at('podman-run'), '--tmpdir', at('podman-tmp')],
      ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
    ];
    return this.daemon.inside('podman', [...own, ...args], {
      env: { REGISTRY_AUTH_FILE: this.loginsFile },
      ...(input === undefined ? {} : { input }),
    });
  }
}

/** skopeo, without a storage. */
export class SkopeoClient implements RegistryClient {
  readonly name = 'skopeo';

  constructor(
    private readonly daemon: DockerDaemon,
    private readonly registry: string,
    private readonly directory: string,
  ) {}

  get loginsFile(): string {
    return path.join(this.directory, 'skopeo-auth.json');
  }

  login(user: string, password: string): Promise<RunResult> {
    return this.skopeo(['login', '-u', user, '--password-stdin', this.registry], password);
  }

  logout(): Promise<RunResult> {
    return this.skopeo(['logout', this.registry]);
  }

  async push(name: string): Promise<RunResult> {
    const image = await makeImage(await mkdtemp(path.join(this.directory, 'image-')), [LAYER_BYTES]);
    return this.skopeo([
      '--insecure-policy',
      'copy',
      '-q',
      `oci:${image.directory}:latest`,
      this.remote(name),
    ]);
  }

  async pull(name: string): Promise<RunResult> {
    const to = `dir:${await mkdtemp(path.join(this.directory, 'pulled-'))}`;
    return this.skopeo(['--insecure-policy', 'copy', '-q', this.remote(name), to]);
  }

  /** Deletes the manifest, which the others have no command for. */
  delete(name: string): Promise<RunResult> {
    return this.skopeo(['delete', this.remote(name)]);
  }

  private remote(name: string): string {
    return `docker://${this.registry}/${name}`;
  }

  private skopeo(args: readonly string[], input?: string): Promise<RunResult> {
    return this.daemon.inside('skopeo', args, {
      env: { REGISTRY_AUTH_FILE: this.loginsFile },
      ...(input === undefined ? {} : { input }),
    });
  }
}

const LAYER_BYTES = 100_000;

/** A tar file with random bytes in it, to make an image of. */
async function layer(parent: string): Promise<string> {
  const directory = await mkdtemp(path.join(parent, 'layer-'));
  await writeFile(path.join(directory, 'content'), randomBytes(LAYER_BYTES));
  await mustRun('tar', ['-cf', `${directory}.tar`, '-C', directory, 'content']);
  return `${directory}.tar`;
}
