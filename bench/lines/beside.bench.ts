import { parseArgs } from 'node:util';
import { SMALL_LAYERS } from './cells.js';
import { clean } from './in-network.js';
import type { LineShape } from './network.js';
import { OfficeHost } from './office-host.js';

const HELP = `npm run bench -- beside --before DIR [--filter REGEX] [--rounds N]

  --before DIR     a built checkout of before, measured in the same run, turn about
  --filter REGEX   comparisons whose name fits
  --rounds N       turns of each (2; of small pushes, eight each turn)
`;

/** Images pushed at once; a push of each side is one turn. */
interface Load {
  readonly images: number;
  readonly layers: readonly number[];
  /** So many one after the other in a turn; the median counts. */
  readonly times?: number;
}

interface Comparison {
  readonly name: string;
  readonly line: LineShape;
  readonly before: Load;
  readonly now: Load;
  /** The most that `now` may take: as a share of before, or of the line alone. */
  readonly atMost: { readonly ofBefore?: number; readonly ofLine?: number };
}

const MB = 1_000_000;
const same = (load: Load) => ({ before: load, now: load });
const forty = (images: number): Load => ({ images, layers: Array<number>(40).fill(150_000) });
const five = (bytes: number): Load => ({ images: 1, layers: Array<number>(5).fill(bytes / 5) });

const COMPARISONS: readonly Comparison[] = [
  {
    name: '500MB-100mbit',
    line: { mbit: 100, roundTripMs: 0 },
    ...same(five(500 * MB)),
    atMost: { ofBefore: 1.03 },
  },
  {
    ...{ name: 'small-fast-line', line: { mbit: 1000, roundTripMs: 0 } },
    ...same({ images: 1, layers: SMALL_LAYERS, times: 8 }),
    atMost: { ofBefore: 1 / 0.97 },
  },
  {
    ...{ name: 'small-200ms', line: { mbit: 1000, roundTripMs: 200 } },
    ...same({ images: 1, layers: SMALL_LAYERS, times: 3 }),
    atMost: { ofBefore: 0.6 },
  },
  {
    ...{ name: 'four-now-to-one-before-of-40-layers-200ms', line: { mbit: 1000, roundTripMs: 200 } },
    ...{ before: forty(1), now: forty(4) },
    atMost: { ofBefore: 1.5 },
  },
  {
    name: '200MB-10mbit',
    line: { mbit: 10, roundTripMs: 0 },
    ...same(five(200 * MB)),
    atMost: { ofLine: 1.1 },
  },
];

/** `npm run bench -- beside`: this build beside an earlier one (bench/README.md). Exit status 1 where it is slower. */
export async function beside(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      before: { type: 'string' },
      filter: { type: 'string', default: '.' },
      rounds: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || values.before === undefined) return console.log(HELP);
  console.log('| comparison | before s | now s | now / before | now / line | at most | |');
  console.log('|---|---|---|---|---|---|---|');
  const filter = new RegExp(values.filter);
  for (const comparison of COMPARISONS) {
    if (filter.test(comparison.name)) await compare(comparison, values.before, Number(values.rounds));
  }
}

async function compare(comparison: Comparison, before: string, rounds: number): Promise<void> {
  const offices: OfficeHost[] = [];
  try {
    for (const checkout of [before, '.']) offices.push(await OfficeHost.start(comparison.line, checkout));
    const sides = [
      { office: offices[0]!, load: comparison.before, seconds: [] as number[], errors: [] as string[] },
      { office: offices[1]!, load: comparison.now, seconds: [] as number[], errors: [] as string[] },
    ] as const;
    for (let round = 0; round < rounds; round += 1) {
      for (let time = 0; time < (comparison.now.times ?? 1); time += 1) {
        for (const side of sides) await turn(`${comparison.name}-${round}-${time}`, side);
      }
    }
    report(comparison, sides);
  } finally {
    for (const office of offices) {
      await office.stop();
      await clean(office.directory, false);
    }
  }
}

interface Side {
  readonly office: OfficeHost;
  readonly load: Load;
  readonly seconds: number[];
  readonly errors: string[];
}

async function turn(name: string, side: Side): Promise<void> {
  const images = Array.from({ length: side.load.images }, (_, image) =>
    side.load.layers.map((bytes, layer) => ({ seed: `${name} ${image} ${layer} ${process.pid}`, bytes })),
  );
  for (const layers of images) await side.office.call({ op: 'prepare', layers });
  const started = performance.now();
  const answers = await Promise.all(
    images.map((layers, image) =>
      side.office.call({ op: 'push', repository: `beside/image-${image}`, tag: name.toLowerCase(), layers }),
    ),
  );
  const failed = answers.flatMap((answer) => (answer.error === undefined ? [] : [answer.error]));
  if (failed.length === 0) side.seconds.push((performance.now() - started) / 1000);
  else side.errors.push(`failed after ${((performance.now() - started) / 1000).toFixed(0)} s: ${failed[0]}`);
}

function report(comparison: Comparison, [before, now]: readonly [Side, Side]): void {
  const { atMost, line } = comparison;
  const bytes = now.load.images * now.load.layers.reduce((sum, n) => sum + n, 0);
  const lineSeconds = (bytes * 8) / 1e6 / line.mbit;
  const [b, n] = [median(before.seconds), median(now.seconds)];
  const [ofBefore, ofLine] = [n / b, n / lineSeconds];
  const isGood =
    now.errors.length === 0 &&
    (atMost.ofBefore === undefined || ofBefore <= atMost.ofBefore) &&
    (atMost.ofLine === undefined || ofLine <= atMost.ofLine);
  if (!isGood) process.exitCode = 1;
  const limit = atMost.ofBefore
    ? `${atMost.ofBefore.toFixed(2)} of before`
    : `${atMost.ofLine!.toFixed(2)} of the line`;
  const seconds = (side: Side) => (side.seconds.length > 0 ? median(side.seconds).toFixed(2) : 'failed');
  console.log(
    `| ${[comparison.name, seconds(before), seconds(now), ofBefore.toFixed(2), ofLine.toFixed(2), limit, isGood ? 'ok' : 'FAILED'].join(' | ')} |`,
  );
  for (const error of before.errors) console.log(`  before: ${error}`);
  for (const error of now.errors) console.log(`  now: ${error}`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
