/** Hostile requests to the token service on a real socket: no 500, no token without a login, always an answer. */
import http from 'node:http';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { Fuzz } from '../support/fuzz.js';
import { ANSWER_LIMIT_MS } from '../support/time-limits.js';
import { TokenBench } from '../support/token-bench.js';

const fuzz = new Fuzz();
jest.setTimeout(fuzz.testLimitMs);

let bench: TokenBench;
beforeAll(async () => {
  bench = await TokenBench.start();
});
afterAll(() => bench.stop());

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', ' ', ':', '%', '%00', '__proto__', 'ann', 'token-of-ann', 'robot$', 'robot$x', 'gst_x'),
  fc.constantFrom(
    'repository:a/b:pull',
    'repository:a:*',
    'registry:catalog:*',
    'true',
    'password',
    'registry',
  ),
  fc.integer({ min: 500, max: 5000 }).map((n) => 'x'.repeat(n)),
);
const field = fc.constantFrom(
  ...['service', 'scope', 'account', 'client_id', 'offline_token', 'grant_type', 'refresh_token', 'username'],
  ...['password', 'access_type', '', '__proto__', 'scope[]'],
);
const fields = fc.array(fc.tuple(field, text), { maxLength: 8 });
const authorization = fc.oneof(
  fc.constant(undefined),
  fc
    .tuple(text, text)
    .map(([user, password]) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`),
  fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((n) => String.fromCharCode(n)), maxLength: 60 }),
);
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'),
  /** Names the right service, so that it gets past the first check. */
  named: fc.boolean(),
  query: fields,
  body: fields,
  raw: fc.boolean(),
  type: fc.constantFrom('application/x-www-form-urlencoded', 'application/json', 'text/plain; charset=x', ''),
  authorization,
  forwarded: fc.option(fc.constantFrom('', '::', '1.2.3.4', 'x, y', '::ffff:1.2.3.4'), { nil: undefined }),
});
type Hostile = typeof request extends fc.Arbitrary<infer T> ? T : never;

test('whatever is asked is answered with what the protocol has, and only who logged in gets a token', async () => {
  await fuzz.assert(
    fc.asyncProperty(request, async (hostile) => {
      const { status, body } = await send(hostile);
      expect([200, 400, 401, 405, 413, 415, 429, 431, 503]).toContain(status);
      if (status !== 200 || hostile.method === 'HEAD') return;
      const right = JSON.stringify(hostile).includes('token-of-ann') || isBasicOfAnn(hostile.authorization);
      // OPTIONS is answered by Express.
      if (body.includes('"token"')) expect(right).toBe(true);
    }),
    { numRuns: 600 },
  );
});

function isBasicOfAnn(header: string | undefined): boolean {
  return Buffer.from(header?.replace(/^Basic /, '') ?? '', 'base64').toString() === 'ann:token-of-ann';
}

function send(hostile: Hostile): Promise<{ status: number; body: string }> {
  const encode = (pairs: [string, string][]) =>
    hostile.raw
      ? // What is no valid URL is refused by Node's client, not by us.
        pairs.map(([k, v]) => `${k}=${encodeURI(Buffer.from(v).toString()).replace(/%25/g, '%')}`).join('&')
      : new URLSearchParams(pairs).toString();
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        host: '127.0.0.1',
        port: bench.port,
        method: hostile.method,
        path: `/token?${hostile.named ? 'service=registry&' : ''}${encode(hostile.query)}`,
        headers: {
          ...(hostile.authorization === undefined ? {} : { Authorization: hostile.authorization }),
          ...(hostile.type === '' ? {} : { 'Content-Type': hostile.type }),
          ...(hostile.forwarded === undefined ? {} : { 'X-Forwarded-For': hostile.forwarded }),
        },
        timeout: ANSWER_LIMIT_MS,
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (data: string) => (body += data));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', reject);
    const body = (hostile.named ? 'service=registry&' : '') + encode(hostile.body);
    sent.end(['POST', 'PUT'].includes(hostile.method) ? body : undefined);
  });
}
