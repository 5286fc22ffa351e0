import { jest } from '@jest/globals';
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

describe('a connection of which nothing is acknowledged', () => {
  const rowOf = (port: number, queuedBytes: number, { kind = '01', tries = 5, waitSeconds = 20 } = {}) => {
    const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0');
    return (
      `   0: 0201A8C0:${hex(port, 4)} 0301A8C0:2454 01 ${hex(queuedBytes, 8)}:00000000 ` +
      `${kind}:${hex(waitSeconds * 100, 8)} ${hex(tries, 8)}     0        0 1 2 0`
    );
  };
  let directory: string;
  let nowMs: number;
  let queues: SendQueues;
  let stuck: { destroy: jest.Mock };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'queues-'));
    nowMs = 5_000;
    queues = new SendQueues([join(directory, 'tcp')], () => nowMs);
    const socket = (localPort: number) => ({
      ...{ localPort, writableLength: 0, once: () => {} },
      destroy: jest.fn(),
    });
    const good = socket(40_001);
    const bad = socket(40_002);
    stuck = bad;
    for (const one of [good, bad]) queues.add(one as unknown as Socket);
  });

  afterEach(() => rm(directory, { recursive: true }));

  const look = async (...rows: string[]) => {
    await writeFile(join(directory, 'tcp'), ['sl local_address', ...rows, ''].join('\n'));
    return queues.queues();
  };
  const waits = (goodBytes: number) => rowOf(40_001, goodBytes, { tries: 0, waitSeconds: 0.3 });

  test('is closed while bytes of others are, and the kernel waits for seconds', async () => {
    await look(waits(90_000), rowOf(40_002, 70_000));
    expect(stuck.destroy).not.toHaveBeenCalled();
    expect(await look(waits(60_000), rowOf(40_002, 70_000))).toEqual([60_000]);
    expect(stuck.destroy).toHaveBeenCalledWith(expect.objectContaining({ code: 'ETIMEDOUT' }));
  });

  test('stays while the line is gone for all', async () => {
    await look(waits(90_000), rowOf(40_002, 70_000));
    expect(await look(rowOf(40_001, 90_000), rowOf(40_002, 70_000))).toEqual([90_000, 70_000]);
    // What was acknowledged a while ago says nothing.
    await look(waits(90_000), rowOf(40_002, 70_000, { tries: 1 }));
    await look(waits(80_000), rowOf(40_002, 70_000, { tries: 1 }));
    nowMs += 1_001;
    await look(waits(80_000), rowOf(40_002, 70_000));
    expect(stuck.destroy).not.toHaveBeenCalled();
  });

  test.each([
    ['tries again soon', { waitSeconds: 3 }],
    ['has lost one try only', { tries: 1 }],
    ['waits for a slow reader', { kind: '04' }],
  ])('stays if the kernel %s', async (_, how) => {
    await look(waits(90_000), rowOf(40_002, 70_000, how));
    await look(waits(60_000), rowOf(40_002, 70_000, how));
    expect(stuck.destroy).not.toHaveBeenCalled();
  });
});
