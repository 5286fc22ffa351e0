/** The whole front: skopeo over TLS through the shipped Nginx files, config.token.yml, the gateway's token service. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthFiles } from '../../support/auth-files.js';
import { run, until, type RunResult } from '../../support/child.js';
import { Front } from '../../support/front.js';
import { makeImage } from '../../support/image.js';
import type { TestNginx } from '../../support/nginx.js';
import type { ShippedRegistry } from '../../support/shipped-registry.js';
import type { Stack } from '../../support/stack.js';

const NOTIFICATIONS_TOKEN = 'token-of-the-notifications';
const LOCKOUT_FAILURES = 3;

let front: Front;
let directory: string;
let stack: Stack;
let nginx: TestNginx;
let registry: ShippedRegistry;
let trust: string;

beforeAll(async () => {
  const authDirectory = await mkdtemp(join(tmpdir(), 'nginx-token-'));
  const files = await makeAuthFiles(authDirectory, { lockout: { failures: LOCKOUT_FAILURES } });
  front = await Front.start({
    config: ({ webPort }) => ({
      ...files.config,
      web: { host: '127.0.0.1', port: webPort },
      webhook: { secret: 'secret-of-the-webhook' },
      notifications: { token: NOTIFICATIONS_TOKEN },
    }),
    registry: ({ nginx: { registry: name }, webPort }) => ({
      variant: 'config.token.yml',
      env: {
        REGISTRY_AUTH_TOKEN_REALM: `https://${name}/token`,
        REGISTRY_AUTH_TOKEN_SERVICE: 'registry',
        REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: files.certificateFile,
        REGISTRY_NOTIFICATIONS_ENDPOINTS: JSON.stringify([
          {
            name: 'gateway',
            url: `http://127.0.0.1:${webPort}/notifications`,
            headers: { Authorization: [`Bearer ${NOTIFICATIONS_TOKEN}`] },
            timeout: '2s',
            threshold: 5,
            backoff: '1s',
            ignore: { mediatypes: ['application/octet-stream'] },
          },
        ]),
      },
    }),
  });
  ({ directory, stack, nginx, registry, trust } = front);
});

afterAll(() => front.close());

const authFile = () => join(directory, 'auth.json');

function login(password: string): Promise<RunResult> {
  return run(
    'skopeo',
    [
      ...['login', '--cert-dir', trust, '--authfile', authFile(), '--username', 'gateway'],
      ...['--password-stdin', nginx.registry],
    ],
    { env: front.env, input: password },
  );
}

/** curl speaks HTTP/2 to Nginx; the answer is its body, then status and the wanted headers. */
async function curl(
  path: string,
  ...more: string[]
): Promise<{ status: number; headers: string; body: string }> {
  const result = await run(
    'curl',
    ['-sS', '-i', '--http2', '--cacert', nginx.certificateFile, ...more, `https://${nginx.registry}${path}`],
    { env: front.env },
  );
  expect(result.code).toBe(0);
  const end = result.stdout.indexOf('\r\n\r\n');
  const headers = result.stdout.slice(0, end).toLowerCase();
  return {
    status: Number(/^http\/[\d.]+ (\d+)/.exec(headers)?.[1]),
    headers,
    body: result.stdout.slice(end + 4),
  };
}

test('a Gitee token logs in, pushes and pulls; without one, and with a wrong one, nobody does', async () => {
  const image = await makeImage(join(directory, 'image'), [3 << 20, 4096]);
  const push = (...credentials: string[]) => front.push(image, 'team/app', credentials);

  expect((await push('--dest-no-creds')).code).not.toBe(0);
  expect((await login('not-a-token')).code).not.toBe(0);
  expect(await login(stack.gitee.token)).toMatchObject({ code: 0 });
  expect(await push('--authfile', authFile())).toMatchObject({ code: 0 });
  const pulled = join(directory, 'pulled');
  expect(await front.pull('team/app', pulled, ['--authfile', authFile()])).toMatchObject({ code: 0 });
});

test('the registry tells the gateway of the push, with the secret that stands in its environment alone', async () => {
  await until(
    'the push is known',
    async () => (await stack.gateway.metric('gateway_notification_events_total', { result: 'accepted' })) > 0,
  );
  expect(await readFile(registry.logFile, 'utf8')).not.toContain(NOTIFICATIONS_TOKEN);
});

test('the gateway answers /token, /auth/ and /hook through Nginx, with the headers of every answer', async () => {
  for (const [path, status] of [
    ['/token?service=registry', 401],
    ['/hook', 404],
    ['/auth/', 404],
  ] as const) {
    const answer = await curl(path);
    expect([path, answer.status, JSON.parse(answer.body)]).toEqual([
      path,
      status,
      expect.objectContaining({ errors: [expect.objectContaining({ message: expect.any(String) })] }),
    ]);
    expect(answer.headers).toContain('strict-transport-security: max-age=31536000');
    expect(answer.headers.match(/^x-request-id:/gm)).toHaveLength(1);
  }
});

test('a token for as many images as the token service takes at once passes Nginx', async () => {
  const images = Array.from({ length: 100 }, (_, i) => `team/an-application-with-a-long-name/part-${i}`);
  const scopes = images.map((image) => `scope=repository:${image}:pull,push`).join('&');
  const credentials = join(directory, 'credentials');
  await writeFile(credentials, `user = "maintainer:${stack.gitee.maintainerToken}"\n`, { mode: 0o600 });
  const answer = await curl(`/token?service=registry&account=maintainer&${scopes}`, '-K', credentials);
  expect(answer.status).toBe(200);
  const { token } = JSON.parse(answer.body) as { token: string };
  // Nginx's own bound is 8 KiB.
  expect(token.length).toBeGreaterThan(10_000);
  await writeFile(credentials, `header = "Authorization: Bearer ${token}"\n`);
  for (const version of ['--http2', '--http1.1'])
    expect(await curl(`/v2/${images[99]}/tags/list`, version, '-K', credentials)).toMatchObject({
      status: 404,
      body: expect.stringContaining('NAME_UNKNOWN') as string,
    });
});

test('claiming other addresses does not save a guesser from the lock', async () => {
  const guess = async (password: string, from: string) => {
    // The password goes by a configuration on standard input: arguments are seen by everybody.
    const { stdout } = await run(
      'curl',
      [
        ...['-sS', '-o', join(directory, 'answer'), '-w', '%{http_code}', '--cacert', nginx.certificateFile],
        ...['-H', `X-Forwarded-For: ${from}`, '-H', `X-Real-IP: ${from}`, '-H', `Forwarded: for=${from}`],
        ...['-K', '-', `https://${nginx.registry}/token?service=registry&account=maintainer`],
      ],
      { env: front.env, input: `user = "maintainer:${password}"\n` },
    );
    return Number(stdout);
  };
  expect(await guess(stack.gitee.maintainerToken, '10.9.0.1')).toBe(200);
  const answers = [];
  for (let i = 0; i < LOCKOUT_FAILURES; i++) answers.push(await guess(`wrong-${i}`, `10.9.1.${i}`));
  // The last one is told of the lock already.
  expect(answers).toEqual([401, 401, 429]);
  expect(await guess(stack.gitee.maintainerToken, '10.9.2.1')).toBe(429);
});
