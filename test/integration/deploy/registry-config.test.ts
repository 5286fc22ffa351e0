/** The shipped files of registry-config/, each read by the real registry. No storage answers here. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from '../../support/child.js';
import { makeCertificate } from '../../support/nginx.js';
import { ShippedRegistry, type ShippedRegistryOptions } from '../../support/shipped-registry.js';

let directory: string;
let registry: ShippedRegistry | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'registry-config-'));
});
afterEach(() => registry?.stop());
afterAll(() => rm(directory, { recursive: true }));

async function start(
  variant: NonNullable<ShippedRegistryOptions['variant']>,
  env: NodeJS.ProcessEnv = {},
): Promise<ShippedRegistry> {
  registry = await ShippedRegistry.start({
    directory: join(directory, variant),
    variant,
    s3Endpoint: 'http://127.0.0.1:1',
    accessKeyId: 'AK0000000000',
    secretAccessKey: 'the-secret-of-s3',
    httpSecret: 'the-secret-of-http',
    env,
  });
  return registry;
}

const challenge = async (address: string) => {
  const answer = await fetch(`http://${address}/v2/`);
  await answer.arrayBuffer();
  return [answer.status, answer.headers.get('www-authenticate')];
};

test('config.yml lets everybody in, and serves metrics on the debug port', async () => {
  const { address, debugAddress } = await start('config.yml');
  expect(await challenge(address)).toEqual([200, null]);
  expect((await fetch(`http://${address}/v2/`)).headers.get('x-content-type-options')).toBe('nosniff');
  expect(await (await fetch(`http://${debugAddress}/metrics`)).text()).toContain('registry_');
});

test('config.htpasswd.yml lets in who stands in the file', async () => {
  const path = join(directory, 'htpasswd');
  const { stdout } = await mustRun('htpasswd', ['-niB', 'admin'], { input: 'a good password\n' });
  await writeFile(path, stdout);
  const { address } = await start('config.htpasswd.yml', { REGISTRY_AUTH_HTPASSWD_PATH: path });
  expect(await challenge(address)).toEqual([401, 'Basic realm="Docker registry"']);
  const login = async (password: string) => {
    const authorization = `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;
    return (await fetch(`http://${address}/v2/`, { headers: { authorization } })).status;
  };
  expect([await login('a good password'), await login('another')]).toEqual([200, 401]);
});

test('config.token.yml sends clients to /token of the same name', async () => {
  await makeCertificate(directory, 'token', ['DNS:token']);
  const { address } = await start('config.token.yml', {
    REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: join(directory, 'token.crt'),
  });
  expect(await challenge(address)).toEqual([
    401,
    'Bearer realm="https://registry.example.com/token",service="registry.example.com"',
  ]);
});

test('no secret of the environment stands in the log of the registry', async () => {
  const { logFile } = await start('config.yml', {
    REGISTRY_NOTIFICATIONS_ENDPOINTS: JSON.stringify([
      {
        name: 'gateway',
        url: 'http://127.0.0.1:1/notifications',
        headers: { Authorization: ['Bearer the-secret-of-notifications'] },
        timeout: '2s',
        threshold: 5,
        backoff: '5s',
      },
    ]),
  });
  await registry?.stop();
  expect(await readFile(logFile, 'utf8')).not.toContain('the-secret-of');
});
