/**
 * Certificates: certbot in webroot mode against pebble, the test authority of Let's Encrypt, through port 80 of the
 * shipped Nginx files; deploy/renew-hook.sh swaps the pair while the registry is in use.
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { Child, freePort, mustRun, run, until, type RunResult } from '../../support/child.js';
import { makeImage, push, type TestImage } from '../../support/image.js';
import { makeCertificate, sha256, TestNginx } from '../../support/nginx.js';
import { startStack, type Stack } from '../../support/stack.js';

const LAYER_BYTES = 24 << 20;

let directory: string;
let stack: Stack;
let nginx: TestNginx;
let image: TestImage;
let pebble: { server: Child; dns: Child; url: string; rootFile: string };
const env = { ...process.env, no_proxy: '127.0.0.1,localhost', NO_PROXY: '127.0.0.1,localhost' };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'acme-'));
  stack = await startStack();
  const registry = await stack.startRegistry();
  nginx = await TestNginx.start({
    directory: join(directory, 'nginx'),
    registries: [registry.address],
    gatewayS3: new URL(stack.gateway.endpoint).host,
    registryName: 'localhost',
    s3Name: '127.0.0.1',
  });
  pebble = await startPebble();
  image = await makeImage(join(directory, 'image'), [LAYER_BYTES, 4096]);
  expect((await push(image, registry.address, 'acme/app')).code).toBe(0);
});

afterAll(async () => {
  await nginx.stop();
  await pebble.server.stop();
  await pebble.dns.stop();
  await stack.close();
  await rm(directory, { recursive: true });
});

/** The authority validates at Nginx's port 80, by a DNS that knows every name as loopback. */
async function startPebble(): Promise<typeof pebble> {
  const home = join(directory, 'pebble');
  await mkdir(home);
  await makeCertificate(home, 'pebble', ['DNS:localhost', 'IP:127.0.0.1']);
  const [port, managementPort, dnsPort, controlPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const dns = Child.start(
    'pebble-challtestsrv',
    [
      ...['-dns01', `127.0.0.1:${dnsPort}`, '-management', `127.0.0.1:${controlPort}`, '-defaultIPv6', ''],
      ...['-http01', '', '-https01', '', '-tlsalpn01', ''],
    ],
    { logFile: join(home, 'dns.log') },
  );
  await writeFile(
    join(home, 'pebble.json'),
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${port}`,
        managementListenAddress: `127.0.0.1:${managementPort}`,
        certificate: join(home, 'pebble.crt'),
        privateKey: join(home, 'pebble.key'),
        httpPort: nginx.ports.plain,
        tlsPort: nginx.ports.tls,
        ocspResponderURL: '',
        externalAccountBindingRequired: false,
      },
    }),
  );
  const server = Child.start(
    'pebble',
    ['-config', join(home, 'pebble.json'), '-dnsserver', `127.0.0.1:${dnsPort}`],
    {
      env: { ...env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0' },
      logFile: join(home, 'pebble.log'),
    },
  );
  const rootFile = join(directory, 'trust', 'ca.crt');
  await mkdir(join(directory, 'trust'));
  const ca = await readFile(join(home, 'pebble.crt'));
  await until('pebble answers', async () => {
    if (!server.running) throw new Error(`pebble ended: ${await server.lastWords()}`);
    const root = await get(`https://localhost:${managementPort}/roots/0`, ca).catch(() => undefined);
    if (root) await writeFile(rootFile, root);
    return root !== undefined;
  });
  return { server, dns, url: `https://localhost:${port}/dir`, rootFile };
}

async function get(url: string, ca: Uint8Array): Promise<Buffer> {
  const sent = request(url, { ca: Buffer.from(ca), agent: new Agent() });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const body = await buffer(response);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} of ${url}`);
  return body;
}

function certbot(...args: string[]): Promise<RunResult> {
  const home = join(directory, 'certbot');
  return run(
    'certbot',
    [
      ...args,
      '--non-interactive',
      ...[
        '--config-dir',
        join(home, 'config'),
        '--work-dir',
        join(home, 'work'),
        '--logs-dir',
        join(home, 'log'),
      ],
    ],
    {
      env: {
        ...env,
        REQUESTS_CA_BUNDLE: join(directory, 'pebble', 'pebble.crt'),
        TLS_DIR: nginx.tlsDirectory,
        NGINX: `nginx -c ${nginx.configFile}`,
      },
    },
  );
}

function renewHook(from: string, more: NodeJS.ProcessEnv = {}): Promise<RunResult> {
  return run('bash', ['deploy/renew-hook.sh', from], {
    env: { ...env, TLS_DIR: nginx.tlsDirectory, NGINX: `nginx -c ${nginx.configFile}`, ...more },
  });
}

/** Serial number of the certificate that a new connection is shown. */
async function serial(): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port: nginx.ports.tls,
    servername: 'localhost',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test('certbot gets a certificate through port 80, and the hook puts it into service', async () => {
  const before = await serial();
  const issued = await certbot(
    'certonly',
    ...['--webroot', '--webroot-path', nginx.webroot, '--domain', 'localhost', '--server', pebble.url],
    ...['--agree-tos', '--register-unsafely-without-email', '--deploy-hook', resolve('deploy/renew-hook.sh')],
  );
  expect(issued).toMatchObject({ code: 0 });
  await until('new connections see it', async () => (await serial()) !== before);
  // Verified now: the authority's root is all that a client needs.
  await get(`https://localhost:${nginx.ports.tls}/v2/`, await readFile(pebble.rootFile));
  expect(await readlink(nginx.certificateFile)).toBe('live/registry.crt');
});

test('a renewal under load fails no pull, cuts no download, and new connections see it', async () => {
  const ca = await readFile(pebble.rootFile);
  const base = `https://localhost:${nginx.ports.tls}/v2/acme/app`;
  const layer = image.blobDigests[1]!;
  const small = image.blobDigests[2]!;
  const before = await serial();

  // A download that is under way before, and ends after: nobody reads it meanwhile, and it is larger than any buffer.
  const long = request(`${base}/blobs/${layer}`, {
    ca,
    agent: new Agent(),
    headers: { 'user-agent': 'long-download' },
  });
  long.end();
  const [download] = (await once(long, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  await once(download, 'readable');
  pieces.push(download.read() as Buffer);
  const downloadEnded = async () =>
    (await nginx.accessLog('registry')).some((line) => String(line['agent']).startsWith('long-download'));

  let renewed = false;
  const failures: string[] = [];
  const pulls = { skopeo: 0, curl: 0 };
  /** Rounds begun after the renewal. */
  let after = 0;
  const loop = async (name: keyof typeof pulls, once: () => Promise<RunResult>) => {
    for (let rounds = 0; rounds < 3;) {
      if (renewed) rounds++;
      const result = await once();
      pulls[name]++;
      if (renewed) after++;
      if (result.code !== 0) failures.push(`${name}: ${result.stderr}`);
    }
  };
  const load = Promise.all([
    loop('skopeo', () => {
      const to = join(directory, `pull-${pulls.skopeo}`);
      return run(
        'skopeo',
        [
          ...['copy', '--insecure-policy', '--src-cert-dir', join(directory, 'trust')],
          ...[`docker://${nginx.registry}/acme/app`, `dir:${to}`],
        ],
        { env },
      ).finally(() => rm(to, { recursive: true, force: true }));
    }),
    loop('curl', async () => {
      const result = await run(
        'curl',
        ['-sSf', '--cacert', pebble.rootFile, '-o', join(directory, 'blob'), `${base}/blobs/${small}`],
        { env },
      );
      if (result.code !== 0) return result;
      const got = `sha256:${sha256(await readFile(join(directory, 'blob')))}`;
      return got === small ? result : { ...result, code: 1, stderr: `got ${got}` };
    }),
  ]);

  try {
    const result = await certbot('renew', '--force-renewal', '--no-random-sleep-on-renew');
    expect(result).toMatchObject({ code: 0 });
    await until('new connections see the new certificate', async () => (await serial()) !== before);
  } finally {
    renewed = true;
    await load;
  }
  expect(failures).toEqual([]);
  expect(await downloadEnded()).toBe(false);
  expect([pulls.skopeo > 3, pulls.curl > 3, after >= 6]).toEqual([true, true, true]);

  for await (const piece of download) pieces.push(piece as Buffer);
  expect(`sha256:${sha256(Buffer.concat(pieces))}`).toBe(layer);
  await until('it is logged', downloadEnded);
});

describe('the hook', () => {
  let own: string;
  let shown: string;
  let live: string;

  beforeEach(async () => {
    own = await mkdtemp(join(directory, 'own-'));
    await makeCertificate(own, 'pair', ['DNS:localhost']);
    await mustRun('cp', [join(own, 'pair.crt'), join(own, 'fullchain.pem')]);
    await mustRun('cp', [join(own, 'pair.key'), join(own, 'privkey.pem')]);
    shown = await serial();
    live = await readlink(join(nginx.tlsDirectory, 'live'));
  });

  const unchanged = async () => {
    expect(await readlink(join(nginx.tlsDirectory, 'live'))).toBe(live);
    expect((await nginx.check()).code).toBe(0);
    expect(await serial()).toBe(shown);
  };

  test('refuses a key of another certificate, and the old pair stays in service', async () => {
    await makeCertificate(own, 'other', ['DNS:localhost']);
    await mustRun('cp', [join(own, 'other.key'), join(own, 'privkey.pem')]);
    const { code, stderr } = await renewHook(own);
    expect([code, stderr]).toEqual([1, expect.stringContaining('is not the key of')]);
    await unchanged();
  });

  test('refuses a file that is no certificate', async () => {
    await writeFile(join(own, 'fullchain.pem'), 'half a fi');
    expect(await renewHook(own)).toMatchObject({ code: 1 });
    await unchanged();
  });

  test('goes back where Nginx refuses the configuration', async () => {
    const broken = join(nginx.directory, 'conf.d', 'broken.conf');
    await writeFile(broken, 'no_such_directive on;\n');
    const { code, stderr } = await renewHook(own);
    await rm(broken);
    expect([code, stderr]).toEqual([1, expect.stringContaining('the old certificate stays')]);
    await unchanged();
  });

  test('takes a pair of your own, and removes the oldest', async () => {
    for (let i = 0; i < 3; i++) expect(await renewHook(own, { KEEP: '2' })).toMatchObject({ code: 0 });
    await until('it is in service', async () => (await serial()) !== shown);
    const pairs = await readdir(join(nginx.tlsDirectory, 'pairs'));
    expect(pairs.filter((name) => !name.startsWith('.new.'))).toHaveLength(2);
  });
});
