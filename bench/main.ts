/**
 * `npm run bench [-- <scenario>...]`: prints ratios and sizes measured in one run. How to read them:
 * bench/README.md. Without names the short ones run; `line`, `memory` and `keys-1m` take minutes.
 */
import { buckets } from './buckets.bench.js';
import { line } from './line.bench.js';
import { beside } from './lines/beside.bench.js';
import { lines } from './lines/lines.bench.js';
import { soak } from './lines/soak.bench.js';
import { keys } from './keys.bench.js';
import { memory } from './memory.bench.js';
import { shape } from './shape.bench.js';
import { pulls } from './pulls.bench.js';
import { s3Beside } from './s3-beside.bench.js';
import { shippedBounds } from '../test/support/shipped-bounds.js';

const SCENARIOS: Record<string, () => Promise<void>> = {
  'keys-10k': () => keys(10_000),
  'keys-100k': () => keys(100_000),
  'keys-1m': () => keys(1_000_000),
  memory: () => memory(5 * 1024),
  'memory-512m': () => memory(512),
  pulls: () => pulls(32, 512),
  buckets: () => buckets(70),
  line: () => line(),
};
const SHORT = ['keys-10k', 'memory-512m', 'pulls'];

/** These take options of their own: all that follows the name. */
const WITH_OPTIONS: Record<string, (args: readonly string[]) => Promise<void>> = {
  lines,
  soak,
  beside,
  's3-beside': s3Beside,
  shape,
};

const [first = '', ...rest] = process.argv.slice(2);
if (first in WITH_OPTIONS) {
  await WITH_OPTIONS[first]!(rest);
  process.exit(process.exitCode);
}
const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in SCENARIOS));
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(', ')}: there are ${Object.keys(SCENARIOS).join(', ')}`);
  process.exit(2);
}
// The gateway has the environment of this program.
Object.assign(process.env, await shippedBounds());
for (const name of names.length > 0 ? names : SHORT) {
  console.log(`== ${name}`);
  await SCENARIOS[name]!();
}
