import { expect, test } from '@jest/globals';
import express, { type Express } from 'express';
import { S3Listener } from '../../../src/server/s3-listener.js';

test('requests and answers are of Express before it has them, which would cost more afterwards', async () => {
  const app = express();
  app.use((req, res) => void res.json({ path: req.path, isJson: req.is('json'), length: req.get('x-a') }));
  const inner = app as Express & { handle: (...args: object[]) => void; request: object; response: object };
  const { handle } = inner;
  const seen: boolean[] = [];
  inner.handle = (...args) => {
    const [request, response] = args as [object, object];
    seen.push(Object.getPrototypeOf(request) === inner.request);
    seen.push(Object.getPrototypeOf(response) === inner.response);
    handle.apply(app, args);
  };
  const listener = new S3Listener(app, { host: '127.0.0.1', port: 0 });
  await listener.listen();
  try {
    const { port } = listener.address();
    const answer = await fetch(`http://127.0.0.1:${port}/a/b?c`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-a': 'b' },
      body: '{}',
    });
    expect(await answer.json()).toEqual({ path: '/a/b', isJson: 'json', length: 'b' });
    expect(seen).toEqual([true, true]);
  } finally {
    await listener.close(0);
  }
});
