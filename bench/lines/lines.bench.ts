import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { CORE_CELLS, PUSH_CELLS, type PushCell } from './cells.js';
import { LineNetwork } from './network.js';
import { PULL_CELLS, type PullCell } from './pull-cells.js';
import { tableHead, tableRow, type CellResult } from './result.js';

const HELP = `npm run bench -- lines [--filter REGEX] [--all] [--parallel N] [--checkout DIR] [--list]

  --filter REGEX   cells whose name fits (--list prints all); without it, the core ones
  --all            every cell: hours
  --parallel N     so many at the same time, each in namespaces of its own (2)
  --checkout DIR   a built checkout to measure instead of this one
  --keep           keep logs and samples of cells that passed, too
`;

const CELLS: readonly (PushCell | PullCell)[] = [...PUSH_CELLS, ...PULL_CELLS];

/** `npm run bench -- lines`: the matrix of lines (bench/README.md). The exit status is 1 where a cell failed. */
export async function lines(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      filter: { type: 'string' },
      all: { type: 'boolean', default: false },
      parallel: { type: 'string', default: '2' },
      checkout: { type: 'string', default: '.' },
      list: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const cells = choose(values);
  if (values.list) return cells.forEach((cell) => console.log(cell.name));
  console.log(tableHead());
  const queue = [...cells];
  const checkout = path.resolve(values.checkout);
  const worker = async () => {
    for (let cell = queue.shift(); cell; cell = queue.shift()) await runCell(cell, checkout, values.keep);
  };
  const stop = () => {
    queue.length = 0;
    for (const end of running) end();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  await Promise.all(Array.from({ length: Number(values.parallel) }, worker));
}

function choose(values: {
  filter?: string | undefined;
  all: boolean;
  list: boolean;
}): readonly (PushCell | PullCell)[] {
  if (values.filter !== undefined) {
    const filter = new RegExp(values.filter);
    return CELLS.filter((cell) => filter.test(cell.name));
  }
  if (values.all || values.list) return CELLS;
  return CELLS.filter((cell) => CORE_CELLS.includes(cell.name));
}

const running = new Set<() => void>();
let networks = 0;

async function runCell(cell: PushCell | PullCell, checkout: string, keeps: boolean): Promise<void> {
  networks += 1;
  const network = new LineNetwork(`${process.env['BENCH_PREFIX'] ?? 'lines'}${process.pid}x${networks}`);
  const directory = await mkdtemp(path.join(tmpdir(), 'lines-'));
  let result: CellResult | undefined;
  let text = '';
  try {
    await network.up(cell.line);
    const program = fileURLToPath(new URL('cell-main.ts', import.meta.url));
    const child = spawn(
      ...network.on('server', process.execPath, [
        ...['--import', 'tsx', program],
        ...[cell.name, network.prefix, directory, checkout],
      ]),
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const end = () => child.stdin.end();
    running.add(end);
    child.stdout.on('data', (data: Buffer) => (text += data.toString()));
    child.stderr.on('data', (data: Buffer) => (text += data.toString()));
    await once(child, 'close');
    running.delete(end);
    const last = text.trim().split('\n').at(-1) ?? '';
    if (last.startsWith('{')) result = JSON.parse(last) as CellResult;
  } catch (error) {
    text += String(error);
  } finally {
    await network.down();
  }
  const isGood = result?.problems.length === 0;
  if (!isGood) process.exitCode = 1;
  if (result) console.log(tableRow(result));
  else console.log(`${cell.name}: no result\n${text.slice(-2000)}`);
  for (const problem of result?.problems ?? []) console.log(`  ${cell.name}: ${problem}`);
  await clean(directory, keeps || !isGood);
}

/** What is large goes; logs and samples of a cell that failed stay. */
async function clean(directory: string, keepsLogs: boolean): Promise<void> {
  if (!keepsLogs) return rm(directory, { recursive: true, force: true });
  for (const name of await readdir(directory)) {
    if (/^(state|gitee|copied|layout-\d+)$/.test(name)) {
      await rm(path.join(directory, name), { recursive: true, force: true });
    }
  }
  console.log(`  logs and samples: ${directory}`);
}
