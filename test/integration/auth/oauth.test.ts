import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { until } from '../../support/child.js';
import { startLoginStack, type LoginStack } from '../../support/login-stack.js';

let stack: LoginStack;

beforeAll(async () => {
  stack = await startLoginStack();
});

afterAll(() => stack.close());

/** What a browser remembers and does, without redirects of its own: a test looks at each step. */
class Person {
  readonly cookies = new Map<string, string>();

  async get(address: string): Promise<Response> {
    return this.#ask(address, {});
  }

  async post(address: string, fields: Record<string, string>): Promise<Response> {
    return this.#ask(address, { method: 'POST', body: new URLSearchParams(fields) });
  }

  /** The form token of the page that is shown to who is signed in. */
  async formToken(): Promise<string> {
    const page = await (await this.get('/auth/')).text();
    return /name="form_token" value="([\w-]+)"/.exec(page)![1]!;
  }

  async #ask(address: string, init: RequestInit): Promise<Response> {
    const url = new URL(address, stack.publicUrl);
    const ours = url.origin === stack.publicUrl;
    const answer = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: {
        'Accept-Language': 'en',
        ...(ours ? { Cookie: [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ') } : {}),
      },
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      if (value === '') this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    return answer;
  }
}

const target = (answer: Response) => answer.headers.get('location')!;

/** At Gitee: types login and password. @returns the address that it sends the browser back to. */
async function atGitee(
  person: Person,
  authorizeUrl: string,
  fields: Record<string, string>,
): Promise<string> {
  const form = Object.fromEntries(new URL(authorizeUrl).searchParams);
  return target(await person.post(`${stack.gitee.url}/oauth/authorize`, { ...form, ...fields }));
}

async function signedIn(
  login: 'zhang' | 'stranger' = 'zhang',
): Promise<{ person: Person; answer: Response }> {
  const person = new Person();
  const authorizeUrl = target(await person.get('/auth/login'));
  const password = stack.passwordOf[login];
  const back = await atGitee(person, authorizeUrl, { decision: 'allow', login, password });
  return { person, answer: await person.get(back) };
}

async function newPassword(person: Person): Promise<string> {
  const shown = target(await person.post('/auth/password', { form_token: await person.formToken() }));
  const page = await (await person.get(shown)).text();
  return /id="password">([\w-]+)</.exec(page)![1]!;
}

async function dockerLogin(password: string, user = 'zhang'): Promise<{ status: number; actions: string[] }> {
  const scope = 'repository:team/app:pull,push,delete';
  const answer = await fetch(`${stack.publicUrl}/token?service=registry&account=${user}&scope=${scope}`, {
    headers: { Authorization: `Basic ${btoa(`${user}:${password}`)}` },
  });
  if (answer.status !== 200) return { status: answer.status, actions: [] };
  const { token } = (await answer.json()) as { token: string };
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as {
    access: { actions: string[] }[];
  };
  return { status: 200, actions: claims.access.flatMap(({ actions }) => actions) };
}

const title = async (answer: Response) => /<h1>([^<]*)</.exec(await answer.text())?.[1];

test('a person signs in with Gitee and logs docker in with the rights that they have there', async () => {
  const { person, answer } = await signedIn();
  expect([answer.status, target(answer)]).toEqual([303, '/auth/']);
  const page = await (await person.get('/auth/')).text();
  expect(page).toContain('Hello, 张三');
  expect(page).toContain('acme/images');
  const password = await newPassword(person);
  expect(await dockerLogin(password)).toEqual({ status: 200, actions: ['pull', 'push'] });
  expect((await dockerLogin(`${password}x`)).status).toBe(401);
  expect((await dockerLogin(password, 'stranger')).status).toBe(401);
});

test('a new password ends the old one, and is shown once', async () => {
  const { person } = await signedIn();
  const old = await newPassword(person);
  const fresh = await newPassword(person);
  expect((await dockerLogin(old)).status).toBe(401);
  expect((await dockerLogin(fresh)).status).toBe(200);
  const again = await person.get('/auth/password');
  expect(again.status).toBe(410);
  expect(await again.text()).not.toContain(fresh);
});

test('taking everything back ends the password and every browser of that person', async () => {
  const [{ person }, { person: elsewhere }] = [await signedIn(), await signedIn()];
  const password = await newPassword(person);
  const ended = await person.post('/auth/revoke', { form_token: await person.formToken() });
  expect(await title(await person.get(target(ended)))).toBe('Everything has ended');
  expect((await dockerLogin(password)).status).toBe(401);
  for (const one of [person, elsewhere])
    expect(await title(await one.get('/auth/'))).toBe('Sign in to the container registry');
});

test('signing out of the page leaves docker logged in', async () => {
  const { person } = await signedIn();
  const password = await newPassword(person);
  await person.post('/auth/logout', { form_token: await person.formToken() });
  expect(await title(await person.get('/auth/'))).toBe('Sign in to the container registry');
  expect((await dockerLogin(password)).status).toBe(200);
});

test('a link that was used, or that another browser began, signs nobody in', async () => {
  const person = new Person();
  const authorizeUrl = target(await person.get('/auth/login'));
  const fields = { decision: 'allow', login: 'zhang', password: stack.passwordOf.zhang };
  const back = await atGitee(person, authorizeUrl, fields);
  const victim = new Person();
  await victim.get('/auth/login');
  const stolen = await victim.get(back);
  expect([stolen.status, await title(stolen)]).toEqual([400, 'This sign-in link no longer works']);
  expect((await person.get(back)).status).toBe(303);
  expect((await person.get(back)).status).toBe(400);
  expect((await victim.get('/auth/password')).status).toBe(303);
});

test('who says no at Gitee reads so, and nothing is kept', async () => {
  const person = new Person();
  const back = await atGitee(person, target(await person.get('/auth/login')), { decision: 'deny' });
  const answer = await person.get(back);
  expect([answer.status, await title(answer)]).toEqual([403, 'You did not allow access']);
  expect([...person.cookies.keys()]).toEqual([]);
});

test('a code that Gitee does not know is refused with a page', async () => {
  const person = new Person();
  const state = new URL(target(await person.get('/auth/login'))).searchParams.get('state')!;
  const answer = await person.get(`/auth/callback?code=${'0'.repeat(64)}&state=${state}`);
  expect([answer.status, await title(answer)]).toEqual([400, 'Gitee no longer accepts this sign-in']);
});

test('who may read no repository is told which, and gets no session', async () => {
  const { person, answer } = await signedIn('stranger');
  expect(answer.status).toBe(403);
  const page = await answer.text();
  expect(page).toContain('You have no right to any image');
  expect(page).toContain('<code>acme/images</code>');
  expect([...person.cookies.keys()]).toEqual([]);
});

test('a form that is not from the page of this session changes nothing', async () => {
  const { person } = await signedIn();
  const { person: other } = await signedIn();
  const password = await newPassword(person);
  for (const form of [{}, { form_token: 'x' }, { form_token: await other.formToken() }]) {
    for (const name of ['password', 'revoke', 'logout'])
      expect((await person.post(`/auth/${name}`, form as Record<string, string>)).status).toBe(403);
  }
  expect((await dockerLogin(password)).status).toBe(200);
  expect(await title(await person.get('/auth/'))).toBe('Hello, 张三');
});

test('a restart of the gateway keeps docker logged in', async () => {
  const { person } = await signedIn();
  const password = await newPassword(person);
  await stack.gateway.restart();
  expect((await dockerLogin(password)).actions).toEqual(['pull', 'push']);
});

test('while Gitee is away nobody signs in, and the page says why', async () => {
  const person = new Person();
  const authorizeUrl = target(await person.get('/auth/login'));
  const fields = { decision: 'allow', login: 'zhang', password: stack.passwordOf.zhang };
  const back = await atGitee(person, authorizeUrl, fields);
  await stack.gitee.kill();
  const answer = await person.get(back);
  expect([answer.status, await title(answer)]).toEqual([503, 'Gitee cannot be reached at the moment']);
  expect(answer.headers.get('retry-after')).toBe('30');
  await stack.gitee.restart();
});

test('what is withdrawn at Gitee ends docker’s access too', async () => {
  const { person } = await signedIn();
  const password = await newPassword(person);
  await stack.gitee.admin('tokens', { revokeGrants: 'zhang' });
  // Verdicts are remembered for a while: that of this password was never asked for.
  expect((await dockerLogin(password)).status).toBe(401);
});

test('every step is in the audit log, and no secret is in any file of the gateway', async () => {
  const { person } = await signedIn();
  const password = await newPassword(person);
  const logFile = path.join(stack.gateway.directory, 'gateway.log');
  const { stdout } = await stack.gateway.cli('audit', 'show', '--json');
  const actions = new Set(stdout.match(/oauth\.[a-z.]+/g));
  expect([...actions].sort()).toEqual(
    ['oauth.form', 'oauth.login', 'oauth.logout', 'oauth.password', 'oauth.revoke', 'oauth.start'].sort(),
  );
  await until('the log is written', async () => (await readFile(logFile, 'utf8')).length > 0);
  const written = `${stdout}${await readFile(logFile, 'utf8')}`;
  for (const secret of [password, stack.clientSecret, stack.passwordOf.zhang, ...person.cookies.values()])
    expect(written).not.toContain(secret);
  expect(
    await stack.gateway.metric('gateway_oauth_steps_total', { step: 'login', result: 'ok' }),
  ).toBeGreaterThan(0);
});
