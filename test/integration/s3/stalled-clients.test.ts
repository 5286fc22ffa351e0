/** Many clients that stand still in the middle of a body or an answer: each costs little, and ends by itself. */
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import * as path from 'node:path';
import { CreateMultipartUploadCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { until } from '../../support/child.js';
import { makeImage, pull, push } from '../../support/image.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { CONDITION_LIMIT_MS, TEST_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;
const SENDERS = 500;
const READERS = 100;
const HELD = 100;
const BODY_BYTES = MIB;
const UPLOAD = 'docker/registry/v2/repositories/stalled/_uploads/1/data';

/** A connection whose client does no more than it was told to. */
class RawClient {
  received = '';
  /** Whatever ended it. */
  isClosed = false;
  readonly #socket: net.Socket;

  private constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => (this.isClosed = true));
  }

  static async sends(endpoint: string, link: string, bodyBytes: number, sent: Buffer): Promise<RawClient> {
    const client = await RawClient.connect(endpoint);
    client.#socket.on('data', (piece: Buffer) => (client.received += piece.toString('latin1')));
    client.#socket.write(head('PUT', endpoint, link, `Content-Length: ${bodyBytes}\r\n`));
    client.#socket.write(sent);
    return client;
  }

  /** Takes the first bytes and then no more. */
  static async reads(endpoint: string, link: string): Promise<RawClient> {
    const client = await RawClient.connect(endpoint);
    client.#socket.write(head('GET', endpoint, link));
    const [piece] = (await once(client.#socket, 'data')) as [Buffer];
    client.received = piece.toString('latin1');
    client.#socket.pause();
    return client;
  }

  /** Only a socket that reads is told of its end. */
  resume(): void {
    this.#socket.resume();
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.received)?.[1] ?? 0);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  private static async connect(endpoint: string): Promise<RawClient> {
    const client = new RawClient(Number(new URL(endpoint).port));
    await once(client.#socket, 'connect');
    return client;
  }
}

function head(method: string, endpoint: string, link: string, more = ''): string {
  return `${method} ${link} HTTP/1.1\r\nHost: ${new URL(endpoint).host}\r\nConnection: close\r\n${more}\r\n`;
}

describe('clients that stand still', () => {
  let bucket: S3Bucket;
  let registry: Awaited<ReturnType<S3Bucket['stack']['startRegistry']>>;
  const clients: RawClient[] = [];

  beforeAll(async () => {
    bucket = await startS3Bucket({
      config: {
        s3: { body_idle: '5s', answer_idle: '5s' },
        shutdown: { grace: '5s' },
        commit: { interval: '1s' },
      },
    });
    registry = await bucket.stack.startRegistry();
    // What a first push opens once is not counted.
    const image = await makeImage(path.join(bucket.stack.directory, 'first'), [50_000, 9 * MIB]);
    expect(await push(image, registry.address, 'first/app:v1')).toMatchObject({ code: 0 });
    await bucket.landed('registry');
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
  });
  afterAll(() => bucket.close());

  const proc = (name: string) => path.join('/proc', String(bucket.stack.gateway.child!.pid), name);
  const descriptors = async () => (await readdir(proc('fd'))).length;
  const anonBytes = async () =>
    Number(/^RssAnon:\s+(\d+) kB$/m.exec(await readFile(proc('status'), 'utf8'))![1]) * 1024;
  const link = (method: string, key: string, query: Record<string, string> = {}) =>
    bucket.wire.presign({ method, path: `/${key}`, query });
  // Parts are read a few at a time, at the pace of the line, and each of them stands still when its turn has come.
  const areClosed = () =>
    until('all were cut', () => clients.every(({ isClosed }) => isClosed), 2 * CONDITION_LIMIT_MS);

  /** Half of a body each: into a bucket of concern `local`, and as parts of one upload of the registry. */
  async function stalledSenders(count: number): Promise<void> {
    const { stack, s3 } = bucket;
    const to = { Bucket: 'registry', Key: UPLOAD };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(to));
    const half = bytesOf(BODY_BYTES / 2, 'half of a body');
    for (let i = 0; i < count; i += 1) {
      const target =
        i % 4 > 0
          ? await link('PUT', `files/stalled/${i}`)
          : await link('PUT', `registry/${UPLOAD}`, { partNumber: String(i + 1), uploadId: UploadId! });
      clients.push(await RawClient.sends(stack.gateway.endpoint, target, BODY_BYTES, half));
    }
  }

  test(
    `${SENDERS} bodies that stop half-way: a push goes on, memory stays, each ends by its time-out`,
    async () => {
      const { stack } = bucket;
      const [beforeBytes, beforeDescriptors] = [await anonBytes(), await descriptors()];
      let mostBytes = 0;
      await stalledSenders(SENDERS);
      const image = await makeImage(path.join(stack.directory, 'beside'), [50_000, 9 * MIB]);
      let isPushed = false;
      const pushed = push(image, registry.address, 'beside/app:v1').finally(() => (isPushed = true));
      await until('it is pushed', async () => {
        mostBytes = Math.max(mostBytes, await anonBytes());
        return isPushed;
      });
      expect(await pushed).toMatchObject({ code: 0 });
      expect(await pull(registry.address, 'beside/app:v1', path.join(stack.directory, 'pulled'))).toBe(
        image.manifestDigest,
      );
      await areClosed();
      expect(new Set(clients.map(({ status }) => status))).toEqual(new Set([400]));
      expect(clients.every(({ received }) => received.includes('<Code>RequestTimeout</Code>'))).toBe(true);
      // What was sent is 250 MiB.
      expect(mostBytes - beforeBytes).toBeLessThan(128 * MIB);
      await until('what they held is closed', async () => (await descriptors()) < beforeDescriptors + 50);
      expect(await bucket.listing('stalled/')).toEqual([]);
    },
    2 * TEST_LIMIT_MS,
  );

  test(`${READERS} readers that take the first bytes and no more: each is cut, and none is in the way`, async () => {
    const { stack, s3 } = bucket;
    const body = bytesOf(64 * MIB, 'large');
    await s3.send(new PutObjectCommand({ Bucket: 'files', Key: 'large', Body: body }));
    await bucket.landed();
    const [beforeBytes, beforeDescriptors] = [await anonBytes(), await descriptors()];
    const target = await link('GET', 'files/large');
    for (let i = 0; i < READERS; i += 1) clients.push(await RawClient.reads(stack.gateway.endpoint, target));
    expect(new Set(clients.map(({ status }) => status))).toEqual(new Set([200]));
    const [heldBytes, heldDescriptors] = [await anonBytes(), await descriptors()];
    const answer = await s3.send(new GetObjectCommand({ Bucket: 'files', Key: 'large' }));
    expect(Buffer.from(await answer.Body!.transformToByteArray()).equals(body)).toBe(true);
    // The connection and three chunks each, as docs/nginx.md says.
    expect(heldDescriptors - beforeDescriptors).toBeLessThan(READERS * 4 + 50);
    expect(heldBytes - beforeBytes).toBeLessThan(READERS * 2 * MIB);
    await until('no chunk is open', async () => (await descriptors()) < beforeDescriptors + 4);
    for (const client of clients) client.resume();
    await areClosed();
  });

  test(`a stop with ${HELD} bodies that stand still ends in time, and loses nothing that was acknowledged`, async () => {
    const { stack, s3 } = bucket;
    await stack.gateway.restart();
    const bodies = new Map<string, Buffer>();
    for (let i = 0; i < 5; i += 1) {
      const [Key, Body] = [`acknowledged/${i}`, bytesOf(100_000, `acknowledged ${i}`)];
      await s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body }));
      bodies.set(Key, Body);
    }
    await stalledSenders(HELD);
    // By itself: a kill would come after STOP_LIMIT_MS, far beyond `shutdown.grace`.
    await stack.gateway.stop();
    expect(stack.gateway.child!.process.signalCode).toBeNull();
    await areClosed();
    expect(clients.filter(({ status }) => ![0, 400, 503].includes(status))).toEqual([]);
    await stack.gateway.start();
    for (const [Key, body] of bodies) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'files', Key }));
      expect([Key, Buffer.from(await Body!.transformToByteArray()).equals(body)]).toEqual([Key, true]);
    }
    expect(await bucket.listing('stalled/')).toEqual([]);
  });
});
