import { once } from 'node:events';
import { createServer, request, type ClientRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { AuditEvent } from '../../../src/async/audit.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { webhookRouter } from '../../../src/server/webhook-router.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { until } from '../../support/child.js';

const SECRET = 'a secret of the hook';
let server: Server;
let url: string;
let hints: string[];
let results: string[];
let refused: AuditEvent[];
let clock: ManualClock;

beforeEach(async () => {
  [hints, results, refused, clock] = [[], [], [], new ManualClock()];
  const bucket = (name: string, repository: string, branch = 'master') => ({
    ...{ name, repository, branch },
    hint: () => void hints.push(name),
  });
  const audit = { record: async () => {} };
  const router = webhookRouter({
    buckets: [bucket('a', 'acme/images'), bucket('b', 'acme/images', 'dev'), bucket('c', 'Acme/Files')],
    secret: () => SECRET,
    audit,
    guarded: {
      record: async (event) => {
        refused.push(event);
      },
    },
    clock,
    log: silentLog,
    metrics: {
      ...silentMetrics,
      count: (_name: string, labels?: Record<string, string>) => void results.push(labels!.result!),
    },
  });
  server = createServer(express().use(router));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function deliver(body: Record<string, unknown>, over: Record<string, string> = {}): Promise<number> {
  const headers = {
    'x-gitee-token': SECRET,
    'x-gitee-timestamp': String(clock.nowMs()),
    'x-gitee-event': 'Push Hook',
  };
  const answer = await fetch(`${url}/hook`, {
    method: 'POST',
    headers: { ...headers, ...over },
    body: JSON.stringify(body),
  });
  return answer.status;
}

const pushed = (repository: string | undefined, branch: string, n = 0) => ({
  ref: `refs/heads/${branch}`,
  after: String(n).padStart(40, '1'),
  ...(repository === undefined ? {} : { repository: { path_with_namespace: repository } }),
});

test.each<[string | undefined, string, string[]]>([
  ['acme/images', 'master', ['a']],
  ['acme/images', 'dev', ['b']],
  ['ACME/files', 'master', ['c']],
  ['acme/other', 'master', []],
  [undefined, 'master', ['a', 'c']],
])('a push to %s, branch %s, is a hint for %j', async (repository, branch, expected) => {
  expect(await deliver(pushed(repository, branch))).toBe(200);
  expect(hints).toEqual(expected);
  expect(results).toEqual([expected.length > 0 ? 'push' : 'unrelated']);
});

test('the same delivery again is answered 200, counted, and no hint', async () => {
  for (let i = 0; i < 3; i += 1) expect(await deliver(pushed('acme/images', 'master'))).toBe(200);
  expect([hints, results]).toEqual([['a'], ['push', 'repeated', 'repeated']]);
});

test('many pushes are one look at once and one after the last', async () => {
  for (let i = 0; i < 20; i += 1) await deliver(pushed('acme/images', 'master', i));
  expect(hints).toEqual(['a']);
  clock.advance(1000);
  await until('the look after the last', () => hints.length === 2);
  clock.advance(5000);
  await deliver(pushed('acme/images', 'master', 21));
  expect(hints).toEqual(['a', 'a', 'a']);
});

test('a test delivery is good and no hint', async () => {
  expect(await deliver(pushed('acme/images', 'master'), { 'x-gitee-ping': 'true' })).toBe(200);
  expect([hints, results]).toEqual([[], ['other']]);
});

test.each([
  ['no-token', 401, { 'x-gitee-token': '' }],
  ['wrong-token', 403, { 'x-gitee-token': 'guessed' }],
  ['too-old', 403, { 'x-gitee-timestamp': '1600000000000' }],
])('%s is answered %i and recorded', async (reason, status, headers) => {
  expect(await deliver(pushed('acme/images', 'master'), headers)).toBe(status);
  expect(hints).toEqual([]);
  expect(refused).toMatchObject([{ action: 'webhook.refuse', result: 'refused', detail: { reason } }]);
});

describe('a body', () => {
  /** A delivery whose body never comes; the status of its answer, `undefined` while there is none. */
  const headersOnly = (token: string) => {
    const { hostname, port } = new URL(url);
    const headers = { 'x-gitee-token': token, 'x-gitee-event': 'Push Hook', 'content-length': '5000000' };
    const sent = request({ hostname, port, path: '/hook', method: 'POST', headers });
    sent.on('error', () => {}); // the server ends what nobody waits for
    const answer: { status?: number; sent: ClientRequest } = { sent };
    sent.on('response', (response) => (answer.status = response.statusCode!));
    sent.write('{');
    return answer;
  };

  test('of a stranger is not read: who does not know the secret is told so at once', async () => {
    const answer = headersOnly('a wrong secret');
    await until('it is refused', async () => answer.status === 403);
    expect(refused).toMatchObject([{ action: 'webhook.refuse', detail: { reason: 'wrong-token' } }]);
    answer.sent.destroy();
  });

  test('is one of a few at once, and few more wait', async () => {
    const open = Array.from({ length: 54 }, () => headersOnly(SECRET));
    let last = headersOnly(SECRET);
    await until('one too many is turned away', async () => {
      if (last.status === 503) return true;
      last.sent.destroy();
      last = headersOnly(SECRET);
      return false;
    });
    for (const { sent } of open) sent.destroy();
    await until(
      'the others have made room',
      async () => (await deliver(pushed('acme/images', 'dev'))) === 200,
    );
    expect(hints).toEqual(['b']);
  });
});
