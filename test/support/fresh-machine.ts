import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun, run, type RunResult } from './child.js';

/** The mounts are those of a namespace, and go with its last process. */
const INSIDE = `
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
  mount -t tmpfs tmpfs "$1/tmp"
  exec chroot "$1" bash -uc "$2"
`;
/** What git knows of the checkout that its scripts need: a clone has no packages and no build. */
const PARTS = [
  ...['src', 'deploy', 'nginx', 'registry-config', 'package.json', 'package-lock.json'],
  ...['tsconfig.json', 'tsconfig.build.json'],
];
/** What an operator's set-up makes in deploy/. */
const MADE = ['.env', 'secrets', 'tls', 'acme', 'registry.yml', 'gateway.env'];

/** A bare Debian in a directory, made by mmdebstrap, with the checkout in /opt/gitee-s3. It needs root, and the network. */
export class FreshMachine {
  private constructor(readonly root: string) {}

  /** @param suite Debian's code name */
  static async make(suite: string, root: string, timeoutMs: number): Promise<FreshMachine> {
    await mustRun('mmdebstrap', ['--variant=minbase', '--mode=root', suite, root], { timeoutMs });
    const checkout = path.join(root, 'opt/gitee-s3');
    await mkdir(checkout);
    const excluded = MADE.map((name) => `--exclude=deploy/${name}`);
    await mustRun('bash', [
      ...['-euo', 'pipefail', '-c', 'tar -c "${@:2}" | tar -x -C "$1"', 'bash', checkout],
      ...[...excluded, ...PARTS],
    ]);
    // The way to the network is this machine's: names, and a mirror of npm where one is configured.
    for (const file of ['/etc/resolv.conf', '/etc/hosts'])
      await mustRun('cp', [file, path.join(root, 'etc')]);
    const authorities = '/etc/ssl/certs/ca-certificates.crt';
    await mustRun('cp', [authorities, path.join(root, 'root/authorities.crt')]);
    const npmrc = await readFile(`${process.env.HOME}/.npmrc`, 'utf8').catch(() => '');
    await writeFile(path.join(root, 'root/.npmrc'), `${npmrc}\ncafile=/root/authorities.crt\n`);
    return new FreshMachine(root);
  }

  /** Runs a script of bash there, with the network of this machine. */
  async run(script: string, timeoutMs: number): Promise<RunResult> {
    const inherited = Object.entries(process.env).filter(([name]) => /_proxy$|^npm_config_/i.test(name));
    const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const args = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', '--'];
    return run('unshare', [...args, 'bash', '-euc', INSIDE, 'bash', this.root, script], {
      env: { ...Object.fromEntries(inherited), HOME: '/root', PATH },
      timeoutMs,
    });
  }

  /** A program that holds dpkg's lock, as unattended upgrades do on a new machine, until /tmp/refused is there. */
  async writeLockHolder(name: string): Promise<void> {
    const perl = `use Fcntl;
      open(my $file, '+>', '/var/lib/dpkg/lock-frontend') or die;
      my $lock = pack('s s x4 l! l! i x4', F_WRLCK, 0, 0, 0, 0);
      fcntl($file, F_SETLK, $lock) or die;
      open(my $held, '>', '/tmp/held') or die;
      sleep 1 until -e '/tmp/refused';
    `;
    await writeFile(path.join(this.root, name), perl);
  }
}
