import { freeBuffer } from '../../../src/async/free-buffer.js';

test('what has memory of its own is empty afterwards, and V8 counts it no more', () => {
  const before = process.memoryUsage().arrayBuffers;
  const buffers = Array.from({ length: 8 }, () => Buffer.allocUnsafeSlow(16 * 1024 * 1024));
  expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(100 * 1024 * 1024);
  for (const buffer of buffers) freeBuffer(buffer);
  expect(buffers.map(({ length }) => length)).toEqual(buffers.map(() => 0));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
});

test.each([
  ['a part of a buffer', Buffer.alloc(100_000, 7).subarray(0, 50_000)],
  ['a short one, as from a slab', Buffer.alloc(1000, 7)],
  ['one of several threads', Buffer.from(new SharedArrayBuffer(100_000)).fill(7)],
])('%s stays as it is', (_what, bytes) => {
  const copy = Uint8Array.from(bytes);
  freeBuffer(bytes);
  expect(Uint8Array.from(bytes)).toEqual(copy);
});
