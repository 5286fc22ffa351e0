import type { RepositoryPermission } from '../../../src/auth/identity.js';
import { SignIn, type Callback } from '../../../src/auth/page/sign-in.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { OAuthGrantRefused } from '../../../src/gitee/oauth.js';
import { SkippingClock } from '../gitee/http/scripted-server.js';

const signal = new AbortController().signal;
let clock: SkippingClock;
let rights: Record<string, RepositoryPermission>;
let exchanged: { code: string; verifier: string }[];
let verifiers: Map<string, string>;
let signIn: SignIn;

beforeEach(() => {
  clock = new SkippingClock();
  rights = { 'acme/images': 'push', 'acme/files': 'none' };
  exchanged = [];
  verifiers = new Map();
  signIn = new SignIn({
    oauth: {
      authorizeUrl: (state, verifier) => {
        verifiers.set(state, verifier);
        return `https://gitee.example/oauth/authorize?state=${state}`;
      },
      exchange: (code, verifier) => {
        exchanged.push({ code, verifier });
        if (code === 'used') return Promise.reject(new OAuthGrantRefused('used'));
        if (code === 'down') return Promise.reject(new RemoteError('unreachable', 'no line'));
        return Promise.resolve({
          accessToken: 'access',
          refreshToken: 'refresh',
          expiresAtMs: clock.nowMs() + 1000,
          scopes: [],
        });
      },
    },
    identity: {
      user: () => Promise.resolve({ id: 7, login: 'zhang', name: '张三' }),
      permission: (_token, repository) => Promise.resolve(rights[repository]!),
      isPublic: () => Promise.resolve(false),
    },
    repositories: ['acme/images', 'acme/files'],
    clock,
  });
});

const finish = (callback: Partial<Callback>) =>
  signIn.finish({ state: undefined, code: 'good', error: undefined, cookie: undefined, ...callback }, signal);
const back = (more: Partial<Callback> = {}): Partial<Callback> & { state: string } => {
  const { state } = signIn.start();
  return { ...more, state, cookie: state };
};

test('a code becomes a person with the repositories that they have a right in', async () => {
  const callback = back();
  expect(await finish(callback)).toMatchObject({
    kind: 'signed-in',
    user: { login: 'zhang' },
    rights: [{ repository: 'acme/images', permission: 'push' }],
    tokens: { refreshToken: 'refresh' },
  });
  expect(exchanged).toEqual([{ code: 'good', verifier: verifiers.get(callback.state) }]);
});

test('states and verifiers are long, of letters for URLs, and never the same', () => {
  const [one, two] = [signIn.start(), signIn.start()];
  expect(one.state).toMatch(/^[\w-]{43}$/);
  expect(one.state).not.toBe(two.state);
  expect(verifiers.get(one.state)).toMatch(/^[\w-]{43}$/);
  expect(verifiers.get(one.state)).not.toBe(one.state);
});

test.each<[string, (state: string) => Partial<Callback>]>([
  ['no state', (state) => ({ cookie: state })],
  ['no cookie', (state) => ({ state })],
  ['the state of another browser', (state) => ({ state, cookie: 'x'.repeat(43) })],
  ['a state of ours that we never gave', () => ({ state: 'y', cookie: 'y' })],
])('%s is stale, is never exchanged, and uses up nobody’s state', async (_what, made) => {
  const { state } = signIn.start();
  expect(await finish(made(state))).toEqual({ kind: 'stale' });
  expect(exchanged).toEqual([]);
  expect((await finish({ state, cookie: state })).kind).toBe('signed-in');
});

test('a state is good once', async () => {
  const callback = back();
  await finish(callback);
  expect(await finish(callback)).toEqual({ kind: 'stale' });
  expect(exchanged).toHaveLength(1);
});

test('a state is good for ten minutes', async () => {
  const [late, early] = [back(), back()];
  await clock.sleep(10 * 60_000 - 1);
  expect((await finish(early)).kind).toBe('signed-in');
  await clock.sleep(1);
  expect(await finish(late)).toEqual({ kind: 'stale' });
});

test('a denial is told from other errors, whose words are kept only where they are words', async () => {
  const with_ = (error: string) => finish(back({ code: undefined, error }));
  expect(await with_('access_denied')).toEqual({ kind: 'denied' });
  expect(await with_('invalid_scope')).toEqual({ kind: 'gitee-error', error: 'invalid_scope' });
  expect(await with_('<script>')).toEqual({ kind: 'gitee-error', error: 'no code' });
  expect(await finish(back({ code: undefined }))).toEqual({ kind: 'gitee-error', error: 'no code' });
});

test('an error beats a code that comes with it', async () => {
  expect((await finish(back({ error: 'server_error' }))).kind).toBe('gitee-error');
  expect(exchanged).toEqual([]);
});

test('a code that Gitee no longer takes is told from a Gitee that is away', async () => {
  expect(await finish(back({ code: 'used' }))).toEqual({ kind: 'code-refused' });
  await expect(finish(back({ code: 'down' }))).rejects.toMatchObject({ code: 'unreachable' });
});

test('who may read no repository is named and sent away', async () => {
  rights['acme/images'] = 'none';
  expect(await finish(back())).toEqual({ kind: 'no-right', login: 'zhang' });
});
