import { randomBytes } from 'node:crypto';
import type { RemoteCause } from '../../../../src/gitee/errors.js';
import type { TokenSource } from '../../../../src/gitee/token.js';
import { chunkOf, opener, remoteFailure } from '../../../contract/chunk-remote.js';
import { json } from '../http/scripted-server.js';
import { LfsFixture, TOKEN } from './lfs-fixture.js';

let lfs: LfsFixture;
beforeEach(async () => {
  lfs = await LfsFixture.start();
});
afterEach(() => lfs.stop());

const many = (n: number) => Array.from({ length: n }, () => chunkOf(randomBytes(20)));

test('a batch is asked as the specification has it', async () => {
  await lfs.remote().missing([lfs.chunk]);
  const [request] = lfs.requests('batch');
  expect(request!.method).toBe('POST');
  expect(request!.url).toBe('/acme/images.git/info/lfs/objects/batch');
  expect(request!.headers.accept).toBe('application/vnd.git-lfs+json');
  expect(request!.headers['content-type']).toBe('application/vnd.git-lfs+json');
  expect(request!.headers.authorization).toBe(`Basic ${Buffer.from(`oauth2:${TOKEN}`).toString('base64')}`);
  expect(JSON.parse(request!.body.toString())).toEqual({
    operation: 'download',
    transfers: ['basic'],
    hash_algo: 'sha256',
    objects: [{ oid: lfs.chunk.oid, size: 2000 }],
  });
});

const NO_LFS = 'LFS only supported repository in paid or trial enterprise.';
const refusals: [number, string, RemoteCause][] = [
  [401, 'Credentials needed', 'unauthorized'],
  [401, `Authentication required: ${NO_LFS}`, 'lfs-not-enabled'],
  [403, NO_LFS, 'lfs-not-enabled'],
  [403, 'LFS only supported repository in paid enterprise.', 'lfs-not-enabled'],
  [403, 'Access forbidden. Check your access level.', 'forbidden'],
  [403, 'API rate limit exceeded', 'rate-limited'],
  [403, 'This repository is over its data quota.', 'quota-full'],
  [403, 'This repository is closed or paused', 'repository-closed'],
  [404, 'Not Found', 'repository-missing'],
  [406, 'Your repository has exceeded its size limit by 3 MB', 'quota-full'],
  [406, 'Not acceptable', 'refused'],
  [413, 'object exceeds LFS_MAX_FILE_SIZE', 'file-too-large'],
  [422, 'invalid', 'chunk-refused'],
  [422, 'exceeds quota 1024 MB', 'quota-full'],
  [429, 'slow down', 'rate-limited'],
  [500, 'oops', 'server-fault'],
  [501, 'Git LFS is not enabled on this GitLab server', 'lfs-not-enabled'],
  [502, '<html><h1>Bad Gateway</h1></html>', 'server-fault'],
  [507, 'Insufficient storage', 'quota-full'],
  [509, 'Bandwidth limit exceeded', 'bandwidth-exceeded'],
  [400, 'Bad Request', 'refused'],
];
test.each(refusals)('%i with the text "%s" is %s', async (status, text, cause) => {
  lfs.onBatch = (_body, response) => json(response, status, { message: text }, { 'X-Request-Id': 'req-77' });
  const error = await remoteFailure(lfs.remote().put(lfs.chunk, lfs.open));
  expect([error.code, error.status]).toEqual([cause, status]);
  expect(error.detail).toContain('[X-Request-Id req-77]');
  expect(error.message).toContain('LFS batch of acme/images');
  expect(lfs.requests('PUT')).toEqual([]);
});

test.each([
  ['an HTML page', '<html>Please log in</html>'],
  ['no objects', '{}'],
  ['an object without oid', '{"objects":[{"size":1}]}'],
  ['another transfer', '{"transfer":"tus","objects":[]}'],
  ['another object', `{"objects":[{"oid":"${'0'.repeat(64)}","size":1}]}`],
  ['an action without href', '{"objects":[{"oid":"OID","size":1,"actions":{"download":{}}}]}'],
])('a 200 with %s is a server fault', async (_what, body) => {
  lfs.onBatch = (_body, response) => response.end(body.replace('OID', lfs.chunk.oid));
  expect((await remoteFailure(lfs.remote().missing([lfs.chunk]))).code).toBe('server-fault');
});

test('what the server says is masked and shortened', async () => {
  lfs.onBatch = (_body, response) =>
    json(response, 403, { message: `no ${TOKEN} https://u:p@host/ ?access_token=zzz ${'x'.repeat(1000)}` });
  const error = await remoteFailure(lfs.remote().missing([lfs.chunk]));
  expect(error.detail).toContain('no *** https://***@host/ ?access_token=***');
  expect(error.detail).toHaveLength(500);
});

test('a passing failure is tried again once, after what the server asks for', async () => {
  let calls = 0;
  lfs.onBatch = (body, response) => {
    if (++calls === 1) json(response, 503, {}, { 'Retry-After': '2' });
    else lfs.answerBatch(body, response);
  };
  expect(await lfs.remote().missing([lfs.chunk])).toEqual([]);
  expect(lfs.clock.sleptMs).toEqual([2150]);
});

test.each([
  ['seconds', () => '120', 120_000],
  ['a date', (nowMs: number) => new Date(nowMs + 60_000).toUTCString(), 60_000],
])('a long Retry-After in %s is left to the caller', async (_kind, header, expectedMs) => {
  lfs.onBatch = (_body, response) => json(response, 429, {}, { 'Retry-After': header(lfs.clock.nowMs()) });
  const error = await remoteFailure(lfs.remote().missing([lfs.chunk]));
  expect([error.code, error.retryAfterMs]).toEqual(['rate-limited', expectedMs]);
  expect(lfs.requests('batch')).toHaveLength(1);
});

class RotatedToken implements TokenSource {
  reloads = 0;
  constructor(
    private token: string,
    private readonly next: string,
  ) {}
  current() {
    return this.token;
  }
  async reload() {
    this.reloads += 1;
    const changed = this.token !== this.next;
    this.token = this.next;
    return changed;
  }
}

test('a 401 has the token read again, once', async () => {
  const good = `Basic ${Buffer.from('oauth2:new').toString('base64')}`;
  lfs.onBatch = (body, response, request) => {
    if (request.headers.authorization === good) lfs.answerBatch(body, response);
    else json(response, 401, {});
  };
  const token = new RotatedToken('old', 'new');
  expect(await lfs.remote({ token }).missing([lfs.chunk])).toEqual([]);
  expect(lfs.requests('batch')).toHaveLength(2);
  const wrong = new RotatedToken('old', 'wrong as well');
  expect((await remoteFailure(lfs.remote({ token: wrong }).missing([lfs.chunk]))).code).toBe('unauthorized');
  expect(wrong.reloads).toBe(1);
});

test('a 401 with a token that did not change is not tried again', async () => {
  lfs.onBatch = (_body, response) => json(response, 401, {});
  const error = await remoteFailure(lfs.remote().missing([lfs.chunk]));
  expect([error.code, error.pauses]).toEqual(['unauthorized', true]);
  expect(lfs.requests('batch')).toHaveLength(1);
});

test('a token file that cannot be read leaves the refusal as it is', async () => {
  lfs.onBatch = (_body, response) => json(response, 401, {});
  const token: TokenSource = { current: () => 'old', reload: () => Promise.reject(new Error('EACCES')) };
  expect((await remoteFailure(lfs.remote({ token }).missing([lfs.chunk]))).code).toBe('unauthorized');
});

test.each([413, 422])('too many objects (%i) halve the batches from then on', async (status) => {
  lfs.onBatch = (body, response) => {
    if (body.objects.length > 30) json(response, status, { message: 'too many' });
    else lfs.answerBatch(body, response);
  };
  const remote = lfs.remote();
  expect(await remote.missing(many(100))).toEqual([]);
  lfs.server.seen.length = 0;
  expect(await remote.missing(many(100))).toEqual([]);
  const sizes = lfs
    .requests('batch')
    .map((r) => (JSON.parse(r.body.toString()) as { objects: [] }).objects.length);
  expect(sizes).toEqual([25, 25, 25, 25]);
});

test('at most 100 objects go into one call, and two calls run at once', async () => {
  let running = 0;
  let most = 0;
  lfs.onBatch = (body, response) => {
    most = Math.max(most, ++running);
    setImmediate(() => {
      running -= 1;
      lfs.answerBatch(body, response);
    });
  };
  await lfs.remote().missing(many(450));
  const sizes = lfs
    .requests('batch')
    .map((r) => (JSON.parse(r.body.toString()) as { objects: [] }).objects.length);
  expect(sizes).toEqual([100, 100, 100, 100, 50]);
  expect(most).toBe(2);
});

test.each([
  [404, true],
  [410, true],
])('an object error %i of a download means missing', async (code, isMissing) => {
  lfs.onBatch = (body, response) => lfs.answerObjects(body, response, { error: { code, message: 'gone' } });
  expect((await lfs.remote().missing([lfs.chunk])).length === 1).toBe(isMissing);
});

const objectErrors: [number, string, RemoteCause][] = [
  [409, 'hash', 'chunk-refused'],
  [410, 'removed', 'chunk-refused'],
  [422, 'invalid', 'chunk-refused'],
  [413, 'too large', 'file-too-large'],
  [404, 'not there', 'server-fault'],
  [403, 'no', 'forbidden'],
  [429, 'later', 'rate-limited'],
  [500, 'oops', 'server-fault'],
  [507, 'full', 'quota-full'],
  [422, 'exceeds quota 1 MB', 'quota-full'],
  [0, 'nothing', 'server-fault'],
];
test.each(objectErrors)('an object error %i "%s" of an upload is %s', async (code, message, cause) => {
  lfs.onBatch = (body, response) => lfs.answerObjects(body, response, { error: { code, message } });
  const error = await remoteFailure(lfs.remote().put(lfs.chunk, lfs.open));
  // What can only be about everything names no object.
  const oids = cause === 'rate-limited' ? [] : [lfs.chunk.oid];
  expect([error.code, error.oids, error.detail]).toEqual([cause, oids, message]);
});

test.each([403, 507, 500])(
  'a status %i of a whole call is about no object, even where it has only one',
  async (status) => {
    lfs.onBatch = (_, response) => json(response, status, { message: 'no' });
    expect((await remoteFailure(lfs.remote().put(lfs.chunk, lfs.open))).oids).toEqual([]);
  },
);

test('errors for some objects of a question name all of these', async () => {
  const chunks = many(3);
  lfs.onBatch = (body, response) =>
    lfs.answerObjects(body, response, { error: { code: 403, message: 'no' } });
  const error = await remoteFailure(lfs.remote().missing(chunks));
  expect([error.code, [...error.oids]]).toEqual(['forbidden', chunks.map(({ oid }) => oid)]);
});

test('an answer with neither error nor link proves nothing: the chunk counts as missing', async () => {
  lfs.onBatch = (body, response) => lfs.answerObjects(body, response, {});
  expect(await lfs.remote().missing([lfs.chunk])).toEqual([lfs.chunk]);
});

test('an object of another size is missing', async () => {
  lfs.onBatch = (body, response) =>
    lfs.answerObjects(body, response, { size: 7, actions: { download: { href: '/x' } } });
  expect(await lfs.remote().missing([lfs.chunk])).toEqual([lfs.chunk]);
});

test('calls are counted by their result', async () => {
  await lfs.remote().missing([lfs.chunk]);
  lfs.onBatch = (_body, response) => json(response, 404, {});
  await remoteFailure(lfs.remote().missing([lfs.chunk]));
  expect(Object.fromEntries(lfs.metrics.counts)).toEqual({
    'gateway_lfs_requests_total{operation=batch,result=ok}': 1,
    'gateway_lfs_requests_total{operation=batch,result=repository-missing}': 1,
    'gateway_gitee_errors_total{cause=repository-missing}': 1,
  });
});

describe('uploads that begin together', () => {
  const chunks = Array.from({ length: 40 }, (_, i) => randomBytes(100 + i));
  const putAll = () => {
    const remote = lfs.remote();
    return Promise.allSettled(chunks.map((bytes) => remote.put(chunkOf(bytes), opener(bytes))));
  };

  test('ask together, and each gets its own answer', async () => {
    const results = await putAll();
    expect(results.map(({ status }) => status)).toEqual(chunks.map(() => 'fulfilled'));
    // Each a call of its own before.
    expect(lfs.requests('batch').length).toBeLessThanOrEqual(2);
  });

  test('whom the answer says nothing of fails alone', async () => {
    const bad = chunkOf(chunks[7]!);
    lfs.onBatch = (body, response) =>
      lfs.answerBatch({ ...body, objects: body.objects.filter(({ oid }) => oid !== bad.oid) }, response);
    const results = await putAll();
    expect(results.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([7]);
  });

  test('one that gives up takes nothing from the others, and the last one ends the call', async () => {
    const leave = [new AbortController(), new AbortController()];
    const remote = lfs.remote();
    lfs.onBatch = () => {};
    const puts = leave.map(({ signal }, i) => remote.put(chunkOf(chunks[i]!), opener(chunks[i]!), signal));
    const ended = Promise.allSettled(puts);
    while (lfs.requests('batch').length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const controller of leave) controller.abort(new Error('gone'));
    for (const result of await ended)
      expect((result as PromiseRejectedResult).reason).toMatchObject({ message: 'gone' });
  });
});
