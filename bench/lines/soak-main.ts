/**
 * The soak (in-network.ts). Arguments: prefix of the network, directory, checkout, pushes, minutes. A table row every
 * hundredth of the run; the last line of its output is the verdict as JSON.
 */
import { rssAnonMiB } from '../rss.js';
import { ClientHost } from './client-host.js';
import type { ClientAnswer, ClientCall } from './client-main.js';
import { LineNetwork } from './network.js';
import { Office } from './office.js';
import { cpuSeconds, openFiles, openSockets, stateSize, type StateSize } from './state-size.js';
import { readMetrics } from './watch.js';

const [prefix, directory, checkout, pushesText, minutesText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
/** Two are ordinary files of the branch (up to 64 KiB), one goes to LFS. */
const LAYERS = [12_000, 50_000, 150_000];
const PULL_EVERY = 10;
const DELETE_EVERY = 25;
const BLOCK = 50;
/** The lowest after so many pushes is what counts: between two full collections of garbage anything may lie there. */
const MEMORY_PUSHES = 100;
/** Bounds: memory at the end to memory after a tenth, and what our own housekeeping may cost a push. */
const MEMORY_FACTOR = 1.1;
const HOUSEKEEPING_FACTOR = 2;
const MORE_FILES = 8;

interface Block {
  readonly pushes: number;
  readonly rssMiB: number;
  readonly files: number;
  readonly sockets: number;
  readonly state: StateSize;
  readonly cpuSeconds: number;
}

const network = new LineNetwork(prefix);
const office = new Office({ network, directory, checkout });
const problems: string[] = [];
const blocks: Block[] = [];
const all: { seconds: number; whilePacking: boolean }[] = [];
const alive: number[] = [];
/** RssAnon after each push. */
const memoryMiB: number[] = [];
let client: ClientHost;
let isStopped = false;

async function call(what: string, request: ClientCall): Promise<ClientAnswer> {
  const answer = await client.call(request);
  if (answer.error !== undefined && !isStopped) problems.push(`${what}: ${answer.error}`);
  return answer;
}

/** Runs of packing that have ended, and how long they took together. */
async function packing(): Promise<{ runs: number; seconds: number }> {
  const metrics = await readMetrics();
  const name = 'gateway_git_packing_duration_seconds';
  return { runs: metrics.get(`${name}_count`) ?? 0, seconds: metrics.get(`${name}_sum`) ?? 0 };
}

async function push(n: number): Promise<void> {
  const layers = LAYERS.map((bytes, i) => ({ seed: `soak ${process.pid} ${n} ${i}`, bytes }));
  const answer = await call(`push ${n}`, {
    op: 'push',
    repository: `soak/app-${n % 20}`,
    tag: `v${n}`,
    layers,
  });
  all.push({ seconds: answer.seconds, whilePacking: false });
  memoryMiB.push(rssAnonMiB(office.gateway!.pid));
  if (answer.error === undefined) alive.push(n);
}

/** Marks the pushes that ran while a packing that has just ended did. */
function markPacked(seconds: number): void {
  let back = 0;
  for (let i = all.length - 1; i >= 0 && back <= seconds; i -= 1) {
    all[i]!.whilePacking = true;
    back += all[i]!.seconds;
  }
}

function block(pushes: number): Block {
  const { pid } = office.gateway!;
  const rssMiB = Math.min(...memoryMiB.slice(-MEMORY_PUSHES));
  const state = stateSize(office.stateDirectory);
  return {
    ...{ pushes, rssMiB, state },
    files: openFiles(pid),
    sockets: openSockets(pid),
    cpuSeconds: cpuSeconds(pid),
  };
}

function show(now: Block, recent: readonly number[]): void {
  const sum = Object.values(now.state.directories).reduce((bytes, d) => bytes + d.bytes, 0);
  const cells = [
    now.pushes,
    now.rssMiB.toFixed(0),
    now.files,
    now.sockets,
    now.state.temporaryFiles,
    (sum / 1024 / now.pushes).toFixed(0),
    median(recent).toFixed(2),
    Math.max(...recent).toFixed(2),
    (now.cpuSeconds / now.pushes).toFixed(2),
    problems.length,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** 0 where there is nothing. */
function quantile(values: readonly number[], q: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? 0;
}

async function run(pushes: number, minutes: number): Promise<void> {
  const deadline = Date.now() + minutes * 60_000;
  console.log(
    '| pushes | RssAnon MiB | files | sockets | temporary | state KiB/push | median s | max s | CPU s/push | failed |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  let packed = await packing();
  for (let n = 1; n <= pushes && Date.now() < deadline && !isStopped; n += 1) {
    await push(n);
    const now = await packing();
    if (now.runs > packed.runs) markPacked(now.seconds - packed.seconds);
    packed = now;
    if (n % PULL_EVERY === 0) {
      const one = alive[Math.floor(Math.random() * alive.length)]!;
      await call(`pull of ${one}`, { op: 'pull', repository: `soak/app-${one % 20}`, tag: `v${one}` });
    }
    if (n % DELETE_EVERY === 0) {
      const one = alive.splice(Math.floor(Math.random() * (alive.length - 1)), 1)[0]!;
      await call(`delete of ${one}`, { op: 'delete', repository: `soak/app-${one % 20}`, tag: `v${one}` });
    }
    if (n % BLOCK === 0) {
      blocks.push(block(n));
      show(
        blocks.at(-1)!,
        all.slice(-BLOCK).map((p) => p.seconds),
      );
    }
  }
}

function verdict(packings: number) {
  const last = blocks.at(-1);
  const early = blocks.find((b) => b.pushes >= (last?.pushes ?? 0) / 10);
  if (!last || !early || last === early) problems.push('too few pushes to say anything');
  const restSeconds = all.filter((p) => !p.whilePacking).map((p) => p.seconds);
  const duringSeconds = all.filter((p) => p.whilePacking).map((p) => p.seconds);
  const rest = median(restSeconds);
  const during = median(duringSeconds);
  // A busy machine makes single pushes slow, with and without packing: the slowest are held to the slowest.
  const slowRest = quantile(restSeconds, 0.99);
  const slowDuring = Math.max(0, ...duringSeconds);
  if (slowDuring > HOUSEKEEPING_FACTOR * slowRest) {
    problems.push(
      `the slowest push while packing took ${slowDuring.toFixed(2)} s, 99 of 100 others ${slowRest.toFixed(2)} s`,
    );
  }
  if (during > HOUSEKEEPING_FACTOR * rest) {
    problems.push(`a push while packing takes ${during.toFixed(2)} s, otherwise ${rest.toFixed(2)} s`);
  }
  if (last && early) {
    if (last.rssMiB > MEMORY_FACTOR * early.rssMiB) {
      problems.push(
        `RssAnon ${early.rssMiB.toFixed(0)} MiB after ${early.pushes}, ${last.rssMiB.toFixed(0)} MiB at the end`,
      );
    }
    if (last.files > early.files + MORE_FILES)
      problems.push(`open files: ${early.files}, then ${last.files}`);
    if (last.state.temporaryFiles > early.state.temporaryFiles) {
      problems.push(`temporary files: ${early.state.temporaryFiles}, then ${last.state.temporaryFiles}`);
    }
  }
  const growth = Object.fromEntries(
    Object.entries(last?.state.directories ?? {}).map(([place, d]) => [
      place,
      {
        kibPerPush:
          Math.round(
            ((d.bytes - (early?.state.directories[place]?.bytes ?? 0)) /
              1024 /
              (last!.pushes - early!.pushes)) *
              100,
          ) / 100,
        files: d.files,
      },
    ]),
  );
  return {
    pushes: all.length,
    medianSeconds: rest,
    slowestSeconds: Math.max(...all.map((p) => p.seconds)),
    slowestOf100Seconds: slowRest,
    packings,
    whilePacking: { pushes: duringSeconds.length, medianSeconds: during, slowestSeconds: slowDuring },
    growth,
    problems: problems.slice(0, 20),
  };
}

process.stdin.resume();
process.stdin.on('end', () => (isStopped = true));
try {
  await office.start();
  client = new ClientHost(network, await office.login());
  await run(Number(pushesText), Number(minutesText));
  const packings = (await packing()).runs;
  client.close();
  console.log(JSON.stringify(verdict(packings)));
} finally {
  await office.stop();
}
process.exit(0);
