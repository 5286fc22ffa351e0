import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEvent } from '../../../src/async/audit.js';
import { silentLog } from '../../../src/async/log.js';
import { StoredGrants } from '../../../src/auth/gitee/oauth-grants.js';
import { Sealer } from '../../../src/auth/sealer.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { OAuthGrantRefused, type OAuthTokens } from '../../../src/gitee/oauth.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { KeepingMetrics, SkippingClock } from '../gitee/http/scripted-server.js';

const HOUR_MS = 3600_000;
const KEY = new Uint8Array(32).fill(7);
let directory: string;
let store: LmdbStore;
let clock: SkippingClock;
let metrics: KeepingMetrics;
let events: AuditEvent[];
/** What Gitee answers to a refresh token. */
let onRefresh: (refreshToken: string) => Promise<OAuthTokens>;
let asked: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'grants-'));
  store = LmdbStore.open(directory);
  clock = new SkippingClock();
  metrics = new KeepingMetrics();
  events = [];
  asked = [];
  onRefresh = (old) => Promise.resolve(tokens(Number(old.split(' ')[1]) + 1));
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

const grants = (key = KEY) =>
  new StoredGrants({
    store,
    sealer: new Sealer(key),
    oauth: {
      refresh: (refreshToken) => {
        asked.push(refreshToken);
        return onRefresh(refreshToken);
      },
    },
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
/** The n-th tokens, good for a day from now. */
const tokens = (n: number): OAuthTokens => ({
  accessToken: `access ${n}`,
  refreshToken: `refresh ${n}`,
  expiresAtMs: clock.nowMs() + 24 * HOUR_MS,
  scopes: ['projects'],
});
const signal = new AbortController().signal;
const unreachable = () => Promise.reject(new RemoteError('unreachable', 'no line'));

test('a token that holds is given out without asking Gitee, to the login in any case', async () => {
  const some = grants();
  await some.keep('Zhang', 7, tokens(1));
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  expect(await some.accessToken('wang', signal)).toBeUndefined();
  expect(asked).toEqual([]);
});

test('what lies on disk holds neither token in clear', async () => {
  await grants().keep('zhang', 7, tokens(1));
  const entries = await store.page(Buffer.of(0), Buffer.of(255), 10);
  const text = entries.map(({ value }) => Buffer.from(value).toString('latin1')).join();
  expect(text).toContain('zhang');
  expect(text).not.toMatch(/access 1|refresh 1/);
});

test('a grant moved to another login does not open', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  const value = await store.get(Buffer.from('oauth-grant/zhang'));
  const moved = Buffer.from(
    Buffer.from(value!).toString('utf8').replace('"login":"zhang"', '"login":"wang"'),
  );
  await store.commit([], [{ key: Buffer.from('oauth-grant/wang'), value: moved }]);
  expect(await some.accessToken('wang', signal)).toBeUndefined();
  expect(asked).toEqual([]);
});

test('a token near its end is renewed once for all who ask, and the new refresh token outlives a restart', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(23 * HOUR_MS);
  const answers = await Promise.all([1, 2, 3].map(() => some.accessToken('zhang', signal)));
  expect(answers).toEqual(['access 2', 'access 2', 'access 2']);
  await clock.sleep(30 * HOUR_MS);
  expect(await grants().accessToken('zhang', signal)).toBe('access 3');
  expect(asked).toEqual(['refresh 1', 'refresh 2']);
  expect(metrics.counts.get('gateway_oauth_steps_total{step=refresh,result=ok}')).toBe(2);
});

test('a host with short lives is not asked at every call', async () => {
  const some = grants();
  await some.keep('zhang', 7, { ...tokens(1), expiresAtMs: clock.nowMs() + HOUR_MS });
  await clock.sleep(0.7 * HOUR_MS);
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  expect(asked).toEqual([]);
  await clock.sleep(0.1 * HOUR_MS);
  expect(await some.accessToken('zhang', signal)).toBe('access 2');
});

test('a new refresh token is on disk before its access token is given out', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  await some.accessToken('zhang', signal);
  await clock.sleep(25 * HOUR_MS);
  onRefresh = unreachable;
  await expect(grants().accessToken('zhang', signal)).rejects.toThrow('no line');
  expect(asked[1]).toBe('refresh 2');
});

test('a grant that was withdrawn at Gitee is dropped and recorded, and Gitee is not asked again', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  onRefresh = () => Promise.reject(new OAuthGrantRefused('withdrawn'));
  expect(await some.accessToken('zhang', signal)).toBeUndefined();
  expect(await some.accessToken('zhang', signal)).toBeUndefined();
  expect(asked).toHaveLength(1);
  expect(events).toEqual([
    expect.objectContaining({
      who: 'zhang',
      action: 'oauth.grant.end',
      result: 'refused',
      detail: { reason: 'withdrawn-or-expired' },
    }),
  ]);
});

test('Gitee being away is an error, never the end of a grant', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  onRefresh = unreachable;
  await expect(some.accessToken('zhang', signal)).rejects.toMatchObject({ code: 'unreachable' });
  onRefresh = () => Promise.resolve(tokens(5));
  expect(await some.accessToken('zhang', signal)).toBe('access 5');
  expect(events).toEqual([]);
});

test('while Gitee is away a token that still holds goes on, and Gitee is asked once a minute only', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(23 * HOUR_MS);
  onRefresh = unreachable;
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  expect(asked).toHaveLength(1);
  await clock.sleep(61_000);
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  expect(asked).toHaveLength(2);
});

test('a host without refresh tokens means a new sign-in after a day', async () => {
  const some = grants();
  await some.keep('zhang', 7, { ...tokens(1), refreshToken: undefined });
  expect(await some.accessToken('zhang', signal)).toBe('access 1');
  await clock.sleep(25 * HOUR_MS);
  expect(await some.accessToken('zhang', signal)).toBeUndefined();
  expect([asked, events[0]!.detail]).toEqual([[], { reason: 'no-refresh-token' }]);
});

test('with another encryption key everybody signs in again', async () => {
  await grants().keep('zhang', 7, tokens(1));
  expect(await grants(new Uint8Array(32).fill(8)).accessToken('zhang', signal)).toBeUndefined();
  expect([asked, events[0]!.detail]).toEqual([[], { reason: 'other-encryption-key' }]);
});

test('who signs in again during a refresh has the newer grant', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  onRefresh = async () => {
    await some.keep('zhang', 7, tokens(10));
    return tokens(2);
  };
  expect(await some.accessToken('zhang', signal)).toBe('access 10');
  expect(await some.accessToken('zhang', signal)).toBe('access 10');
});

test('who takes everything back during a refresh stays without a grant', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  onRefresh = async () => {
    await some.drop('ZHANG');
    return tokens(2);
  };
  expect(await some.accessToken('zhang', signal)).toBeUndefined();
  expect(await some.accessToken('zhang', signal)).toBeUndefined();
});

test('a caller that goes away ends its waiting, not the refresh of the others', async () => {
  const some = grants();
  await some.keep('zhang', 7, tokens(1));
  await clock.sleep(25 * HOUR_MS);
  let answer: (given: OAuthTokens) => void = () => {};
  onRefresh = () => new Promise((resolve) => (answer = resolve));
  const leaving = new AbortController();
  const left = some.accessToken('zhang', leaving.signal);
  const stays = some.accessToken('zhang', signal);
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  answer(tokens(2));
  expect(await stays).toBe('access 2');
  expect(asked).toHaveLength(1);
});
