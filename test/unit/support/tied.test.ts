import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { run, until } from '../../support/child.js';
import { freePort } from '../../support/ports.js';
import { tie } from '../../support/tied.js';
import { limitMs } from '../../support/time-limits.js';

const gone = (pid: number) => until(`${pid} has ended`, () => !existsSync(`/proc/${pid}`));

/** Runs lines as a program of its own, and resolves with it and the first line that it says. */
async function program(lines: string): Promise<{ kill: () => void; said: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = ['--import', 'tsx', '--input-type=module', '-e', lines];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return { kill: () => child.kill('SIGKILL'), said: said.toString().trim() };
}

const module = (name: string) => JSON.stringify(path.resolve('test/support', name));

test('a program that a test started ends with it, though it is killed', async () => {
  const { kill, said } = await program(`
    const { spawnTied } = await import(${module('tied.ts')});
    console.log(spawnTied('sleep', ['1000'], { stdio: 'ignore' }).pid);
    await new Promise(() => setInterval(() => {}, 1000));
  `);
  const pid = Number(said);
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  kill();
  await gone(pid);
});

test('a program that takes too long is killed with all that it started', async () => {
  const timeoutMs = limitMs(2_000);
  const { code, stdout } = await run('sh', ['-c', 'sleep 1000 & echo $!; sleep 1000'], { timeoutMs });
  expect([code, Number(stdout) > 0]).toEqual([-1, true]);
  await gone(Number(stdout));
});

test('a preloaded library is for the program alone', () => {
  const { args, env } = tie('node', ['x'], { LD_PRELOAD: 'power-cut.so', HOME: '/' });
  expect(args.slice(-4)).toEqual(['env', 'LD_PRELOAD=power-cut.so', 'node', 'x']);
  expect(env).toEqual({ HOME: '/' });
});

test('two programs that ask for ports at once are never given the same', async () => {
  const ask = `
    const { freePort } = await import(${module('ports.ts')});
    const ports = [];
    for (let i = 0; i < 60; i += 1) ports.push(await freePort());
    console.log(JSON.stringify(ports));
    await new Promise(() => setInterval(() => {}, 1000));
  `;
  const asked = await Promise.all([program(ask), program(ask)]);
  const own = [await freePort(), await freePort()];
  for (const { kill } of asked) kill();
  const all = [...own, ...asked.flatMap(({ said }) => JSON.parse(said) as number[])];
  expect(new Set(all).size).toBe(122);
});
