import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { LineNetwork, type LineShape } from './network.js';

const running = new Set<() => void>();
let networks = 0;
let isStopping = false;

/** On INT and TERM every program that runs in a network is asked to end, and what it used is removed as always. */
export function endWithProcess(then: () => void): void {
  const stop = () => {
    isStopping = true;
    for (const end of running) end();
    then();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

export interface NetworkRun {
  /** Where its logs are; `clean` removes it. */
  readonly directory: string;
  readonly output: string;
  /** The last line of its output, where that is JSON. */
  readonly result: unknown;
}

/**
 * Runs a program of this directory inside the server's namespace of a network of its own. Its arguments are the prefix
 * of the network, an empty directory, and `args`; it ends when its standard input does.
 */
export async function runInNetwork(
  shape: LineShape,
  program: string,
  args: readonly string[],
  onLine: (line: string) => void = () => undefined,
): Promise<NetworkRun> {
  networks += 1;
  const network = new LineNetwork(`${process.env['BENCH_PREFIX'] ?? 'lines'}${process.pid}x${networks}`);
  const directory = await mkdtemp(path.join(tmpdir(), 'lines-'));
  let output = '';
  try {
    if (isStopping) throw new Error('stopped');
    await network.up(shape);
    const file = fileURLToPath(new URL(program, import.meta.url));
    const child = spawn(
      ...network.on('server', process.execPath, [
        '--import',
        'tsx',
        file,
        network.prefix,
        directory,
        ...args,
      ]),
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const end = () => child.stdin.end();
    running.add(end);
    let line = '';
    const take = (data: Buffer) => {
      output += data.toString();
      line += data.toString();
      for (let at = line.indexOf('\n'); at >= 0; at = line.indexOf('\n')) {
        onLine(line.slice(0, at));
        line = line.slice(at + 1);
      }
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    await once(child, 'close');
    running.delete(end);
  } catch (error) {
    output += String(error);
  } finally {
    await network.down();
  }
  const last = output.trim().split('\n').at(-1) ?? '';
  return { directory, output, result: last.startsWith('{') ? (JSON.parse(last) as unknown) : undefined };
}

/** Removes what is large, and the logs too unless they are kept. */
export async function clean(directory: string, keepsLogs: boolean): Promise<void> {
  if (!keepsLogs) return rm(directory, { recursive: true, force: true });
  for (const name of await readdir(directory)) {
    if (/^(state|gitee|copied|layout-\d+)$/.test(name)) {
      await rm(path.join(directory, name), { recursive: true, force: true });
    }
  }
  console.log(`  logs and samples: ${directory}`);
}
