import { randomBytes } from 'node:crypto';
import { until } from '../../support/child.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { oidOf } from './git-client.js';
import { LfsClient, put } from './lfs-client.js';

describe('faults of Git LFS and of the API', () => {
  let gitee: RunningLocalGitee;
  let lfs: LfsClient;

  beforeAll(async () => {
    gitee = await startLocalGitee();
    lfs = new LfsClient(gitee.url, 'acme/images', gitee.token);
  });

  afterEach(() => gitee.clearFaults());

  afterAll(() => gitee.stop());

  const object = (bytes: Uint8Array) => ({ oid: oidOf(bytes), size: bytes.length });
  const isThere = async (bytes: Uint8Array) =>
    (await lfs.batch('download', [object(bytes)])).objects[0]?.error === undefined;
  const held = (connections: number) =>
    until('connections are held', async () => (await gitee.stats()).heldConnections === connections);

  test('lfs-stall holds batches and data, and lets go when it is cleared', async () => {
    const bytes = randomBytes(3_000_000);
    const link = await lfs.link('upload', bytes);
    await gitee.fault('lfs-stall');
    const batch = lfs.batch('download', [object(bytes)]);
    const data = put(link, bytes);
    const outcomes = Promise.allSettled([batch, data]);
    await held(2);
    await gitee.clearFaults();
    expect((await outcomes).map((o) => o.status)).toEqual(['rejected', 'rejected']);
    expect(await isThere(bytes)).toBe(false);
  });

  test('lfs-batch-status answers batches with a status and the time to wait', async () => {
    await gitee.fault('lfs-batch-status', { status: 503, retryAfterSeconds: 7 });
    const answer = await lfs.batch('download', []);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '7']);
    await gitee.clearFaults();
    expect((await lfs.batch('download', [])).status).toBe(200);
  });

  test('lfs-batch-garbage answers batches with a login page', async () => {
    await gitee.fault('lfs-batch-garbage');
    expect(await lfs.batch('download', [])).toMatchObject({
      status: 200,
      text: expect.stringContaining('<title>Sign in'),
    });
  });

  test('lfs-object-status gives an error for one object of a batch, in uploads and downloads', async () => {
    const [one, two] = [randomBytes(100), randomBytes(100)];
    expect([await lfs.upload(one), await lfs.upload(two)]).toEqual([200, 200]);
    await gitee.fault('lfs-object-status', { status: 507, text: 'full', match: { oid: oidOf(one) } });
    for (const operation of ['upload', 'download'] as const) {
      const answer = await lfs.batch(operation, [object(one), object(two)]);
      expect(answer.status).toBe(200);
      const errors = new Map(answer.objects.map(({ oid, error }) => [oid, error]));
      expect(errors.get(oidOf(one))).toEqual({ code: 507, message: 'full' });
      expect(errors.get(oidOf(two))).toBeUndefined();
    }
  });

  test('lfs-upload-status refuses the data of one object and of no other', async () => {
    const [one, two] = [randomBytes(100), randomBytes(100)];
    await gitee.fault('lfs-upload-status', { status: 500, match: { oid: oidOf(one) } });
    expect(await lfs.upload(one)).toBe(500);
    expect(await lfs.upload(two)).toBe(200);
    expect(await isThere(one)).toBe(false);
  });

  test('lfs-upload-cut breaks the line after so many bytes and keeps nothing', async () => {
    const bytes = randomBytes(1_000_000);
    await gitee.fault('lfs-upload-cut', { afterBytes: 1000 });
    await expect(lfs.upload(bytes)).rejects.toThrow();
    expect(await isThere(bytes)).toBe(false);
    await gitee.clearFaults();
    expect(await lfs.upload(bytes)).toBe(200);
  });

  test('lfs-upload-lose-after-accept keeps the object and cuts the answer', async () => {
    const bytes = randomBytes(1000);
    await gitee.fault('lfs-upload-lose-after-accept');
    await expect(lfs.upload(bytes)).rejects.toThrow();
    expect(await isThere(bytes)).toBe(true);
  });

  test('lfs-upload-slow lets uploads share a line, 16 KiB at a time', async () => {
    const pieces = 4;
    const bodies = [randomBytes((pieces / 2) * 16 * 1024), randomBytes((pieces / 2) * 16 * 1024)];
    await gitee.fault('lfs-upload-slow', { ms: 100 });
    const startMs = performance.now();
    expect(await Promise.all(bodies.map((bytes) => lfs.upload(bytes)))).toEqual([200, 200]);
    // Never sooner than the line allows: the pauses between all pieces of both, less one of the timer's roundings.
    expect(performance.now() - startMs).toBeGreaterThan((pieces - 2) * 100);
    expect(await Promise.all(bodies.map(isThere))).toEqual([true, true]);
  });

  test('lfs-download-status refuses a download and no upload', async () => {
    const bytes = randomBytes(100);
    await gitee.fault('lfs-download-status', { status: 502 });
    expect(await lfs.upload(bytes)).toBe(200);
    expect((await lfs.download(bytes)).status).toBe(502);
    await gitee.clearFaults();
    expect((await lfs.download(bytes)).status).toBe(200);
  });

  test('lfs-download-cut ends the body early', async () => {
    const bytes = randomBytes(1_000_000);
    await lfs.upload(bytes);
    await gitee.fault('lfs-download-cut', { afterBytes: 300_000 });
    const answer = await lfs.download(bytes);
    expect(answer.headers.get('content-length')).toBe('1000000');
    let receivedBytes = 0;
    const read = async () => {
      for await (const part of answer.body!) receivedBytes += (part as Uint8Array).length;
    };
    await expect(read()).rejects.toThrow();
    expect(receivedBytes).toBe(300_000);
  });

  test('lfs-download-corrupt changes one bit', async () => {
    const bytes = randomBytes(1_000_000);
    await lfs.upload(bytes);
    await gitee.fault('lfs-download-corrupt', { afterBytes: 700_000 });
    const got = Buffer.from(await (await lfs.download(bytes)).arrayBuffer());
    expect(got[700_000]! ^ bytes[700_000]!).toBe(1);
    got[700_000] = bytes[700_000]!;
    expect(got.equals(bytes)).toBe(true);
  });

  test('lfs-download-slow waits before every 16 KiB', async () => {
    const bytes = randomBytes(64 * 1024);
    await lfs.upload(bytes);
    await gitee.fault('lfs-download-slow', { ms: 50 });
    const startedMs = Date.now();
    expect((await (await lfs.download(bytes)).arrayBuffer()).byteLength).toBe(bytes.length);
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(190);
  });

  test('lfs-no-range gives the whole object to whoever asks for a part', async () => {
    const bytes = randomBytes(1_000);
    await lfs.upload(bytes);
    const part = async () => {
      const answer = await lfs.download(bytes, { range: 'bytes=400-' });
      return [answer.status, (await answer.arrayBuffer()).byteLength];
    };
    expect(await part()).toEqual([206, 600]);
    await gitee.fault('lfs-no-range');
    expect(await part()).toEqual([200, 1_000]);
  });

  test('lfs-link-expired refuses a link that another batch gives anew', async () => {
    const bytes = randomBytes(100);
    await lfs.upload(bytes);
    await gitee.fault('lfs-link-expired');
    expect((await lfs.download(bytes)).status).toBe(403);
    await gitee.clearFaults();
    expect((await lfs.download(bytes)).status).toBe(200);
  });

  test('lfs-quota-full refuses new objects with 507', async () => {
    const link = await lfs.link('upload', Buffer.from('late'));
    await gitee.fault('lfs-quota-full');
    const answer = await lfs.batch('upload', [object(randomBytes(10))]);
    expect(answer).toMatchObject({ status: 507, text: expect.stringContaining('exceeds quota') });
    expect(await put(link, Buffer.from('late'))).toBe(507);
    expect((await lfs.batch('download', [])).status).toBe(200);
  });

  test('lfs-no-verify leaves the verify action out', async () => {
    const actions = async () =>
      Object.keys((await lfs.batch('upload', [object(randomBytes(9))])).objects[0]!.actions!);
    await gitee.fault('lfs-no-verify');
    expect(await actions()).toEqual(['upload']);
    await gitee.clearFaults();
    expect(await actions()).toEqual(['upload', 'verify']);
  });

  test('lfs-present-with-download-action offers a download where nothing is to be uploaded', async () => {
    const bytes = randomBytes(100);
    await lfs.upload(bytes);
    await gitee.fault('lfs-present-with-download-action');
    const actions = (await lfs.batch('upload', [object(bytes)])).objects[0]!.actions!;
    expect(Object.keys(actions)).toEqual(['download']);
  });

  test('lfs-verify-status refuses to verify an object that it has taken', async () => {
    const [one, two] = [randomBytes(100), randomBytes(100)];
    expect([await lfs.upload(one), await lfs.upload(two)]).toEqual([200, 200]);
    await gitee.fault('lfs-verify-status', { status: 403, match: { oid: oidOf(one) } });
    expect((await lfs.post('verify', object(one))).status).toBe(403);
    expect((await lfs.post('verify', object(two))).status).toBe(200);
    expect(await isThere(one)).toBe(true);
  });

  test('lfs-forget takes an object, confirms it, and does not have it', async () => {
    const bytes = randomBytes(100);
    await gitee.fault('lfs-forget');
    expect(await lfs.upload(bytes)).toBe(200);
    expect((await lfs.post('verify', object(bytes))).status).toBe(200);
    expect(await isThere(bytes)).toBe(false);
    await gitee.clearFaults();
    expect(await lfs.upload(bytes)).toBe(200);
    expect(await isThere(bytes)).toBe(true);
  });

  test('lfs-chunked-header asks for a chunked upload and takes it', async () => {
    const bytes = randomBytes(100_000);
    await gitee.fault('lfs-chunked-header');
    const link = await lfs.link('upload', bytes);
    expect(link.header['Transfer-Encoding']).toBe('chunked');
    const { 'Transfer-Encoding': _, ...headers } = link.header;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes.subarray(0, 60_000));
        controller.enqueue(bytes.subarray(60_000));
        controller.close();
      },
    });
    const request: RequestInit & { duplex: 'half' } = { method: 'PUT', headers, body, duplex: 'half' };
    expect((await fetch(link.href, request)).status).toBe(200);
    expect(await isThere(bytes)).toBe(true);
  });

  const user = (signal?: AbortSignal) =>
    fetch(`${gitee.url}/api/v5/user`, {
      headers: { Authorization: `Bearer ${gitee.token}` },
      ...(signal ? { signal } : {}),
    });

  test('api-status answers the API with a status', async () => {
    await gitee.fault('api-status', { status: 502 });
    expect((await user()).status).toBe(502);
    await gitee.clearFaults();
    expect((await user()).status).toBe(200);
  });

  test('api-stall holds calls; a client that gives up is forgotten', async () => {
    await gitee.fault('api-stall');
    const patience = new AbortController();
    const [lasting, impatient] = [user(), user(patience.signal)];
    const outcomes = Promise.allSettled([lasting, impatient]);
    await held(2);
    patience.abort();
    await held(1);
    await gitee.clearFaults();
    expect((await outcomes).map((o) => o.status)).toEqual(['rejected', 'rejected']);
  });

  test('rate-limit answers API and batch with 429 and the time to wait', async () => {
    await gitee.fault('rate-limit', { retryAfterSeconds: 3 });
    const [api, batch] = [await user(), await lfs.batch('download', [])];
    expect([api.status, api.headers.get('retry-after')]).toEqual([429, '3']);
    expect([batch.status, batch.headers.get('retry-after')]).toEqual([429, '3']);
    await gitee.clearFaults();
    expect((await user()).status).toBe(200);
  });
});
