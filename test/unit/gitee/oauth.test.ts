import { createHash } from 'node:crypto';
import type { RemoteCause } from '../../../src/gitee/errors.js';
import type { HttpClient } from '../../../src/gitee/http/client.js';
import { GiteeOAuth, OAuthGrantRefused, type GiteeOAuthDeps } from '../../../src/gitee/oauth.js';
import { remoteFailure } from '../../contract/chunk-remote.js';
import { json, KeepingMetrics, ScriptedServer, SkippingClock, testClient } from './http/scripted-server.js';

const SECRET = 'the secret of the client';
const VERIFIER = 'v'.repeat(43);
const NO_ABORT = new AbortController().signal;
let server: ScriptedServer;
let http: HttpClient;
let clock: SkippingClock;
let metrics: KeepingMetrics;
beforeEach(async () => {
  server = await ScriptedServer.start();
  http = testClient();
  clock = new SkippingClock();
  metrics = new KeepingMetrics();
});
afterEach(async () => {
  await server.stop();
  await http.close();
});

const oauth = (options: Partial<GiteeOAuthDeps> = {}) =>
  new GiteeOAuth({
    http,
    giteeUrl: server.url,
    clientId: 'me',
    clientSecret: () => SECRET,
    scope: 'user_info projects',
    redirectUri: 'https://registry.example.com/auth/callback',
    pkce: false,
    clock,
    metrics,
    ...options,
  });
const answer = (status: number, body: unknown) => {
  server.script = (_request, response) => json(response, status, body);
};
const TOKENS = {
  access_token: 'access',
  token_type: 'bearer',
  expires_in: 86_400,
  refresh_token: 'refresh',
  scope: 'user_info projects',
  created_at: 1,
};

test('the browser is sent to Gitee with the state, and with a challenge only where the host takes it', () => {
  const plain = new URL(oauth().authorizeUrl('a state', VERIFIER));
  expect(plain.pathname).toBe('/oauth/authorize');
  expect(Object.fromEntries(plain.searchParams)).toEqual({
    client_id: 'me',
    redirect_uri: 'https://registry.example.com/auth/callback',
    response_type: 'code',
    scope: 'user_info projects',
    state: 'a state',
  });
  const { searchParams } = new URL(oauth({ pkce: true }).authorizeUrl('a state', VERIFIER));
  expect(searchParams.get('code_challenge')).toBe(createHash('sha256').update(VERIFIER).digest('base64url'));
  expect(searchParams.get('code_challenge_method')).toBe('S256');
});

test('a code becomes tokens by a form in the body, with the secret in no address', async () => {
  answer(200, TOKENS);
  const tokens = await oauth({ pkce: true }).exchange('the code', VERIFIER, NO_ABORT);
  expect(tokens).toEqual({
    accessToken: 'access',
    refreshToken: 'refresh',
    expiresAtMs: clock.nowMs() + 86_400_000,
    scopes: ['user_info', 'projects'],
  });
  const [request] = server.seen;
  expect([request!.method, request!.url]).toEqual(['POST', '/oauth/token']);
  expect(request!.headers['content-type']).toBe('application/x-www-form-urlencoded');
  expect(request!.headers['user-agent']).toBe('test-agent/1');
  expect(Object.fromEntries(new URLSearchParams(request!.body.toString()))).toEqual({
    grant_type: 'authorization_code',
    code: 'the code',
    redirect_uri: 'https://registry.example.com/auth/callback',
    code_verifier: VERIFIER,
    client_id: 'me',
    client_secret: SECRET,
  });
});

test('a host that gives neither refresh token nor life time is taken to mean one day', async () => {
  answer(200, { access_token: 'access' });
  const tokens = await oauth().exchange('code', VERIFIER, NO_ABORT);
  expect([tokens.refreshToken, tokens.expiresAtMs - clock.nowMs()]).toEqual([undefined, 86_400_000]);
});

test.each([400, 401])('invalid_grant with %i means that the person must be asked again', async (status) => {
  answer(status, { error: 'invalid_grant', error_description: 'The provided grant is invalid' });
  await expect(oauth().refresh('old', NO_ABORT)).rejects.toThrow(OAuthGrantRefused);
  expect(server.seen).toHaveLength(1);
});

test.each<[number, unknown, RemoteCause]>([
  [401, { error: 'invalid_client', error_description: 'unknown client' }, 'refused'],
  [400, { error: 'invalid_request' }, 'refused'],
  [401, '<html>sign in</html>', 'server-fault'],
  [403, 'forbidden by a firewall', 'server-fault'],
  [404, 'no such page', 'server-fault'],
  [429, { error: 'too many' }, 'rate-limited'],
  [500, { error: 'invalid_grant' }, 'server-fault'],
  [200, { message: 'no token here' }, 'server-fault'],
  [200, '<html>', 'server-fault'],
])('%i %j ends no grant: it is %s, and is not tried again', async (status, body, cause) => {
  answer(status, body);
  expect((await remoteFailure(oauth().refresh('old', NO_ABORT))).code).toBe(cause);
  expect(server.seen).toHaveLength(1);
  expect(metrics.counts.get(`gateway_gitee_errors_total{cause=${cause}}`)).toBe(1);
});

test('what a server echoes of secrets is masked', async () => {
  server.script = (request, response) =>
    json(response, 500, { message: decodeURIComponent(request.body.toString().replaceAll('+', ' ')) });
  const error = await remoteFailure(oauth().refresh('a-refresh-token', NO_ABORT));
  expect(error.detail).toContain('client_secret=***');
  expect(JSON.stringify([error.message, error.detail])).not.toMatch(/a-refresh-token|the secret of/);
});

test.each([302, 307, 308])('a redirect (%i) takes the secret nowhere', async (status) => {
  server.script = (request, response) => {
    if (request.headers.host?.startsWith('127'))
      response.writeHead(status, { Location: `${server.otherUrl}/oauth/token` }).end();
    else json(response, 200, TOKENS);
  };
  expect((await remoteFailure(oauth().refresh('r', NO_ABORT))).code).toBe('server-fault');
  expect(server.seen).toHaveLength(1);
});

test('a host that hangs is given up at the deadline', async () => {
  server.script = () => {};
  const timeouts = { idleMs: 100, totalMs: 200 };
  expect((await remoteFailure(oauth({ timeouts }).refresh('r', NO_ABORT))).code).toBe('timeout');
});
