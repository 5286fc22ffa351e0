import { TokenBench } from '../../support/token-bench.js';

const IMAGE = 'scope=repository:team/app:pull,push';
let bench: TokenBench;
beforeEach(async () => {
  bench = await TokenBench.start();
});
afterEach(() => bench.stop());

const counted = (name: string) => bench.metrics.counts.get(name) ?? 0;

describe('an answer', () => {
  test('has what all clients look for, and a refresh token only where it was asked for', async () => {
    const asked = await bench.get(IMAGE, 'ann', 'token-of-ann');
    expect(asked.status).toBe(200);
    expect(asked.body.access_token).toBe(asked.body.token);
    expect(asked.body.expires_in).toBe(3600);
    expect(asked.body.issued_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    expect(asked.body).not.toHaveProperty('refresh_token');
    expect(asked.headers.get('cache-control')).toBe('no-store');
    expect(await bench.get(`${IMAGE}&offline_token=true`, 'ann', 'token-of-ann')).toMatchObject({
      body: { refresh_token: expect.stringMatching(/^gst_/) as string },
    });
  });

  test('holds ten minutes where it allows pulling only', async () => {
    expect(await bench.get('scope=repository:team/app:pull', 'ann', 'token-of-ann')).toMatchObject({
      body: { expires_in: 600 },
    });
  });

  test('takes several scope parameters and several scopes in one', async () => {
    const asked = await bench.get(
      'scope=repository:a/b:pull&scope=repository:c:pull%20registry:catalog:*',
      'ann',
      'token-of-ann',
    );
    expect(bench.access(asked).map(({ name }) => name)).toEqual(['a/b', 'c', 'catalog']);
  });

  test.each([
    ['ann', 'repository:team/app:*', ['pull', 'push', 'delete', '*']],
    ['bob', 'repository:team/app:*', ['pull', 'push']],
    ['bob', 'repository:team/app:pull,push,delete', ['pull', 'push']],
    ['bob', 'repository:other/app:pull,push', ['pull']],
    ['ann', 'repository:other/app:pull', undefined],
    ['bob', 'registry:catalog:*', undefined],
    ['ann', 'registry:catalog:*', ['*']],
    ['ann', 'repository(plugin):team/plugin:pull', ['pull']],
    ['ann', 'repository:registry.example:5000/team/app:pull', ['pull']],
    ['ann', 'repository:team/*:pull', undefined],
    ['ann', 'artifact:team/app:pull', undefined],
  ])('gives %s of %s: %j', async (user, scope, actions) => {
    const asked = await bench.get(`scope=${encodeURIComponent(scope)}`, user, `token-of-${user}`);
    expect(asked.status).toBe(200);
    expect(bench.access(asked)[0]?.actions).toEqual(actions);
  });
});

describe('a refusal', () => {
  test('tells in Chinese and English what to do, and asks for Basic', async () => {
    const asked = await bench.get(IMAGE, 'ann', 'wrong');
    expect([asked.status, asked.body.errors?.[0]?.code]).toEqual([401, 'UNAUTHORIZED']);
    expect(asked.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
    expect(asked.body.errors?.[0]?.message).toMatch(
      /私人令牌.*https:\/\/registry\.example\.com\/auth.*personal token with the scopes user_info and projects/,
    );
  });

  test.each([
    ['a right token of somebody else', 'bob', 'token-of-ann'],
    ['an empty password', 'ann', ''],
    ['a robot that is not there', 'robot$x', 'grs_x'],
    ['a docker password of nobody', 'ann', 'gdp_x'],
    ['a secret of ours in the place of a Gitee token', 'ann', 'gst_x'],
  ])('meets %s', async (_, user, password) => {
    expect(await bench.get('', user, password)).toMatchObject({ status: 401 });
    expect(counted('gateway_token_requests_total{result=refused}')).toBe(1);
  });

  test('never sends a secret of ours to Gitee', async () => {
    for (const password of ['gdp_x', 'gst_x', 'grs_x']) await bench.get('', 'ann', password);
    expect(bench.identity.calls).toBe(0);
  });

  test('of another service, of no scope grammar and of no grant type is a bad request', async () => {
    const other = await fetch(`${bench.url}?service=other&${IMAGE}`);
    expect(other.status).toBe(400);
    expect(await bench.get('scope=nonsense', 'ann', 'token-of-ann')).toMatchObject({ status: 400 });
    expect(await bench.post({ grant_type: 'authorization_code' })).toMatchObject({ status: 400 });
    const put = await fetch(bench.url, { method: 'PUT' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  });
});

test('anonymous pull is for public repositories, and a login is asked for otherwise', async () => {
  bench.identity.publicRepositories.add('acme/other');
  const open = await bench.get('scope=repository:other/app:pull,push');
  expect(bench.access(open)).toEqual([{ type: 'repository', name: 'other/app', actions: ['pull'] }]);
  expect(await bench.get('scope=repository:team/app:pull')).toMatchObject({ status: 401 });
});

test('a password form works as containerd sends it', async () => {
  const fields = { grant_type: 'password', username: 'bob', password: 'token-of-bob' };
  const asked = await bench.post({
    ...fields,
    scope: 'repository:team/app:pull repository:other/app:push,pull',
    access_type: 'offline',
  });
  expect(bench.access(asked).map(({ actions }) => actions)).toEqual([['pull'], ['pull']]);
  expect(asked.body.refresh_token).toMatch(/^gst_/);
});

describe('a session', () => {
  const begin = async (user: string, password: string) =>
    (await bench.get('offline_token=true&client_id=docker', user, password)).body.refresh_token!;
  const refresh = (refreshToken: string) =>
    bench.post({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      scope: 'repository:team/app:pull',
    });

  test('needs no user name and keeps no Gitee token readable', async () => {
    const refreshToken = await begin('ann', 'token-of-ann');
    expect(bench.access(await refresh(refreshToken))).toHaveLength(1);
    const rows = await bench.store.page(Buffer.of(0), Buffer.of(255), 100);
    const stored = Buffer.concat(rows.flatMap(({ key, value }) => [key, value])).toString('latin1');
    expect(stored).toContain('Ann');
    for (const secret of ['token-of-ann', refreshToken]) expect(stored).not.toContain(secret);
  });

  test('ends for good when Gitee takes the token no more', async () => {
    const refreshToken = await begin('ann', 'token-of-ann');
    bench.identity.users.delete('token-of-ann');
    await bench.clock.sleep(121_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 401 });
    expect(await bench.sessions.list()).toEqual([]);
    bench.identity.users.set('token-of-ann', { id: 1, login: 'Ann' });
    await bench.clock.sleep(121_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 401 });
  });

  test('survives an outage of Gitee', async () => {
    const refreshToken = await begin('ann', 'token-of-ann');
    await refresh(refreshToken);
    bench.identity.outage = 'down';
    await bench.clock.sleep(1800_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 200 });
    await bench.clock.sleep(3600_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 503 });
    bench.identity.outage = 'none';
    expect(await refresh(refreshToken)).toMatchObject({ status: 200 });
  });

  test('of a docker password ends with the next password, that of a robot when it is disabled', async () => {
    bench.grants.set('bob', 'token-of-bob');
    const password = await bench.passwords.issue('bob', 2);
    const docker = await begin('BOB', password);
    const { secret } = await bench.robots.add({
      name: 'ci',
      rights: [{ pattern: 'team/*', actions: ['push'] }],
    });
    const robot = await begin('robot$ci', secret);
    for (const refreshToken of [docker, robot])
      expect(bench.access(await refresh(refreshToken))).toHaveLength(1);

    await bench.passwords.issue('bob', 2);
    await bench.admin.disableRobot('ci');
    for (const refreshToken of [docker, robot])
      expect(await refresh(refreshToken)).toMatchObject({ status: 401 });
    expect(await bench.get('', 'bob', password)).toMatchObject({ status: 401 });
    expect(await bench.get('', 'robot$ci', secret)).toMatchObject({ status: 401 });
  });

  test('is one of at most so many of an account; the longest unused ends', async () => {
    const tokens = [];
    for (let i = 0; i < 4; i += 1) {
      tokens.push(await begin('ann', 'token-of-ann'));
      await bench.clock.sleep(1000);
    }
    const statuses = [];
    for (const token of tokens) statuses.push((await refresh(token)).status);
    expect(statuses).toEqual([401, 200, 200, 200]);
  });

  test('ends after the time that it may be unused, and uses put that off', async () => {
    const refreshToken = await begin('ann', 'token-of-ann');
    await bench.clock.sleep(13 * 86_400_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 200 });
    await bench.clock.sleep(13 * 86_400_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 200 });
    await bench.clock.sleep(14 * 86_400_000);
    expect(await refresh(refreshToken)).toMatchObject({ status: 401 });
  });

  test('does not beget another one', async () => {
    const refreshToken = await begin('ann', 'token-of-ann');
    const fields = { grant_type: 'refresh_token', refresh_token: refreshToken, access_type: 'offline' };
    expect((await bench.post(fields)).body).not.toHaveProperty('refresh_token');
  });
});

describe('a docker password', () => {
  test('acts with the rights of its owner, who must still be the same account', async () => {
    bench.grants.set('bob', 'token-of-bob');
    const password = await bench.passwords.issue('bob', 2);
    expect(bench.access(await bench.get(IMAGE, 'bob', password))[0]?.actions).toEqual(['pull', 'push']);
    bench.identity.users.set('token-of-bob', { id: 99, login: 'bob' });
    await bench.clock.sleep(121_000);
    expect(await bench.get(IMAGE, 'bob', password)).toMatchObject({ status: 401 });
  });

  test('does not let in after the grant was taken back at Gitee', async () => {
    bench.grants.set('bob', 'token-of-bob');
    const password = await bench.passwords.issue('bob', 2);
    bench.grants.delete('bob');
    expect(await bench.get(IMAGE, 'bob', password)).toMatchObject({ status: 401 });
  });
});

describe('while Gitee does not answer', () => {
  test.each(['down', 'stall'] as const)(
    '(%s) it is a 503 with Retry-After, counted as no failure',
    async (how) => {
      bench.identity.outage = how;
      for (let i = 0; i < 5; i += 1) {
        const asked = await bench.get(IMAGE, 'ann', 'token-of-ann');
        expect([asked.status, asked.body.errors?.[0]?.code]).toEqual([503, 'UNAVAILABLE']);
        expect(Number(asked.headers.get('retry-after'))).toBeGreaterThan(0);
        expect(asked.body.errors?.[0]?.message).toMatch(/密码没有问题.*nothing about your password/);
      }
      bench.identity.outage = 'none';
      await bench.clock.sleep(6_000);
      expect(await bench.get(IMAGE, 'ann', 'token-of-ann')).toMatchObject({ status: 200 });
    },
  );

  test('robots are let in as ever', async () => {
    bench.identity.outage = 'down';
    const { secret } = await bench.robots.add({ name: 'ci', rights: [{ pattern: '**', actions: ['pull'] }] });
    expect(await bench.get(IMAGE, 'robot$ci', secret)).toMatchObject({ status: 200 });
  });
});

test('many failures lock the account for the address; the right password is told the same', async () => {
  const statuses = [];
  for (let i = 0; i < 4; i += 1)
    statuses.push((await bench.get('', 'ann', `guess ${i}`, '198.51.100.1')).status);
  expect(statuses).toEqual([401, 401, 429, 429]);
  const locked = await bench.get('', 'ann', 'token-of-ann', '198.51.100.1');
  expect([locked.status, locked.headers.get('retry-after')]).toEqual([429, '900']);
  expect(locked.body.errors?.[0]).toMatchObject({ code: 'TOOMANYREQUESTS' });
  expect(await bench.get('', 'ann', 'token-of-ann', '198.51.100.2')).toMatchObject({ status: 200 });
  expect(counted('gateway_login_lockouts_total{scope=account}')).toBe(1);
  await bench.clock.sleep(900_000);
  expect(await bench.get('', 'ann', 'token-of-ann', '198.51.100.1')).toMatchObject({ status: 200 });
});

test('logins, grants, locks and changes are recorded, without a secret', async () => {
  await bench.get(IMAGE, 'bob', 'token-of-bob', '198.51.100.9');
  await bench.get('scope=repository:other/app:push', 'bob', 'token-of-bob');
  for (let i = 0; i < 3; i += 1) await bench.get('', '0123456789abcdef0123456789abcdef', 'wrong-password');
  const { secret } = await bench.admin.addRobot({
    name: 'ci',
    rights: [{ pattern: 'ci/**', actions: ['pull'] }],
  });
  const refreshToken = (await bench.get('offline_token=true', 'robot$ci', secret)).body.refresh_token!;
  await bench.admin.revokeSessions('robot$ci');
  expect(bench.events.map(({ action, who, result }) => `${action} ${who} ${result}`)).toEqual([
    'token.grant bob ok',
    'token.grant bob refused',
    'login (looks like a token) refused',
    'login (looks like a token) refused',
    'login (looks like a token) refused',
    'login.lockout (looks like a token) refused',
    'robot.add operator ok',
    'login robot$ci ok',
    'session.revoke operator ok',
  ]);
  expect(bench.events[0]).toMatchObject({
    subject: 'team/app',
    from: '198.51.100.9',
    detail: { asked: 'repository:team/app:pull,push', granted: 'repository:team/app:pull,push' },
  });
  const written = JSON.stringify(bench.events);
  for (const kept of [secret, refreshToken, 'token-of-bob', 'wrong-password', '0123456789abcdef'])
    expect(written).not.toContain(kept);
});

test('an audit log that stalls keeps nobody out', async () => {
  bench.auditStalls = true;
  expect(await bench.get(IMAGE, 'bob', 'token-of-bob')).toMatchObject({ status: 200 });
  expect(bench.events).toHaveLength(1);
});
