import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { AuditEvent } from '../../../src/async/audit.js';
import { silentLog } from '../../../src/async/log.js';
import { AuthError } from '../../../src/auth/errors.js';
import type { RepositoryPermission } from '../../../src/auth/identity.js';
import { LoginPage } from '../../../src/auth/page/login-page.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { KeepingMetrics, SkippingClock } from '../gitee/http/scripted-server.js';

let server: Server;
let url: string;
let clock: SkippingClock;
let metrics: KeepingMetrics;
let events: AuditEvent[];
let issued: string[];
/** Rejections to come, by what they meet. */
let failures: { exchange?: Error; issue?: Error };

async function start(publicUrl: string): Promise<void> {
  clock = new SkippingClock();
  metrics = new KeepingMetrics();
  events = [];
  issued = [];
  failures = {};
  const page = new LoginPage({
    publicUrl,
    oauth: {
      authorizeUrl: (state) => `https://gitee.example/oauth/authorize?state=${state}`,
      exchange: () =>
        failures.exchange
          ? Promise.reject(failures.exchange)
          : Promise.resolve({ accessToken: 'a', refreshToken: 'r', expiresAtMs: 0, scopes: [] }),
    },
    identity: {
      user: () => Promise.resolve({ id: 7, login: "zhang'x", name: '<b>张三</b>' }),
      permission: () => Promise.resolve<RepositoryPermission>('push'),
      isPublic: () => Promise.resolve(false),
    },
    grants: { keep: () => Promise.resolve(), drop: () => Promise.resolve() },
    passwords: {
      issue: () => {
        if (failures.issue) return Promise.reject(failures.issue);
        issued.push(`gdp_password-${issued.length}`);
        return Promise.resolve(issued[issued.length - 1]!);
      },
      revoke: () => Promise.resolve(),
    },
    repositories: ['acme/images'],
    audit: {
      record: (event) => {
        events.push(event);
        return Promise.resolve();
      },
    },
    clock,
    log: silentLog,
    metrics,
  });
  const app = express();
  app.set('trust proxy', ['loopback']);
  app.use(page.router());
  app.use((_request, response) => void response.status(404).send('passed on'));
  server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(() => start('https://registry.example.com'));
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

interface Asked {
  readonly method?: string;
  readonly cookie?: string;
  readonly fields?: Record<string, string>;
  readonly headers?: Record<string, string>;
}

const ask = (path: string, { method, cookie, fields, headers }: Asked = {}) =>
  fetch(`${url}${path}`, {
    method: method ?? (fields ? 'POST' : 'GET'),
    redirect: 'manual',
    headers: { 'Accept-Language': 'en', ...(cookie ? { Cookie: cookie } : {}), ...headers },
    ...(fields ? { body: new URLSearchParams(fields) } : {}),
  });
const cookieOf = (answer: Response) => answer.headers.getSetCookie()[0]!.split(';')[0]!;

/** Starts a sign-in. @returns the callback of this browser. */
async function started(more = ''): Promise<{ path: string; cookie: string }> {
  const answer = await ask('/auth/login');
  const state = new URL(answer.headers.get('location')!).searchParams.get('state')!;
  return { path: `/auth/callback?code=c&state=${state}${more}`, cookie: cookieOf(answer) };
}

/** Signs in. @returns the cookie and the form token. */
async function signedIn(): Promise<{ cookie: string; form_token: string }> {
  const { path, cookie: state } = await started();
  const answer = await ask(path, { cookie: state });
  const session = answer.headers.getSetCookie().find((c) => c.includes('-session='))!;
  const cookie = session.split(';')[0]!;
  const page = await (await ask('/auth/', { cookie })).text();
  return { cookie, form_token: /name="form_token" value="([\w-]+)"/.exec(page)![1]! };
}

test.each(['/auth/', '/auth/login', '/auth/callback', '/auth/password', '/auth/revoked'])(
  '%s lets nothing but its own style apply, is kept by no cache and told to nobody',
  async (path) => {
    const answer = await ask(path);
    const page = await answer.text();
    const policy = answer.headers.get('content-security-policy')!;
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1];
    const hash = style && createHash('sha256').update(style).digest('base64');
    if (answer.status !== 303) expect(policy).toContain(`'sha256-${hash}'`);
    expect(page).not.toMatch(/<script|\son\w+=|style="|https?:\/\//);
  },
);

test('cookies are for this host and https alone, out of reach of scripts and other sites', async () => {
  const [cookie] = (await ask('/auth/login')).headers.getSetCookie();
  expect(cookie).toMatch(
    /^__Host-gitee-s3-sign-in=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/,
  );
});

test('without https, as on one’s own machine, cookies work too', async () => {
  server.close();
  await start('http://127.0.0.1:5002');
  const [cookie] = (await ask('/auth/login')).headers.getSetCookie();
  expect(cookie).toMatch(/^gitee-s3-sign-in=/);
  expect(cookie).not.toContain('Secure');
});

test('what a name or a login holds is text on the page, and one word for a shell', async () => {
  const { cookie } = await signedIn();
  const page = await (await ask('/auth/', { cookie })).text();
  expect(page).toContain('&#60;b&#62;张三&#60;/b&#62;');
  expect(page).not.toContain('<b>');
  expect(page).toContain('docker login -u &#39;zhang&#39;\\&#39;&#39;x&#39; registry.example.com');
});

test.each([
  '/auth/?lang=//evil.example',
  '/auth/?return_to=https://evil.example',
  '/auth/login?redirect_uri=https://evil.example',
  '/auth/password?next=//evil.example',
  '/auth//evil.example',
])('%s leads nowhere else', async (path) => {
  const answer = await ask(path, { headers: { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example' } });
  const location = answer.headers.get('location') ?? '/auth/';
  expect(location).toMatch(/^(\/auth\/|https:\/\/gitee\.example\/oauth\/authorize\?state=[\w-]+$)/);
  expect(await answer.text()).not.toContain('evil.example');
});

test('/auth leads to the page, and other paths are not ours', async () => {
  expect((await ask('/auth')).headers.get('location')).toBe('/auth/');
  for (const path of ['/', '/token', '/author', '/auth/none']) expect((await ask(path)).status).toBe(404);
});

test('a chosen language stays, whatever the browser prefers', async () => {
  const answer = await ask('/auth/?lang=zh');
  expect(answer.headers.get('location')).toBe('/auth/');
  const page = await (await ask('/auth/', { cookie: cookieOf(answer) })).text();
  expect(page).toContain('<html lang="zh-CN">');
  expect(page).toContain('使用 Gitee 登录');
});

test('a password is shown to one GET; a look before it, or a reload, gets none', async () => {
  const { cookie, form_token } = await signedIn();
  const answer = await ask('/auth/password', { cookie, fields: { form_token } });
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/auth/password']);
  await ask('/auth/password', { cookie, method: 'HEAD' });
  await ask('/auth/password', { cookie, headers: { 'Sec-Purpose': 'prefetch' } });
  const shown = await ask('/auth/password', { cookie });
  expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining(issued[0]!)]);
  const again = await ask('/auth/password', { cookie });
  expect([again.status, await again.text()]).toEqual([410, expect.not.stringContaining(issued[0]!)]);
});

test('a password that nobody looked at is forgotten after two minutes', async () => {
  const { cookie, form_token } = await signedIn();
  await ask('/auth/password', { cookie, fields: { form_token } });
  await clock.sleep(120_000);
  expect((await ask('/auth/password', { cookie })).status).toBe(410);
});

test('a session ends after half an hour', async () => {
  const { cookie, form_token } = await signedIn();
  await clock.sleep(30 * 60_000);
  const answer = await ask('/auth/password', { cookie, fields: { form_token } });
  expect([answer.headers.get('location'), issued]).toEqual(['/auth/', []]);
});

test('a new sign-in gets a new session, and the old one ends', async () => {
  const { cookie } = await signedIn();
  const { path, cookie: state } = await started();
  const answer = await ask(path, { cookie: `${state}; ${cookie}` });
  const fresh = answer.headers.getSetCookie().find((c) => c.includes('-session='))!;
  expect(fresh.split(';')[0]).not.toBe(cookie);
  expect(await (await ask('/auth/', { cookie })).text()).toContain('Sign in with Gitee');
});

test.each<[string, Record<string, string>, Record<string, string>]>([
  ['without its token', {}, {}],
  ['with another token', { form_token: 'x' }, {}],
  ['from another site', {}, { 'Sec-Fetch-Site': 'cross-site' }],
  ['from another host of the same site', {}, { 'Sec-Fetch-Site': 'same-site' }],
])('a form %s changes nothing and is recorded', async (what, fields, headers) => {
  const { cookie, form_token } = await signedIn();
  const sent = what.startsWith('from') ? { form_token } : fields;
  const answer = await ask('/auth/password', { cookie, fields: sent, headers });
  expect([answer.status, issued]).toEqual([403, []]);
  expect(events[events.length - 1]).toMatchObject({
    action: 'oauth.form',
    who: "zhang'x",
    result: 'refused',
  });
});

test('every step says who, from where, with which result, and under which request id', async () => {
  const from = { 'X-Forwarded-For': '203.0.113.9', 'X-Request-Id': 'r-1' };
  await ask('/auth/login', { headers: from });
  expect(events).toEqual([
    {
      ...{ who: 'anonymous', action: 'oauth.start', subject: '', from: '203.0.113.9', result: 'ok' },
      ...{ detail: {}, requestId: 'r-1' },
    },
  ]);
  expect(metrics.counts.get('gateway_oauth_steps_total{step=start,result=ok}')).toBe(1);
});

test('one address that tries too often waits, others do not', async () => {
  const from = (address: string) => ask('/auth/login', { headers: { 'X-Forwarded-For': address } });
  let last = await from('203.0.113.9');
  for (let n = 0; n < 60; n += 1) last = await from('203.0.113.9');
  expect([last.status, last.headers.get('retry-after')]).toEqual([429, '300']);
  expect(await last.text()).toContain('Too many attempts');
  expect((await from('203.0.113.10')).status).toBe(303);
  await clock.sleep(300_000);
  expect((await from('203.0.113.9')).status).toBe(303);
});

test.each<[string, Error, number, string]>([
  ['unreachable', new RemoteError('unreachable', 'no line'), 503, 'Gitee cannot be reached'],
  ['refuses this gateway', new RemoteError('refused', 'invalid_client'), 502, 'auth.oauth.client_secret'],
  ['answers too late', new DOMException('late', 'TimeoutError'), 503, 'Gitee cannot be reached'],
  ['breaks something here', new Error('the secret cause'), 500, 'Something broke'],
])('a Gitee that is %s is told as a page', async (_what, error, status, words) => {
  failures.exchange = error;
  const { path, cookie } = await started();
  const answer = await ask(path, { cookie });
  const page = await answer.text();
  expect([answer.status, page]).toEqual([status, expect.stringContaining(words)]);
  expect(page).not.toContain('the secret cause');
  expect(events[events.length - 1]).toMatchObject({ action: 'oauth.login', result: 'failed' });
});

test('a machine that is busy makes no password and says so', async () => {
  const { cookie, form_token } = await signedIn();
  failures.issue = new AuthError('busy', 'busy');
  const answer = await ask('/auth/password', { cookie, fields: { form_token } });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '30']);
});

test.each(['&state=again', '&code=two', '&error=x&error=y'])(
  'a callback that repeats a name (%s) signs nobody in',
  async (more) => {
    const { path, cookie } = await started(more);
    const answer = await ask(path, { cookie });
    expect(answer.headers.getSetCookie().some((c) => c.includes('-session='))).toBe(false);
  },
);
