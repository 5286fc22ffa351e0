/**
 * A stack on which the commands of the operator's pages run as they stand there. The shell, git, git-lfs, curl,
 * openssl, htpasswd, setup.sh and bundle.sh are real; names and paths are replaced (`localised`). `docker` is a
 * program that hands its arguments to this process, which does the same without containers:
 *
 *   docker compose config                 the real docker-compose on the shipped compose.yaml and the .env of setup.sh;
 *                                         services of profiles that are off are left out, as the plugin does and 1.29 does not
 *   docker compose up, restart, stop, rm  processes, with environment, secrets and files that compose.yaml gives the
 *                                         containers: gateway from dist/, Debian's registry, Nginx with the shipped files
 *   docker compose exec, run gateway      the same program on this machine, with the gateway's environment; gitee-s3 as
 *                                         a call of its main function (test/integration/server/commands.test.ts has the rest)
 *   docker compose exec nginx             nginx with this stack's configuration
 *   docker compose logs, ps, kill         log files and processes
 *   docker compose build, pull            only checked: the service is there and has something to build or pull
 *   docker login, push, pull              skopeo, with the authorities of /etc/docker/certs.d
 *   docker run registry                   Debian's registry on the filesystem driver
 *   docker tag, save, load, image, volume names and files, checked
 */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import * as path from 'node:path';
import { text } from 'node:stream/consumers';
import { freePort, mustRun, run, type RunResult } from './child.js';
import { makeImage } from './image.js';
import { startLocalGitee, type RunningLocalGitee } from './local-gitee.js';
import { makeCertificate, TestNginx } from './nginx.js';
import { blocksOf, pageText } from './operator-docs.js';
import { OperatorDocker } from './operator-docker.js';
import type { Output } from './operator-programs.js';

/** The arguments go to this process, the answer comes back as two files: bytes stay bytes. */
const SHIM = `input=/dev/null
case " $* " in *' --password-stdin '*) input=- ;; esac
encoded() { printf '%s\\0' "$@" | base64 -w0; }
answer=$(curl -sS --noproxy '*' -H "X-Arguments: $(encoded "$@")" -H "X-Directory: $(encoded "$PWD")" \
  --data-binary "@$input" "$OPERATOR_CONTROL") || exit 125
set -- $answer
cat "$2"
cat "$3" >&2
exit "$1"`;

export class OperatorStack {
  private constructor(
    readonly directory: string,
    readonly gitee: RunningLocalGitee,
    readonly nginx: TestNginx,
    readonly docker: OperatorDocker,
    private readonly control: Server,
    private readonly ports: { readonly metrics: number; readonly restored: number },
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async start(): Promise<OperatorStack> {
    const directory = await mkdtemp(path.join(tmpdir(), 'operator-'));
    const inside = (...names: string[]) => path.join(directory, ...names);
    const gitee = await startLocalGitee({
      config: {
        accounts: [
          { login: 'gateway', tokens: [{ token: 'token-of-the-gateway-0' }] },
          { login: 'zhang', tokens: [{ token: 'token-of-zhang-000000' }] },
        ],
      },
      repository: { collaborators: { gateway: 'push', zhang: 'admin' } },
    });
    for (const name of [
      'bin',
      'etc/docker',
      'home',
      'opt',
      'root',
      'srv/backup',
      'srv/restore',
      'log',
      'answers',
    ])
      await mkdir(inside(name), { recursive: true });
    await writeFile(inside('root/gitee-token'), 'token-of-the-gateway-0\n');
    await writeFile(inside('home/gitee-token'), 'token-of-zhang-000000\n');
    await makeCertificate(inside('root'), 'registry', ['DNS:registry.example.com']);
    await cp(inside('root/registry.crt'), inside('root/fullchain.pem'));
    await cp(inside('root/registry.key'), inside('root/privkey.pem'));

    const ports = { metrics: await freePort(), restored: await freePort() };
    const services = {
      metrics: ports.metrics,
      s3: await freePort(),
      web: await freePort(),
      registry: await freePort(),
      debug: await freePort(),
    };
    const nginx = await TestNginx.prepare({
      directory: inside('nginx'),
      registries: [`127.0.0.1:${services.registry}`],
      gatewayS3: `127.0.0.1:${services.s3}`,
      gatewayWeb: `127.0.0.1:${services.web}`,
    });
    const image = await makeImage(inside('image'), [200_000, 9_000_000]);

    const { NODE_OPTIONS: _, AWS_CA_BUNDLE: _bundle, ...inherited } = process.env;
    const env: NodeJS.ProcessEnv = {
      ...inherited,
      HOME: inside('home'),
      PATH: `${inside('bin')}:${process.env.PATH ?? ''}`,
      GIT_TERMINAL_PROMPT: '0',
      no_proxy: '127.0.0.1,localhost',
      NO_PROXY: '127.0.0.1,localhost',
    };
    const docker = new OperatorDocker(inside, services, nginx, image, env);
    let calls = 0;
    const control = createServer((request, response) => {
      const decoded = (name: string) =>
        Buffer.from(String(request.headers[name]), 'base64').toString('utf8').split('\0').slice(0, -1);
      void text(request)
        .then((stdin) =>
          docker.answer({ args: decoded('x-arguments'), cwd: decoded('x-directory')[0]!, stdin }),
        )
        .catch((error: unknown): Output => ({ code: 125, stdout: '', stderr: `${String(error)}\n` }))
        .then(async ({ code, stdout, stderr }) => {
          const files = ['stdout', 'stderr'].map((name) => inside('answers', `${calls}.${name}`));
          calls += 1;
          await writeFile(files[0]!, stdout);
          await writeFile(files[1]!, stderr);
          response.end([code, ...files].join(' '));
        });
    });
    control.listen(0, '127.0.0.1');
    await once(control, 'listening');
    env['OPERATOR_CONTROL'] = `http://127.0.0.1:${(control.address() as AddressInfo).port}`;
    const stack = new OperatorStack(directory, gitee, nginx, docker, control, ports, env);
    await stack.#programs();
    await stack.#checkout();
    await stack.#git();
    return stack;
  }

  inside(...names: string[]): string {
    return path.join(this.directory, ...names);
  }

  /** A command of a page with the names and paths of this stack. */
  localised(command: string): string {
    const edits: readonly (readonly [RegExp, string])[] = [
      [/registry\.example\.com:443/g, this.nginx.registry],
      [/registry\.example\.com/g, this.nginx.registry],
      [/https:\/\/gitee\.com/g, this.gitee.url],
      [/127\.0\.0\.1:9464/g, `127.0.0.1:${this.ports.metrics}`],
      [/127\.0\.0\.1:5050/g, `127.0.0.1:${this.ports.restored}`],
      [/(?<![\w.])\/var\/lib\/docker\b/g, this.directory],
      [/(?<![\w.])\/(opt\/gitee-s3|root|srv|etc\/docker)\b/g, `${this.directory}/$1`],
    ];
    return edits.reduce((edited, [from, to]) => edited.replace(from, to), command);
  }

  /** Runs a block as one script that stops at its first failure; in deploy/ of the checkout, or of another one. */
  run(block: string, checkout = 'opt/gitee-s3', isLocal = true): Promise<RunResult> {
    const script = isLocal ? this.localised(block) : block.replace(/\/(root|srv)\b/g, `${this.directory}/$1`);
    return run('bash', ['-euo', 'pipefail', '-c', script], {
      env: this.env,
      cwd: this.inside(checkout, 'deploy'),
    });
  }

  /** What the page has its reader write into .env; and the Gitee of this test, which the page's reader need not name. */
  async fillIn(checkout: string, values: Readonly<Record<string, string>> = {}): Promise<void> {
    const ini = blocksOf(pageText('install')).find((block) => block.text.startsWith('REGISTRY_HOST='))!;
    const file = this.inside(checkout, 'deploy/.env');
    let env = await readFile(file, 'utf8');
    const shown = ini.text
      .trim()
      .split('\n')
      .map((row) => row.split('=') as [string, string]);
    for (const [name, value] of Object.entries({ ...Object.fromEntries(shown), ...values })) {
      const line = `${name}=${values[name] ?? this.localised(value)}`;
      env = env.replace(new RegExp(`^#?${name}=.*$`, 'm'), () => line);
      if (!env.split('\n').includes(line)) throw new Error(`.env.example has no ${name}`);
    }
    await writeFile(file, `${env}GITEE_URL=${this.gitee.url}\n`);
  }

  /** A second checkout, as it is after `cp .env.example .env` and the values. */
  async another(values: Readonly<Record<string, string>>): Promise<string> {
    const checkout = 'opt/other';
    await mustRun('git', ['clone', '-q', this.inside('origin'), this.inside(checkout)], { env: this.env });
    await cp(this.inside(checkout, 'deploy/.env.example'), this.inside(checkout, 'deploy/.env'));
    await this.fillIn(checkout, values);
    return checkout;
  }

  /** Somebody rewrites the branch: the same files under a commit without a past. */
  async rewriteBranch(): Promise<void> {
    const repository = path.join(this.gitee.dataDir, 'repositories/acme/images.git');
    const git = async (...args: string[]) =>
      (
        await mustRun(
          'git',
          ['-C', repository, '-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.com', ...args],
          { env: this.env },
        )
      ).stdout.trim();
    const commit = await git('commit-tree', '-m', 'rewritten', 'refs/heads/master^{tree}');
    await git('update-ref', 'refs/heads/master', commit);
    await this.docker.untilFrozen();
  }

  async close(): Promise<void> {
    await this.docker.close();
    this.control.close();
    this.control.closeAllConnections();
    await this.gitee.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** `docker` as above; `sudo` without a change of the user; `id -u` says what setup.sh wants where this isn't root. */
  async #programs(): Promise<void> {
    const program = async (name: string, script: string) => {
      await writeFile(this.inside('bin', name), `#!/bin/sh\n${script}\n`);
      await chmod(this.inside('bin', name), 0o755);
    };
    await program('docker', SHIM);
    await program('sudo', 'exec "$@"');
    if (userInfo().uid !== 0)
      await program('id', 'if [ "$1" = -u ]; then echo 1000; else exec /usr/bin/id "$@"; fi');
  }

  async #checkout(): Promise<void> {
    const origin = this.inside('origin');
    await mkdir(origin);
    for (const name of ['deploy', 'nginx', 'registry-config', '.gitignore', 'package.json'])
      await cp(name, path.join(origin, name), { recursive: true });
    const git = (...args: string[]) =>
      mustRun(
        'git',
        [
          '-C',
          origin,
          '-c',
          'user.name=Test',
          '-c',
          'user.email=test@example.com',
          '-c',
          'core.hooksPath=/',
          ...args,
        ],
        { env: this.env },
      );
    await git('init', '-q', '-b', 'master');
    await git('add', '-A');
    await git('commit', '-q', '-m', 'checkout');
    await mustRun('git', ['clone', '-q', origin, this.inside('opt/gitee-s3')], { env: this.env });
  }

  /** Git's logins, as a credential helper keeps them. */
  async #git(): Promise<void> {
    await mustRun('git', ['lfs', 'install', '--skip-repo'], { env: this.env });
    const url = new URL(this.gitee.url);
    url.username = 'oauth2';
    url.password = 'token-of-the-gateway-0';
    await writeFile(this.inside('home/.git-credentials'), `${url.href.replace(/\/$/, '')}\n`, {
      mode: 0o600,
    });
    await mustRun('git', ['config', '--global', 'credential.helper', 'store'], { env: this.env });
  }
}
