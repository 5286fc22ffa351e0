/** Random rounds of the fault matrix: some of its cells at once, beside clients that write and read the same few keys. */
import { ABSENT, valueOf } from '../../support/history/history.js';
import { bytesOf } from '../../support/s3-bucket.js';
import { encodePath } from '../../support/s3-client.js';
import { OPERATIONS } from './columns.js';
import { endsProcess, FAULTS, type Fault } from './faults.js';
import { CHUNKED_BYTES, type MatrixOperation, type Prepared } from './operations.js';
import type { MatrixWorld } from './world.js';

const SHARED_KEYS = ['here/shared/1', 'here/shared/2', 'now/shared/1', 'now/shared/2'];
const CELLS = 4;
const CLIENTS = 6;
const ROUNDS_PER_LOOK = 25;

/** Mulberry32: a seed replays the choices. */
export function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** How long somebody waited, and in which round. */
interface Wait {
  readonly fault: string;
  readonly n: number;
  readonly ms: number;
}

export interface RoundsRan {
  readonly rounds: number;
  readonly longest: Wait;
  /**
   * Of the process that ran the second half, the least in the first and in the last quarter of that: V8 takes much more
   * for a while, and gives it back when it likes, but what a process needs it has at any time.
   */
  readonly rssMiB: { readonly first: number; readonly last: number };
}

export interface RoundsOptions {
  readonly rounds: number;
  /** It ends sooner where so much time is over, milliseconds. */
  readonly limitMs: number;
  readonly random: () => number;
  /** Called now and then, with what is known by then. */
  readonly look: (sofar: { rounds: number; longest: Wait; rssMiB: number }) => Promise<void>;
}

/** The first half of faults of every kind; the second of those that leave the process as it is, as one process. */
export async function runRounds(world: MatrixWorld, options: RoundsOptions): Promise<RoundsRan> {
  const begunMs = performance.now();
  const done = () => Math.max(n / options.rounds, (performance.now() - begunMs) / options.limitMs);
  const lasting = FAULTS.filter((fault) => !endsProcess(fault));
  const rssMiB: number[] = [];
  let longest: Wait = { fault: '', n: 0, ms: 0 };
  let n = 0;
  while (done() < 1) {
    const isSecondHalf = done() >= 0.5;
    const came = await round(world, n, isSecondHalf ? lasting : FAULTS, options.random);
    n += 1;
    if (came.ms > longest.ms) longest = came;
    const nowMiB = await world.rssAnonMiB();
    if (isSecondHalf || done() >= 1) rssMiB.push(nowMiB);
    if (n % ROUNDS_PER_LOOK === 0) await options.look({ rounds: n, longest, rssMiB: nowMiB });
  }
  await options.look({ rounds: n, longest, rssMiB: rssMiB.at(-1)! });
  const quarter = Math.ceil(rssMiB.length / 4);
  const rss = { first: Math.min(...rssMiB.slice(0, quarter)), last: Math.min(...rssMiB.slice(-quarter)) };
  return { rounds: n, longest, rssMiB: rss };
}

/** One round, with the longest wait of its clients. */
async function round(
  world: MatrixWorld,
  n: number,
  faults: readonly Fault[],
  random: () => number,
): Promise<Wait> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const fault = pick(faults);
  const cells = new Set(Array.from({ length: CELLS }, () => pick(OPERATIONS)));
  // Others soon: the judge tries the orders of all that was ever asked of a key.
  const keys = SHARED_KEYS.map((key) => `${key}/${Math.floor(n / ROUNDS_PER_LOOK)}`);
  const clients = Array.from({ length: CLIENTS }, (_, i) => shared(`${n} ${i}`, pick(keys), random()));
  const ran = await world.run(fault, [...cells, ...clients]);
  return { fault: fault.name, n, ms: Math.round(Math.max(...[...ran.values()].map(({ tookMs }) => tookMs))) };
}

/** A client of a key that others use at the same time. */
function shared(name: string, key: string, what: number): MatrixOperation {
  const path = `/files/${encodePath(key)}`;
  const isWaiting = key.startsWith('now/');
  const write = (method: string, body?: Buffer): Prepared => ({
    request: { method, path, ...(body ? { body } : {}) },
    effects: [{ key, value: body ? valueOf(body) : ABSENT }],
  });
  const prepared =
    what < 0.3
      ? { request: { method: 'GET', path }, effects: [], reads: key }
      : what < 0.45
        ? write('DELETE')
        : what < 0.7
          ? write('PUT', bytesOf(CHUNKED_BYTES, name))
          : write('PUT', Buffer.from(`inline ${name}`));
  return {
    ...{ name: `client ${name}`, s3: what < 0.3 ? 'GetObject' : what < 0.45 ? 'DeleteObject' : 'PutObject' },
    group: what < 0.3 ? 'reads here' : isWaiting ? 'waits' : 'writes',
    prepare: () => Promise.resolve(prepared),
  };
}
