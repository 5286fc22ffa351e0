import { once } from 'node:events';
import * as net from 'node:net';
import { Readable } from 'node:stream';
import { RemoteError } from '../../../../src/gitee/errors.js';
import { discard, readErrorText, readText } from '../../../../src/gitee/http/answer.js';
import { BodyMeter } from '../../../../src/gitee/http/body-meter.js';
import type { HttpClient } from '../../../../src/gitee/http/client.js';
import { createDispatcher } from '../../../../src/gitee/http/dispatcher.js';
import { lentRuns, seededBytes } from '../../../support/bytes.js';
import { until } from '../../../support/child.js';
import { ANSWER_LIMIT_MS } from '../../../support/time-limits.js';
import { ScriptedServer, testClient } from './scripted-server.js';

let server: ScriptedServer;
let client: HttpClient;
beforeEach(async () => {
  server = await ScriptedServer.start();
  client = testClient();
});
afterEach(async () => {
  await server.stop();
  await client.close();
});

const failure = async (promise: Promise<unknown>): Promise<RemoteError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof RemoteError)) throw new Error(`not a RemoteError: ${String(error)}`);
  return error;
};

test('every request carries the user agent', async () => {
  discard(await client.send({ what: 'test', method: 'GET', url: server.url }));
  expect(server.seen[0]?.headers['user-agent']).toBe('test-agent/1');
});

test('a redirect to the same origin keeps the login, one to another host loses it', async () => {
  server.script = (request, response) => {
    if (request.url === '/a') response.writeHead(302, { Location: '/b' }).end();
    else if (request.url === '/b') response.writeHead(302, { Location: `${server.otherUrl}/c` }).end();
    else response.end('there');
  };
  const answer = await client.send({
    what: 'test',
    method: 'GET',
    url: `${server.url}/a`,
    headers: { Authorization: 'Basic c2VjcmV0', 'X-Other': '1' },
  });
  expect((await readText(answer, 100)).text).toBe('there');
  expect(server.seen.map((r) => [r.url, r.headers.authorization, r.headers['x-other']])).toEqual([
    ['/a', 'Basic c2VjcmV0', '1'],
    ['/b', 'Basic c2VjcmV0', '1'],
    ['/c', undefined, '1'],
  ]);
});

test('a redirected POST is sent again with its body, a 303 becomes a GET', async () => {
  server.script = (request, response) => {
    if (request.url === '/a') response.writeHead(307, { Location: '/b' }).end();
    else if (request.url === '/b') response.writeHead(303, { Location: '/c' }).end();
    else response.end();
  };
  discard(await client.send({ what: 'test', method: 'POST', url: `${server.url}/a`, body: 'hello' }));
  expect(server.seen.map((r) => [r.method, r.body.toString()])).toEqual([
    ['POST', 'hello'],
    ['POST', 'hello'],
    ['GET', ''],
  ]);
});

test('a circle of redirects ends as a fault of the server', async () => {
  server.script = (_request, response) => response.writeHead(302, { Location: '/again' }).end();
  expect((await failure(client.send({ what: 'test', method: 'GET', url: server.url }))).code).toBe(
    'server-fault',
  );
  expect(server.seen).toHaveLength(4);
});

test.each(['ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://user:word@127.0.0.1/', 'nonsense'])(
  'nothing is sent to %s',
  async (url) => {
    expect((await failure(client.send({ what: 'test', method: 'GET', url }))).code).toBe('refused');
  },
);

test('a server that is not there is unreachable', async () => {
  const gone = net.createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as net.AddressInfo;
  gone.close();
  await once(gone, 'close');
  const error = await failure(
    client.send({ what: 'a call', method: 'GET', url: `http://127.0.0.1:${port}` }),
  );
  expect([error.code, error.isTransient]).toEqual(['unreachable', true]);
  expect(error.message).toContain('ECONNREFUSED');
});

test('a server that keeps silent ends the call after the idle time', async () => {
  server.script = () => {};
  const timeouts = { idleMs: 60, totalMs: ANSWER_LIMIT_MS };
  const error = await failure(client.send({ what: 'a call', method: 'GET', url: server.url, timeouts }));
  expect([error.code, error.message]).toEqual(['timeout', 'a call moved no byte for 0.1 s']);
});

test('a server that sends a byte now and then is ended by the total time', async () => {
  let dripping: NodeJS.Timeout | undefined;
  server.script = (_request, response) => {
    response.writeHead(200);
    dripping = setInterval(() => response.write('x'), 20);
  };
  const timeouts = { idleMs: 5_000, totalMs: 150 };
  const answer = client.send({ what: 'a call', method: 'GET', url: server.url, timeouts });
  const error = await failure(answer.then((sent) => readText(sent, 1_000_000)));
  clearInterval(dripping);
  expect([error.code, error.message]).toEqual(['timeout', 'a call did not end within 0.2 s']);
});

test("a slow reader is not the server's fault", async () => {
  server.script = (_request, response) => response.end(Buffer.alloc(2_000_000, 1));
  const timeouts = { idleMs: 1500, totalMs: ANSWER_LIMIT_MS };
  const answer = await client.send({ what: 'test', method: 'GET', url: server.url, timeouts });
  let received = 0;
  for await (const piece of answer.body as AsyncIterable<Buffer>) {
    // eslint-disable-next-line no-restricted-syntax -- a reader that is slower than the idle time
    if (received === 0) await new Promise((resolve) => setTimeout(resolve, 2000));
    received += piece.length;
  }
  expect(received).toBe(2_000_000);
});

test("the caller's signal ends a call with its reason, before and after the headers", async () => {
  server.script = (_request, response) => {
    response.writeHead(200);
    response.write('a');
  };
  const stop = new AbortController();
  const answer = await client.send({ what: 'test', method: 'GET', url: server.url, signal: stop.signal });
  const reason = new Error('enough');
  const reading = readText(answer, 100);
  stop.abort(reason);
  await expect(reading).rejects.toBe(reason);
  const late = client.send({ what: 'test', method: 'GET', url: server.url, signal: stop.signal });
  await expect(late).rejects.toBe(reason);
});

test('a body that is cut is an error and no early end', async () => {
  server.script = (_request, response) => {
    response.writeHead(200, { 'Content-Length': '100' });
    response.write('only this', () => response.destroy());
  };
  const answer = await client.send({ what: 'test', method: 'GET', url: server.url });
  expect((await failure(readText(answer, 1000))).code).toBe('unreachable');
});

test.each([
  ['fewer', 4],
  ['more', 2],
])('%s bytes than must come are an error', async (relation, exactBytes) => {
  server.script = (_request, response) => response.end('abc');
  const answer = await client.send({
    what: 'test',
    method: 'GET',
    url: server.url,
    exactBytes: () => exactBytes,
  });
  expect((await failure(readText(answer, 1000))).message).toContain(relation);
});

test('the body of an error is read up to 64 KiB', async () => {
  server.script = (_request, response) => response.writeHead(500).end('x'.repeat(1_000_000));
  const answer = await client.send({ what: 'test', method: 'GET', url: server.url });
  expect(await readErrorText(answer)).toHaveLength(64 * 1024);
});

const upload = (open: () => Readable, meter: BodyMeter, chunked = false) =>
  client.send({
    what: 'test',
    method: 'PUT',
    url: server.url,
    body: { open, meter, chunked },
  });

test('a stream goes out with its length, or chunked where that is asked for', async () => {
  for (const chunked of [false, true]) {
    const meter = new BodyMeter(6, 'x');
    discard(await upload(() => Readable.from([Buffer.from('abc'), Buffer.from('def')]), meter, chunked));
    expect([meter.sentBytes, meter.isWhole]).toEqual([6, true]);
  }
  expect(
    server.seen.map((r) => [r.body.toString(), r.headers['content-length'], r.headers['transfer-encoding']]),
  ).toEqual([
    ['abcdef', '6', undefined],
    ['abcdef', undefined, 'chunked'],
  ]);
});

test.each([
  ['fewer', 'abc'],
  ['more', 'abcdefghi'],
])('a stream that gives %s bytes than announced is not sent whole', async (_relation, text) => {
  const meter = new BodyMeter(6, 'x');
  const error = await failure(upload(() => Readable.from([Buffer.from(text)]), meter));
  expect([error.code, meter.isWhole]).toEqual(['chunk-corrupt', false]);
  expect(server.seen).toEqual([]);
});

test.each([128 * 1024, 512 * 1024])(
  'a piece of %i bytes is done with when the next one is asked for, also by a server that reads slowly',
  async (pieceBytes) => {
    const bytes = seededBytes('slow', 24 * pieceBytes + 1);
    const pieces: Buffer[] = [];
    const slow = net.createServer((socket) => {
      socket.on('error', () => {});
      let head = '';
      socket.on('data', (data) => {
        if (!head.includes('\r\n\r\n')) {
          head += data.toString('latin1');
          const end = head.indexOf('\r\n\r\n') + 4;
          if (end > 3) pieces.push(Buffer.from(head.slice(end), 'latin1'));
        } else pieces.push(data);
        socket.pause();
        setImmediate(() => socket.resume());
        if (pieces.reduce((sum, piece) => sum + piece.length, 0) === bytes.length)
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const { port } = slow.address() as net.AddressInfo;
    const answer = await client.send({
      ...{ what: 'test', method: 'PUT' as const, url: `http://127.0.0.1:${port}` },
      body: {
        ...{ open: () => lentRuns(bytes, pieceBytes), chunked: false },
        meter: new BodyMeter(bytes.length, 'x'),
      },
    });
    discard(answer);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    slow.close();
  },
);

test('an answer that comes before the body is sent ends the body, and is no fault of it', async () => {
  const early = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    });
  });
  early.listen(0, '127.0.0.1');
  await once(early, 'listening');
  const { port } = early.address() as net.AddressInfo;
  let isEnded = false;
  const open = async function* () {
    try {
      for (;;) yield Buffer.alloc(256 * 1024);
    } finally {
      isEnded = true;
    }
  };
  const meter = new BodyMeter(1 << 30, 'x');
  const answer = await client.send({
    ...{ what: 'test', method: 'PUT' as const, url: `http://127.0.0.1:${port}` },
    body: { open, meter, chunked: false },
  });
  expect(answer.status).toBe(413);
  discard(answer);
  await until('the body is ended', async () => isEnded);
  expect([meter.sourceError, meter.isWhole]).toEqual([undefined, false]);
  early.close();
});

test('an error of the stream is what the caller gets', async () => {
  const broken = new Error('the disk is broken');
  const source = () =>
    Readable.from(
      (async function* () {
        yield Buffer.from('abc');
        throw broken;
      })(),
    );
  await expect(upload(source, new BodyMeter(6, 'x'))).rejects.toBe(broken);
});

test('a proxy of the environment is used, unless no_proxy names the host', async () => {
  const asked: string[] = [];
  const proxy = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      asked.push(data.toString('latin1').split('\r\n')[0]!);
      socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n');
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as net.AddressInfo;
  const through = async (env: Record<string, string>) => {
    const dispatcher = createDispatcher({ connectTimeoutMs: 1000, env });
    const proxied = testClient({ dispatcher });
    await proxied.send({ what: 'test', method: 'GET', url: server.url }).then(discard, () => {});
    await dispatcher.destroy();
  };
  await through({ http_proxy: `http://127.0.0.1:${port}` });
  expect(asked).toEqual([`CONNECT ${new URL(server.url).host} HTTP/1.1`]);
  await through({ http_proxy: `http://127.0.0.1:${port}`, no_proxy: '127.0.0.1' });
  expect(asked).toHaveLength(1);
  expect(server.seen).toHaveLength(1);
  proxy.close();
});
