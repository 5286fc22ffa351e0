import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { writeAnswer } from '../../../src/s3/answer.js';

/** An answer to a GET that takes nothing else; what was written. */
function fakeAnswer() {
  const written: unknown[] = [];
  const res = {
    setTimeout: () => {},
    writeHead: (status: number, headers: Record<string, string>) => written.push([status, headers]),
    end: (body?: Uint8Array) => written.push(body),
  };
  const req = { method: 'GET', complete: true, resume: () => {} };
  return { written, res: res as unknown as ServerResponse, req: req as unknown as IncomingMessage };
}

const opensNothing = () => {
  throw new Error('opened');
};
const context = {
  requestId: { id: 'R', hostId: 'H' },
  signal: new AbortController().signal,
  answerIdleTimeoutMs: 0,
  drain: { keepAliveBytes: 0, maxBytes: 0, timeoutMs: 0 },
};

test('bytes that are at hand are written at once and counted, and nothing is opened', async () => {
  const { written, ...answer } = fakeAnswer();
  const headers = { 'Content-Length': '5', 'Content-Type': 'text/plain' };
  const bytes = Buffer.from('hello');
  const counted: number[] = [];
  await writeAnswer(
    { status: 206, headers, body: { bytes, open: opensNothing, lengthBytes: 5 } },
    { ...context, ...answer, onBytes: (sizeBytes) => counted.push(sizeBytes) },
  );
  expect(written).toEqual([[206, headers], bytes]);
  expect(counted).toEqual([5]);
});

test('invariant 3: bytes at hand that are not as many as announced are no answer', async () => {
  const { written, ...answer } = fakeAnswer();
  const bytes = Buffer.from('hell');
  await expect(
    writeAnswer(
      {
        status: 200,
        headers: { 'Content-Length': '5' },
        body: { bytes, open: opensNothing, lengthBytes: 5 },
      },
      { ...context, ...answer, onBytes: () => {} },
    ),
  ).rejects.toThrow('the body has 4 bytes, 5 were announced');
  expect(written).toEqual([]);
});

test('a client that goes away before the first byte ends the reading, not the process', async () => {
  const gone = new AbortController();
  const source = new Readable({ read: () => {} });
  // As a reader of chunks does it: it is told of the end before whoever waits for its first block.
  gone.signal.addEventListener('abort', () => source.destroy(new Error('the caller went away')));
  const closed = new Promise((resolve) => source.once('close', resolve));
  const writing = writeAnswer(
    { status: 200, headers: {}, body: { open: () => source, lengthBytes: 5 } },
    {
      ...context,
      req: {} as IncomingMessage,
      res: {} as ServerResponse,
      signal: gone.signal,
      onBytes: () => {},
    },
  );
  const uncaught = once(process, 'uncaughtException').then(([error]) => error as unknown);
  gone.abort(new Error('the client closed the connection'));
  await expect(writing).rejects.toThrow();
  expect(await Promise.race([closed.then(() => 'closed'), uncaught])).toBe('closed');
  expect(source.listenerCount('error')).toBeGreaterThan(0);
});
