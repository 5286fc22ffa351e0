import { silentLog } from '../../../src/async/log.js';
import { systemClock } from '../../../src/async/clock.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { GiteeApi } from '../../../src/gitee/api/gitee-api.js';
import { HttpClient } from '../../../src/gitee/http/client.js';
import { createDispatcher } from '../../../src/gitee/http/dispatcher.js';
import type { ProbeDeps, ProbeResult } from '../../../src/gitee/probes/probe.js';
import { runReadOnlyProbes } from '../../../src/gitee/probes/run-probes.js';
import { StaticTokenSource } from '../../../src/gitee/token.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

let gitee: RunningLocalGitee;
let http: HttpClient;
beforeAll(async () => {
  gitee = await startLocalGitee();
  http = new HttpClient({
    dispatcher: createDispatcher({ connectTimeoutMs: 10_000, env: {} }),
    userAgent: 'gitee-s3-gateway/test',
    timeouts: { idleMs: 5000, totalMs: 20_000 },
  });
});
afterEach(() => gitee.clearFaults());
afterAll(async () => {
  await http.close();
  await gitee.stop();
});

const run = async (options: Partial<ProbeDeps> & { secret?: string } = {}) => {
  const token = new StaticTokenSource(options.secret ?? gitee.token);
  const giteeUrl = options.giteeUrl ?? gitee.url;
  const api = new GiteeApi({
    http,
    giteeUrl,
    token,
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
    random: () => 0,
  });
  const results = await runReadOnlyProbes({
    http,
    api,
    giteeUrl,
    owner: 'acme',
    name: 'images',
    branch: 'master',
    token,
    user: 'oauth2',
    lfsBatchMax: 100,
    clock: systemClock,
    ...options,
  });
  const text = JSON.stringify(results);
  expect(text).not.toContain(options.secret ?? gitee.token);
  expect(text).not.toContain('Signature');
  return new Map(results.map((result) => [result.name, result]));
};
const statusOf = (results: Map<string, ProbeResult>, name: string) => results.get(name)?.status;

test('a repository that is set up well has no failure, and each probe an answer', async () => {
  const before = await gitee.stats();
  const results = await run();
  const statuses = Object.fromEntries([...results].map(([name, result]) => [name, result.status]));
  expect(statuses).toEqual({
    token: 'ok',
    'repository acme/images': 'ok',
    'push right acme/images': 'ok',
    'state acme/images': 'ok',
    'enterprise acme/images': 'ok',
    'visibility acme/images': 'ok',
    'branch master of acme/images': 'ok',
    'push rules acme/images': 'ok',
    'contents acme/images': 'ok',
    'webhooks acme/images': 'unknown',
    'lfs acme/images': 'ok',
    'lfs login acme/images': 'ok',
    'lfs upload link acme/images': 'ok',
    'lfs batch size acme/images': 'ok',
    'git login acme/images': 'ok',
    'git push acme/images': 'ok',
    'git fetch acme/images': 'ok',
    clock: 'ok',
    'rate limit': 'ok',
  });
  expect(results.get('token')!.answer).toContain('gateway');
  expect(results.get('lfs upload link acme/images')!.answer).toContain(new URL(gitee.lfsUrl).host);
  expect(results.get('lfs batch size acme/images')!.answer).toContain('1000');
  const after = await gitee.stats();
  expect(after.repositories['acme/images']).toMatchObject({
    lfsObjects: before.repositories['acme/images']!.lfsObjects,
    pushes: before.repositories['acme/images']!.pushes,
    branches: {},
    tokenLeaks: 0,
  });
});

test('a wrong token is the only answer, with the setting', async () => {
  const results = await run({ secret: '0'.repeat(32) });
  expect([...results.keys()]).toEqual(['token']);
  expect(results.get('token')).toMatchObject({ status: 'failed', setting: 'gitee.token' });
});

test('a Gitee that is not there is the only answer, with the setting', async () => {
  const results = await run({ giteeUrl: 'http://127.0.0.1:9' });
  expect(results.get('token')).toMatchObject({ status: 'failed', setting: 'gitee.url' });
  expect(results.size).toBe(1);
});

test('a repository that is missing is named', async () => {
  const results = await run({ name: 'none' });
  expect(results.get('repository acme/none')).toMatchObject({
    status: 'failed',
    setting: 'buckets[].repository',
  });
});

test('a repository of a person has neither enterprise nor LFS, and everybody may read it', async () => {
  await gitee.admin('repositories', {
    owner: 'gateway',
    name: 'open',
    private: false,
    collaborators: { gateway: 'admin' },
  });
  const results = await run({ owner: 'gateway', name: 'open' });
  expect(statusOf(results, 'enterprise gateway/open')).toBe('warning');
  expect(statusOf(results, 'visibility gateway/open')).toBe('warning');
  expect(results.get('lfs gateway/open')).toMatchObject({
    status: 'failed',
    setting: 'buckets[].repository',
  });
  expect(statusOf(results, 'git login gateway/open')).toBe('ok');
});

test('a right to read only is told', async () => {
  await gitee.admin('repositories', {
    owner: 'acme',
    name: 'readonly',
    enterprise: true,
    lfs: true,
    collaborators: { gateway: 'pull' },
  });
  const results = await run({ name: 'readonly' });
  expect(results.get('push right acme/readonly')).toMatchObject({ status: 'failed', setting: 'gitee.token' });
  expect(statusOf(results, 'git login acme/readonly')).toBe('failed');
});

test('a closed repository with a file limit is told', async () => {
  await gitee.admin('repositories', {
    owner: 'acme',
    name: 'closed',
    enterprise: true,
    lfs: true,
    closed: true,
    limits: { fileMb: 50 },
    collaborators: { gateway: 'push' },
  });
  const results = await run({ name: 'closed' });
  expect(statusOf(results, 'state acme/closed')).toBe('failed');
  expect(results.get('push rules acme/closed')!.answer).toContain('50 MB');
});

test('a wrong user name is found, and the right one named', async () => {
  const results = await run({ user: 'somebody' });
  expect(results.get('lfs login acme/images')).toMatchObject({ status: 'failed', setting: 'gitee.lfs_user' });
  expect(results.get('git login acme/images')).toMatchObject({ status: 'failed', setting: 'gitee.user' });
  expect(results.get('git login acme/images')!.help).toContain('oauth2');
});

test('a maintainer may read the webhooks', async () => {
  const results = await run({ secret: gitee.maintainerToken });
  expect(statusOf(results, 'webhooks acme/images')).toBe('ok');
});
