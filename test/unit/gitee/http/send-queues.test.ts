import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendQueues } from '../../../../src/gitee/http/send-queues.js';

test('bytes that a reader does not take are counted, until they have left', async () => {
  const readers: Socket[] = [];
  const server = createServer((socket) => readers.push(socket.pause()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  const queues = new SendQueues();
  expect(await queues.queues()).toBeUndefined();
  queues.add(socket);
  expect(await queues.queues()).toEqual([0]);
  // More than any buffer of either side takes.
  socket.write(Buffer.alloc(32 * 1024 * 1024));
  while (((await queues.queues())?.[0] ?? 0) < 100_000) await new Promise((resolve) => setImmediate(resolve));
  // Those that the kernel has not taken yet, too.
  expect((await queues.queues())![0]).toBeGreaterThanOrEqual(16 * 1024 * 1024);
  for (const reader of readers) reader.resume();
  while ((await queues.queues())?.[0] !== 0) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await once(socket, 'close');
  expect(await queues.queues()).toBeUndefined();
  for (const reader of readers) reader.destroy();
  server.close();
});

test('a system that has no such table says nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'queues-'));
  await writeFile(join(directory, 'other'), 'sl local_address\nnonsense\n');
  const queues = new SendQueues([join(directory, 'none'), join(directory, 'other')]);
  queues.add({ localPort: 5, once: () => {} } as unknown as Socket);
  expect(await queues.queues()).toBeUndefined();
  await rm(directory, { recursive: true });
});
