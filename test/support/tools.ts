import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun, run, type RunResult } from './child.js';
import type { TestGateway } from './gateway.js';

/**
 * The S3 programs that Debian has, set up for a gateway by files and environment, so that no secret stands in
 * their arguments. Each runs in a home directory of its own: nothing of the machine's configuration counts.
 */
export class Tools {
  private constructor(
    readonly directory: string,
    readonly env: NodeJS.ProcessEnv,
  ) {}

  static async setUp(parent: string, gateway: TestGateway): Promise<Tools> {
    const directory = await mkdtemp(path.join(parent, 'tools-'));
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    const { host } = new URL(endpoint);
    const secretFile = async (name: string, lines: string[]) => {
      const file = path.join(directory, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, `${lines.join('\n')}\n`);
      await chmod(file, 0o600);
    };
    await secretFile('.s3cfg', [
      '[default]',
      `access_key = ${accessKeyId}`,
      `secret_key = ${secretAccessKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}`,
      'bucket_location = us-east-1',
      'use_https = False',
      'multipart_chunk_size_mb = 6',
    ]);
    await secretFile('.config/rclone/rclone.conf', [
      '[gw]',
      'type = s3',
      'provider = Other',
      `access_key_id = ${accessKeyId}`,
      `secret_access_key = ${secretAccessKey}`,
      `endpoint = ${endpoint}`,
      'region = us-east-1',
      'chunk_size = 6M',
      'upload_cutoff = 6M',
      'no_check_bucket = true',
    ]);
    await secretFile('.aws/config', [
      '[default]',
      'region = us-east-1',
      's3 =',
      '  addressing_style = path',
      '  multipart_threshold = 8MB',
      '  multipart_chunksize = 6MB',
    ]);
    // rclone refuses to start with AWS_CA_BUNDLE, and what jest needs of Node is not meant for these.
    const { NODE_OPTIONS: _, AWS_CA_BUNDLE: _bundle, ...inherited } = process.env;
    return new Tools(directory, {
      ...inherited,
      HOME: directory,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
      GATEWAY_ENDPOINT: endpoint,
      RESTIC_REPOSITORY: `s3:${endpoint}/files/restic`,
      RESTIC_PASSWORD: 'a password of the test',
      RESTIC_PROGRESS_FPS: '0',
      PYTHONDONTWRITEBYTECODE: '1',
    });
  }

  file(...names: string[]): string {
    return path.join(this.directory, ...names);
  }

  /** Debian's, whatever else of that name is in PATH. */
  aws(...args: string[]): Promise<RunResult> {
    return mustRun(
      '/usr/bin/aws',
      ['--endpoint-url', this.env['GATEWAY_ENDPOINT']!, ...args],
      this.options(),
    );
  }

  s3cmd(...args: string[]): Promise<RunResult> {
    return mustRun('/usr/bin/s3cmd', args, this.options());
  }

  rclone(...args: string[]): Promise<RunResult> {
    return mustRun('/usr/bin/rclone', args, this.options());
  }

  restic(...args: string[]): Promise<RunResult> {
    return mustRun('/usr/bin/restic', args, this.options());
  }

  /** Runs a script with Debian's Python; the endpoint is in GATEWAY_ENDPOINT. */
  python(script: string): Promise<RunResult> {
    return mustRun('/usr/bin/python3', ['-'], { ...this.options(), input: script });
  }

  curl(...args: string[]): Promise<RunResult> {
    return run('/usr/bin/curl', ['-sS', ...args], this.options());
  }

  /** A block of commands as a page shows it. */
  shell(commands: string): Promise<RunResult> {
    return run('/bin/bash', ['-euc', commands], this.options());
  }

  private options() {
    return { env: this.env, cwd: this.directory };
  }
}
