import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

/** An address that no machine has (RFC 5737): in 127.0.0.0/8 Docker takes any certificate. */
export const ADDRESS = '198.51.100.1';
export const NAME = 'registry.test';
/** The gateway's S3 side, and its one bucket in virtual-host style, for the clients of S3. */
const S3_NAMES = ['s3.example.com', 'files.s3.example.com'];
const DIRECTORY_VARIABLE = 'CLIENTS_DIRECTORY';

const ENTER = [
  `ip link set lo up && ip address add ${ADDRESS}/32 dev lo`,
  'mount --bind "$0/etc-docker" /etc/docker && mount --bind "$0/hosts" /etc/hosts',
  'mkdir -p /var/lib/containers && mount --bind "$0/containers" /var/lib/containers',
  // Not exec: the shell, as the first process, takes up the programs that have lost their parent, and Node would not.
  '{ "$@"; exit $?; }',
].join(' && ');

/** Whether this is the run in the namespaces. */
export function isInner(): boolean {
  return process.env[DIRECTORY_VARIABLE] !== undefined;
}

/**
 * Runs this program again with a network, mounts and processes of its own: nothing of the machine is changed, and all
 * that it starts ends with it. It needs root.
 *
 * @returns the directory to work in when this is the inner run, otherwise undefined when the inner one has ended
 */
export async function inOwnNamespaces(): Promise<string | undefined> {
  const inner = process.env[DIRECTORY_VARIABLE];
  if (inner !== undefined) return inner;
  const directory = await mkdtemp(path.join(tmpdir(), 'clients-'));
  for (const name of ['etc-docker', 'containers']) await mkdir(path.join(directory, name));
  await mkdir('/etc/docker', { recursive: true });
  await writeFile(
    path.join(directory, 'hosts'),
    `127.0.0.1 localhost ${S3_NAMES.join(' ')}\n${ADDRESS} ${NAME}\n`,
  );
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(https?_proxy|all_proxy|ssl_cert_file|ssl_cert_dir|aws_ca_bundle)$/i.test(name),
    ),
  );
  const child = spawn(
    'unshare',
    [
      ...['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...['sh', '-c', ENTER, directory, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    ],
    { stdio: 'inherit', env: { ...env, [DIRECTORY_VARIABLE]: directory } },
  );
  // unshare takes no notice of these; with it go the first process of the namespace and so all the others.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGKILL'));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
  if (process.env['CLIENTS_KEEP'] === undefined) await rm(directory, { recursive: true, force: true });
  return undefined;
}
