import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import * as http from 'node:http';
import * as net from 'node:net';
import { CONDITION_LIMIT_MS, LOOK_LIMIT_MS, PROGRAM_LIMIT_MS, STOP_LIMIT_MS } from './time-limits.js';

/** A program that a test started, its output in a file, ended by its own id. */
export class Child {
  readonly exited: Promise<number | null>;

  private constructor(
    readonly process: ChildProcess,
    readonly logFile: string,
  ) {
    this.exited = once(process, 'exit').then(([code]) => code as number | null);
  }

  static start(
    command: string,
    args: readonly string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string; logFile: string },
  ): Child {
    const child = spawn(command, args, {
      env: options.env ?? process.env,
      ...(options.cwd ? { cwd: options.cwd } : {}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(options.logFile, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('exit', () => log.end());
    return new Child(child, options.logFile);
  }

  get pid(): number {
    return this.process.pid!;
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Ends it, and waits; KILL after the grace time. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = STOP_LIMIT_MS): Promise<void> {
    if (!this.running) return;
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}

/**
 * Below the ports that the system gives to outgoing connections, and apart for each worker of Jest: a port that was
 * free a moment ago, or that a killed server comes back to, is taken by nobody else.
 */
const PORTS = { first: 20_000 + (Number(process.env['JEST_WORKER_ID'] ?? 1) % 4) * 2000, count: 2000 };
let portsGiven = Math.floor(Math.random() * PORTS.count);

/** A port nobody listens on at this moment, and that was not given before. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS.count; tries += 1) {
    const port = PORTS.first + (portsGiven++ % PORTS.count);
    const server = net.createServer();
    const listening = new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, () => resolve(true));
    });
    if (!(await listening)) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error('no port is free');
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

/** Asks again until the condition holds; fails with the description at the deadline. */
export async function until(
  description: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = CONDITION_LIMIT_MS,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
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
  const child = spawn(command, args, {
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
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? PROGRAM_LIMIT_MS);
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
