import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { clean, endWithProcess, runInNetwork } from './in-network.js';

const HELP = `npm run bench -- soak [--pushes N] [--minutes N] [--checkout DIR]

  --pushes N       small images one after the other (3000, or SOAK_PUSHES)
  --minutes N      ends earlier, and judges what there is (SOAK_MINUTES)
  --checkout DIR   a built checkout to measure instead of this one
`;

/** `npm run bench -- soak`: weeks of small pushes (bench/README.md). The exit status is 1 where a bound is broken. */
export async function soak(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pushes: { type: 'string', default: process.env['SOAK_PUSHES'] ?? '3000' },
      minutes: { type: 'string', default: process.env['SOAK_MINUTES'] ?? '600' },
      checkout: { type: 'string', default: '.' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  endWithProcess(() => undefined);
  const run = await runInNetwork(
    { mbit: 1000, roundTripMs: 0 },
    'soak-main.ts',
    [path.resolve(values.checkout), values.pushes, values.minutes],
    (line) => console.log(line),
  );
  const isGood = (run.result as { problems?: unknown[] } | undefined)?.problems?.length === 0;
  if (!isGood) process.exitCode = 1;
  await clean(run.directory, !isGood);
}
