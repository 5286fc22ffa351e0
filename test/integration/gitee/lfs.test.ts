import { randomBytes } from 'node:crypto';
import { silentLog } from '../../../src/async/log.js';
import { systemClock } from '../../../src/async/clock.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { HttpClient } from '../../../src/gitee/http/client.js';
import { createDispatcher } from '../../../src/gitee/http/dispatcher.js';
import {
  lfsEndpointUrl,
  LfsChunkRemote,
  type LfsChunkRemoteDeps,
} from '../../../src/gitee/lfs/lfs-chunk-remote.js';
import { StaticTokenSource } from '../../../src/gitee/token.js';
import { chunkOf, chunkRemoteContract, opener, readAll, remoteFailure } from '../../contract/chunk-remote.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

const TIMEOUTS = {
  // Short where a server keeps silent on purpose, long enough for one that is kept from its work.
  dataTimeouts: { idleMs: 4000, bytesPerSecondMin: 8192 },
  apiTimeouts: { idleMs: 4000, totalMs: 20_000 },
};
const REPO = 'acme/images';

let gitee: RunningLocalGitee;
let http: HttpClient;
beforeAll(async () => {
  gitee = await startLocalGitee();
  http = new HttpClient({
    dispatcher: createDispatcher({ connectTimeoutMs: 10_000, env: {} }),
    userAgent: 'gitee-s3-gateway/test',
  });
});
afterEach(async () => {
  await gitee.clearFaults();
  // Invariant 7: whatever a test did, the token never reached the LFS host.
  expect((await gitee.stats()).tokenLeaks).toEqual([]);
});
afterAll(async () => {
  await http.close();
  await gitee.stop();
});

const remote = (options: Partial<LfsChunkRemoteDeps> = {}) =>
  new LfsChunkRemote({
    http,
    endpointUrl: lfsEndpointUrl(gitee.url, 'acme', 'images'),
    token: new StaticTokenSource(gitee.token),
    user: 'oauth2',
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
    ...TIMEOUTS,
    ...options,
  });
const fresh = (sizeBytes = 100_000) => {
  const bytes = randomBytes(sizeBytes);
  return { bytes, chunk: chunkOf(bytes), open: opener(bytes) };
};
const counters = async () => (await gitee.stats()).repositories[REPO]!;

chunkRemoteContract('LfsChunkRemote at local Gitee', async () => ({
  remote: remote(),
  cutNextDownload: (afterBytes) => gitee.passingFault('lfs-download-cut', 1, { afterBytes }),
  stall: () => gitee.fault('lfs-stall'),
  lose: async (chunk) => {
    await gitee.admin('delete-object', { repo: REPO, oid: chunk.oid });
  },
  close: async () => {},
}));

test('a chunk of 8 MiB goes there and back, verified', async () => {
  const { bytes, chunk, open } = fresh(8 * 1024 * 1024);
  const before = await counters();
  expect(await remote().put(chunk, open)).toEqual({ sentBytes: bytes.length });
  expect((await counters()).verifyCalls).toBe(before.verifyCalls + 1);
  expect((await readAll(await remote().get(chunk))).equals(bytes)).toBe(true);
});

test.each(['oauth2', 'gateway'])('the token is taken with the user name %s', async (user) => {
  const { chunk } = fresh();
  expect(await remote({ user }).missing([chunk])).toEqual([chunk]);
});

test.each([
  ['lfs-no-verify', {}],
  ['lfs-chunked-header', {}],
  ['lfs-link-expired', {}],
  ['lfs-batch-garbage', {}],
  ['lfs-batch-status', { status: 502 }],
  ['rate-limit', {}],
])('an upload gets through in spite of %s', async (fault, options) => {
  const { chunk, open } = fresh();
  await gitee.passingFault(fault, 1, options);
  await remote().put(chunk, open);
  expect((await gitee.stats()).faults.find((f) => f.name === fault)?.hits).toBeGreaterThan(0);
  expect(await remote().missing([chunk])).toEqual([]);
});

test('invariant 1: an upload whose answer was lost is confirmed without sending it twice', async () => {
  const { chunk, open } = fresh();
  const before = await counters();
  await gitee.passingFault('lfs-upload-lose-after-accept', 1);
  expect(await remote().put(chunk, open)).toEqual({ sentBytes: chunk.sizeBytes });
  expect((await counters()).uploads).toBe(before.uploads + 1);
});

test('a present object that is told by a download link only is not sent', async () => {
  const { chunk, open } = fresh();
  await remote().put(chunk, open);
  await gitee.fault('lfs-present-with-download-action');
  expect(await remote().put(chunk, open)).toEqual({ sentBytes: 0 });
});

test.each([
  ['lfs-upload-cut', { afterBytes: 20_000 }, ['unreachable']],
  // The answer comes before the body's end: it may be overtaken by the reset of the connection.
  ['lfs-upload-status', { status: 500 }, ['server-fault', 'unreachable']],
  ['lfs-stall', {}, ['timeout']],
])('%s is a passing failure, and the next try gets through', async (fault, options, codes) => {
  const { chunk, open } = fresh(3_000_000);
  await gitee.fault(fault, options);
  const error = await remoteFailure(remote().put(chunk, open));
  expect(codes).toContain(error.code);
  expect(error.isTransient).toBe(true);
  await gitee.clearFaults();
  await remote().put(chunk, open);
  expect(await remote().missing([chunk])).toEqual([]);
});

test('a full store is quota-full, for an operator to solve', async () => {
  const { chunk, open } = fresh();
  await gitee.fault('lfs-quota-full');
  const error = await remoteFailure(remote().put(chunk, open));
  expect([error.code, error.pauses, error.status]).toEqual(['quota-full', true, 507]);
});

test('an object that the server forgot after verify is missing', async () => {
  const { chunk, open } = fresh();
  await gitee.fault('lfs-forget');
  await remote().put(chunk, open);
  expect(await remote().missing([chunk])).toEqual([chunk]);
});

test('a slow download is waited for while bytes come', async () => {
  const { chunk, open, bytes } = fresh(200_000);
  await remote().put(chunk, open);
  await gitee.fault('lfs-download-slow', { ms: 50 });
  expect((await readAll(await remote().get(chunk))).equals(bytes)).toBe(true);
});

test('a download goes on in the middle, also from a storage that knows no ranges', async () => {
  const { chunk, open, bytes } = fresh(200_000);
  await remote().put(chunk, open);
  const before = await counters();
  const rest = async () => readAll(await remote().get(chunk, { offsetBytes: 150_000 }));
  expect((await rest()).equals(bytes.subarray(150_000))).toBe(true);
  expect((await counters()).downloadedBytes - before.downloadedBytes).toBe(50_000);
  await gitee.fault('lfs-no-range');
  expect((await rest()).equals(bytes.subarray(150_000))).toBe(true);
});

test.each([502, 503])('a storage that answers %i is a fault of the server', async (status) => {
  const { chunk, open } = fresh();
  await remote().put(chunk, open);
  await gitee.fault('lfs-download-status', { status, retryAfterSeconds: 7 });
  const error = await remoteFailure(remote().get(chunk));
  expect([error.code, error.status, error.retryAfterMs]).toEqual(['server-fault', status, 7_000]);
});

test('a repository without LFS says so', async () => {
  await gitee.admin('repositories', {
    owner: 'gateway',
    name: 'plain',
    collaborators: { gateway: 'admin' },
  });
  const { chunk, open } = fresh();
  const plain = remote({ endpointUrl: lfsEndpointUrl(gitee.url, 'gateway', 'plain') });
  for (const call of [() => plain.missing([chunk]), () => plain.put(chunk, open), () => plain.get(chunk)])
    expect((await remoteFailure(call())).code).toBe('lfs-not-enabled');
});

test('a wrong token is unauthorized, a missing repository is named', async () => {
  const { chunk } = fresh();
  const wrong = remote({ token: new StaticTokenSource('0'.repeat(32)) });
  expect((await remoteFailure(wrong.missing([chunk]))).code).toBe('unauthorized');
  const none = remote({ endpointUrl: lfsEndpointUrl(gitee.url, 'acme', 'none') });
  const error = await remoteFailure(none.missing([chunk]));
  expect(error.code).toBe('repository-missing');
  expect(error.message).toContain('acme/none');
});
