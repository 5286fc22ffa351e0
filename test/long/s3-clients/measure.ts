import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { startLocalGitee } from '../../support/local-gitee.js';
import { claimsOf, slugOf, type ClientResult, type S3Client } from './client.js';
import { npmDirectory } from './install.js';
import { startTls } from './tls.js';
import { BUCKET, ENDPOINT, HOST, Place } from './place.js';

/** Tries each client, one after another, each with a gateway of its own; tells what came of each as it ends. */
export async function measureS3Clients(options: {
  readonly directory: string;
  readonly clients: readonly S3Client[];
  readonly onResult: (client: S3Client, result: ClientResult) => Promise<void>;
}): Promise<void> {
  // Databases run as users of their own, with their home in it.
  await chmod(options.directory, 0o711);
  for (const client of options.clients)
    await options.onResult(client, await tried(client, path.join(options.directory, slugOf(client))));
}

async function tried(client: S3Client, directory: string): Promise<ClientResult> {
  const home = path.join(directory, 'home');
  await mkdir(home, { recursive: true });
  const gitee = await startLocalGitee();
  const gateway = await TestGateway.prepare({
    directory: path.join(directory, 'gateway'),
    gitee: { url: gitee.url, token: gitee.token },
    config: {
      s3: { port: 80, ...(client.virtualHosts ? { domain: HOST } : {}) },
      commit: { interval: '2s' },
      buckets: [
        {
          name: BUCKET,
          ...{ repository: 'acme/files', branch: 'master', preset: 'generic' },
          ...(client.publicRead ? { public_read: true } : {}),
        },
      ],
    },
  });
  const place = new Place(home, gateway, gitee, await environment(home, gateway, client));
  const held: string[] = [];
  const failed: { claim: string; error: string }[] = [];
  const tell = async (claim: string, check: () => Promise<unknown>) => {
    try {
      await check();
      held.push(claim);
      return true;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      failed.push({
        claim,
        error: text.length > 4000 ? `${text.slice(0, 2000)} … ${text.slice(-2000)}` : text,
      });
      return false;
    }
  };
  try {
    await gateway.start();
    if (client.https !== undefined) {
      const nginx = await startTls(path.join(directory, 'nginx'), client.https);
      place.atEnd(() => nginx.stop());
    }
    for (const { file, text } of client.configuration)
      if (file !== undefined) await place.write(file, `${place.filled(text)}\n`);
    if (client.prepare === undefined || (await tell('prepared', () => client.prepare!(place)))) {
      if (client.prepare !== undefined) held.pop();
      for (const { en, check } of claimsOf(client)) await tell(en, () => check(place));
    }
    return { version: await versionOf(client), held, failed };
  } finally {
    await place.close();
    await gateway.stop();
    await gitee.stop();
  }
}

async function environment(home: string, gateway: TestGateway, client: S3Client): Promise<NodeJS.ProcessEnv> {
  const { NODE_OPTIONS: _, AWS_CA_BUNDLE: _bundle, ...inherited } = process.env;
  // Scripts in the home directory find the packages as they would in a project.
  if ('npm' in client.packages)
    await mustRun('ln', ['-s', path.join(npmDirectory(), 'node_modules'), path.join(home, 'node_modules')]);
  return {
    ...inherited,
    // Debian's programs, whatever else of their names the machine has.
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: home,
    LC_ALL: 'C.UTF-8',
    AWS_ACCESS_KEY_ID: gateway.accessKeyId,
    AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    S3_ENDPOINT: ENDPOINT,
    PYTHONDONTWRITEBYTECODE: '1',
  };
}

async function versionOf({ packages }: S3Client): Promise<string> {
  if ('debian' in packages)
    return (await mustRun('dpkg-query', ['-W', '-f', '${Version}', packages.debian[0]!])).stdout;
  const name = packages.npm[0]!.replace(/(?<=.)@.*$/, '');
  const file = path.join(npmDirectory(), 'node_modules', name, 'package.json');
  return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
}

/** Keeps what came of a client in its file. */
export async function keepResult(directory: string, client: S3Client, result: ClientResult): Promise<void> {
  await mkdir(directory, { recursive: true });
  const { version, held, failed } = result;
  const kept = failed.length === 0 ? { version, held } : { version, held, failed };
  await writeFile(path.join(directory, `${slugOf(client)}.json`), `${JSON.stringify(kept, null, 2)}\n`);
}
