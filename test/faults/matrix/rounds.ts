/** Random rounds of the fault matrix: some of its cells at once, beside clients that write and read the same few keys. */
import { ABSENT, valueOf } from '../../support/history/history.js';
import { bytesOf } from '../../support/s3-bucket.js';
import { encodePath } from '../../support/s3-client.js';
import { FAULTS } from './faults.js';
import { CHUNKED_BYTES, OPERATIONS, type MatrixOperation, type Prepared } from './operations.js';
import type { MatrixWorld } from './world.js';

const SHARED_KEYS = ['here/shared/1', 'here/shared/2', 'now/shared/1', 'now/shared/2'];
const CELLS = 4;
const CLIENTS = 6;

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

/** One round. Returns the fault, and how long the longest of its clients waited. */
export async function round(
  world: MatrixWorld,
  n: number,
  random: () => number,
): Promise<{ fault: string; longestMs: number }> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const fault = pick(FAULTS);
  const cells = new Set(Array.from({ length: CELLS }, () => pick(OPERATIONS)));
  const clients = Array.from({ length: CLIENTS }, (_, i) => shared(`${n} ${i}`, pick(SHARED_KEYS), random()));
  const ran = await world.run(fault, [...cells, ...clients]);
  return { fault: fault.name, longestMs: Math.max(...[...ran.values()].map(({ tookMs }) => tookMs)) };
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
