/** docker, podman and skopeo over TLS through the shipped Nginx files, as every kind of account. */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import * as path from 'node:path';
import { makeAuthFiles } from '../../support/auth-files.js';
import { freePort, mustRun, until, type RunResult } from '../../support/child.js';
import { takeDockerPassword } from '../../support/docker-password.js';
import { DockerDaemon } from '../../support/docker.js';
import { TestGateway } from '../../support/gateway.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { makeCertificate, TestNginx } from '../../support/nginx.js';
import {
  DockerClient,
  PodmanClient,
  SkopeoClient,
  type RegistryClient,
} from '../../support/registry-clients.js';
import { ShippedRegistry } from '../../support/shipped-registry.js';

const NAME = 'registry.test';
const DENIED = /denied|unauthorized|authentication required/;
/** Docker's containerd store ends a request whose answer does not begin within 30 s. */
const CLIENT_PATIENCE_S = 30;
/** Instead of the default, of which test/faults/barrier.test.ts knows. */
const HOLD_S = 8;

let directory: string;
let gitee: RunningLocalGitee;
let gateway: TestGateway;
let nginx: TestNginx;
let registry: ShippedRegistry;
let byList: ShippedRegistry;
let daemon: DockerDaemon;
let clients: RegistryClient[];
let skopeo: SkopeoClient;
/** Gitee tokens, and what zhang types at Gitee. */
const random = () => randomBytes(16).toString('hex');
const tokens = { gateway: random(), zhang: random(), reader: random(), boss: random() };
const zhangsPassword = random();
const passwordOfTheList = random();
const clientSecret = random();
const giteeTokens = Object.values(tokens);

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'clients-'));
  nginx = await TestNginx.prepare({ directory: path.join(directory, 'nginx'), registryName: NAME });
  const publicUrl = `https://${nginx.registry}`;
  const webPort = await freePort();
  const scopes = ['user_info', 'projects'];
  gitee = await startLocalGitee({
    config: {
      accounts: [
        ...Object.entries(tokens).map(([login, token]) => ({
          login,
          tokens: [{ token, scopes }],
          ...(login === 'zhang' ? { password: zhangsPassword } : {}),
        })),
      ],
      oauthClients: [
        { id: 'the-gateway', secret: clientSecret, redirectUris: [`${publicUrl}/auth/callback`] },
      ],
    },
    repository: { collaborators: { gateway: 'push', zhang: 'push', reader: 'pull', boss: 'admin' } },
  });
  const { config, certificateFile } = await makeAuthFiles(directory, {
    public_url: publicUrl,
    oauth: { client_id: 'the-gateway', client_secret: clientSecret },
    lockout: { failures: 100 },
  });
  gateway = await TestGateway.start({
    directory: path.join(directory, 'gateway'),
    gitee: { url: gitee.url, token: tokens.gateway },
    config: { ...config, web: { host: '127.0.0.1', port: webPort } },
  });
  const shared = {
    s3Endpoint: `http://127.0.0.1:${nginx.ports.s3}`,
    accessKeyId: gateway.accessKeyId,
    secretAccessKey: gateway.secretAccessKey,
    httpSecret: random(),
  };
  const htpasswd = path.join(directory, 'htpasswd');
  const hash = await mustRun('htpasswd', ['-niB', 'admin'], { input: `${passwordOfTheList}\n` });
  await writeFile(htpasswd, hash.stdout);
  [registry, byList] = await Promise.all([
    ShippedRegistry.start({
      ...shared,
      directory: path.join(directory, 'by-token'),
      variant: 'config.token.yml',
      env: {
        REGISTRY_AUTH_TOKEN_REALM: `${publicUrl}/token`,
        REGISTRY_AUTH_TOKEN_SERVICE: 'registry',
        REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: certificateFile,
      },
    }),
    ShippedRegistry.start({
      ...shared,
      directory: path.join(directory, 'by-list'),
      variant: 'config.htpasswd.yml',
      env: { REGISTRY_AUTH_HTPASSWD_PATH: htpasswd },
    }),
  ]);
  const address = otherAddress();
  await makeCertificate(nginx.tlsDirectory, 'registry', [`DNS:${NAME}`]);
  await appendFile(
    path.join(nginx.directory, 'snippets', 'tls.conf'),
    `listen ${address}:${nginx.ports.tls} ssl http2;\n`,
  );
  await upstream(registry);
  await nginx.start();
  daemon = await DockerDaemon.start({ directory: path.join(directory, 'docker'), name: NAME, address });
  await daemon.trust(nginx.registry, nginx.certificateFile);
  skopeo = new SkopeoClient(daemon, nginx.registry, directory);
  clients = [
    new DockerClient(daemon, nginx.registry, directory),
    new PodmanClient(daemon, nginx.registry, directory),
    skopeo,
  ];
});

afterAll(async () => {
  await daemon.stop();
  await nginx.stop();
  await Promise.all([registry.stop(), byList.stop()]);
  await gateway.stop();
  await gitee.stop();
  await rm(directory, { recursive: true, force: true });
});

/** An address of this machine at which Docker looks at certificates. */
function otherAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (!found) throw new Error('this test needs an IPv4 address besides 127.0.0.1');
  return found.address;
}

async function upstream({ address }: ShippedRegistry): Promise<void> {
  const web = gateway.configFile;
  const { port } = (JSON.parse(await readFile(web, 'utf8')) as { web: { port: number } }).web;
  await nginx.setUpstreams({
    registries: [address],
    gatewayS3: new URL(gateway.endpoint).host,
    gatewayWeb: `127.0.0.1:${port}`,
  });
}

/** How long each PUT of such a path took at one of Nginx's listeners, in the order of their ends. */
async function secondsOf(listener: 'registry' | 's3', path: string): Promise<number[]> {
  return (await nginx.accessLog(listener))
    .filter((line) => line['method'] === 'PUT' && String(line['path']).includes(path))
    .map(({ seconds }) => Number(seconds));
}

async function forEachClient(check: (client: RegistryClient) => Promise<void>): Promise<void> {
  await Promise.all(clients.map(check));
}

/** Refused, in words that name the reason. */
function expectRefused(client: RegistryClient, { code, stdout, stderr }: RunResult, reason = DENIED): void {
  expect([client.name, code === 0, stdout + stderr]).toEqual([
    client.name,
    false,
    expect.stringMatching(reason),
  ]);
}

async function expectDone(client: RegistryClient, what: Promise<RunResult>): Promise<void> {
  expect([client.name, await what]).toEqual([client.name, expect.objectContaining({ code: 0 })]);
}

async function pushesAndPulls(client: RegistryClient, name: string): Promise<void> {
  await expectDone(client, client.push(name));
  await expectDone(client, client.pull(name));
}

/** After it neither a push nor a pull is let in. */
async function logsOut(client: RegistryClient, name: string): Promise<void> {
  await expectDone(client, client.logout());
  expectRefused(client, await client.pull(name), /denied|unauthorized|authentication required|no basic auth/);
}

test('a Gitee token logs in, pushes, pulls; after the logout nothing goes', async () => {
  await forEachClient(async (client) => {
    // What the token service says reaches whoever typed the wrong thing.
    expectRefused(
      client,
      await client.login('zhang', 'not-a-token'),
      client.name === 'docker' ? /私人令牌/ : /unauthorized|invalid/i,
    );
    await expectDone(client, client.login('zhang', tokens.zhang));
    await pushesAndPulls(client, `team/${client.name}:v1`);
    await logsOut(client, `team/${client.name}:v1`);
  });
});

test('docker keeps an identity token, and no Gitee token', async () => {
  const [docker] = clients as [RegistryClient];
  await expectDone(docker, docker.login('zhang', tokens.zhang));
  const text = await readFile(docker.loginsFile, 'utf8');
  const { auths } = JSON.parse(text) as { auths: Record<string, { auth?: string; identitytoken?: string }> };
  const kept = auths[nginx.registry]!;
  expect(kept.identitytoken).toEqual(expect.stringMatching(/^gst_/));
  expect(text + Buffer.from(kept.auth ?? '', 'base64').toString()).not.toMatch(
    new RegExp(giteeTokens.join('|')),
  );
  await pushesAndPulls(docker, 'team/identity:v1');
});

test('who may pull at Gitee pulls, and is told that a push is denied', async () => {
  await forEachClient(async (client) => {
    await expectDone(client, client.login('reader', tokens.reader));
    await expectDone(client, client.pull('team/docker:v1'));
    expectRefused(client, await client.push(`team/reader-${client.name}:v1`));
  });
});

test('an administrator deletes; who may push does not', async () => {
  await expectDone(skopeo, skopeo.login('zhang', tokens.zhang));
  expectRefused(skopeo, await skopeo.delete('team/skopeo:v1'));
  await expectDone(skopeo, skopeo.login('boss', tokens.boss));
  await expectDone(skopeo, skopeo.delete('team/skopeo:v1'));
  expectRefused(skopeo, await skopeo.pull('team/skopeo:v1'), /manifest unknown/);
});

test('a Docker password of the login page has the rights of its owner', async () => {
  const { web } = JSON.parse(await readFile(gateway.configFile, 'utf8')) as { web: { port: number } };
  const page = {
    webUrl: `http://127.0.0.1:${web.port}`,
    publicUrl: `https://${nginx.registry}`,
    giteeUrl: gitee.url,
  };
  const password = await takeDockerPassword(page, 'zhang', zhangsPassword);
  await forEachClient(async (client) => {
    await expectDone(client, client.login('zhang', password));
    await pushesAndPulls(client, `page/${client.name}:v1`);
    await logsOut(client, `page/${client.name}:v1`);
  });
});

test('a robot does what it was made for, and nothing else', async () => {
  const made = await gateway.cli('robot', 'add', 'ci', '--push', 'ci/**', '--pull', 'team/**');
  expect(made).toMatchObject({ code: 0 });
  await forEachClient(async (client) => {
    await expectDone(client, client.login('robot$ci', made.stdout.trim()));
    await pushesAndPulls(client, `ci/${client.name}:v1`);
    await expectDone(client, client.pull('team/docker:v1'));
    expectRefused(client, await client.push(`team/robot-${client.name}:v1`));
    await logsOut(client, `ci/${client.name}:v1`);
  });
});

test('while Gitee hangs each client waits for the hold, once, and no longer than its patience; the push lands later', async () => {
  const { env } = gateway;
  gateway.env = { ...env, GATEWAY_BARRIER_HOLD: `${HOLD_S}s` };
  await gateway.restart();
  await forEachClient(async (client) => {
    await expectDone(client, client.login('zhang', tokens.zhang));
    // What Gitee says of the account is known from here on.
    await expectDone(client, client.push(`slow/${client.name}:v0`));
  });
  await gitee.fault('git-stall');
  await gitee.fault('lfs-stall');
  await gitee.fault('api-stall');
  try {
    await forEachClient(async (client) => {
      const { code, stderr } = await client.push(`slow/${client.name}:v1`);
      expect([client.name, code === 0, stderr]).toEqual([
        client.name,
        false,
        expect.stringMatching(/50[03] (Internal Server Error|Service Unavailable)|not yet on Gitee/),
      ]);
    });
    const [docker] = clients as [RegistryClient];
    expectRefused(docker, await docker.login('stranger', 'somebody-elses-token'), /Gitee|503|unavailable/i);
  } finally {
    await gitee.clearFaults();
  }
  // The gateway holds a tag; what the registry's driver tries after that is answered at once, 7 s in all.
  for (const { name } of clients) {
    const answers = await secondsOf('registry', `/v2/slow/${name}/manifests/v1`);
    const [held, ...repeats] = await secondsOf('s3', `/slow/${name}/_manifests/tags/v1/current/link`);
    expect([name, held! >= HOLD_S, Math.max(...answers) >= HOLD_S]).toEqual([name, true, true]);
    expect([name, repeats.filter((seconds) => seconds > HOLD_S / 2)]).toEqual([name, []]);
    expect([name, Math.max(...answers) < CLIENT_PATIENCE_S]).toEqual([name, true]);
  }
  await until(
    'everything is on Gitee',
    async () => (await gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' })) === 0,
  );
  gateway.env = env;
  await gateway.restart();
  await forEachClient((client) => expectDone(client, client.pull(`slow/${client.name}:v1`)));
});

test('with htpasswd who stands in the list may do everything', async () => {
  await upstream(byList);
  await nginx.reload();
  await until('the other registry answers', async () => {
    const args = ['-s', '-i', '--cacert', nginx.certificateFile, `https://${nginx.registry}/v2/`];
    return (await daemon.inside('curl', args)).stdout.includes('Basic realm="Docker registry"');
  });
  await forEachClient(async (client) => {
    expectRefused(client, await client.login('admin', 'not-the-password'), /unauthorized|invalid/i);
    await expectDone(client, client.login('admin', passwordOfTheList));
    await pushesAndPulls(client, `list/${client.name}:v1`);
    await logsOut(client, `list/${client.name}:v1`);
  });
});

test('no log holds a token or a password', async () => {
  const secrets = [...giteeTokens, zhangsPassword, passwordOfTheList, clientSecret, 'gst_', 'grs_'];
  for (const file of [
    gateway.child!.logFile,
    registry.logFile,
    byList.logFile,
    `${nginx.directory}/log/registry.access.log`,
  ]) {
    const text = await readFile(file, 'utf8');
    for (const secret of secrets) expect([file, text.includes(secret)]).toEqual([file, false]);
  }
});
