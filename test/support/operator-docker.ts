import { createHash } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parse, stringify } from 'yaml';
import { Child, httpStatus, until } from './child.js';
import type { TestImage } from './image.js';
import type { TestNginx } from './nginx.js';
import { capture, giteeS3, type Output } from './operator-programs.js';

/** In its container. */
const REGISTRY_CONFIG = '/etc/docker/registry/config.yml';
const CLI = path.resolve('dist/cli/main.js');

interface Call {
  readonly args: string[];
  readonly cwd: string;
  readonly stdin: string;
}

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment?: Record<string, string | null>;
  readonly profiles?: readonly string[];
}

interface Project {
  readonly services: Record<string, Service>;
  readonly secrets: Record<string, { readonly file: string }>;
  readonly volumes: Record<string, unknown>;
}

interface Ports {
  readonly metrics: number;
  readonly s3: number;
  readonly web: number;
  readonly registry: number;
  readonly debug: number;
}

/** Before the service; those of rm and kill are one letter. */
const FLAGS = ['-T', '-d', '-s', '-f', '--rm', '--no-deps', '--no-build', '--force-recreate'];

const done = (stdout: string | Uint8Array = ''): Output => ({ code: 0, stdout, stderr: '' });

/** Does without containers what the docker CLI is asked; operator-stack.ts says how. What it does not know fails. */
export class OperatorDocker {
  readonly #children = new Map<string, Child>();
  readonly #images = new Set<string>();
  readonly #tags = new Map<string, string>();
  #config: { key: string; project: Project; text: string } | undefined;
  #pulls = 0;

  constructor(
    private readonly inside: (...names: string[]) => string,
    private readonly ports: Ports,
    private readonly nginx: TestNginx,
    private readonly image: TestImage,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  async answer(call: Call): Promise<Output> {
    const [command, ...rest] = call.args as [string, ...string[]];
    switch (command) {
      case 'compose':
        return this.#compose(rest, call);
      case 'login':
        return this.#login(rest, call);
      case 'tag':
        this.#tags.set(rest[1]!, rest[0]!);
        return done();
      case 'push':
        return this.#push(rest[0]!);
      case 'pull':
        return this.#pull(rest[0]!);
      case 'run':
        return rest.includes('gitee-s3-gateway') ? this.#runGateway(rest) : this.#runRegistry(rest);
      case 'rm':
        await this.#stop(rest.at(-1)!);
        return done();
      case 'volume':
        return this.#removeVolume(rest, call);
      case 'image':
        return this.#images.has(rest[1]!) ? done() : { code: 1, stdout: '', stderr: 'No such image\n' };
      case 'save':
        await writeFile(rest.at(-1)!, `images: ${rest.slice(0, -2).join(' ')}\n`);
        return done();
      case 'load':
        return done((await readFile(rest[1]!, 'utf8')).replace('images:', 'Loaded image:'));
      default:
        throw new Error(`docker ${call.args.join(' ')}: not known here`);
    }
  }

  /** Resolves when the gateway has seen that somebody rewrote the branch. */
  async untilFrozen(): Promise<void> {
    await until('the bucket is frozen', async () => (await this.#readiness()).includes('read-only'));
  }

  async close(): Promise<void> {
    for (const name of [...this.#children.keys()]) await this.#stop(name);
  }

  async #compose(args: string[], call: Call): Promise<Output> {
    const [verb, ...all] = args as [string, ...string[]];
    const first = all.findIndex((word) => !FLAGS.includes(word));
    const rest = first < 0 ? [] : all.slice(first);
    if (verb === 'version') return done('Docker Compose version v2\n');
    const { project, text } = await this.#project(call);
    const known = (names: string[]) => {
      for (const name of names) if (!project.services[name]) throw new Error(`no such service: ${name}`);
      return names;
    };
    switch (verb) {
      case 'config':
        return done(text);
      case 'build':
        for (const name of known(rest)) {
          const { build, image } = project.services[name]!;
          await readFile(path.resolve(call.cwd, build!.context, build!.dockerfile));
          this.#images.add(image);
        }
        return done();
      case 'pull':
        for (const name of known(rest)) this.#images.add(project.services[name]!.image);
        return done();
      case 'up':
        for (const name of rest.length > 0 ? known(rest) : ['gateway', 'registry', 'nginx'])
          await this.#up(name, project);
        return done();
      case 'ps':
        return done(
          [...this.#children].map(([n, c]) => `${n}  ${c.running ? 'Up' : 'Exit'}\n`).join('') || 'none\n',
        );
      case 'restart':
        for (const name of known(rest)) await this.#up(name, project);
        return done();
      case 'rm':
      case 'stop':
        for (const name of known(rest)) await this.#stop(name);
        return done();
      case 'kill': {
        const [signal, name] = [`SIG${rest[0]!}`, known([rest[1]!])[0]!];
        this.#running(name).process.kill(signal as NodeJS.Signals);
        return done();
      }
      case 'logs': {
        const name = known([rest.at(-1)!])[0]!;
        const lines = (await readFile(this.#running(name).logFile, 'utf8')).split('\n');
        return done(lines.slice(-Number(rest[1]) - 1).join('\n'));
      }
      case 'exec':
      case 'run':
        return this.#inContainer(rest, project, call);
      default:
        throw new Error(`docker compose ${verb}: not known here`);
    }
  }

  /** The real docker-compose reads the real file; asked again only when what it reads has changed. */
  async #project(call: Call): Promise<{ project: Project; text: string }> {
    const files = await Promise.all(
      ['.env', 'gateway.env', 'compose.override.yaml', 'secrets/registry.env'].map((name) =>
        readFile(path.join(call.cwd, name), 'utf8').catch(() => ''),
      ),
    );
    const key = JSON.stringify([call.cwd, files]);
    if (this.#config?.key !== key) {
      const { code, stdout, stderr } = await capture('/usr/bin/docker-compose', ['config'], {
        cwd: call.cwd,
        env: this.env,
      });
      if (code !== 0) throw new Error(`docker-compose config: ${stderr}`);
      const project = parse(Buffer.from(stdout as Uint8Array).toString('utf8')) as Project;
      for (const [name, { profiles }] of Object.entries(project.services))
        if (profiles) delete project.services[name];
      this.#config = { key, text: stringify(project), project };
    }
    return this.#config;
  }

  /** The environment of a container, its secrets being the files of compose.yaml on this machine. */
  #environment(name: string, project: Project): NodeJS.ProcessEnv {
    const environment: NodeJS.ProcessEnv = { ...this.env };
    for (const [option, value] of Object.entries(project.services[name]!.environment ?? {})) {
      environment[option] = (value ?? '')
        .replace(/^\/run\/secrets\/(\w+)$/, (_all, secret: string) => project.secrets[secret]!.file)
        .replace('http://nginx:9080', `http://127.0.0.1:${this.nginx.ports.s3}`)
        .replace('http://gateway:5002', `http://127.0.0.1:${this.ports.web}`);
    }
    return environment;
  }

  #gatewayEnvironment(project: Project, isHere: boolean): NodeJS.ProcessEnv {
    return {
      ...this.#environment('gateway', project),
      GATEWAY_S3_PORT: String(this.ports.s3),
      GATEWAY_METRICS_PORT: String(this.ports.metrics),
      GATEWAY_WEB_PORT: String(this.ports.web),
      GATEWAY_STATE_DIR: this.inside(isHere ? 'state' : 'other-state'),
      GATEWAY_DISK_RESERVE: '64MiB',
      GATEWAY_POLL_INTERVAL: '1s',
    };
  }

  get #registryConfig(): string {
    return this.inside('opt/gitee-s3/deploy/registry.yml');
  }

  async #registryEnvironment(project: Project): Promise<NodeJS.ProcessEnv> {
    const secrets = await readFile(project.secrets['registry_env']!.file, 'utf8');
    // As registry-start.sh does it.
    const pairs = [...secrets.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value] as const);
    return {
      ...this.#environment('registry', project),
      ...(Object.fromEntries(pairs) as NodeJS.ProcessEnv),
      REGISTRY_HTTP_ADDR: `127.0.0.1:${this.ports.registry}`,
      REGISTRY_HTTP_DEBUG_ADDR: `127.0.0.1:${this.ports.debug}`,
      REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: project.secrets['token_certificate']!.file,
      OTEL_TRACES_EXPORTER: 'none',
    };
  }

  async #up(name: string, project: Project): Promise<void> {
    await this.#stop(name);
    const logFile = this.inside('log', `${name}.log`);
    if (name === 'gateway') {
      const env = this.#gatewayEnvironment(project, true);
      this.#children.set(name, Child.start(process.execPath, [CLI, 'serve'], { env, logFile }));
      await until('the gateway knows its bucket', async () => {
        if (!this.#running(name).running)
          throw new Error(`the gateway ended: ${await readFile(logFile, 'utf8')}`);
        return /"ready"|read-only/.test(await this.#readiness());
      });
    } else if (name === 'registry') {
      const env = await this.#registryEnvironment(project);
      const args = ['serve', this.#registryConfig];
      this.#children.set(name, Child.start('docker-registry', args, { env, logFile }));
      await until(
        'the registry answers',
        async () => (await httpStatus(`http://127.0.0.1:${this.ports.registry}/v2/`)) === 401,
      );
    } else {
      for (const file of ['registry.crt', 'registry.key'])
        await cp(this.inside('opt/gitee-s3/deploy/tls', file), path.join(this.nginx.tlsDirectory, file));
      await this.nginx.start();
      this.#children.set(name, this.nginx.child!);
    }
  }

  async #readiness(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.ports.metrics}/readyz`).catch(() => undefined);
    return answer ? await answer.text() : '';
  }

  async #inContainer(words: string[], project: Project, call: Call): Promise<Output> {
    const [service, program, ...args] = words as [string, string, ...string[]];
    if (service === 'registry') {
      const configured = args.map((arg) => (arg === REGISTRY_CONFIG ? this.#registryConfig : arg));
      return capture('docker-registry', [program, ...configured], {
        env: await this.#registryEnvironment(project),
      });
    }
    if (service === 'nginx') {
      const configured = args.map((arg) => (arg === '/tmp/nginx/nginx.conf' ? this.nginx.configFile : arg));
      return capture('nginx', configured, { env: this.env });
    }
    if (service !== 'gateway') throw new Error(`nothing is run in ${service} here`);
    const env = this.#gatewayEnvironment(project, call.cwd === this.inside('opt/gitee-s3/deploy'));
    // `compose run gateway X` has the image's entry point, gitee-s3.
    if (program === 'doctor') return giteeS3([program], env);
    if (program === 'gitee-s3') return giteeS3(args, env);
    const mapped = args.map((arg) => arg.replace('/var/lib/gitee-s3', this.inside('state')));
    const { code, stdout, stderr } = await capture(program, mapped, { env });
    const shown = program === 'du' ? Buffer.from(stdout as Uint8Array).toString('utf8') : undefined;
    return { code, stderr, stdout: shown?.replace(this.inside('state'), '/var/lib/gitee-s3') ?? stdout };
  }

  async #login(args: string[], call: Call): Promise<Output> {
    const host = args.at(-1)!;
    const user = args[args.indexOf('-u') + 1]!;
    const common = ['login', '--cert-dir', this.#trust(host), '--authfile', this.inside('home/auth.json')];
    const login = [...common, '--username', user, '--password-stdin', host];
    const loggedIn = await capture('skopeo', login, { env: this.env }, call.stdin);
    if (loggedIn.code !== 0) return loggedIn;
    // Docker asks for an identity token, which skopeo does not: behind it is a session.
    const query = new URLSearchParams({
      account: user,
      client_id: 'docker',
      offline_token: 'true',
      service: host,
    });
    const asDocker = await capture(
      'curl',
      [
        '-sS',
        '--fail',
        '--cacert',
        path.join(this.#trust(host), 'ca.crt'),
        '-K',
        '-',
        `https://${host}/token?${query.toString()}`,
      ],
      { env: this.env },
      `user = "${user}:${call.stdin.trim()}"\n`,
    );
    return asDocker.code === 0 ? loggedIn : asDocker;
  }

  async #push(name: string): Promise<Output> {
    // The image that was tagged: here always the same one.
    if (!this.#tags.has(name)) throw new Error(`An image does not exist locally with the tag: ${name}`);
    const options = [
      '--dest-cert-dir',
      this.#trust(hostOf(name)),
      '--authfile',
      this.inside('home/auth.json'),
    ];
    return capture(
      'skopeo',
      ['copy', '--insecure-policy', ...options, `oci:${this.image.directory}:latest`, `docker://${name}`],
      { env: this.env },
    );
  }

  async #pull(name: string): Promise<Output> {
    const directory = this.inside(`pulled-${(this.#pulls += 1)}`);
    const isRestored = hostOf(name) !== this.nginx.registry;
    const options = isRestored
      ? ['--src-tls-verify=false']
      : ['--src-cert-dir', this.#trust(hostOf(name)), '--authfile', this.inside('home/auth.json')];
    const copied = await capture(
      'skopeo',
      ['copy', '--insecure-policy', ...options, `docker://${name}`, `dir:${directory}`],
      { env: this.env },
    );
    if (copied.code !== 0) return copied;
    const manifest = await readFile(path.join(directory, 'manifest.json'));
    const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
    if (digest !== this.image.manifestDigest)
      throw new Error(`pulled ${digest}, pushed ${this.image.manifestDigest}`);
    return done(`Digest: ${digest}\n`);
  }

  /** `docker run --rm [-u USER] [-v DIR:DIR:ro] gitee-s3-gateway COMMAND`: needs no configuration. */
  #runGateway(args: string[]): Promise<Output> {
    if (args[0] !== '--rm') throw new Error(`docker run ${args.join(' ')}: not known here`);
    return giteeS3(args.slice(args.indexOf('gitee-s3-gateway') + 1), this.env);
  }

  /** `docker run -d --name N -p HOST:5000 -v DIR:/var/lib/registry registry:X`. */
  async #runRegistry(args: string[]): Promise<Output> {
    const value = (flag: string) => args[args.indexOf(flag) + 1]!;
    if (!/^registry:2\.\d+\.\d+$/.test(args.at(-1)!))
      throw new Error(`docker run ${args.join(' ')}: not known here`);
    const address = value('-p').replace(/:5000$/, '');
    const configFile = this.inside('restored.yml');
    await writeFile(
      configFile,
      JSON.stringify({
        version: 0.1,
        storage: { filesystem: { rootdirectory: value('-v').replace(/:\/var\/lib\/registry$/, '') } },
        http: { addr: address },
      }),
    );
    const child = Child.start('docker-registry', ['serve', configFile], {
      env: { ...this.env, OTEL_TRACES_EXPORTER: 'none' },
      logFile: this.inside('log/restored.log'),
    });
    this.#children.set(value('--name'), child);
    await until('it answers', async () => (await httpStatus(`http://${address}/v2/`)) === 200);
    return done('restored\n');
  }

  async #removeVolume(args: string[], call: Call): Promise<Output> {
    const { project } = await this.#project(call);
    const name = args[1]!.replace(/^deploy_/, '');
    if (args[0] !== 'rm' || !(name in project.volumes) || this.#children.get('gateway')?.running)
      throw new Error(`docker volume ${args.join(' ')}: no such volume, or in use`);
    await rm(this.inside('state'), { recursive: true });
    return done();
  }

  #trust(host: string): string {
    return this.inside('etc/docker/certs.d', host);
  }

  #running(name: string): Child {
    const child = this.#children.get(name);
    if (!child) throw new Error(`${name} does not run`);
    return child;
  }

  async #stop(name: string): Promise<void> {
    await this.#children.get(name)?.stop();
    this.#children.delete(name);
  }
}

function hostOf(image: string): string {
  return image.split('/')[0]!;
}
