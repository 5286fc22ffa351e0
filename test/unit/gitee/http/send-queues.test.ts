// Attacks the count of bytes that wait in the kernel: each connection, straight and through a proxy, until they have left.
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as https from 'node:https';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDispatcher } from '../../../../src/gitee/http/dispatcher.js';
import { onItsWayBytes, SendQueues, waitingBytes } from '../../../../src/gitee/http/send-queues.js';
import { until } from '../../../support/child.js';
import { makeCertificate } from '../../../support/nginx.js';

const MIB = 1024 * 1024;
/** More than any buffers of both sides take. */
const BODY = Buffer.alloc(32 * MIB);

async function bytesOf(queues: SendQueues): Promise<number[] | undefined> {
  return (await queues.look())?.map(waitingBytes);
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'queues-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('bytes that a reader does not take are counted, until they have left', async () => {
  const readers: Socket[] = [];
  const server = createServer((socket) => readers.push(socket.pause()));
  const socket = connect(await listen(server), '127.0.0.1');
  await once(socket, 'connect');
  const queues = new SendQueues();
  expect(await bytesOf(queues)).toBeUndefined();
  queues.add(socket);
  expect(await bytesOf(queues)).toEqual([0]);
  socket.write(BODY);
  await until('the kernel is full', async () => ((await bytesOf(queues))?.[0] ?? 0) >= 100_000);
  // Those that the kernel has not taken yet, too.
  expect((await bytesOf(queues))![0]).toBeGreaterThanOrEqual(16 * MIB);
  for (const reader of readers) reader.resume();
  await until('all has left', async () => (await bytesOf(queues))?.[0] === 0);
  socket.destroy();
  await once(socket, 'close');
  expect(await bytesOf(queues)).toBeUndefined();
  for (const reader of readers) reader.destroy();
  server.close();
});

test.each([
  ['127.0.0.1', 'IPv4', 1],
  ['127.0.0.1', 'IPv6', 0],
  ['::ffff:127.0.0.1', 'IPv4', 0],
  ['::ffff:127.0.0.1', 'IPv6', 1],
] as const)('a connection to %s is looked for in the table of %s: %i times', async (host, family, times) => {
  const server = createServer((socket) => socket.on('error', () => {}));
  const socket = connect(await listen(server), host);
  await once(socket, 'connect');
  const table = join(directory, 'table');
  const row = `0: 0100007F:${socket.localPort!.toString(16)} 0100007F:0050 01 00000007:00000000 00:0 0`;
  await writeFile(table, `heading\n${row}\n`);
  const queues = new SendQueues({ [family]: table });
  queues.add(socket);
  expect((await bytesOf(queues)) ?? []).toEqual(Array<number>(times).fill(7));
  socket.destroy();
  server.close();
});

describe('connections to Gitee', () => {
  /** Reads no body until it is told to. */
  let gitee: Server;
  let proxy: Server;
  let isReading: boolean;
  let waiting: (() => void)[];
  let caPem: string;
  let giteePort: number;
  let proxyPort: number;
  const tunnels: Socket[] = [];

  beforeEach(async () => {
    await makeCertificate(directory, 'gitee', ['IP:127.0.0.1']);
    caPem = await readFile(join(directory, 'gitee.crt'), 'utf8');
    const key = await readFile(join(directory, 'gitee.key'));
    isReading = false;
    waiting = [];
    gitee = https.createServer({ key, cert: caPem }, (request, response) => {
      const read = () => request.resume().once('end', () => response.end());
      if (isReading) read();
      else waiting.push(read);
    });
    giteePort = await listen(gitee);
    proxy = createServer((client) => {
      tunnels.push(client.on('error', () => {}));
      client.once('data', () => {
        const server = connect(giteePort, '127.0.0.1', () => {
          client.write('HTTP/1.1 200 Connection established\r\n\r\n');
          client.pipe(server).pipe(client);
        });
        tunnels.push(server.on('error', () => {}));
      });
    });
    proxyPort = await listen(proxy);
  });

  afterEach(() => {
    for (const tunnel of tunnels.splice(0)) tunnel.destroy();
    (gitee as unknown as https.Server).closeAllConnections();
    gitee.close();
    proxy.close();
  });

  test.each([
    ['straight', () => ({})],
    ['through a proxy', () => ({ https_proxy: `http://127.0.0.1:${proxyPort}` })],
    [
      'past a proxy that is for other hosts',
      () => ({ https_proxy: `http://127.0.0.1:${proxyPort}`, no_proxy: '127.0.0.1' }),
    ],
  ])('%s: what the other side has not taken is counted once', async (_, env) => {
    const queues = new SendQueues();
    const dispatcher = createDispatcher({
      ...{ connectTimeoutMs: 30_000, env: env(), caPem },
      onSocket: (socket) => queues.add(socket),
    });
    const answered = dispatcher.request({
      ...{ origin: `https://127.0.0.1:${giteePort}`, path: '/', method: 'PUT', body: BODY },
    });
    await until('the kernel is full', async () => ((await bytesOf(queues))?.[0] ?? 0) >= 8 * MIB);
    const waitingNow = (await bytesOf(queues))!;
    expect(waitingNow).toHaveLength(1);
    // Of a piece that the kernel has taken in part that part counts twice, and here all of it is one piece.
    expect(waitingNow[0]).toBeLessThan(1.5 * BODY.length);
    isReading = true;
    for (const read of waiting.splice(0)) read();
    expect((await answered).statusCode).toBe(200);
    await until('all has left', async () => (await bytesOf(queues))?.[0] === 0);
    await dispatcher.destroy();
    await until('the connection is forgotten', async () => (await bytesOf(queues)) === undefined);
  });
});

test('a system that has no such table says nothing', async () => {
  await writeFile(join(directory, 'other'), 'sl local_address\nnonsense\n');
  const queues = new SendQueues({ IPv4: join(directory, 'none'), IPv6: join(directory, 'other') });
  queues.add({ localPort: 5, once: () => {} } as unknown as Socket);
  expect(await queues.look()).toBeUndefined();
});

// tcp_ipv4.c, get_tcp4_sock: the congestion window, in packets, is the last column but one.
test.each([
  ['what the window lets out', '192.168.1.3', '20 4 30 12 -1', 12 * 1_448],
  ['all of it, where the window is larger', '192.168.1.3', '20 4 30 900 450', 100_000],
  [
    'nothing is known of the loopback, whose packets are of any size',
    '127.0.0.1',
    '20 4 30 12 -1',
    undefined,
  ],
  ['nor as IPv6 says it', '::ffff:127.0.0.1', '20 4 30 12 -1', undefined],
  ['nor where a system leaves these columns out', '192.168.1.3', '', undefined],
  ['nor of a window that makes no sense', '192.168.1.3', '20 4 30 -1 -1', undefined],
])('of what was not acknowledged, this is on its way: %s', async (_, remoteAddress, columns, bytes) => {
  const row = `0: 0201A8C0:0005 0301A8C0:2454 01 ${(100_000).toString(16)}:00000000 00:00000000 00000000`;
  await writeFile(join(directory, 'tcp'), `sl\n   ${row}     0        0 8421 2 0000 ${columns}\n`);
  const queues = new SendQueues({ IPv4: join(directory, 'tcp') });
  queues.add({ localPort: 5, remoteAddress, writableLength: 0, once: () => {} } as unknown as Socket);
  const [connection] = (await queues.look())!;
  expect([waitingBytes(connection!), onItsWayBytes(connection!)]).toEqual([100_000, bytes]);
});
