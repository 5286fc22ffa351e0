import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { until } from '../test/support/child.js';
import { TestGateway } from '../test/support/gateway.js';
import { startLocalGitee, type RunningLocalGitee } from '../test/support/local-gitee.js';
import { shippedBounds } from '../test/support/shipped-bounds.js';
import { LoadClient, ROWS, type Row } from './s3-rows.js';

const HELP = `npm run bench -- s3-beside --before DIR [--filter REGEX] [--rounds N]

  --before DIR     a built checkout of before, measured in the same run, turn about
  --filter REGEX   rows whose name fits
  --rounds N       turns of each (15)
`;

/** A build, with a local Gitee of its own. */
interface Side {
  readonly name: string;
  readonly gitee: RunningLocalGitee;
  readonly gateway: TestGateway;
  readonly client: LoadClient;
}

interface Turn {
  readonly seconds: number;
  /** Of the gateway's process, while it answered. */
  readonly cpuSeconds: number;
}

/** `npm run bench -- s3-beside`: requests of S3 against this build and an earlier one. Exit status 1 where it is slower. */
export async function s3Beside(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      before: { type: 'string' },
      filter: { type: 'string', default: '.' },
      rounds: { type: 'string', default: '15' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || values.before === undefined) return console.log(HELP);
  const directory = await mkdtemp(path.join(tmpdir(), 's3-beside-'));
  const sides: Side[] = [];
  try {
    sides.push(await start('before', path.join(directory, 'before'), values.before));
    sides.push(await start('now', path.join(directory, 'now'), '.'));
    console.log('| row | before ms | now ms | now / before | of its CPU time | at most | |');
    console.log('|---|---|---|---|---|---|---|');
    for (const row of ROWS)
      if (new RegExp(values.filter).test(row.name))
        await compare(row, sides as [Side, Side], Number(values.rounds));
  } finally {
    for (const { gateway, gitee, client } of sides) {
      client.close();
      await gateway.stop();
      await gitee.stop();
    }
    await rm(directory, { recursive: true, force: true });
  }
}

async function start(name: string, directory: string, checkout: string): Promise<Side> {
  const gitee = await startLocalGitee();
  const gateway = await TestGateway.start({
    directory,
    checkout,
    gitee: { url: gitee.url, token: gitee.token },
    env: await shippedBounds(checkout),
    // A turn waits until what it wrote is committed.
    config: { log: { level: 'warn' }, commit: { interval: '2s' } },
  });
  return { name, gitee, gateway, client: new LoadClient(gateway) };
}

async function compare(row: Row, sides: readonly [Side, Side], rounds: number): Promise<void> {
  for (const side of sides) await row.fill?.(side.client);
  const turns: [Turn[], Turn[]] = [[], []];
  // The first round warms up. Who goes first changes: whatever else the machine does meets both.
  for (let round = 0; round <= rounds; round += 1) {
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const turn = await take(row, sides[which], `${row.name}-${round}`);
      if (round > 0) turns[which].push(turn);
    }
  }
  const [before, now] = turns;
  const ratio = (of: keyof Turn) => median(now.map((turn, i) => turn[of] / before[i]![of]));
  const isGood = ratio('seconds') <= row.atMost;
  if (!isGood) process.exitCode = 1;
  const ms = (of: readonly Turn[]) => (1000 * median(of.map((turn) => turn.seconds))).toFixed(0);
  const cells = [row.name, ms(before), ms(now), ratio('seconds').toFixed(3), ratio('cpuSeconds').toFixed(3)];
  console.log(`| ${[...cells, row.atMost.toFixed(2), isGood ? 'ok' : 'FAILED'].join(' | ')} |`);
}

/** Neither gateway has anything left to send when a turn begins. */
async function take(row: Row, side: Side, name: string): Promise<Turn> {
  const timed = await row.turn(side.client, name);
  await until(`all of ${side.name} is on Gitee`, async () => {
    const metric = await side.gateway.metrics();
    return (
      metric('gateway_journal_pending_changes', { bucket: 'files' }) === 0 &&
      metric('gateway_spool_unsent_chunks') <= 1
    );
  });
  const cpuSeconds = cpuSecondsOf(side.gateway.child!.pid);
  const startMs = performance.now();
  await timed();
  const seconds = (performance.now() - startMs) / 1000;
  return { seconds, cpuSeconds: cpuSecondsOf(side.gateway.child!.pid) - cpuSeconds };
}

/** Of all its threads, by the scheduler's own count in nanoseconds: a turn is some tens of ticks of proc(5) only. */
function cpuSecondsOf(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return nanoseconds / 1e9;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
