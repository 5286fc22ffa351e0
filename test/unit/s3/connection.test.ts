import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ObjectError } from '../../../src/objects/errors.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';
import { ANSWER_LIMIT_MS } from '../../support/time-limits.js';

const MIB = 1024 * 1024;

describe('the connection around a request', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startTestApp({ drain: { timeoutMs: ANSWER_LIMIT_MS, maxBytes: 64 * MIB } });
  });
  afterEach(() => app.close());

  /** A raw connection; collects all that comes. */
  async function connect(): Promise<{ socket: net.Socket; text: () => string; closed: Promise<unknown> }> {
    const socket = net.connect(app.port, '127.0.0.1');
    let received = '';
    socket.on('data', (piece: Buffer) => (received += piece.toString('latin1')));
    socket.on('error', () => {});
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    await once(socket, 'connect');
    return { socket, text: () => received, closed };
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }

  async function putHead(
    key: string,
    bodyBytes: number,
    extra: Record<string, string> = {},
  ): Promise<string> {
    const headers = await app.client.signedHeaders({
      method: 'PUT',
      path: `/images/${key}`,
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
    const all = { ...headers, 'content-length': String(bodyBytes), ...extra };
    return `PUT /images/${key} HTTP/1.1\r\n${Object.entries(all)
      .map(([n, v]) => `${n}: ${v}\r\n`)
      .join('')}\r\n`;
  }

  test('sends 100 Continue only when the operation begins to read', async () => {
    const { socket, text } = await connect();
    socket.write(await putHead('k', 5, { expect: '100-continue' }));
    await until(() => text().includes('\r\n\r\n'));
    expect(text()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    socket.write('hello');
    await until(() => text().includes('HTTP/1.1 200 OK'));
    socket.destroy();
    expect(app.objects.keys()).toEqual(['k']);
  });

  test('refuses a request with a bad signature before its body, without 100 Continue', async () => {
    const { socket, text, closed } = await connect();
    const head = (await putHead('k', 50 * MIB, { expect: '100-continue' })).replace(
      /Signature=\w{4}/,
      'Signature=0000',
    );
    socket.write(head);
    await until(() => text().includes('</Error>'));
    expect(text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(text()).toMatch(/connection: close/i);
    socket.end();
    await closed;
  });

  test('a 503 reaches a client that does not wait for 100 Continue and sends its whole body', async () => {
    app.objects.failures.set('putObject', new ObjectError('slow-down', 'spool full'));
    const { socket, text, closed } = await connect();
    socket.write(await putHead('k', 12 * MIB, { expect: '100-continue' }));
    socket.write(Buffer.alloc(12 * MIB));
    await closed;
    expect(text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(text()).toContain('<Code>SlowDown</Code>');
    expect(text()).toContain('</Error>');
  });

  test('keeps the connection after a refused small body, and the next request on it is answered', async () => {
    app.objects.failures.set('putObject', new ObjectError('slow-down', 'spool full'));
    const { socket, text } = await connect();
    socket.write((await putHead('a', 1000)) + 'x'.repeat(1000));
    await until(() => text().includes('</Error>'));
    expect(text()).not.toMatch(/connection: close/i);
    socket.write((await putHead('b', 3)) + 'abc');
    await until(() => text().includes('HTTP/1.1 200 OK'));
    socket.destroy();
    expect(app.objects.keys()).toEqual(['b']);
  });

  test('stops reading a refused body at the limit', async () => {
    await app.close();
    app = await startTestApp({ drain: { maxBytes: MIB, timeoutMs: 60_000 } });
    app.objects.failures.set('putObject', new ObjectError('slow-down', 'spool full'));
    const { socket, closed } = await connect();
    socket.write(await putHead('k', 1024 * MIB));
    const block = Buffer.alloc(MIB);
    const feed = () => {
      if (!socket.destroyed && socket.writable) socket.write(block, () => feed());
    };
    feed();
    await closed;
    expect(socket.bytesWritten).toBeLessThan(1024 * MIB);
  });

  test('stores nothing of a body whose connection breaks off', async () => {
    const { socket } = await connect();
    socket.write((await putHead('k', 100)) + 'only a part');
    await until(() => app.objects.calls.includes('putObject'));
    socket.destroy();
    await until(() => app.objects.signals[0]?.aborted === true);
    expect(app.objects.keys()).toEqual([]);
  });

  test('answers RequestTimeout to a body that stands still', async () => {
    await app.close();
    app = await startTestApp({ bodyIdleTimeoutMs: 300, drain: { timeoutMs: 1000, maxBytes: 64 * MIB } });
    const { socket, text, closed } = await connect();
    socket.write((await putHead('k', 10 * MIB)) + 'a little');
    await closed;
    expect(text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(text()).toContain('<Code>RequestTimeout</Code>');
    expect(app.objects.keys()).toEqual([]);
  });

  test('cuts a reader that takes nothing, and no other', async () => {
    await app.close();
    app = await startTestApp({ answerIdleTimeoutMs: 300 });
    await app.client.send({ method: 'PUT', path: '/images/k', body: Buffer.alloc(32 * MIB, 'k') });
    app.objects.signals.length = 0;
    const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/k' });
    const { socket } = await connect();
    socket.pause();
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET /images/k HTTP/1.1\r\n${lines.join('')}\r\n`);
    await until(() => app.objects.signals[0]?.aborted === true);
    const whole = await app.client.send({ method: 'GET', path: '/images/k' });
    expect([whole.status, whole.body.length]).toEqual([200, 32 * MIB]);
    socket.destroy();
  });

  test('answers 1 MiB of headers with an S3 document', async () => {
    const { socket, text } = await connect();
    socket.write(`GET /images HTTP/1.1\r\nhost: x\r\nx-amz-meta-big: ${'m'.repeat(MIB)}\r\n\r\n`);
    await until(() => text().includes('</Error>'));
    expect(text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(text()).toContain('<Code>RequestHeaderSectionTooLarge</Code>');
    expect(text()).toMatch(/x-amz-request-id: [0-9A-F]{16}/);
    socket.destroy();
  });

  test('answers what is no HTTP with an S3 document', async () => {
    const { socket, text } = await connect();
    socket.write('this is no HTTP\r\n\r\n');
    await until(() => text().includes('</Error>'));
    expect(text()).toContain('<Code>BadRequest</Code>');
    socket.destroy();
  });

  test.each(['error', 'short'] as const)(
    'breaks the connection when the source ends in the middle (%s)',
    async (kind) => {
      await app.client.send({ method: 'PUT', path: '/images/k', body: Buffer.alloc(3 * MIB, 'k') });
      app.objects.fault = { afterBytes: 2 * MIB, kind };
      await expect(app.client.send({ method: 'GET', path: '/images/k' })).rejects.toThrow();
    },
  );

  test('answers an S3 error when the source fails before its first byte', async () => {
    await app.client.send({ method: 'PUT', path: '/images/k', body: 'bytes' });
    app.objects.fault = { afterBytes: 0, kind: 'error' };
    const answer = await app.client.send({ method: 'GET', path: '/images/k' });
    expect([answer.status, answer.xml('Code'), answer.headers['retry-after']]).toEqual([
      503,
      'ServiceUnavailable',
      '1',
    ]);
  });

  test('tells the objects layer when the client goes away while it waits', async () => {
    await app.client.send({ method: 'PUT', path: '/images/k', body: 'bytes' });
    app.objects.gate = new Promise(() => {});
    app.objects.signals.length = 0;
    const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/k' });
    const { socket } = await connect();
    socket.write(
      `GET /images/k HTTP/1.1\r\n${Object.entries(headers)
        .map(([n, v]) => `${n}: ${v}\r\n`)
        .join('')}\r\n`,
    );
    await until(() => app.objects.signals.length === 1);
    socket.destroy();
    await until(() => app.objects.signals[0]!.aborted);
  });

  test('reads no faster from the store than a slow client takes', async () => {
    await app.client.send({ method: 'PUT', path: '/images/k', body: Buffer.alloc(64 * MIB) });
    const headers = await app.client.signedHeaders({ method: 'GET', path: '/images/k' });
    const { socket } = await connect();
    socket.pause();
    const served = once(app.server, 'request') as Promise<[unknown, ServerResponse]>;
    socket.write(
      `GET /images/k HTTP/1.1\r\n${Object.entries(headers)
        .map(([n, v]) => `${n}: ${v}\r\n`)
        .join('')}\r\n`,
    );
    const [, res] = await served;
    await until(() => res.writableNeedDrain);
    expect(res.writableLength).toBeLessThan(4 * MIB);
    socket.destroy();
  });
});
