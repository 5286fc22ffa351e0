import { silentLog } from '../../../../src/async/log.js';
import { GiteeApi, type GiteeApiDeps } from '../../../../src/gitee/api/gitee-api.js';
import type { RemoteCause } from '../../../../src/gitee/errors.js';
import type { HttpClient } from '../../../../src/gitee/http/client.js';
import { StaticTokenSource, type TokenSource } from '../../../../src/gitee/token.js';
import { remoteFailure } from '../../../contract/chunk-remote.js';
import { json, KeepingMetrics, ScriptedServer, SkippingClock, testClient } from '../http/scripted-server.js';

const TOKEN = 'feedfacefeedfacefeedfacefeedface';
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

const api = (options: Partial<GiteeApiDeps> = {}) =>
  new GiteeApi({
    http,
    giteeUrl: `${server.url}/`,
    token: new StaticTokenSource(TOKEN),
    clock,
    log: silentLog,
    metrics,
    random: () => 0,
    ...options,
  });
const answer = (status: number, body: unknown, headers = {}) => {
  server.script = (_request, response) => json(response, status, body, headers);
};

test('the token goes as a Bearer header, never into the address', async () => {
  answer(200, { id: 1, login: 'me', email: null, more: 'fields' });
  expect((await api().user()).login).toBe('me');
  const [request] = server.seen;
  expect([request!.url, request!.headers.authorization]).toEqual(['/api/v5/user', `Bearer ${TOKEN}`]);
  expect(request!.headers['user-agent']).toBe('test-agent/1');
});

test('the token does not follow a redirect to another host', async () => {
  server.script = (request, response) => {
    if (request.headers.host?.startsWith('127'))
      response.writeHead(302, { Location: `${server.otherUrl}/u` }).end();
    else json(response, 200, { id: 1, login: 'me' });
  };
  await api().user();
  expect(server.seen.map((r) => r.headers.authorization)).toEqual([`Bearer ${TOKEN}`, undefined]);
});

test('a repository is read with the fields that matter', async () => {
  answer(200, { id: 4711, full_name: 'a/b', enterprise: null, status: '开始', permission: { push: true } });
  expect(await api().repository('a', 'b')).toMatchObject({ id: 4711, permission: { push: true } });
  expect(server.seen[0]!.url).toBe('/api/v5/repos/a/b');
});

test.each<[number, string, RemoteCause]>([
  [401, '401 Unauthorized: Access token is expired', 'unauthorized'],
  [403, 'no permission', 'forbidden'],
  [403, 'API rate limit exceeded', 'rate-limited'],
  [404, '404 Project Not Found', 'repository-missing'],
  [422, 'wrong field', 'refused'],
  [429, 'Too Many Requests', 'rate-limited'],
  [500, 'oops', 'server-fault'],
])('%i "%s" is %s', async (status, message, cause) => {
  answer(status, { message }, { 'X-Request-Id': 'r1' });
  const error = await remoteFailure(api().repository('a', 'b'));
  expect([error.code, error.status, error.detail]).toEqual([cause, status, `[X-Request-Id r1] ${message}`]);
  expect(server.seen).toHaveLength(error.isTransient ? 3 : 1);
});

test.each([
  ['an HTML page', '<html>', 'text/html'],
  ['broken JSON', '{"id":', 'application/json'],
  ['other fields', '{"id":"no number"}', 'application/json'],
])('%s where JSON belongs is a server fault', async (_what, text, type) => {
  server.script = (_request, response) => response.writeHead(200, { 'Content-Type': type }).end(text);
  expect((await remoteFailure(api().user())).code).toBe('server-fault');
});

test('a branch that is not there is undefined, its name keeps the slashes', async () => {
  answer(404, { message: '404 Branch Not Found' });
  expect(await api().branch('a', 'b', 'feature/x y')).toBeUndefined();
  expect(server.seen[0]!.url).toBe('/api/v5/repos/a/b/branches/feature/x%20y');
});

test('contents: a file, a directory, and the two ways to be missing', async () => {
  answer(200, { type: 'file', path: 'x', sha: 'abc', encoding: 'base64', content: 'aGVs\nbG8=\n' });
  const file = await api().contents('a', 'b', 'd/ü?{x}');
  expect(file?.kind === 'file' && Buffer.from(file.bytes).toString()).toBe('hello');
  expect(server.seen[0]!.url).toBe('/api/v5/repos/a/b/contents/d/%C3%BC%3F%7Bx%7D');
  answer(200, [{ type: 'file', path: 'd/x', name: 'x', size: null }]);
  expect(await api().contents('a', 'b', 'd', 'main')).toEqual({ kind: 'directory', names: ['x'] });
  expect(server.seen[1]!.url).toBe('/api/v5/repos/a/b/contents/d?ref=main');
  answer(200, []);
  expect(await api().contents('a', 'b', 'd')).toBeUndefined();
  answer(404, { message: 'Not Found' });
  expect(await api().contents('a', 'b', 'd')).toBeUndefined();
});

test('a 401 has the token read again', async () => {
  let current = 'old';
  const token: TokenSource = {
    current: () => current,
    reload: async () => current !== (current = 'new'),
  };
  server.script = (request, response) =>
    request.headers.authorization === 'Bearer new'
      ? json(response, 200, { id: 1, login: 'me' })
      : json(response, 401, { message: 'expired' });
  expect((await api({ token }).user()).login).toBe('me');
});

test('the rate limit and the clock of the server are kept', async () => {
  const date = new Date(clock.nowMs() + 5000).toUTCString();
  const headers = {
    'X-RateLimit-Limit': '5000',
    'X-RateLimit-Remaining': '42',
    'X-RateLimit-Reset': '1800000100',
    Date: date,
  };
  answer(200, { id: 1, login: 'me' }, headers);
  const client = api();
  await client.user();
  expect(client.rateLimit).toEqual({ limit: 5000, remaining: 42, resetAtMs: 1_800_000_100_000 });
  expect(client.serverTimeOffsetMs).toBe(5000);
  expect(metrics.gauges.get('gateway_gitee_rate_limit_remaining')).toBe(42);
  expect(metrics.counts.get('gateway_gitee_api_requests_total{result=ok}')).toBe(1);
});

test('a server that keeps silent ends the call', async () => {
  server.script = () => {};
  const error = await remoteFailure(api({ timeouts: { idleMs: 40, totalMs: 1000 } }).user());
  expect(error.code).toBe('timeout');
});

test("the caller's signal ends the call with its reason", async () => {
  server.script = () => {};
  const stop = new AbortController();
  const call = api().user(stop.signal);
  const reason = new Error('enough');
  stop.abort(reason);
  await expect(call).rejects.toBe(reason);
});
