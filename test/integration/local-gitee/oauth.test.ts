import { createHash, randomBytes } from 'node:crypto';
import * as http from 'node:http';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

const BACK = 'http://127.0.0.1/back';
const CLIENTS = ['one', 'two'].map((id) => ({
  id,
  secret: `the secret of ${id}`,
  redirectUris: [BACK],
  autoApprove: true,
}));
let gitee: RunningLocalGitee;

beforeAll(async () => {
  gitee = await startLocalGitee({
    config: {
      accounts: [{ login: 'zhang', name: '张三', password: 'the password of zhang' }],
      oauthClients: CLIENTS,
    },
  });
});

afterAll(() => gitee.stop());

const query = (more: Record<string, string> = {}) => ({
  client_id: 'one',
  redirect_uri: BACK,
  response_type: 'code',
  scope: 'user_info projects',
  state: 'a state',
  ...more,
});

const get = (more: Record<string, string> = {}) =>
  fetch(`${gitee.url}/oauth/authorize?${new URLSearchParams(query(more)).toString()}`, {
    redirect: 'manual',
  });

const post = (path: string, fields: Record<string, string>) =>
  fetch(`${gitee.url}${path}`, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' });

const back = (answer: Response) => new URL(answer.headers.get('location')!).searchParams;

const token = async (fields: Record<string, string>, client = 'one') => {
  const answer = await post('/oauth/token', {
    client_id: client,
    client_secret: `the secret of ${client}`,
    redirect_uri: BACK,
    ...fields,
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, string> };
};

const codeFor = async (more: Record<string, string> = {}) =>
  back(await get({ auto_approve: 'zhang', ...more })).get('code')!;

test('the form asks again after a wrong password, and sends back with a code after the right one', async () => {
  const form = { ...query(), decision: 'allow', login: 'zhang' };
  const again = await post('/oauth/authorize', { ...form, password: 'wrong' });
  expect(again.status).toBe(401);
  const page = await again.text();
  expect(page).toContain('Incorrect username or password');
  expect(page).toContain('name="state" value="a state"');
  expect(page).not.toContain('value="wrong"');
  const done = await post('/oauth/authorize', { ...form, password: 'the password of zhang' });
  expect(done.status).toBe(302);
  expect(back(done).get('state')).toBe('a state');
  expect((await token({ grant_type: 'authorization_code', code: back(done).get('code')! })).status).toBe(200);
});

test('who cancels sends back a denial, without a code', async () => {
  const denied = back(await post('/oauth/authorize', { ...query(), decision: 'deny' }));
  expect([denied.get('error'), denied.get('state'), denied.get('code')]).toEqual([
    'access_denied',
    'a state',
    null,
  ]);
});

test('a challenge binds the code to its verifier', async () => {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = {
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  };
  const exchange = async (fields: Record<string, string>) =>
    (await token({ grant_type: 'authorization_code', code: await codeFor(challenge), ...fields })).status;
  expect(await exchange({})).toBe(400);
  expect(await exchange({ code_verifier: `${verifier}x` })).toBe(400);
  expect(await exchange({ code_verifier: verifier })).toBe(200);
  expect((await get({ ...challenge, code_challenge_method: 'plain' })).status).toBe(400);
});

test('codes and refresh tokens are of use to the client alone that they were given to', async () => {
  const code = await codeFor();
  expect((await token({ grant_type: 'authorization_code', code }, 'two')).body['error']).toBe(
    'invalid_grant',
  );
  const given = await token({ grant_type: 'authorization_code', code: await codeFor() });
  const renew = { grant_type: 'refresh_token', refresh_token: given.body['refresh_token']! };
  expect((await token(renew, 'two')).body['error']).toBe('invalid_grant');
  expect((await token(renew)).status).toBe(200);
});

test('what an account takes back ends its access tokens and refresh tokens', async () => {
  const { body } = await token({ grant_type: 'authorization_code', code: await codeFor() });
  const me = async () =>
    (
      await fetch(`${gitee.url}/api/v5/user`, {
        headers: { Authorization: `Bearer ${body['access_token']}` },
      })
    ).status;
  expect(await me()).toBe(200);
  await gitee.admin('tokens', { revokeGrants: 'zhang' });
  expect(await me()).toBe(401);
  expect((await token({ grant_type: 'refresh_token', refresh_token: body['refresh_token']! })).status).toBe(
    400,
  );
});

test('a call for a token without User-Agent is refused', async () => {
  const status = await new Promise((resolve, reject) => {
    http
      .request(`${gitee.url}/oauth/token`, { method: 'POST' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(403);
});
