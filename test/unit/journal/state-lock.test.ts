import { expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { FileLease, LeaseHeldError } from '../../../src/journal/state-lock.js';
import { leaseContract } from '../../contract/lease.js';
import { until } from '../../support/child.js';
import { spawnTied } from '../../support/tied.js';

const inDirectory = async (run: (directory: string) => Promise<void>) => {
  const directory = await mkdtemp(join(tmpdir(), 'state-lock-'));
  await run(directory).finally(() => rm(directory, { recursive: true, force: true }));
};
const lease = (directory: string) => new FileLease(directory, systemClock);
const rewrite = async (directory: string, fields: Record<string, unknown>) => {
  const path = join(directory, 'lock');
  const holder = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...holder, ...fields }));
};

leaseContract('FileLease on a lock file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'state-lock-'));
  return {
    open: () => lease(directory),
    // The file is now that of another lease of this process, which is alive.
    lose: async () => {
      await copyFile(join(directory, 'lock'), join(directory, 'other'));
      await rename(join(directory, 'other'), join(directory, 'lock'));
      await rewrite(directory, { token: 'somebody else' });
    },
    end: () => rm(directory, { recursive: true, force: true }),
  };
});

test('a second holder is refused and told who has it, until the first lets go', () =>
  inDirectory(async (directory) => {
    const first = lease(directory);
    await first.acquire();
    first.check();
    const refusal = lease(directory).acquire();
    await expect(refusal).rejects.toBeInstanceOf(LeaseHeldError);
    await expect(refusal).rejects.toThrow(`pid ${process.pid}`);
    await first.release();
    await first.release();
    expect(() => first.check()).toThrow(LeaseHeldError);
    const second = lease(directory);
    await second.acquire();
    await second.release();
  }));

test('the lock of a process that is dead is taken over', () =>
  inDirectory(async (directory) => {
    const child = spawn('true');
    await once(child, 'exit');
    const dead = lease(directory);
    await dead.acquire();
    await rewrite(directory, { pid: child.pid, token: 'other' });
    const next = lease(directory);
    await next.acquire();
    next.check();
    expect(() => dead.check()).toThrow(LeaseHeldError);
    await dead.release();
    next.check();
    await next.release();
  }));

test('a pid that another process has by now, or a machine that was started anew, holds nothing', () =>
  inDirectory(async (directory) => {
    for (const fields of [{ startTicks: '1' }, { bootId: 'another boot' }]) {
      const old = lease(directory);
      await old.acquire();
      await rewrite(directory, fields);
      // Before the machine was started anew.
      await utimes(join(directory, 'lock'), new Date(0), new Date(0));
      const next = lease(directory);
      await next.acquire();
      await old.release();
      await next.release();
    }
  }));

/** A process of its own that holds the lease, as if in another container. */
async function otherContainer(directory: string): Promise<ChildProcess> {
  const child = spawnTied(process.execPath, ['--import', 'tsx', 'test/support/hold-lease.ts', directory], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await rewrite(directory, { pidNamespace: 'pid:[1]' });
  return child;
}

test.each([
  ['', 'state'],
  [', however long its path is', join('s'.repeat(60), 't'.repeat(60))],
])('a container that was killed holds nothing from that moment on%s', (_, below) =>
  inDirectory(async (parent) => {
    const directory = join(parent, below);
    const child = await otherContainer(directory);
    await expect(lease(directory).acquire()).rejects.toThrow(`pid ${child.pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const next = lease(directory);
    await next.acquire();
    next.check();
    await next.release();
    expect(await readdir(directory)).toEqual([]);
  }),
);

test('a container that stands still holds it, however old its heartbeat is: it may go on', () =>
  inDirectory(async (directory) => {
    const child = await otherContainer(directory);
    child.kill('SIGSTOP');
    await utimes(join(directory, 'lock'), new Date(0), new Date(0));
    await expect(lease(directory).acquire()).rejects.toBeInstanceOf(LeaseHeldError);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const next = lease(directory);
    await next.acquire();
    await next.release();
  }));

test.each([
  ['it beats on: it lives, in a kernel of its own', true],
  ['it does not: the machine was started anew a moment ago', false],
])('a holder of another boot with a fresh heartbeat is watched for another one; %s', (_, isAlive) =>
  inDirectory(async (directory) => {
    const other = lease(directory);
    await other.acquire();
    await rewrite(directory, { bootId: 'another boot' });
    const watched: number[] = [];
    const next = new FileLease(directory, {
      ...systemClock,
      sleep: async (ms, signal) => {
        if (signal) return systemClock.sleep(ms, signal); // its own heartbeat
        watched.push(ms);
        if (isAlive) await utimes(join(directory, 'lock'), new Date(), new Date(Date.now() + 1_000));
      },
    });
    const acquired = next.acquire();
    await (isAlive ? expect(acquired).rejects.toBeInstanceOf(LeaseHeldError) : acquired);
    expect(watched).toEqual([12_000]);
    if (isAlive) other.check();
    else expect(() => other.check()).toThrow(LeaseHeldError);
    await next.release();
    await other.release();
  }),
);

test('a file system that numbers a file anew with each look takes it from nobody', () =>
  inDirectory(async (directory) => {
    const held = lease(directory);
    await held.acquire();
    // The same content under another number.
    await copyFile(join(directory, 'lock'), join(directory, 'other'));
    await rename(join(directory, 'other'), join(directory, 'lock'));
    held.check();
    await rewrite(directory, { token: 'somebody else' });
    expect(() => held.check()).toThrow(LeaseHeldError);
    await held.release();
  }));

test('a container that stands still holds it also where somebody has removed its lock file', () =>
  inDirectory(async (directory) => {
    const child = await otherContainer(directory);
    child.kill('SIGSTOP');
    await rm(join(directory, 'lock'));
    const [socket] = await readdir(directory);
    await utimes(join(directory, socket!), new Date(0), new Date(0));
    await expect(lease(directory).acquire()).rejects.toThrow('its lock file was removed');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const next = lease(directory);
    await next.acquire();
    await next.release();
    expect(await readdir(directory)).toEqual([]);
  }));

test.each([
  ['is gone', async () => undefined],
  [
    'is that of another holder',
    async (directory: string) => {
      const other = lease(directory);
      await other.acquire();
      return other;
    },
  ],
])('who finds that the lock file %s is told once, and leaves it alone', (_, takeOver) =>
  inDirectory(async (directory) => {
    const told: unknown[] = [];
    const beats: (() => void)[] = [];
    const clock = { ...systemClock, sleep: () => new Promise<void>((beat) => beats.push(beat)) };
    const first = new FileLease(directory, clock, (error) => told.push(error));
    await first.acquire();
    first.check();
    for (const name of await readdir(directory)) await rm(join(directory, name));
    const other = await takeOver(directory);
    const before = await stat(join(directory, 'lock')).catch(() => undefined);
    // Its next heartbeat finds out.
    beats[0]!();
    await until('it is told', () => told.length > 0);
    expect(() => first.check()).toThrow(LeaseHeldError);
    expect(told).toEqual([expect.any(LeaseHeldError)]);
    expect((await stat(join(directory, 'lock')).catch(() => undefined))?.mtimeMs).toBe(before?.mtimeMs);
    await first.release();
    expect((await stat(join(directory, 'lock')).catch(() => undefined))?.ino).toBe(before?.ino);
    await other?.release();
  }),
);

test('a holder in another container without a socket lives as long as its heartbeat', () =>
  inDirectory(async (directory) => {
    const other = lease(directory);
    await other.acquire();
    await rewrite(directory, { pidNamespace: 'pid:[1]', token: 'x', socket: undefined });
    await expect(lease(directory).acquire()).rejects.toBeInstanceOf(LeaseHeldError);
    await utimes(join(directory, 'lock'), new Date(0), new Date(0));
    const next = lease(directory);
    await next.acquire();
    await next.release();
    await other.release();
  }));

test('a lock file that was cut short is taken over once it is old', () =>
  inDirectory(async (directory) => {
    await writeFile(join(directory, 'lock'), '{"token"');
    await expect(lease(directory).acquire()).rejects.toThrow('just starting');
    await utimes(join(directory, 'lock'), new Date(0), new Date(0));
    const next = lease(directory);
    await next.acquire();
    await next.release();
  }));

test('of many starters at once exactly one gets it', () =>
  inDirectory(async (directory) => {
    const leases = Array.from({ length: 8 }, () => lease(directory));
    const results = await Promise.allSettled(leases.map((l) => l.acquire()));
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    await Promise.all(leases.map((l) => l.release()));
  }));

test('the lock of a container that is gone is taken over also where the clock was set back since', () =>
  inDirectory(async (directory) => {
    const dead = lease(directory);
    await dead.acquire();
    await rewrite(directory, { pidNamespace: 'pid:[1]', token: 'other', socket: undefined });
    const tomorrow = new Date(Date.now() + 86_400_000);
    const lock = join(directory, 'lock');
    await utimes(lock, tomorrow, tomorrow);
    // Its next heartbeat comes while it is watched for one.
    const beating = { ...systemClock, sleep: () => utimes(lock, new Date(), new Date()) };
    await expect(new FileLease(directory, beating).acquire()).rejects.toBeInstanceOf(LeaseHeldError);
    await utimes(lock, tomorrow, tomorrow);
    const next = new FileLease(directory, {
      ...systemClock,
      // Heartbeats of its own end with it; what it watches for is over at once.
      sleep: (ms, signal) => (signal ? systemClock.sleep(ms, signal) : Promise.resolve()),
    });
    await next.acquire();
    next.check();
    await next.release();
    await dead.release();
  }));
