import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import * as path from 'node:path';
import { Child, freePort, mustRun, run, until, type RunResult } from './child.js';

/** Files of nginx/ that an operator puts into conf.d, in the order in which Nginx reads them. */
const NGINX_FILES = [
  'http.conf',
  'port80.conf',
  'registry.conf',
  's3-public.conf',
  's3.conf',
  'status.conf',
  'upstreams.conf',
] as const;

/** Which ports stand where the shipped files have the usual ones. */
export interface NginxPorts {
  readonly tls: number;
  /** The port of the public S3 name for HTTP/1.1 alone. */
  readonly http1: number;
  readonly plain: number;
  readonly s3: number;
  readonly status: number;
}

/** host:port each; where none is said, nobody listens. */
export interface NginxUpstreams {
  readonly registries?: readonly string[];
  readonly gatewayS3?: string;
  readonly gatewayWeb?: string;
}

export interface NginxOptions extends NginxUpstreams {
  readonly directory: string;
  /** Replacements in the shipped files after those of ports and paths, as an operator would edit them. */
  readonly edits?: readonly (readonly [string, string])[];
  /** 127.0.0.1 and localhost: clients reach both without DNS, and the one with a name is chosen by SNI. */
  readonly registryName?: string;
  readonly s3Name?: string;
}

/** The shipped files of nginx/, run as they are but for ports, paths, names and upstreams. */
export class TestNginx {
  child: Child | undefined;

  private constructor(
    readonly directory: string,
    readonly ports: NginxPorts,
    readonly registryName: string,
    readonly s3Name: string,
  ) {}

  /** Directory of the pair that the servers use; prepare() puts a self-signed one there. */
  get tlsDirectory(): string {
    return path.join(this.directory, 'tls');
  }

  get webroot(): string {
    return path.join(this.directory, 'acme');
  }

  get configFile(): string {
    return path.join(this.directory, 'nginx.conf');
  }

  get certificateFile(): string {
    return path.join(this.tlsDirectory, 'registry.crt');
  }

  /** host:port of the registry over TLS. */
  get registry(): string {
    return `${this.registryName}:${this.ports.tls}`;
  }

  static async prepare(options: NginxOptions): Promise<TestNginx> {
    const ports = {
      tls: await freePort(),
      http1: await freePort(),
      plain: await freePort(),
      s3: await freePort(),
      status: await freePort(),
    };
    const { registryName = '127.0.0.1', s3Name = 'localhost' } = options;
    const nginx = new TestNginx(options.directory, ports, registryName, s3Name);
    for (const name of ['tls', 'log', 'tmp', 'snippets', 'conf.d', 'acme']) {
      await mkdir(path.join(options.directory, name), { recursive: true });
    }
    await makeCertificate(nginx.tlsDirectory, 'registry', ['DNS:localhost', 'IP:127.0.0.1']);
    const edits: (readonly [string, string])[] = [
      ['listen 443 ssl http2;', `listen 127.0.0.1:${ports.tls} ssl http2;`],
      ['listen 80;', `listen 127.0.0.1:${ports.plain};`],
      ['listen 127.0.0.1:9080;', `listen 127.0.0.1:${ports.s3};`],
      ['listen 127.0.0.1:9081;', `listen 127.0.0.1:${ports.status};`],
      ['# listen 9443 ssl;', `listen 127.0.0.1:${ports.http1} ssl;`],
      ['s3.registry.example.com', s3Name],
      ['registry.example.com', registryName],
      ['/etc/nginx/tls/', `${nginx.tlsDirectory}/`],
      ['/var/log/nginx/', `${options.directory}/log/`],
      ['/var/www/acme', nginx.webroot],
      ...(options.edits ?? []),
    ];
    const copy = async (from: string, to: string) => {
      let text = await readFile(path.join('nginx', from), 'utf8');
      for (const [before, after] of edits) text = text.replaceAll(before, after);
      await writeFile(path.join(options.directory, to), text);
    };
    for (const name of NGINX_FILES) await copy(name, `conf.d/${name}`);
    await nginx.setUpstreams(options);
    for (const name of await readdir('nginx/snippets')) await copy(`snippets/${name}`, `snippets/${name}`);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${options.directory}/tmp/${name};`,
    );
    await writeFile(
      nginx.configFile,
      `${userInfo().uid === 0 ? 'user root;' : ''}
worker_processes 2;
pid ${options.directory}/pid;
error_log ${options.directory}/log/error.log;
events {}
http {
  ${temporary.join('\n  ')}
  include conf.d/*.conf;
}
`,
    );
    return nginx;
  }

  /** Writes upstreams.conf; a running Nginx takes it at its next reload. */
  async setUpstreams(upstreams: NginxUpstreams): Promise<void> {
    const { registries = ['127.0.0.1:1'], gatewayS3 = '127.0.0.1:1', gatewayWeb = '127.0.0.1:1' } = upstreams;
    let text = await readFile('nginx/upstreams.conf', 'utf8');
    text = text.replaceAll(/^ *server 127\.0\.0\.1:5000 (.*);$/gm, (_line, parameters: string) =>
      registries.map((address) => `    server ${address} ${parameters};`).join('\n'),
    );
    text = text.replace('127.0.0.1:9000', gatewayS3).replace('127.0.0.1:5002', gatewayWeb);
    await writeFile(path.join(this.directory, 'conf.d', 'upstreams.conf'), text);
  }

  static async start(options: NginxOptions): Promise<TestNginx> {
    const nginx = await TestNginx.prepare(options);
    await nginx.start();
    return nginx;
  }

  /** URL of the public S3 endpoint. */
  get publicS3(): string {
    return `https://${this.s3Name}:${this.ports.tls}`;
  }

  /** `nginx -t`. */
  check(): Promise<RunResult> {
    return run('nginx', ['-t', '-c', this.configFile]);
  }

  async start(): Promise<void> {
    const child = Child.start('nginx', ['-c', this.configFile, '-g', 'daemon off;'], {
      logFile: path.join(this.directory, 'log', 'stdout.log'),
    });
    this.child = child;
    await until('nginx answers', async () => {
      if (!child.running) throw new Error(`nginx ended: ${await child.lastWords()}`);
      const answer = await fetch(`http://127.0.0.1:${this.ports.status}/nginx_status`).catch(() => undefined);
      return answer?.status === 200;
    });
  }

  /** Asks for it; workers of the old configuration go on with what they have. */
  async reload(): Promise<void> {
    await mustRun('nginx', ['-c', this.configFile, '-s', 'reload']);
  }

  async stop(): Promise<void> {
    await this.child?.stop();
  }

  /** Lines of one of the access logs. */
  async accessLog(name: 'registry' | 's3' | 'port80'): Promise<Record<string, unknown>[]> {
    const text = await readFile(path.join(this.directory, 'log', `${name}.access.log`), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** Writes <name>.crt and <name>.key, self-signed, that also serves as its own authority. */
export async function makeCertificate(
  directory: string,
  name: string,
  subjectAltNames: readonly string[],
): Promise<void> {
  await mustRun('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    `subjectAltName=${subjectAltNames.join(',')}`,
    '-keyout',
    path.join(directory, `${name}.key`),
    '-out',
    path.join(directory, `${name}.crt`),
  ]);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
