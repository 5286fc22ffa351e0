import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as http from 'node:http';
import { afterFailure } from './suite-end.js';
import { killTree, spawnTied } from './tied.js';
import {
  CONDITION_LIMIT_MS,
  LOOK_LIMIT_MS,
  OUTPUT_LIMIT_MS,
  PROGRAM_LIMIT_MS,
  STOP_LIMIT_MS,
} from './time-limits.js';

export { freePort } from './ports.js';

/** By log file: a program that is started again goes on with the same. */
const latest = new Map<string, Child>();
afterFailure(async () => {
  for (const [file, child] of latest)
    if (existsSync(file)) process.stderr.write(`---- end of ${file}\n${await child.lastWords()}\n`);
});

/** A program that a test started, its output in a file, ended by its own id. */
export class Child {
  /** Its exit code; what it said last is in the log file then. */
  readonly exited: Promise<number | null>;

  private constructor(
    readonly process: ChildProcess,
    readonly logFile: string,
    logged: Promise<unknown>,
  ) {
    this.exited = once(process, 'exit').then(async ([code]) => {
      // A grandchild may hold its output open, and says nothing that a test waits for.
      await Promise.race([logged, once(AbortSignal.timeout(OUTPUT_LIMIT_MS), 'abort')]);
      return code as number | null;
    });
  }

  static start(
    command: string,
    args: readonly string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string; logFile: string },
  ): Child {
    const child = spawnTied(command, args, {
      env: options.env ?? process.env,
      ...(options.cwd ? { cwd: options.cwd } : {}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(options.logFile, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('close', () => log.end());
    const started = new Child(child, options.logFile, once(log, 'close'));
    latest.set(options.logFile, started);
    return started;
  }

  get pid(): number {
    return this.process.pid!;
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** The end of what it said. */
  async lastWords(lines = 15): Promise<string> {
    if (!this.running) await this.exited;
    const text = await readFile(this.logFile, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Ends it, and waits; KILL after the grace time. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = STOP_LIMIT_MS): Promise<void> {
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}

/** Status of a GET, or 0 where nobody answers. */
export function httpStatus(url: string): Promise<number> {
  return new Promise((resolve) => {
    const request = http.get(url, { timeout: LOOK_LIMIT_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    request.on('error', () => resolve(0));
    request.on('timeout', () => request.destroy());
  });
}

/** Between two looks at a condition; longer ones where it is waited for long already: a look may cost as much as the work. */
const LOOK_EVERY_MS = 10;
const LOOK_EVERY_MS_MAX = 250;
const LOOK_EVERY_SHARE = 0.1;

/** Asks again until the condition holds; fails with the description at the deadline. */
export async function until(
  description: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = CONDITION_LIMIT_MS,
): Promise<void> {
  const startMs = Date.now();
  for (;;) {
    if (await condition()) return;
    const waitedMs = Date.now() - startMs;
    if (waitedMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${description}`);
    const pauseMs = Math.min(LOOK_EVERY_MS_MAX, Math.max(LOOK_EVERY_MS, LOOK_EVERY_SHARE * waitedMs));
    // eslint-disable-next-line no-restricted-syntax -- this is what the others wait with
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; timeoutMs?: number; input?: string } = {},
): Promise<RunResult> {
  const child = spawnTied(command, args, {
    env: options.env ?? process.env,
    ...(options.cwd ? { cwd: options.cwd } : {}),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  // Also what it started: that would hold its output open.
  const timer = setTimeout(() => killTree(child.pid!), options.timeoutMs ?? PROGRAM_LIMIT_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  return { code: code ?? -1, stdout, stderr };
}

/** Runs a program that must succeed. */
export async function mustRun(...args: Parameters<typeof run>): Promise<RunResult> {
  const result = await run(...args);
  if (result.code !== 0) {
    throw new Error(
      `${args[0]} ${args[1].join(' ')}: exit ${result.code}\n${result.stdout}\n${result.stderr}`,
    );
  }
  return result;
}
