/**
 * Which of the shipped time-outs end what, with the same files and shorter times: 3 s where they have 300 s, 6 s where
 * they have 900 s. What they bound is the time without progress, and of one side only.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
// eslint-disable-next-line no-restricted-syntax -- peers that are slow are what is tested
import { setTimeout as pause } from 'node:timers/promises';
import { TestNginx } from '../../support/nginx.js';

const MIB = 1024 * 1024;
/** A pause that nothing has to wait for at the end. */
const sleep = (ms: number) => pause(ms, undefined, { ref: false });
/** More than the buffers of all sockets on the way hold, so that a server that does not read is felt by the client. */
const BODY_BYTES = 96 * MIB;
const CLIENT_MS = 3000;
const SERVER_MS = 6000;
/** Longer than a client may pause, shorter than a server may. */
const HOLD_MS = 4000;

let directory: string;
let nginx: TestNginx;
let server: Server;
/** What the stand-in of registry and gateway does with a request, by the last part of its path. */
const behaviours: Record<string, (incoming: IncomingMessage) => Promise<void>> = {
  /** Takes nothing for a while, a third of the body, nothing for a while … */
  holding: async (incoming) => {
    let takenBytes = 0;
    await sleep(HOLD_MS);
    for await (const piece of incoming) {
      const before = takenBytes;
      takenBytes += (piece as Buffer).length;
      if (before < BODY_BYTES / 3 && takenBytes >= BODY_BYTES / 3) await sleep(HOLD_MS);
    }
  },
  /** Takes nothing at all. */
  stuck: (incoming) => once(incoming, 'close').then(() => {}),
  eager: async (incoming) => {
    for await (const _piece of incoming);
  },
  /** Takes all and thinks. */
  late: async (incoming) => {
    for await (const _piece of incoming);
    await sleep(HOLD_MS);
  },
  /** Takes all and never answers. */
  silent: async (incoming) => {
    for await (const _piece of incoming);
    await once(incoming.socket, 'close');
  },
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nginx-timeouts-'));
  server = createServer((incoming, response) => {
    const name = new URL(incoming.url!, 'http://server').pathname.split('/').at(-1)!;
    behaviours[name]!(incoming).then(
      () => response.end('taken'),
      // Nginx gave it up.
      () => response.destroy(),
    );
  });
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  nginx = await TestNginx.start({
    ...{ directory, registries: [address], gatewayS3: address },
    edits: [
      ['client_body_timeout       300s', `client_body_timeout       ${CLIENT_MS}ms`],
      ['send_timeout              300s', `send_timeout              ${CLIENT_MS}ms`],
      ['proxy_send_timeout        900s', `proxy_send_timeout        ${SERVER_MS}ms`],
      ['proxy_read_timeout        900s', `proxy_read_timeout        ${SERVER_MS}ms`],
    ],
  });
});

afterAll(async () => {
  await nginx.stop();
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

interface Sent {
  readonly status: number | undefined;
  readonly body: string;
  readonly ms: number;
}

/** @param pauses of the client, each followed by a MiB; the body is then smaller. */
async function send(
  listener: 'registry' | 's3',
  behaviour: string,
  pauses: readonly number[] = [],
): Promise<Sent> {
  const startedMs = performance.now();
  const length = pauses.length > 0 ? pauses.length * MIB : BODY_BYTES;
  const where = {
    host: '127.0.0.1',
    method: 'PATCH',
    path: listener === 's3' ? `/b/${behaviour}` : `/v2/a/blobs/uploads/${behaviour}`,
    headers: { 'content-length': String(length) },
  };
  const sent =
    listener === 's3'
      ? request({ ...where, port: nginx.ports.s3 })
      : httpsRequest({ ...where, port: nginx.ports.tls, rejectUnauthorized: false });
  const answer = new Promise<Sent>((resolve) => {
    const end = (status: number | undefined, body: string) =>
      resolve({ status, body, ms: performance.now() - startedMs });
    sent.on('error', () => end(undefined, ''));
    sent.on('response', (response) => {
      text(response).then(
        (body) => end(response.statusCode, body),
        () => end(response.statusCode, ''),
      );
    });
  });
  const isOver = answer.then(() => true);
  for (let i = 0; i < length / MIB; i++) {
    const ms = pauses[i];
    if (ms !== undefined && (await Promise.race([sleep(ms).then(() => false), isOver]))) break;
    if (
      !sent.write(Buffer.alloc(MIB)) &&
      (await Promise.race([once(sent, 'drain').then(() => false), isOver]))
    )
      break;
  }
  if (!sent.destroyed) sent.end();
  const result = await answer;
  sent.destroy();
  return result;
}

describe.each(['registry', 's3'] as const)('on the way to the %s listener', (listener) => {
  test('a server that takes a body in turns is waited for, and the time of the client does not run meanwhile', async () => {
    const { status, body, ms } = await send(listener, 'holding');
    expect([status, body]).toEqual([200, 'taken']);
    // Longer than any time-out: they begin anew with each progress.
    expect(ms).toBeGreaterThan(SERVER_MS);
  });

  test('a server that takes nothing is given up after proxy_send_timeout, and the client is told', async () => {
    const { status, ms } = await send(listener, 'stuck');
    expect(status).toBe(503);
    expect(ms).toBeGreaterThan(SERVER_MS * 0.9);
  });

  test('a server that thinks is waited for, one that never answers is given up after proxy_read_timeout', async () => {
    const [late, silent] = await Promise.all([send(listener, 'late'), send(listener, 'silent')]);
    expect(late).toMatchObject({ status: 200, body: 'taken' });
    expect(silent.status).toBe(503);
    expect(silent.ms).toBeGreaterThan(SERVER_MS * 0.9);
  });

  test('a client may pause, again and again, and one that stands still is given up after client_body_timeout', async () => {
    const [pausing, still] = await Promise.all([
      send(
        listener,
        'eager',
        Array.from({ length: 8 }, () => CLIENT_MS / 6),
      ),
      send(listener, 'eager', [1, CLIENT_MS * 100]),
    ]);
    expect(pausing).toMatchObject({ status: 200, body: 'taken' });
    expect(pausing.ms).toBeGreaterThan(CLIENT_MS);
    expect([408, undefined]).toContain(still.status);
    expect(still.ms).toBeGreaterThan(CLIENT_MS * 0.9);
  });
});

test('the times are those of the documentation', async () => {
  const [shipped, page] = await Promise.all([
    readFile('nginx/snippets/streaming.conf', 'utf8'),
    readFile('docs/nginx.md', 'utf8'),
  ]);
  const times = [...shipped.matchAll(/^(\w+_timeout) +(\d+)s;/gm)];
  expect(times.length).toBe(5);
  for (const [, name, seconds] of times)
    expect(page).toMatch(new RegExp(`\`${name}\`[^|]*\\| ${seconds} s `));
});
