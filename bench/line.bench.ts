import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Child, mustRun, until } from '../test/support/child.js';
import { makeImage } from '../test/support/image.js';

const LAYERS = 5;
const LAYER_BYTES = 100 * 1000 * 1000;
const CLIENT = '10.231.1.1';
const FRONT = '10.231.1.2';
const MIDDLE = '10.231.2.1';
const GITEE = '10.231.2.2';

/** Three hosts in a row, each link 100 Mbit both ways: client | registry and gateway | local Gitee. */
class Network {
  readonly #id = `gs${process.pid % 10_000}`;
  readonly client = `${this.#id}c`;
  readonly gateway = `${this.#id}m`;
  readonly gitee = `${this.#id}g`;

  async up(): Promise<void> {
    for (const name of [this.client, this.gateway, this.gitee]) {
      await mustRun('ip', ['netns', 'add', name]);
      await this.#in(name, ['ip', 'link', 'set', 'lo', 'up']);
    }
    await this.#link(this.client, CLIENT, this.gateway, FRONT, 'a');
    await this.#link(this.gateway, MIDDLE, this.gitee, GITEE, 'b');
  }

  async down(): Promise<void> {
    for (const name of [this.client, this.gateway, this.gitee]) {
      await mustRun('ip', ['netns', 'delete', name]).catch(() => undefined);
    }
  }

  /** Command and arguments that run a program on one of the hosts. */
  on(host: string, command: string, args: readonly string[]): [string, string[]] {
    return ['ip', ['netns', 'exec', host, command, ...args]];
  }

  async #link(left: string, leftIp: string, right: string, rightIp: string, tag: string): Promise<void> {
    const [l, r] = [`${this.#id}${tag}l`, `${this.#id}${tag}r`];
    await mustRun('ip', ['link', 'add', l, 'netns', left, 'type', 'veth', 'peer', 'name', r, 'netns', right]);
    for (const [ns, device, address] of [
      [left, l, leftIp],
      [right, r, rightIp],
    ] as const) {
      await this.#in(ns, ['ip', 'addr', 'add', `${address}/24`, 'dev', device]);
      await this.#in(ns, ['ip', 'link', 'set', device, 'up']);
      await this.#in(
        ns,
        'tc qdisc add dev DEV root tbf rate 100mbit burst 256kb latency 50ms'
          .replace('DEV', device)
          .split(' '),
      );
    }
  }

  async #in(ns: string, command: string[]): Promise<void> {
    await mustRun(...this.on(ns, command[0]!, command.slice(1)));
  }
}

const SINK = `
const http = require('node:http');
http.createServer((q, s) => { let n = 0; q.on('data', (d) => { n += d.length; }); q.on('end', () => s.end(String(n))); })
  .listen(8000, '${FRONT}', () => console.log('listening'));`;
const SOURCE = `
const http = require('node:http');
const block = require('node:crypto').randomBytes(1 << 20);
let left = Number(process.argv[1]);
const started = process.hrtime.bigint();
const q = http.request({ host: '${FRONT}', port: 8000, method: 'PUT', headers: { 'content-length': left } }, (s) => {
  s.resume();
  s.on('end', () => console.log(Number(process.hrtime.bigint() - started) / 1e9));
});
const more = () => { while (left > 0) { const b = block.subarray(0, Math.min(left, block.length)); left -= b.length; if (!q.write(b)) return q.once('drain', more); } q.end(); };
more();`;

/**
 * 500 MB of random bytes in 5 layers, pushed at once by skopeo, until local Gitee has all of them (counted there);
 * as a ratio to a bare PUT of as many bytes over one such hop, measured just before.
 */
export async function line(): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'line-'));
  const network = new Network();
  const children: Child[] = [];
  const start = (host: string, command: string, args: string[], log: string, env?: NodeJS.ProcessEnv) => {
    const child = Child.start(...network.on(host, command, args), {
      logFile: path.join(directory, log),
      ...(env ? { env } : {}),
    });
    children.push(child);
    return child;
  };
  const status = async (host: string, url: string) => {
    const result = await mustRun(
      ...network.on(host, 'curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '2', url]),
    ).catch(() => undefined);
    return Number(result?.stdout ?? 0);
  };
  try {
    await network.up();
    start(network.gateway, process.execPath, ['-e', SINK], 'sink.log');
    await until(
      'the sink listens',
      async () => (await status(network.client, `http://${FRONT}:8000/`)) === 200,
    );
    const bare = Number(
      (
        await mustRun(
          ...network.on(network.client, process.execPath, ['-e', SOURCE, String(LAYERS * LAYER_BYTES)]),
        )
      ).stdout,
    );

    const token = randomBytes(16).toString('hex');
    const adminToken = randomBytes(16).toString('hex');
    const secret = randomBytes(20).toString('hex');
    const giteeConfig = path.join(directory, 'gitee.json');
    await writeFile(
      giteeConfig,
      JSON.stringify({
        accounts: [{ login: 'gateway', tokens: [{ token }] }],
        repositories: [
          {
            owner: 'acme',
            name: 'images',
            id: 1001,
            enterprise: true,
            lfs: true,
            collaborators: { gateway: 'admin' },
          },
        ],
      }),
    );
    start(
      network.gitee,
      process.execPath,
      [
        'dist/local-gitee/main.js',
        '--data',
        path.join(directory, 'gitee'),
        '--host',
        GITEE,
        '--config',
        giteeConfig,
      ],
      'gitee.log',
      { ...process.env, LOCAL_GITEE_ADMIN_TOKEN: adminToken },
    );
    await until(
      'local Gitee answers',
      async () => (await status(network.gateway, `http://${GITEE}:9300/`)) > 0,
    );

    const gatewayConfig = path.join(directory, 'gateway.yaml');
    await writeFile(
      gatewayConfig,
      JSON.stringify({
        state_dir: path.join(directory, 'state'),
        s3: { host: '127.0.0.1', port: '9000' },
        gitee: { url: `http://${GITEE}:9300`, token },
        access_keys: [{ access_key_id: 'LINE', secret_access_key: secret }],
        buckets: [{ name: 'registry', repository: 'acme/images', branch: 'master', preset: 'registry' }],
      }),
      { mode: 0o600 },
    );
    start(
      network.gateway,
      process.execPath,
      ['dist/cli/main.js', 'serve', '--config', gatewayConfig],
      'gateway.log',
    );
    await until(
      'the gateway is ready',
      async () => (await status(network.gateway, 'http://127.0.0.1:9464/readyz')) === 200,
      60_000,
    );

    const registryConfig = path.join(directory, 'registry.yml');
    await writeFile(
      registryConfig,
      JSON.stringify({
        version: 0.1,
        storage: {
          s3: {
            accesskey: 'LINE',
            secretkey: secret,
            region: 'us-east-1',
            regionendpoint: 'http://127.0.0.1:9000',
            bucket: 'registry',
            secure: false,
            v4auth: true,
            chunksize: 8 * 1024 * 1024,
            multipartcopychunksize: 5 * 1024 ** 3,
            multipartcopythresholdsize: 5 * 1024 ** 3,
          },
          redirect: { disable: true },
        },
        http: { addr: `${FRONT}:5000`, secret: 'bench' },
      }),
    );
    const { AWS_CA_BUNDLE: _, ...env } = process.env;
    start(network.gateway, 'docker-registry', ['serve', registryConfig], 'registry.log', env);
    await until(
      'the registry answers',
      async () => (await status(network.client, `http://${FRONT}:5000/v2/`)) === 200,
    );

    await mkdir(path.join(directory, 'image'));
    const image = await makeImage(path.join(directory, 'image'), Array<number>(LAYERS).fill(LAYER_BYTES));
    const startedMs = Date.now();
    await mustRun(
      ...network.on(network.client, 'skopeo', [
        'copy',
        '--insecure-policy',
        '--dest-tls-verify=false',
        `oci:${image.directory}:latest`,
        `docker://${FRONT}:5000/bench/line:v1`,
      ]),
      { timeoutMs: 600_000 },
    );
    const seconds = (Date.now() - startedMs) / 1000;
    // A successful push means that the tag and all before it is in a commit there; the bytes are counted too.
    const statsText = (
      await mustRun(
        ...network.on(network.gitee, 'curl', ['-s', '--config', '-', `http://${GITEE}:9300/_local/stats`]),
        { input: `header = "Authorization: Bearer ${adminToken}"\n` },
      )
    ).stdout;
    const stored = Number(
      /"bytes":(\d+)/.exec(statsText)?.[1] ?? /"lfsBytes":(\d+)/.exec(statsText)?.[1] ?? 0,
    );
    console.log(
      JSON.stringify({
        scenario: 'line',
        megabytes: (LAYERS * LAYER_BYTES) / 1e6,
        bareSeconds: Math.round(bare * 10) / 10,
        untilOnGiteeSeconds: Math.round(seconds * 10) / 10,
        ratio: Math.round((seconds / bare) * 1000) / 1000,
        limit: 1.15,
        bytesOnGitee: stored,
      }),
    );
  } finally {
    for (const child of children.reverse()) await child.stop();
    await network.down();
    await rm(directory, { recursive: true, force: true });
  }
}
