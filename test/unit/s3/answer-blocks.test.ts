/**
 * Attacks invariant 3 ("No reader gets a complete answer whose bytes do not hash to what the index says") where the
 * buffers of large answers are used again: what is given back is overwritten at once, and clients that are slow, that
 * stand still or that go away share the pool with others.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { writeAnswer } from '../../../src/s3/answer.js';
import { bytesOf, ChunkBench, listOfChunks } from '../../support/chunk-bench.js';

const MiB = 1024 * 1024;
const SIZE_BYTES = 9 * MiB + 12_345;

let bench: ChunkBench;
let server: http.Server;
let bodies: Buffer[];
const memories = new Set<ArrayBufferLike>();
let givenBack = 0;

beforeAll(async () => {
  bench = await ChunkBench.start({ limits: { chunkSizeBytes: 4 * MiB, eagerFromBytes: 4 * MiB } });
  bodies = [1, 2].map((seed) => bytesOf(seed, SIZE_BYTES));
  const lists = bodies.map((body) =>
    listOfChunks(...[0, 4, 8].map((at) => bench.remote.seed(body.subarray(at * MiB, (at + 4) * MiB)))),
  );
  server = http.createServer((req, res) => {
    const gone = new AbortController();
    res.once('close', () => gone.abort(new Error('the client went away')));
    const list = lists[Number(req.url!.slice(1))]!;
    writeAnswer(
      {
        status: 200,
        headers: { 'Content-Length': String(SIZE_BYTES) },
        body: {
          open: () => bench.chunks.read(list, 0, SIZE_BYTES, gone.signal),
          lengthBytes: SIZE_BYTES,
          giveBack: (piece) => {
            givenBack += 1;
            memories.add(piece.buffer);
            piece.fill(0xee);
            bench.chunks.giveBack(piece);
          },
        },
      },
      {
        ...{ req, res, requestId: { id: 'R', hostId: 'H' }, signal: gone.signal, answerIdleTimeoutMs: 0 },
        drain: { keepAliveBytes: 0, maxBytes: 0, timeoutMs: 0 },
        onBytes: () => {},
      },
    ).catch(() => res.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await bench.remove();
});

async function ask(which: number): Promise<http.IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const request = http.get({ port, host: '127.0.0.1', path: `/${which}`, agent: false });
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  return answer;
}

/** Reads all, or so many bytes and hangs up; `pause` after each piece. */
async function expectBytes(which: number, pause?: () => Promise<void>, maxBytes = SIZE_BYTES): Promise<void> {
  let at = 0;
  for await (const piece of await ask(which)) {
    const bytes = piece as Buffer;
    if (!bytes.equals(bodies[which]!.subarray(at, at + bytes.length)))
      throw new Error(`bytes of another, from ${at} of ${which}`);
    at += bytes.length;
    if (at >= maxBytes) return; // which destroys the answer
    await pause?.();
  }
  expect(at).toBe(SIZE_BYTES);
}

test('every client gets its own bytes, and buffers are used again', async () => {
  let release = (): void => {};
  const others = new Promise<void>((resolve) => (release = resolve));
  // Stand still in the middle, with blocks on their way, until all others are through.
  const still = [0, 1].map((which) => expectBytes(which, () => others));
  for (let round = 0; round < 3; round += 1)
    await Promise.all(
      [0, 1].flatMap((which) => [
        expectBytes(which),
        expectBytes(which, () => setImmediate()),
        expectBytes(which, undefined, (round + 1) * 700_000),
        expectBytes(which, () => setImmediate(), (round + 1) * 2 * MiB),
      ]),
    );
  release();
  await Promise.all(still);
  expect(memories.size).toBeGreaterThan(0);
  expect(givenBack).toBeGreaterThan(3 * memories.size);
});
