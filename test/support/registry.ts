import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { Child, freePort, httpStatus, until } from './child.js';

export interface RegistryOptions {
  readonly directory: string;
  readonly s3?: {
    readonly endpoint: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly bucket: string;
    readonly rootDirectory?: string;
  };
  /** Root of a filesystem driver, instead of s3. */
  readonly filesystemRoot?: string;
  readonly redirect?: boolean;
  /** The section `auth` of its configuration. */
  readonly auth?: Record<string, unknown>;
  /** The section `notifications` of its configuration. */
  readonly notifications?: Record<string, unknown>;
}

export interface RunningRegistry {
  /** host:port */
  readonly address: string;
  readonly child: Child;
  readonly configFile: string;
  stop(): Promise<void>;
}

/** Starts Debian's docker-registry with the stock s3 (or filesystem) driver, as registry-config/config.yml has it. */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  await mkdir(options.directory, { recursive: true });
  const port = await freePort();
  const storage = options.s3
    ? {
        s3: {
          accesskey: options.s3.accessKeyId,
          secretkey: options.s3.secretAccessKey,
          region: 'us-east-1',
          regionendpoint: options.s3.endpoint,
          bucket: options.s3.bucket,
          secure: false,
          v4auth: true,
          chunksize: 8 * 1024 * 1024,
          multipartcopychunksize: 5 * 1024 ** 3,
          multipartcopythresholdsize: 5 * 1024 ** 3,
          ...(options.s3.rootDirectory ? { rootdirectory: options.s3.rootDirectory } : {}),
        },
      }
    : { filesystem: { rootdirectory: options.filesystemRoot } };
  const config = {
    version: 0.1,
    log: { level: 'info' },
    storage: {
      ...storage,
      delete: { enabled: true },
      cache: { blobdescriptor: 'inmemory' },
      redirect: { disable: options.redirect !== true },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'a secret of the test' },
    ...(options.auth ? { auth: options.auth } : {}),
    ...(options.notifications ? { notifications: options.notifications } : {}),
  };
  const configFile = path.join(options.directory, 'config.yml');
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config, null, 2));
  const { AWS_CA_BUNDLE: _, ...env } = process.env;
  const child = Child.start('docker-registry', ['serve', configFile], {
    env: { ...env, OTEL_TRACES_EXPORTER: 'none' },
    logFile: path.join(options.directory, 'registry.log'),
  });
  await until('the registry answers', async () => {
    if (!child.running) throw new Error(`the registry ended: ${await child.lastWords()}`);
    return (await httpStatus(`http://127.0.0.1:${port}/v2/`)) === (options.auth ? 401 : 200);
  });
  return { address: `127.0.0.1:${port}`, child, configFile, stop: () => child.stop() };
}
