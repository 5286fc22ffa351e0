/** A process that stands still is ended by its own watchdog: nothing else would restart it. */
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { spawnTied } from '../support/tied.js';

const WATCHDOG = `${process.cwd()}/dist/server/watchdog.js`;

/** Runs a program with a watchdog that knows a frozen process after half a second. */
async function run(
  script: string,
  start = '500, 50',
): Promise<{ code: number | null; signal: string | null; said: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawnTied(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { Watchdog } = await import('${WATCHDOG}'); const watchdog = Watchdog.start(${start}); ${script}`,
    ],
    { env, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, said };
}

test('an event loop that does not turn any more ends the process, which says why', async () => {
  const { signal, said } = await run('setTimeout(() => { for (;;); }, 200);');
  expect(signal).toBe('SIGKILL');
  expect(JSON.parse(said)).toMatchObject({ level: 'error', message: expect.stringContaining('frozen') });
});

test('so does one that waits in a handler of its exit', async () => {
  const { signal } = await run(
    "process.on('exit', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)); setTimeout(() => process.exit(1), 200);",
  );
  expect(signal).toBe('SIGKILL');
});

test('a stop that does not come to its end is ended', async () => {
  const { signal, said } = await run('setInterval(() => {}, 1000); watchdog.endWithin(300);');
  expect(signal).toBe('SIGKILL');
  expect(JSON.parse(said)).toMatchObject({ message: expect.stringContaining('did not come to its end') });
});

test('a process that works, waits and ends is left alone', async () => {
  const { code, said } = await run(
    'watchdog.endWithin(60_000); await new Promise((resolve) => setTimeout(resolve, 1500)); process.exitCode = 7;',
  );
  expect({ code, said }).toEqual({ code: 7, said: '' });
});

test('one that was suspended as a whole is not frozen', async () => {
  const { code } = await run(
    `const { spawn } = await import('node:child_process');
     spawn('sh', ['-c', 'kill -STOP ' + process.pid + '; sleep 2; kill -CONT ' + process.pid], { stdio: 'ignore' });
     await new Promise((resolve) => setTimeout(resolve, 2500)); process.exitCode = 7;`,
  );
  expect(code).toBe(7);
});

test('a watchdog that ends itself says so, and takes nobody with it', async () => {
  const { code, said } = await run(
    'await new Promise((resolve) => setTimeout(resolve, 2500)); process.exitCode = 7;',
    // Less memory than its thread begins with.
    '500, 50, 4',
  );
  expect(code).toBe(7);
  const lines = said.split('\n').filter((line) => line.startsWith('{'));
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'error',
    message: expect.stringContaining('the watchdog has ended'),
  });
});
