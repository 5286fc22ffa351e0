import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { CORE_CELLS, PUSH_CELLS, type PushCell } from './cells.js';
import { clean, endWithProcess, runInNetwork } from './in-network.js';
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
  endWithProcess(() => (queue.length = 0));
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

async function runCell(cell: PushCell | PullCell, checkout: string, keeps: boolean): Promise<void> {
  const run = await runInNetwork(cell.line, 'cell-main.ts', [cell.name, checkout]);
  const result = run.result as CellResult | undefined;
  const isGood = result?.problems.length === 0;
  if (!isGood) process.exitCode = 1;
  if (result) console.log(tableRow(result));
  else console.log(`${cell.name}: no result\n${run.output.slice(-2000)}`);
  for (const problem of result?.problems ?? []) console.log(`  ${cell.name}: ${problem}`);
  await clean(run.directory, keeps || !isGood);
}
