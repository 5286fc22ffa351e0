import { createHmac } from 'node:crypto';
import { readWebhook, refuseSender } from '../../../../src/gitee/webhook.js';

/** As whoever takes a delivery does it: the sender first, then the body. */
const judge = (
  given: Record<string, string | string[] | undefined>,
  bytes: Uint8Array,
  secret: string,
  nowMs: number,
) => refuseSender(given, secret, nowMs) ?? readWebhook(given, bytes);
const SECRET = 'a secret';
const NOW_MS = 1_700_000_000_000;
const body = (fields: object = {}) =>
  Buffer.from(
    JSON.stringify({
      ref: 'refs/heads/main',
      after: 'a'.repeat(40),
      repository: { path_with_namespace: 'acme/images', full_name: 'Acme / Images' },
      commits: null,
      ...fields,
    }),
  );
const sign = (timestamp: string, secret = SECRET) =>
  createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64');
const headers = (token: string, more: Record<string, string> = {}) => ({
  'x-gitee-token': token,
  'x-gitee-event': 'Push Hook',
  ...more,
});
const at = (ageMs: number) => String(NOW_MS - ageMs);
const PUSH = {
  kind: 'push',
  ref: 'refs/heads/main',
  after: 'a'.repeat(40),
  pathWithNamespace: 'acme/images',
};

test('the password in clear is taken', () => {
  expect(judge(headers(SECRET), body(), SECRET, NOW_MS)).toEqual(PUSH);
});

test('a signature is taken plain and URL-encoded', () => {
  const time = at(1000);
  for (const token of [sign(time), encodeURIComponent(sign(time))])
    expect(judge(headers(token, { 'x-gitee-timestamp': time }), body(), SECRET, NOW_MS)).toEqual(PUSH);
});

test.each([
  ['no token', {}, 'no-token'],
  ['another password', headers('another'), 'wrong-token'],
  ['a broken encoding', headers('%E0%A4%A'), 'wrong-token'],
  ['a signature without a time', headers(sign(at(0))), 'wrong-token'],
  ['the signature of another time', headers(sign(at(5)), { 'x-gitee-timestamp': at(6) }), 'wrong-token'],
  [
    'the signature of another secret',
    headers(sign(at(0), 'x'), { 'x-gitee-timestamp': at(0) }),
    'wrong-token',
  ],
  [
    'a signature from over an hour ago',
    headers(sign(at(3_600_001)), { 'x-gitee-timestamp': at(3_600_001) }),
    'too-old',
  ],
  [
    'a time in the far future',
    headers(sign(at(-3_600_001)), { 'x-gitee-timestamp': at(-3_600_001) }),
    'too-old',
  ],
  ['a time that is none', headers(SECRET, { 'x-gitee-timestamp': 'soon' }), 'too-old'],
])('%s is refused', (_what, given, reason) => {
  expect(judge(given, body(), SECRET, NOW_MS)).toEqual({ kind: 'refused', reason });
});

test('an empty secret opens nothing', () => {
  expect(judge(headers(''), body(), '', NOW_MS)).toEqual({ kind: 'refused', reason: 'no-token' });
});

test('a deleted branch is nowhere', () => {
  const deleted = body({ after: '0'.repeat(40) });
  expect(judge(headers(SECRET), deleted, SECRET, NOW_MS)).toMatchObject({ kind: 'push', after: null });
});

test('other events and pings are good, and no push', () => {
  const given = (event: string, ping = 'false') =>
    judge(headers(SECRET, { 'x-gitee-event': event, 'x-gitee-ping': ping }), body(), SECRET, NOW_MS);
  expect(given('Issue Hook')).toEqual({ kind: 'other', event: 'Issue Hook' });
  expect(given('push_hooks', 'true')).toEqual({ kind: 'other', event: 'push_hooks' });
  expect(given('push_hooks').kind).toBe('push');
});

test.each(['', 'no json', '[]', '{"ref":7}'])('a body %j is malformed', (text) => {
  const verdict = judge(headers(SECRET), Buffer.from(text), SECRET, NOW_MS);
  expect(verdict).toEqual({ kind: 'refused', reason: 'malformed' });
});
