import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { writeAnswer } from '../../../src/s3/answer.js';

test('a client that goes away before the first byte ends the reading, not the process', async () => {
  const gone = new AbortController();
  const source = new Readable({ read: () => {} });
  // As a reader of chunks does it: it is told of the end before whoever waits for its first block.
  gone.signal.addEventListener('abort', () => source.destroy(new Error('the caller went away')));
  const closed = new Promise((resolve) => source.once('close', resolve));
  const writing = writeAnswer(
    { status: 200, headers: {}, body: { open: () => source, lengthBytes: 5 } },
    {
      req: {} as IncomingMessage,
      res: {} as ServerResponse,
      requestId: { id: 'R', hostId: 'H' },
      signal: gone.signal,
      answerIdleTimeoutMs: 0,
      drain: { keepAliveBytes: 0, maxBytes: 0, timeoutMs: 0 },
      onBytes: () => {},
    },
  );
  const uncaught = once(process, 'uncaughtException').then(([error]) => error as unknown);
  gone.abort(new Error('the client closed the connection'));
  await expect(writing).rejects.toThrow();
  expect(await Promise.race([closed.then(() => 'closed'), uncaught])).toBe('closed');
  expect(source.listenerCount('error')).toBeGreaterThan(0);
});
