import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { makeAuthFiles, type AuthFiles } from '../../support/auth-files.js';
import { freePort, run, type RunResult } from '../../support/child.js';
import { makeImage, type TestImage } from '../../support/image.js';
import type { RunningRegistry } from '../../support/registry.js';
import { startStack, type Stack } from '../../support/stack.js';
import { limitMs } from '../../support/time-limits.js';

/** Who waits for a login should know soon: the deadline of the one question to Gitee is less than half of it. */
const UNAVAILABLE_WITHIN_MS = limitMs(10_000);
const HINT = /Gitee 登录名.*user_info.*\/ login refused\. Use your Gitee login/;

interface TokenAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: {
    token: string;
    access_token: string;
    refresh_token?: string;
    errors?: { code: string; message: string }[];
  };
}

/** The real registry with token authentication, skopeo, and accounts of local Gitee with different rights. */
describe('logins to the stock registry', () => {
  let directory: string;
  let files: AuthFiles;
  let stack: Stack;
  let registry: RunningRegistry;
  let image: TestImage;
  let realm: string;

  const passwords: Record<string, string> = {};
  const authFile = (user: string) => path.join(directory, `auth-${user.replace('$', '-')}.json`);

  const login = async (user: string, password: string): Promise<RunResult> => {
    const args = ['login', '--tls-verify=false', '--authfile', authFile(user), '--username', user];
    return run('skopeo', [...args, '--password-stdin', registry.address], { input: password });
  };
  const push = (user: string, name: string) =>
    run('skopeo', [
      ...['copy', '--insecure-policy', '--dest-tls-verify=false', '--authfile', authFile(user)],
      ...[`oci:${image.directory}:latest`, `docker://${registry.address}/${name}`],
    ]);
  const inspect = (user: string | undefined, name: string) =>
    run('skopeo', [
      ...['inspect', '--tls-verify=false', '--raw'],
      ...(user === undefined ? ['--no-creds'] : ['--authfile', authFile(user)]),
      `docker://${registry.address}/${name}`,
    ]);
  const remove = (user: string, name: string) =>
    run('skopeo', [
      ...['delete', '--tls-verify=false', '--authfile', authFile(user)],
      `docker://${registry.address}/${name}`,
    ]);

  const ask = async (
    query: Record<string, string>,
    as?: { user: string; password: string; from?: string },
  ): Promise<TokenAnswer> => {
    const url = new URL(realm);
    for (const [k, v] of Object.entries({ service: 'registry', ...query })) url.searchParams.set(k, v);
    const headers: Record<string, string> = {};
    if (as) headers.Authorization = `Basic ${btoa(`${as.user}:${as.password}`)}`;
    if (as?.from !== undefined) headers['X-Forwarded-For'] = as.from;
    return answerOf(await fetch(url, { headers }));
  };
  const refresh = async (refreshToken: string, scope: string): Promise<TokenAnswer> => {
    const fields = { grant_type: 'refresh_token', service: 'registry', client_id: 'docker' };
    const body = new URLSearchParams({ ...fields, refresh_token: refreshToken, scope });
    return answerOf(await fetch(realm, { method: 'POST', body }));
  };
  const answerOf = async (response: Response): Promise<TokenAnswer> => ({
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as TokenAnswer['body'],
  });
  const registryStatus = async (pathname: string, token: string) =>
    (
      await fetch(`http://${registry.address}/v2/${pathname}`, {
        headers: { Authorization: `Bearer ${token}` },
      })
    ).status;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'token-'));
    const port = await freePort();
    realm = `http://127.0.0.1:${port}/token`;
    files = await makeAuthFiles(directory, {
      anonymous_pull: true,
      images: ['read', 'open', 'hidden'].map((name) => ({
        pattern: `${name}/**`,
        repository: `acme/${name}`,
      })),
      lockout: { failures: 4 },
    });
    stack = await startStack({ config: { ...files.config, web: { host: '127.0.0.1', port } } });
    const repository = { owner: 'acme', enterprise: true, lfs: true };
    const collaborators = { gateway: 'pull', maintainer: 'admin' };
    await stack.gitee.admin('repositories', { ...repository, name: 'read', private: true, collaborators });
    await stack.gitee.admin('repositories', { ...repository, name: 'open', private: false, collaborators });
    await stack.gitee.admin('repositories', {
      ...repository,
      ...{ name: 'hidden', private: true, collaborators: { maintainer: 'admin' } },
    });
    registry = await stack.startRegistry({
      auth: {
        token: { realm, service: 'registry', issuer: 'gitee-s3', rootcertbundle: files.certificateFile },
      },
    });
    image = await makeImage(path.join(directory, 'image'), [4000]);
    passwords.gateway = stack.gitee.token;
    passwords.maintainer = stack.gitee.maintainerToken;
  });

  afterAll(async () => {
    await stack.close();
    await rm(directory, { recursive: true, force: true });
  });

  test('a Gitee login and its token let in, whatever the case; anything else is told what to do', async () => {
    expect(await login('gateway', passwords.gateway!)).toMatchObject({ code: 0 });
    expect(await login('Maintainer', passwords.maintainer!)).toMatchObject({ code: 0 });
    for (const [user, password] of [
      ['gateway', 'no-such-token-at-gitee'],
      ['somebody', passwords.gateway!],
    ] as const) {
      const refused = await login(user, password);
      expect(refused.code).not.toBe(0);
      const { status, body } = await ask({}, { user, password });
      expect([status, body.errors?.[0]?.code]).toEqual([401, 'UNAUTHORIZED']);
      expect(body.errors?.[0]?.message).toMatch(HINT);
    }
  });

  test('push, pull and delete are what Gitee allows on the repository of the image', async () => {
    expect(await push('gateway', 'team/app:v1')).toMatchObject({ code: 0 });
    for (const name of ['read/app:v1', 'open/app:v1', 'hidden/app:v1'])
      expect(await push('Maintainer', name)).toMatchObject({ code: 0 });

    expect(await inspect('gateway', 'team/app:v1')).toMatchObject({ code: 0 });
    expect(await inspect('gateway', 'read/app:v1')).toMatchObject({ code: 0 });
    for (const refused of [
      await push('gateway', 'read/app:v2'),
      await push('gateway', 'hidden/app:v2'),
      await inspect('gateway', 'hidden/app:v1'),
      await remove('gateway', 'team/app:v1'),
    ]) {
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/denied|unauthorized|authentication required/);
    }
    expect(await remove('Maintainer', 'team/app:v1')).toMatchObject({ code: 0 });
    expect((await inspect('gateway', 'team/app:v1')).code).not.toBe(0);
  });

  test('without a login one may pull what is public, and nothing else', async () => {
    expect(await inspect(undefined, 'open/app:v1')).toMatchObject({ code: 0 });
    expect((await inspect(undefined, 'read/app:v1')).code).not.toBe(0);
    expect(await ask({ scope: 'repository:read/app:pull' })).toMatchObject({ status: 401 });
  });

  test('the catalog is for administrators', async () => {
    const scope = { scope: 'registry:catalog:*' };
    const of = async (user: string) => (await ask(scope, { user, password: passwords[user]! })).body.token;
    expect(await registryStatus('_catalog', await of('maintainer'))).toBe(200);
    expect(await registryStatus('_catalog', await of('gateway'))).toBe(401);
  });

  test('a robot may do what it was made for until it is disabled', async () => {
    const made = await stack.gateway.cli('robot', 'add', 'ci', '--push', 'ci/**', '--delete', 'ci/old-*');
    expect(made).toMatchObject({ code: 0 });
    const secret = made.stdout.trim();
    expect(await login('robot$ci', secret)).toMatchObject({ code: 0 });
    expect((await login('robot$cd', secret)).code).not.toBe(0);
    expect(await push('robot$ci', 'ci/old-app:v1')).toMatchObject({ code: 0 });
    expect((await push('robot$ci', 'team/app:v1')).code).not.toBe(0);
    expect(await remove('robot$ci', 'ci/old-app:v1')).toMatchObject({ code: 0 });

    expect(await stack.gateway.cli('robot', 'disable', 'ci')).toMatchObject({ code: 0 });
    expect(await ask({}, { user: 'robot$ci', password: secret })).toMatchObject({ status: 401 });
  });

  test('a refresh token alone gets tokens until its session is revoked', async () => {
    const credentials = { user: 'gateway', password: passwords.gateway! };
    const { body } = await ask({ offline_token: 'true', client_id: 'docker' }, credentials);
    const refreshToken = body.refresh_token!;
    const renewed = await refresh(refreshToken, 'repository:read/app:pull,push');
    expect(renewed).toMatchObject({ status: 200 });
    expect(renewed.body.token).toBe(renewed.body.access_token);
    expect(await registryStatus('read/app/tags/list', renewed.body.token)).toBe(200);
    expect(await registryStatus('team/app/tags/list', renewed.body.token)).toBe(401);

    const listed = await stack.gateway.cli('session', 'list', '--json');
    const [session] = JSON.parse(listed.stdout) as { id: string; account: string }[];
    expect(session).toMatchObject({ account: 'gateway', client: 'docker', kind: 'gitee' });
    expect(await stack.gateway.cli('session', 'revoke', session!.id)).toMatchObject({ code: 0 });
    expect(await refresh(refreshToken, '')).toMatchObject({ status: 401 });
    expect(await stack.gateway.cli('session', 'revoke', session!.id)).toMatchObject({ code: 1 });
  });

  /** How many of them Gitee has left without an answer. */
  const questions = async () =>
    (await stack.gitee.stats()).faults.find(({ name }) => name === 'api-stall')?.hits ?? 0;

  test('while Gitee is down, who was in stays in and nobody is told that the password is wrong', async () => {
    expect(await inspect('gateway', 'read/app:v1')).toMatchObject({ code: 0 });
    await stack.gitee.fault('api-stall');
    try {
      expect(await inspect('gateway', 'read/app:v1')).toMatchObject({ code: 0 });
      const before = await questions();
      const startedMs = performance.now();
      const unknown = await ask({}, { user: 'gateway', password: 'a-token-that-nobody-asked-for' });
      expect([unknown.status, unknown.body.errors?.[0]?.code]).toEqual([503, 'UNAVAILABLE']);
      expect(Number(unknown.retryAfter)).toBeGreaterThan(0);
      expect(performance.now() - startedMs).toBeLessThan(UNAVAILABLE_WITHIN_MS);
      expect((await questions()) - before).toBe(1);
    } finally {
      await stack.gitee.clearFaults();
    }
  });

  test('guessing locks the account for the address of the guesser, and for no other', async () => {
    const guess = { user: 'maintainer', password: 'guess-guess-guess', from: '203.0.113.7' };
    const statuses = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await ask({}, guess)).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    const right = { ...guess, password: passwords.maintainer! };
    const locked = await ask({}, right);
    expect([locked.status, locked.body.errors?.[0]?.code]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(Number(locked.retryAfter)).toBeGreaterThan(800);
    expect(await ask({}, { ...right, from: '203.0.113.8' })).toMatchObject({ status: 200 });
    expect(await stack.gateway.metric('gateway_login_lockouts_total', { scope: 'account' })).toBe(1);
  });

  test('no log holds a token, a secret or a password', async () => {
    const { readFile } = await import('node:fs/promises');
    const log = await readFile(stack.gateway.child!.logFile, 'utf8');
    for (const secret of [...Object.values(passwords), 'guess-guess-guess', 'gst_', 'grs_'])
      expect(log.includes(secret)).toBe(false);
  });
});
