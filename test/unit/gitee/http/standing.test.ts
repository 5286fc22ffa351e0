// Attacks which connections are given up: those that stand still while others move, and no other.
import { jest } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendQueues, waitingBytes } from '../../../../src/gitee/http/send-queues.js';
import { StandingConnections } from '../../../../src/gitee/http/standing.js';

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
  let standing: StandingConnections;
  let stuck: { destroy: jest.Mock };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'queues-'));
    nowMs = 5_000;
    queues = new SendQueues({ IPv4: join(directory, 'tcp') });
    standing = new StandingConnections(() => nowMs);
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
    return standing.closeAmong((await queues.look())!).map(waitingBytes);
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

  test('is not closed by whoever only asks what waits', async () => {
    await look(waits(90_000), rowOf(40_002, 70_000));
    await writeFile(
      join(directory, 'tcp'),
      ['sl local_address', waits(60_000), rowOf(40_002, 70_000), ''].join('\n'),
    );
    expect((await queues.look())!.map(waitingBytes)).toEqual([60_000, 70_000]);
    expect(stuck.destroy).not.toHaveBeenCalled();
  });
});
