import type { ServerResponse } from 'node:http';
import type { RemoteCause } from '../../../../src/gitee/errors.js';
import type { UploadFlow } from '../../../../src/gitee/remote.js';
import { readAll, remoteFailure } from '../../../contract/chunk-remote.js';
import { json } from '../http/scripted-server.js';
import { LfsFixture, TOKEN, type BatchBody } from './lfs-fixture.js';

let lfs: LfsFixture;
beforeEach(async () => {
  lfs = await LfsFixture.start();
});
afterEach(() => lfs.stop());

const BASIC = `Basic ${Buffer.from(`oauth2:${TOKEN}`).toString('base64')}`;
const put = () => lfs.remote().put(lfs.chunk, lfs.open);

describe('headers', () => {
  test('invariant 7: the Gitee token does not go to a foreign host', async () => {
    await put();
    await readAll(await lfs.remote().get(lfs.chunk));
    const requests = [...lfs.requests('PUT'), ...lfs.requests('GET')];
    expect(requests).toHaveLength(2);
    for (const request of requests) {
      expect(request.headers.authorization).toBeUndefined();
      expect(JSON.stringify(request)).not.toContain(TOKEN);
    }
  });

  test('the header map of the link is sent as it is, also an Authorization and in any case', async () => {
    lfs.onBatch = (body, response) =>
      lfs.answerBatch(body, response, {
        header: { AUTHORIZATION: 'RemoteAuth x', 'CONTENT-TYPE': 'application/x-blob', 'X-Ticket': '7' },
      });
    await put();
    const [request] = lfs.requests('PUT');
    expect(request!.headers).toMatchObject({
      authorization: 'RemoteAuth x',
      'content-type': 'application/x-blob',
      'x-ticket': '7',
      'content-length': '2000',
    });
    expect(request!.body.equals(lfs.bytes)).toBe(true);
  });

  test('without a word about it the type is application/octet-stream', async () => {
    await put();
    expect(lfs.requests('PUT')[0]!.headers['content-type']).toBe('application/octet-stream');
  });

  test('Transfer-Encoding: chunked in the map replaces Content-Length', async () => {
    lfs.onBatch = (body, response) =>
      lfs.answerBatch(body, response, { header: { 'transfer-encoding': 'chunked' } });
    await put();
    const { headers } = lfs.requests('PUT')[0]!;
    expect([headers['content-length'], headers['transfer-encoding']]).toEqual([undefined, 'chunked']);
  });

  test("a link to Gitee's own host gets the login, unless the map has one", async () => {
    lfs.onBatch = (body, response) => lfs.answerBatch(body, response, { href: '/data/x' });
    await put();
    lfs.onBatch = (body, response) =>
      lfs.answerBatch(body, response, { href: '/data/x', header: { authorization: 'own' } });
    await put();
    expect(lfs.requests('PUT').map((r) => r.headers.authorization)).toEqual([BASIC, 'own']);
  });

  test.each(['ftp://host/x', 'file:///x', 'http://user:word@host/x', 'javascript:1'])(
    'nothing is sent to %s',
    async (href) => {
      lfs.onBatch = (body, response) => lfs.answerBatch(body, response, { href });
      expect((await remoteFailure(put())).code).toBe('refused');
    },
  );
});

describe('upload', () => {
  test.each([
    ['no actions', {}],
    ['null actions', { actions: null }],
    ['only a download, as Gitea has it', { actions: { download: { href: '/x' } } }],
  ])('an object with %s is there already', async (_what, fields) => {
    lfs.onBatch = (body, response) => lfs.answerObjects(body, response, fields);
    expect(await put()).toEqual({ sentBytes: 0 });
    expect(lfs.requests('PUT')).toEqual([]);
  });

  test('is verified where the server wants it', async () => {
    lfs.onBatch = (body, response) =>
      lfs.answerBatch(
        body,
        response,
        {},
        { verify: { href: `${lfs.server.url}/verify`, header: { 'X-V': '1' } } },
      );
    expect(await put()).toEqual({ sentBytes: 2000 });
    const [request] = lfs.requests('verify');
    expect(JSON.parse(request!.body.toString())).toEqual({ oid: lfs.chunk.oid, size: 2000 });
    expect(request!.headers).toMatchObject({
      'content-type': 'application/vnd.git-lfs+json',
      accept: 'application/vnd.git-lfs+json',
      authorization: BASIC,
      'x-v': '1',
    });
  });

  test.each([404, 409, 422])(
    'a verification that denies it (%i) has the upload tried again',
    async (status) => {
      lfs.onBatch = (body, response) =>
        lfs.answerBatch(body, response, {}, { verify: { href: `${lfs.server.url}/verify` } });
      lfs.onVerify = (response) => json(response, status, {});
      const remote = lfs.remote();
      const error = await remoteFailure(remote.put(lfs.chunk, lfs.open));
      expect([error.code, error.isTransient]).toEqual(['server-fault', true]);
      lfs.onVerify = (response) => json(response, 200, {});
      expect(await remote.put(lfs.chunk, lfs.open)).toEqual({ sentBytes: 2000 });
    },
  );

  test('a verification that fails for a moment is asked again', async () => {
    let calls = 0;
    lfs.onBatch = (body, response) =>
      lfs.answerBatch(body, response, {}, { verify: { href: `${lfs.server.url}/verify` } });
    lfs.onVerify = (response) => (++calls === 1 ? response.destroy() : json(response, 200, {}));
    expect(await put()).toEqual({ sentBytes: 2000 });
    expect(lfs.requests('PUT')).toHaveLength(1);
  });

  describe('that is to be asked for at once', () => {
    const flow: UploadFlow = { turn: () => undefined, sent: () => {}, asksAtOnce: true };
    const putFar = () => lfs.remote().put(lfs.chunk, lfs.open, undefined, flow);
    /** Answers to the question for a download; uploads get their link and one to verify. */
    let onLook: (body: BatchBody, response: ServerResponse) => void;
    beforeEach(() => {
      onLook = (body, response) => lfs.answerBatch(body, response);
      const verify = { href: `${lfs.server.url}/verify` };
      lfs.onBatch = (body, response) =>
        body.operation === 'download'
          ? onLook(body, response)
          : lfs.answerBatch(body, response, {}, { verify });
    });

    test('is asked for while it is verified: none of the two waits for the other', async () => {
      const held: (() => void)[] = [];
      const both = (answer: () => void) => {
        held.push(answer);
        if (held.length === 2) for (const one of held) one();
      };
      lfs.onVerify = (response) => both(() => json(response, 200, {}));
      onLook = (body, response) => both(() => lfs.answerBatch(body, response));
      expect(await putFar()).toEqual({ sentBytes: 2000, isSeen: true });
      expect(lfs.requests('batch')).toHaveLength(2);
    });

    test.each([
      ['lacks it', (body: BatchBody, response: ServerResponse) => lfs.answerObjects(body, response, {})],
      ['is broken', (_body: BatchBody, response: ServerResponse) => json(response, 500, {})],
      ['says nothing', (_body: BatchBody, response: ServerResponse) => void response.destroy()],
      ['means another', (_body: BatchBody, response: ServerResponse) => json(response, 200, { objects: [] })],
    ])('is not seen where a server %s, and is stored all the same', async (_what, look) => {
      onLook = look;
      expect(await putFar()).toEqual({ sentBytes: 2000 });
      expect(lfs.requests('batch')).toHaveLength(2);
    });

    test('has failed where its verification does, whatever the question was answered', async () => {
      lfs.onVerify = (response) => json(response, 422, {});
      expect((await remoteFailure(putFar())).code).toBe('server-fault');
    });

    test('is not seen where its verification had to be repeated after the answer', async () => {
      let calls = 0;
      lfs.onVerify = (response) => (++calls === 1 ? response.destroy() : json(response, 200, {}));
      expect(await putFar()).toEqual({ sentBytes: 2000 });
      expect(calls).toBe(2);
    });

    test('is not seen where its verification ended long after the answer', async () => {
      lfs.onVerify = (response) => void lfs.clock.sleep(3_001).then(() => json(response, 200, {}));
      expect(await putFar()).toEqual({ sentBytes: 2000 });
    });

    test('is asked for where nothing verifies it', async () => {
      lfs.onBatch = (body, response) => lfs.answerBatch(body, response);
      expect(await putFar()).toEqual({ sentBytes: 2000, isSeen: true });
    });

    test('and one that need not be is not', async () => {
      expect(await put()).toEqual({ sentBytes: 2000 });
      expect(lfs.requests('batch')).toHaveLength(1);
    });
  });

  const refusals: [number, string, RemoteCause][] = [
    [400, 'bad', 'refused'],
    [404, 'no', 'server-fault'],
    [408, 'slow', 'timeout'],
    [409, 'busy', 'server-fault'],
    [413, 'too large', 'file-too-large'],
    [422, 'wrong hash', 'chunk-refused'],
    [422, 'exceeds quota', 'quota-full'],
    [403, 'over quota', 'quota-full'],
    [429, 'later', 'rate-limited'],
    [500, 'oops', 'server-fault'],
    [507, 'full', 'quota-full'],
    [509, 'used up', 'bandwidth-exceeded'],
  ];
  test.each(refusals)('a storage that answers %i "%s" means %s', async (status, text, cause) => {
    lfs.onUpload = (response) => json(response, status, { message: text });
    const error = await remoteFailure(put());
    // What can only be about everything names no object.
    const oids = ['rate-limited', 'bandwidth-exceeded'].includes(cause) ? [] : [lfs.chunk.oid];
    expect([error.code, error.status, error.oids]).toEqual([cause, status, oids]);
    expect(error.message).not.toContain('Signature');
  });

  test.each([401, 403, 410])('a link that is answered %i is asked for anew', async (status) => {
    let calls = 0;
    lfs.onUpload = (response) => (++calls === 1 ? json(response, status, {}) : response.end());
    expect(await put()).toEqual({ sentBytes: 4000 });
    expect(lfs.requests('batch')).toHaveLength(2);
  });

  test('links that are always refused end as a refusal, not in a circle', async () => {
    lfs.onUpload = (response) => json(response, 403, { message: 'Request has expired' });
    expect((await remoteFailure(put())).code).toBe('forbidden');
    expect(lfs.requests('PUT')).toHaveLength(3);
  });

  test('a lost answer is made good by asking what is there', async () => {
    let stored = false;
    lfs.onUpload = (response) => {
      stored = true;
      response.destroy();
    };
    lfs.onBatch = (body, response) =>
      stored ? lfs.answerObjects(body, response, {}) : lfs.answerBatch(body, response);
    expect(await put()).toEqual({ sentBytes: 2000 });
    expect(lfs.metrics.counts.get('gateway_lfs_uploaded_bytes_total{}')).toBe(2000);
  });

  test('a lost answer of an upload that was not stored is a passing failure', async () => {
    lfs.onUpload = (response) => response.destroy();
    expect((await remoteFailure(put())).code).toBe('unreachable');
    expect(lfs.requests('batch')).toHaveLength(2);
  });

  test('a storage that keeps silent ends the upload', async () => {
    lfs.onUpload = () => {};
    const dataTimeouts = { idleMs: 50, bytesPerSecondMin: 1024 };
    const error = await remoteFailure(lfs.remote({ dataTimeouts }).put(lfs.chunk, lfs.open));
    expect(error.code).toBe('timeout');
  });
});

describe('expiry', () => {
  const failOnce = () => {
    let calls = 0;
    lfs.onUpload = (response) => (++calls === 1 ? json(response, 400, {}) : response.end());
  };
  test.each([
    ['no expiry: the link is used again', {}, 1],
    ['expires_in later', { expires_in: 3600 }, 1],
    ['expires_in now', { expires_in: 5 }, 2],
    ['expires_in in the past', { expires_in: -1 }, 2],
    ['expires_at later', { expires_at: '2099-01-01T00:00:00Z' }, 1],
    ['expires_at in the past', { expires_at: '2001-01-01T00:00:00Z' }, 2],
    ['expires_in wins over expires_at', { expires_in: 3600, expires_at: '2001-01-01T00:00:00Z' }, 1],
    ['a zero expires_at is none', { expires_at: '0001-01-01T00:00:00Z' }, 1],
    ['a zero expires_in is none', { expires_in: 0, expires_at: null }, 1],
  ])('%s', async (_what, action, batches) => {
    failOnce();
    lfs.onBatch = (body, response) => lfs.answerBatch(body, response, action);
    const remote = lfs.remote();
    await remoteFailure(remote.put(lfs.chunk, lfs.open));
    await remote.put(lfs.chunk, lfs.open);
    expect(lfs.requests('batch')).toHaveLength(batches);
  });
});

describe('download', () => {
  const get = () => lfs.remote().get(lfs.chunk);

  test('streams exactly the bytes and counts them', async () => {
    expect((await readAll(await get())).equals(lfs.bytes)).toBe(true);
    expect(lfs.metrics.counts.get('gateway_lfs_downloaded_bytes_total{}')).toBe(2000);
  });

  test('a link that has expired is asked for anew', async () => {
    let calls = 0;
    lfs.onDownload = (response) => (++calls === 1 ? json(response, 403, {}) : response.end(lfs.bytes));
    expect((await readAll(await get())).equals(lfs.bytes)).toBe(true);
    expect(lfs.requests('batch')).toHaveLength(2);
  });

  const refusals: [number, RemoteCause][] = [
    [404, 'chunk-missing'],
    [429, 'rate-limited'],
    [500, 'server-fault'],
    [509, 'bandwidth-exceeded'],
    [206, 'server-fault'],
    [204, 'server-fault'],
  ];
  test.each(refusals)('a storage that answers %i means %s', async (status, cause) => {
    lfs.onDownload = (response) => response.writeHead(status).end();
    expect((await remoteFailure(get())).code).toBe(cause);
  });

  test('another length than the chunk has is a server fault', async () => {
    lfs.onDownload = (response) => response.end('<html>login</html>');
    expect((await remoteFailure(get())).code).toBe('server-fault');
  });

  test('a compressed body is a server fault', async () => {
    lfs.onDownload = (response) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(lfs.bytes);
    expect((await remoteFailure(get())).code).toBe('server-fault');
    expect(lfs.requests('GET')[0]!.headers['accept-encoding']).toBe('identity');
  });

  test.each([-1, 1])('a body without a length that is %i byte longer is an error', async (more) => {
    lfs.onDownload = (response) => {
      response.writeHead(200, { 'Transfer-Encoding': 'chunked' });
      response.end(Buffer.alloc(2000 + more));
    };
    const body = await get();
    expect((await remoteFailure(readAll(body))).code).toBe('unreachable');
  });

  test('a download that is not answered ends sooner than a body may pause', async () => {
    lfs.onDownload = () => {};
    const dataTimeouts = {
      idleMs: 60_000,
      downloadIdleMs: 60_000,
      firstByteMs: 50,
      bytesPerSecondMin: 1024,
    };
    const error = await remoteFailure(lfs.remote({ dataTimeouts }).get(lfs.chunk));
    expect(error).toMatchObject({ code: 'timeout' });
    expect(error.message).toContain('moved no byte for 0.1 s');
  });

  test('a body that stops coming ends with a time-out', async () => {
    lfs.onDownload = (response) => {
      response.writeHead(200, { 'Content-Length': '2000' });
      response.write(lfs.bytes.subarray(0, 100));
    };
    const dataTimeouts = { idleMs: 50, bytesPerSecondMin: 1024 };
    // On a busy machine the time is over before the first byte of it is here.
    const read = async () => readAll(await lfs.remote({ dataTimeouts }).get(lfs.chunk));
    expect((await remoteFailure(read())).code).toBe('timeout');
  });
});

describe('the rest of a download', () => {
  const rest = (offsetBytes = 500) => lfs.remote().get(lfs.chunk, { offsetBytes });

  test('is asked for by Range, and only it', async () => {
    lfs.onDownload = (response) =>
      response
        .writeHead(206, { 'Content-Range': 'bytes 500-1999/2000', 'Content-Length': '1500' })
        .end(lfs.bytes.subarray(500));
    expect((await readAll(await rest())).equals(lfs.bytes.subarray(500))).toBe(true);
    await lfs
      .remote()
      .get(lfs.chunk, { offsetBytes: 0 })
      .catch(() => {});
    expect(lfs.requests('GET').map((r) => r.headers.range)).toEqual(['bytes=500-', undefined]);
  });

  test.each([1, 500, 1999])(
    'from a server that ignores Range, the first %i bytes are skipped',
    async (at) => {
      lfs.onDownload = (response) => {
        response.writeHead(200, { 'Content-Length': '2000' });
        for (let from = 0; from < 2000; from += 300) response.write(lfs.bytes.subarray(from, from + 300));
        response.end();
      };
      expect((await readAll(await rest(at))).equals(lfs.bytes.subarray(at))).toBe(true);
    },
  );

  test.each([
    ['another part', { 'Content-Range': 'bytes 400-1899/2000' }],
    ['another total', { 'Content-Range': 'bytes 500-1999/2001' }],
    ['no word about the part', {}],
    ['another length', { 'Content-Range': 'bytes 500-1999/2000', 'Content-Length': '1499' }],
  ])('206 with %s is a server fault', async (_what, headers) => {
    lfs.onDownload = (response) => response.writeHead(206, headers).end(lfs.bytes.subarray(500));
    expect((await remoteFailure(rest())).code).toBe('server-fault');
  });

  test('206 where nobody asked for a part is a server fault', async () => {
    lfs.onDownload = (response) =>
      response.writeHead(206, { 'Content-Range': 'bytes 0-1999/2000' }).end(lfs.bytes);
    expect((await remoteFailure(rest(0))).code).toBe('server-fault');
  });

  test('a part that ends early is an error', async () => {
    lfs.onDownload = (response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 500-1999/2000', 'Transfer-Encoding': 'chunked' });
      response.end(lfs.bytes.subarray(500, 1999));
    };
    expect((await remoteFailure(readAll(await rest()))).code).toBe('unreachable');
  });

  test('416 is a server fault: the object has these bytes', async () => {
    lfs.onDownload = (response) => response.writeHead(416, { 'Content-Range': 'bytes */400' }).end();
    expect((await remoteFailure(rest())).code).toBe('server-fault');
  });
});

describe('what the line is told', () => {
  test('success and failure of each use', async () => {
    const told: string[] = [];
    const line = {
      succeeded: (use: string) => told.push(`${use} ok`),
      failed: (use: string, { code }: { code: string }) => told.push(`${use} ${code}`),
      progressed: () => {},
    };
    await lfs.remote({ line }).put(lfs.chunk, lfs.open);
    await readAll(await lfs.remote({ line }).get(lfs.chunk));
    lfs.onDownload = (response) => json(response, 503, {});
    await remoteFailure(lfs.remote({ line }).get(lfs.chunk));
    lfs.onUpload = (response) => json(response, 502, {});
    await remoteFailure(lfs.remote({ line }).put(lfs.chunk, lfs.open));
    expect([...new Set(told)]).toEqual([
      'batch ok',
      'upload ok',
      'download ok',
      'download server-fault',
      'upload server-fault',
    ]);
  });
});
