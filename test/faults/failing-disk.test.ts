/**
 * Invariant 1: an acknowledged write is never lost, not by a disk that fails to sync: the kernel may count pages as
 * written that never were (test/support/failing-disk), so that whoever goes on as if nothing had happened loses what it
 * acknowledges from then on. The journal stops, and a restart recovers. Invariant 6: a disk that does not answer ends
 * every wait.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { LmdbStore } from '../../src/index/lmdb-store.js';
import { until } from '../support/child.js';
import { FailingDisk } from '../support/failing-disk/failing-disk.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { record, throughGateway } from '../support/history/s3-client.js';
import { startStack, type Stack } from '../support/stack.js';
import { spawnTied } from '../support/tied.js';

const ROUNDS = 6;

describe('the store of journal and index', () => {
  let directory: string;
  let disk: FailingDisk;
  const store = () => path.join(directory, 'store');
  const acknowledged = new Map<string, true>();
  /** What an older version began to write, in order. */
  let begun: string[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'failing-disk-'));
    disk = await FailingDisk.prepare(path.join(directory, 'disk'), '/store/data.mdb');
    acknowledged.clear();
    begun = [];
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** Runs a writer; `at` is called with how many of its keys were acknowledged. Returns what else it said. */
  async function write(prefix: string, mode: string[], at: (count: number, kill: () => void) => void) {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = spawnTied(
      process.execPath,
      ['test/support/failing-disk/writer.mjs', store(), prefix, ...mode],
      { env: { ...env, ...disk.env }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const said: string[] = [];
    let count = 0;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('? ')) begun.push(line.slice(2));
      else if (line.startsWith('!')) {
        said.push(line);
        child.kill('SIGKILL');
      } else {
        acknowledged.set(line, true);
        at((count += 1), () => child.kill('SIGKILL'));
      }
    });
    await once(child, 'close');
    return said;
  }

  async function expectAll(): Promise<void> {
    const opened = LmdbStore.open(store());
    const lost: string[] = [];
    for (const key of acknowledged.keys()) {
      const value = await opened.get(Buffer.from(key));
      if (!value || !Buffer.from(value).toString().startsWith(`${key}-`)) lost.push(key);
    }
    await opened.close();
    expect(lost).toEqual([]);
  }

  test.each(Array.from({ length: ROUNDS }, (_, i) => 40 + i * 37))(
    'a sync that fails after %i commits is the last thing it does; a restart and a power cut later all is there',
    async (after) => {
      const said = await write('az', [], (count) => {
        if (count === after) void disk.nextSync('fail');
      });
      expect(said).toContain('! failed');
      await write('bc', [], (count, kill) => {
        if (count === 60) kill();
      });
      await rm(path.join(store(), 'lock.mdb'), { force: true });
      await disk.cut(path.join(store(), 'data.mdb'));
      expect(acknowledged.size).toBeGreaterThan(after + 59);
      await expectAll();
    },
  );

  test('what an older version showed before it was synced is not built upon: the disk may not have it', async () => {
    let kill = () => {};
    const written = write('a', ['overlapping'], (count, end) => {
      kill = end;
      if (count === 100) void disk.nextSync('hang');
    });
    await until('the sync hangs', () => Promise.resolve(disk.hasHappened));
    kill();
    await written;
    const visible = begun.at(-1)!;
    expect(acknowledged.has(visible)).toBe(false);
    const opened = LmdbStore.open(store());
    expect(await opened.get(Buffer.from(visible))).toBeUndefined();
    await opened.close();
    await expectAll();
  });

  test('a sync that never returns ends what waits for it', async () => {
    const said = await write('a', ['now', '500'], (count) => {
      if (count === 50) void disk.nextSync('hang');
    });
    expect(said).toContain('! failed');
    await expectAll();
  });
});

describe('a gateway', () => {
  let stack: Stack;
  let disk: FailingDisk;
  let s3: S3Client;
  const history = new History();

  beforeAll(async () => {
    stack = await startStack({ start: false });
    disk = await FailingDisk.prepare(path.join(stack.directory, 'disk'), '/overlay/data.mdb');
    Object.assign(stack.gateway.env, disk.env);
    await stack.gateway.start();
    s3 = record(stack.gateway.s3Client(), history);
  });
  afterAll(async () => {
    s3.destroy();
    await stack.close();
  });

  const put = (Key: string) =>
    s3.send(new PutObjectCommand({ Bucket: 'files', Key, Body: `body of ${Key}` })).then(
      () => 'ok',
      (error: unknown) => (error as { name: string }).name,
    );

  test('whose journal can not be synced acknowledges nothing more, ends with code 3 and recovers', async () => {
    await stack.gitee.fault('git-stall', { match: { repo: 'acme/files' } });
    expect(await put('before')).toBe('ok');
    const { process: gateway } = stack.gateway.child!;
    const ended = once(gateway, 'exit');
    await disk.nextSync('fail');
    const answers: string[] = [];
    while (gateway.exitCode === null && answers.length < 10_000)
      answers.push(await put(`k${answers.length}`));
    const acknowledged = answers.flatMap((answer, i) => (answer === 'ok' ? [`k${i}`] : []));
    // The commit that failed, and nothing after it.
    expect(answers.lastIndexOf('ok')).toBe(acknowledged.length - 1);
    expect(await ended).toEqual([3, null]);
    history.serverEnded();
    await stack.gitee.clearFaults();
    await stack.gateway.start();
    expect(await put('after')).toBe('ok');
    expect(history.possible('before')).toHaveLength(1);
    const view = throughGateway(s3, 'files');
    await expectNothingLost(stack, { bucket: 'files', history, view, holds: 'objects' });
  });
});
