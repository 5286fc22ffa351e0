import { silentLog } from '../../../src/async/log.js';
import { GiteeApiIdentity } from '../../../src/auth/gitee/gitee-identity.js';
import type { RepositoryPermission } from '../../../src/auth/identity.js';
import { GiteeApi } from '../../../src/gitee/api/gitee-api.js';
import type { HttpClient } from '../../../src/gitee/http/client.js';
import { StaticTokenSource } from '../../../src/gitee/token.js';
import { remoteFailure } from '../../contract/chunk-remote.js';
import {
  json,
  KeepingMetrics,
  ScriptedServer,
  SkippingClock,
  testClient,
} from '../gitee/http/scripted-server.js';

const NO_ABORT = new AbortController().signal;
let server: ScriptedServer;
let http: HttpClient;
let metrics: KeepingMetrics;
beforeEach(async () => {
  server = await ScriptedServer.start();
  http = testClient();
  metrics = new KeepingMetrics();
});
afterEach(async () => {
  await server.stop();
  await http.close();
});

const identity = (deadlineMs?: number) =>
  new GiteeApiIdentity({
    api: new GiteeApi({
      http,
      giteeUrl: server.url,
      token: new StaticTokenSource('the-token-of-the-gateway'),
      clock: new SkippingClock(),
      log: silentLog,
      metrics,
      random: () => 0,
    }),
    log: silentLog,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });

/** Answers by path below /api/v5; what is not listed is 404. */
const answers = (rows: Record<string, [number, unknown]>) => {
  server.script = (request, response) => {
    const [status, body] = rows[request.url.replace('/api/v5', '')] ?? [404, { message: '404 Not Found' }];
    json(response, status, body);
  };
};
const repository = (fields: object) => ({ id: 1, full_name: 'acme/images', private: true, ...fields });
const may = () => identity().permission('users-token', 'acme/images', NO_ABORT);

test('who a token belongs to is asked with that token, in a header', async () => {
  answers({ '/user': [200, { id: 7, login: 'Zhang', name: null }] });
  expect(await identity().user('users-token', NO_ABORT)).toEqual({ id: 7, login: 'Zhang', name: 'Zhang' });
  expect(server.seen[0]!.headers.authorization).toBe('Bearer users-token');
});

test('a wrong token is an error of its owner, not a failure of the gateway', async () => {
  answers({ '/user': [401, { message: '401 Unauthorized: Access token does not exist' }] });
  expect((await remoteFailure(identity().user('users-token', NO_ABORT))).code).toBe('unauthorized');
  expect(server.seen).toHaveLength(1);
  expect(metrics.counts.get('gateway_gitee_errors_total{cause=unauthorized}')).toBeUndefined();
  expect(metrics.counts.get('gateway_gitee_api_requests_total{result=unauthorized}')).toBe(1);
});

test('the rate window of a visitor is not shown as that of the gateway', async () => {
  server.script = (_request, response) =>
    json(response, 200, { id: 7, login: 'z' }, { 'X-RateLimit-Limit': '60', 'X-RateLimit-Remaining': '1' });
  await identity().user('users-token', NO_ABORT);
  expect(metrics.gauges.size).toBe(0);
});

test.each<[object, RepositoryPermission]>([
  [{ permission: { pull: true, push: true, admin: true } }, 'admin'],
  [{ permission: { pull: true, push: true, admin: false } }, 'push'],
  [{ permission: { pull: true, push: null, admin: null } }, 'pull'],
  [{ permission: { pull: false, push: false, admin: false } }, 'none'],
  [{ permission: { pull: false }, public: true, private: false }, 'pull'],
  [{ permission: { pull: false }, private: false, internal: true }, 'none'],
])('flags %j mean %s, by one call', async (fields, meant) => {
  answers({ '/repos/acme/images': [200, repository(fields)] });
  expect(await may()).toBe(meant);
  expect(server.seen).toHaveLength(1);
});

test.each<[object, [number, unknown], RepositoryPermission]>([
  [{}, [200, { permission: 'admin' }], 'admin'],
  [{ permission: null }, [200, { permission: 'write' }], 'push'],
  [{ permission: {} }, [200, { permission: 'Pull' }], 'pull'],
  [{}, [200, { permission: 'none' }], 'none'],
  [{}, [200, { permission: 'a word of tomorrow' }], 'none'],
  [{}, [200, {}], 'none'],
  [{}, [404, { message: 'no collaborator' }], 'none'],
  [{}, [403, { message: 'no permission' }], 'none'],
  [{ public: true, private: false }, [404, {}], 'pull'],
])('without flags (%j) the word %j of the collaborators decides: %s', async (fields, word, meant) => {
  answers({
    '/repos/acme/images': [200, repository(fields)],
    '/user': [200, { id: 7, login: 'zhang' }],
    '/repos/acme/images/collaborators/zhang/permission': word,
  });
  expect(await may()).toBe(meant);
});

test.each([404, 403])('a repository that is hidden with %i gives no right', async (status) => {
  answers({ '/repos/acme/images': [status, { message: 'no' }] });
  expect(await may()).toBe('none');
});

test.each<[number, string, string]>([
  [403, 'API rate limit exceeded', 'rate-limited'],
  [401, 'Access token is expired', 'unauthorized'],
  [500, 'oops', 'server-fault'],
])('%i "%s" says nothing about rights', async (status, message, cause) => {
  answers({ '/repos/acme/images': [status, { message }] });
  expect((await remoteFailure(may())).code).toBe(cause);
});

test.each<[object, boolean]>([
  [{ public: true, private: false }, true],
  [{ private: false }, true],
  [{ private: false, internal: true }, false],
  [{ public: false, private: false }, false],
  [{}, false],
])('a repository with %j is public: %s', async (fields, open) => {
  answers({ '/repos/acme/images': [200, repository(fields)] });
  expect(await identity().isPublic('acme/images', NO_ABORT)).toBe(open);
  expect(server.seen[0]!.headers.authorization).toBe('Bearer the-token-of-the-gateway');
});

test('a repository that the gateway does not see is not public', async () => {
  answers({});
  expect(await identity().isPublic('acme/images', NO_ABORT)).toBe(false);
});

test('a Gitee that hangs is a time-out, well before a client gives up', async () => {
  server.script = () => {};
  expect((await remoteFailure(identity(100).user('users-token', NO_ABORT))).code).toBe('timeout');
});
