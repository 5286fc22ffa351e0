import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { clearTimeout, setTimeout } from 'node:timers';
import { atSuiteEnd } from './suite-end.js';
import { STOP_LIMIT_MS } from './time-limits.js';

/** Of util-linux; it becomes the program, so that the process keeps its id. */
const SETPRIV = '/usr/bin/setpriv';
const canTie = existsSync(SETPRIV);
const started = new Set<ChildProcess>();

/**
 * The same program so that the kernel sends it SIGTERM when this process ends, however it ends: a run that is
 * interrupted leaves nothing behind.
 */
export function tie(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): { command: string; args: string[]; env: NodeJS.ProcessEnv } {
  if (!canTie) return { command, args: [...args], env };
  const { LD_PRELOAD, ...others } = env;
  // A preloaded library is meant for the program alone.
  const preload = LD_PRELOAD === undefined ? [] : ['env', `LD_PRELOAD=${LD_PRELOAD}`];
  return { command: SETPRIV, args: ['--pdeathsig', 'TERM', ...preload, command, ...args], env: others };
}

/** Ends it with the test file at the latest. */
export function endWithSuite<T extends ChildProcess>(child: T): T {
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}

/** `spawn` of a program that is tied to this process and ends with the test file at the latest. */
export const spawnTied = ((
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv } = {},
) => {
  const tied = tie(command, args, options.env);
  return endWithSuite(spawn(tied.command, tied.args, { ...options, env: tied.env }));
}) as typeof spawn;

/** Kills a process and all that it started, and these. */
export function killTree(pid: number): void {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // "pid (name) state parent …"; a name may hold brackets and spaces.
      const parent = Number(
        readFileSync(`/proc/${name}/stat`, 'latin1')
          .replace(/^.*\) . /s, '')
          .split(' ')[0],
      );
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  const family = [pid];
  for (const member of family) family.push(...(children.get(member) ?? []));
  for (const member of family) {
    try {
      process.kill(member, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
}

atSuiteEnd(async () => {
  await Promise.all(
    [...started].map(async (child) => {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      child.kill('SIGCONT');
      const timer = setTimeout(() => killTree(child.pid!), STOP_LIMIT_MS / 6);
      await exited;
      clearTimeout(timer);
    }),
  );
});
