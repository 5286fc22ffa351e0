import { AuthError } from '../../../src/auth/errors.js';
import { GiteeLine } from '../../../src/auth/gitee/gitee-line.js';
import { VerdictCache } from '../../../src/auth/gitee/verdict-cache.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { KeepingMetrics, SkippingClock } from '../gitee/http/scripted-server.js';

const MINUTE_MS = 60_000;
let clock: SkippingClock;
let metrics: KeepingMetrics;
let line: GiteeLine;
let cache: VerdictCache<string>;
let asked: number;

beforeEach(() => {
  clock = new SkippingClock();
  metrics = new KeepingMetrics();
  line = new GiteeLine({ clock, timeoutMs: 50 });
  asked = 0;
  cache = new VerdictCache({
    line,
    times: { ttlMs: 2 * MINUTE_MS, negativeTtlMs: 30_000, staleMs: 60 * MINUTE_MS },
    ...{ clock, metrics, isNegative: (verdict: string) => verdict === 'no' },
  });
});

const says = (verdict: string) => () => {
  asked += 1;
  return Promise.resolve(verdict);
};
const isDown = () => {
  asked += 1;
  return Promise.reject(new RemoteError('unreachable', 'Gitee cannot be reached'));
};
const stalls = () => {
  asked += 1;
  return new Promise<never>(() => {});
};
const sources = () => Object.fromEntries(metrics.counts);

test('an answer counts for its time, then Gitee is asked again', async () => {
  expect(await cache.verdict('a', says('yes'))).toBe('yes');
  await clock.sleep(2 * MINUTE_MS - 1);
  expect(await cache.verdict('a', says('no'))).toBe('yes');
  await clock.sleep(1);
  expect(await cache.verdict('a', says('no'))).toBe('no');
  expect(asked).toBe(2);
  expect(sources()).toEqual({
    'gateway_token_verdicts_total{source=gitee}': 2,
    'gateway_token_verdicts_total{source=cache}': 1,
  });
});

test('a refusal counts for half a minute only', async () => {
  await cache.verdict('a', says('no'));
  await clock.sleep(29_999);
  expect(await cache.verdict('a', says('yes'))).toBe('no');
  await clock.sleep(1);
  expect(await cache.verdict('a', says('yes'))).toBe('yes');
});

test('many who want the same answer make one call', async () => {
  const all = await Promise.all(Array.from({ length: 50 }, () => cache.verdict('a', says('yes'))));
  expect(new Set(all)).toEqual(new Set(['yes']));
  expect(asked).toBe(1);
});

test('while Gitee cannot be reached, an old answer lets in for an hour, and the pause spares calls', async () => {
  await cache.verdict('a', says('yes'));
  await clock.sleep(30 * MINUTE_MS);
  for (let i = 0; i < 5; i += 1) expect(await cache.verdict('a', isDown)).toBe('yes');
  expect(asked).toBe(2);
  await clock.sleep(5_000);
  expect(await cache.verdict('a', stalls)).toBe('yes');
  expect(asked).toBe(3);
  await clock.sleep(30 * MINUTE_MS);
  await expect(cache.verdict('a', isDown)).rejects.toMatchObject({ code: 'unavailable' });
});

test('an old refusal keeps nobody out while Gitee cannot be reached: it is no answer', async () => {
  await cache.verdict('a', says('no'));
  await clock.sleep(31_000);
  await expect(cache.verdict('a', isDown)).rejects.toMatchObject({ code: 'unavailable' });
});

test('without an answer a stall ends at the deadline, as unavailable with a time to wait', async () => {
  const failure = await cache.verdict('a', stalls).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(AuthError);
  expect(failure).toMatchObject({ code: 'unavailable', retryAfterMs: 15_000 });
});

test('Gitee’s own Retry-After is passed on where it is longer', async () => {
  const limited = () =>
    Promise.reject(new RemoteError('rate-limited', 'too many calls', { retryAfterMs: 90_000 }));
  await expect(cache.verdict('a', limited)).rejects.toMatchObject({
    code: 'unavailable',
    retryAfterMs: 90_000,
  });
});

test('a success ends the pause; a refusal of the token does too, and is passed on', async () => {
  await expect(cache.verdict('a', isDown)).rejects.toMatchObject({ code: 'unavailable' });
  expect(line.isDown).toBe(true);
  const refused = () => Promise.reject(new RemoteError('unauthorized', 'the token is refused'));
  await expect(cache.verdict('b', refused)).rejects.toMatchObject({ code: 'unauthorized' });
  expect(line.isDown).toBe(false);
});

test.each([-86_400_000, 86_400_000])(
  'a wall clock that is set by %i ms changes nothing of how long an answer holds',
  async (byMs) => {
    await cache.verdict('a', says('yes'));
    clock.stepWall(byMs);
    expect(await cache.verdict('a', says('no'))).toBe('yes');
    await clock.sleep(10 * MINUTE_MS);
    expect(await cache.verdict('a', says('no'))).toBe('no');
  },
);

test('it does not grow without bound', async () => {
  for (let i = 0; i < 10_100; i += 1) await cache.verdict(`key ${i}`, says('yes'));
  expect(cache.size).toBe(10_000);
});
