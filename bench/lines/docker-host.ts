import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { DockerDaemon } from '../../test/support/docker.js';
import { mustRun } from '../../test/support/child.js';
import { writeArchive } from '../../test/long/clients/images.js';
import { FRONT, type LineNetwork } from './network.js';
import { USER, type Office } from './office.js';

/** A real dockerd on the client's host, with images of its own to push. */
export class DockerHost {
  private constructor(
    private readonly daemon: DockerDaemon,
    private readonly directory: string,
    private readonly registry: string,
  ) {}

  static async start(network: LineNetwork, office: Office, directory: string): Promise<DockerHost> {
    const own = path.join(directory, 'docker');
    const daemon = await DockerDaemon.start({
      ...{ directory: own, name: 'registry.example.com', address: FRONT },
      within: (command, args) => network.on('client', command, args),
    });
    await daemon.trust(office.registryAddress, office.certificateFile);
    await mustRun('docker', ['login', '-u', USER, '--password-stdin', office.registryAddress], {
      env: daemon.env,
      input: office.password,
    });
    return new DockerHost(daemon, own, office.registryAddress);
  }

  /** Puts an image into its store. */
  async load(repository: string, layerBytes: readonly number[]): Promise<void> {
    const archive = path.join(this.directory, 'image.tar');
    await writeArchive(archive, layerBytes, this.#nameOf(repository));
    await this.daemon.mustDocker('load', '-i', archive);
    await rm(archive);
  }

  /** What `docker push` says where it fails. */
  async push(repository: string, timeoutMs: number): Promise<{ seconds: number; error?: string }> {
    const started = performance.now();
    const { code, stderr, stdout } = await this.daemon.docker(['push', this.#nameOf(repository)], {
      timeoutMs,
    });
    const seconds = (performance.now() - started) / 1_000;
    return { seconds, ...(code === 0 ? {} : { error: (stderr || stdout).trim().slice(-300) }) };
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
  }

  #nameOf(repository: string): string {
    return `${this.registry}/${repository}:v1`;
  }
}
