import { createHash } from 'node:crypto';
import { networkFailure } from '../../../../src/gitee/http/network-failure.js';
import { retryAfterMs } from '../../../../src/gitee/http/retry-after.js';
import { retryRemote } from '../../../../src/gitee/http/retry-remote.js';
import { serverWords, statusFailure } from '../../../../src/gitee/http/status-failure.js';
import { RemoteError, type RemoteCause } from '../../../../src/gitee/errors.js';
import { SkippingClock } from './scripted-server.js';

test.each([
  ['{"message":"404 Project Not Found"}', '404 Project Not Found'],
  ['{"error":"invalid_token","error_description":"it has expired"}', 'it has expired'],
  ['{"error":"nope"}', 'nope'],
  [
    '<html><head><style>a{}</style></head><body><h1>502</h1>\n<p>Bad  Gateway</p></body></html>',
    '502 Bad Gateway',
  ],
  ['plain words', 'plain words'],
  ['', ''],
])('the words of %s are "%s"', (text, words) => {
  expect(serverWords(text)).toBe(words);
});

test('the message names the call, the detail has the request id first', () => {
  const error = statusFailure(
    { status: 403, headers: { 'x-request-id': 'abc' }, text: '{"message":"Access denied"}' },
    { what: 'API call GET /user', nowMs: 0 },
  );
  expect(error.message).toMatch(/^API call GET \/user was answered 403: /);
  expect(error.detail).toBe('[X-Request-Id abc] Access denied');
});

test('a token is masked in clear, and as a Basic header carries it', () => {
  const token = createHash('md5').update('x').digest('hex');
  const text = `bad ${token} and ${Buffer.from(`oauth2:${token}`).toString('base64')}`;
  const error = statusFailure({ status: 400, headers: {}, text }, { what: 'x', nowMs: 0, token });
  expect(error.detail).toBe('bad *** and ***');
});

const NOW_MS = Date.UTC(2026, 0, 1);
test.each([
  [503, { 'retry-after': '7' }, 7000],
  [503, { 'retry-after': '0.5' }, 500],
  [429, { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, 30_000],
  [429, { 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT' }, 0],
  [429, { 'retry-after': '999999999' }, 3_600_000],
  [429, { 'retry-after': 'soon' }, undefined],
  [429, { 'x-ratelimit-reset': String(NOW_MS / 1000 + 12) }, 12_000],
  [500, { 'x-ratelimit-reset': String(NOW_MS / 1000 + 12) }, undefined],
  [429, {}, undefined],
])('%i with %j asks to wait %s ms', (status, headers: Record<string, string>, expected) => {
  expect(retryAfterMs(status, headers, NOW_MS)).toBe(expected);
});

test.each<[string, RemoteCause]>([
  ['ECONNRESET', 'unreachable'],
  ['ENOTFOUND', 'unreachable'],
  ['UND_ERR_SOCKET', 'unreachable'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['ETIMEDOUT', 'timeout'],
  ['HPE_INVALID_CONSTANT', 'server-fault'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'unreachable'],
])('a network error %s is %s', (code, cause) => {
  const error = Object.assign(new Error('x'), { code });
  expect(networkFailure(error, 'a call').code).toBe(cause);
  expect(networkFailure(new Error('outer', { cause: error }), 'a call').message).toContain(code);
});

test('a certificate that is not trusted names the setting', () => {
  const error = Object.assign(new Error('x'), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  expect(networkFailure(error, 'a call').message).toContain('gitee.ca_file');
});

test('retries are bounded, wait longer each time, and only for what may pass', async () => {
  const clock = new SkippingClock();
  let calls = 0;
  const failing = (code: RemoteCause) => () => {
    calls += 1;
    return Promise.reject(new RemoteError(code, 'x'));
  };
  const options = { attempts: 4, clock, random: () => 0.5 };
  await expect(retryRemote(failing('unreachable'), options)).rejects.toThrow('x');
  expect([calls, clock.sleptMs]).toEqual([4, [150, 300, 600]]);
  calls = 0;
  await expect(retryRemote(failing('forbidden'), options)).rejects.toThrow('x');
  expect(calls).toBe(1);
});
