import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import express from 'express';
import { REMOTE_CAUSES, RemoteError } from '../../../src/gitee/errors.js';
import {
  registryFailure,
  registryTask,
  type RegistryConditions,
  type RegistryTask,
} from '../../../src/server/registry-failure.js';
import { registryFailureRouter } from '../../../src/server/registry-failure-router.js';

const WELL: RegistryConditions = {
  isStopping: false,
  buckets: [{ isFrozen: false, isReady: true, pausedBy: undefined }],
  line: { isDown: false, uses: [], sinceMs: undefined },
  nowMs: Date.parse('2026-11-29T13:09:30Z'),
};
const bucket = (is: Partial<RegistryConditions['buckets'][number]>): RegistryConditions => ({
  ...WELL,
  buckets: [WELL.buckets[0]!, { ...WELL.buckets[0]!, ...is }],
});
const GONE: RegistryConditions = {
  ...WELL,
  line: { isDown: true, sinceMs: Date.parse('2026-11-29T13:05:00Z'), uses: [] },
};
/** Something answers, though nothing good. */
const ERRORS: RegistryConditions = {
  ...WELL,
  line: {
    isDown: false,
    sinceMs: Date.parse('2026-11-29T13:05:00Z'),
    uses: [
      {
        use: 'batch',
        isDown: true,
        sinceMs: Date.parse('2026-11-29T13:05:00Z'),
        failure: { code: 'server-fault', message: '502' },
        lastSuccessMs: undefined,
      },
    ],
  },
};
const TASKS: readonly RegistryTask[] = ['tag', 'layer', 'read'];

test.each([
  ['PUT', '/v2/a/b/manifests/latest', 'tag'],
  ['PUT', '/v2/a/manifests/sha256:1', 'tag'],
  ['POST', '/v2/a/b/blobs/uploads/', 'layer'],
  ['PATCH', '/v2/a/blobs/uploads/1', 'layer'],
  ['PUT', '/v2/manifests/blobs/uploads/1', 'layer'],
  ['GET', '/v2/a/manifests/latest', 'read'],
  ['HEAD', '/v2/a/blobs/sha256:1', 'read'],
  ['DELETE', '/v2/a/manifests/sha256:1', 'read'],
  ['GET', '/v2/a/blobs/uploads/1', 'read'],
  ['PUT', '/v2/', 'read'],
])('%s %s is a %s', (method, path, task) => {
  expect(registryTask(method, path)).toBe(task);
});

test.each(REMOTE_CAUSES.filter((cause) => new RemoteError(cause, 'x').pauses))(
  'a pause by %s is told in both languages, and that pushing again does not help',
  (pausedBy) => {
    for (const task of ['tag', 'layer'] as const) {
      const { code, reason, message } = registryFailure(task, bucket({ pausedBy }));
      expect([code, reason]).toEqual(['DENIED', 'paused']);
      expect(message).toMatch(/^[\x20-\x7e]+ \/ .*\p{Script=Han}/u);
      expect(message.match(/gitee-s3 status/g)).toHaveLength(2);
    }
    // Reads may work all the same: who reads is asked to try again.
    expect(registryFailure('read', bucket({ pausedBy })).code).toBe('UNAVAILABLE');
  },
);

test('known causes are named, and the causes with words of their own all pause', () => {
  expect(registryFailure('tag', bucket({ pausedBy: 'quota-full' })).message).toContain(
    'Gitee 的存储空间已用完',
  );
  expect(registryFailure('tag', bucket({ pausedBy: 'unauthorized' })).message).toContain('token');
  expect(registryFailure('tag', bucket({ pausedBy: 'refused' })).message).toContain('Gitee refuses what');
});

test.each([
  ['stopping', { ...WELL, isStopping: true }, /restarts.*正在重启/],
  ['no-answer', GONE, /since 13:05 UTC \(4 min\).*自 13:05 UTC 起没有应答.4 分钟/],
  ['no-answer', ERRORS, /answered with errors since 13:05 UTC \(4 min\).*自 13:05 UTC 起返回错误.4 分钟/],
  ['starting', bucket({ isReady: false }), /reading the branch.*读取分支/],
  ['waiting', WELL, /try again|push again/],
] as const)('%s passes: it is told, with what to do', (reason, conditions, message) => {
  for (const task of TASKS) {
    const failure = registryFailure(task, conditions);
    expect(failure).toMatchObject({ reason, code: 'UNAVAILABLE', message: expect.stringMatching(message) });
    expect(failure.retryAfterSeconds).toBeGreaterThan(0);
  }
});

test('a use of the line that is down is told, fetches of the branch alone are not', () => {
  const uses = (use: 'upload' | 'fetch'): RegistryConditions => ({
    ...WELL,
    line: {
      isDown: false,
      sinceMs: GONE.line.sinceMs,
      uses: [{ use, isDown: true, sinceMs: 1, failure: undefined, lastSuccessMs: undefined }],
    },
  });
  expect(registryFailure('tag', uses('upload')).reason).toBe('no-answer');
  expect(registryFailure('tag', uses('fetch')).reason).toBe('waiting');
});

test('a bucket that is read-only refuses pushes and says nothing to who reads', () => {
  expect(registryFailure('tag', bucket({ isFrozen: true }))).toMatchObject({
    reason: 'read-only',
    code: 'DENIED',
  });
  expect(registryFailure('read', bucket({ isFrozen: true })).reason).toBe('waiting');
});

test('what the operator mends comes before what passes', () => {
  const both = { ...bucket({ pausedBy: 'quota-full' }), line: GONE.line };
  expect(registryFailure('layer', both).reason).toBe('paused');
  expect(registryFailure('read', both).reason).toBe('no-answer');
});

test('answers 403 for what stays and 503 for what passes, counts each once, and nothing else', async () => {
  const counted: unknown[] = [];
  const app = express();
  app.use(
    registryFailureRouter({
      conditions: () => bucket({ pausedBy: 'quota-full' }),
      metrics: { count: (name, labels) => counted.push([name, labels]), observe: () => {}, set: () => {} },
    }),
  );
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, init);
  try {
    const answer = await ask('/v2/a/manifests/1?x=y', { headers: { 'x-original-method': 'PUT' } });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([403, '60']);
    expect(await answer.json()).toEqual({
      errors: [{ code: 'DENIED', message: expect.stringContaining('used up') }],
    });
    expect(counted).toEqual([['gateway_registry_failures_total', { task: 'tag', reason: 'paused' }]]);
    const again = { 'x-original-method': 'PUT', 'x-asked-again': 'yes' };
    expect((await ask('/v2/a/manifests/1', { headers: again })).status).toBe(403);
    expect(counted).toHaveLength(1);
    expect((await ask('/v2/a/manifests/1', { headers: { 'x-original-method': 'GET' } })).status).toBe(503);
    counted.length = 1;
    const others = [
      await ask('/v2/a/manifests/1'),
      await ask('/v2/a/manifests/1', { method: 'PUT', headers: { 'x-original-method': 'PUT' } }),
      await ask('/token', { headers: { 'x-original-method': 'PUT' } }),
    ];
    expect(others.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(counted).toHaveLength(1);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
