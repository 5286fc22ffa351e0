/**
 * A process of its own that fills a tree cache as a gateway does and prints what it then takes: `--expose-gc
 * tree-cache-memory.ts <bound in bytes> <trees>`. Prints JSON: growth of RssAnon in bytes, without what is free in the heap.
 */
import { readFileSync } from 'node:fs';
import type { CatFile } from '../../src/gitee/git/cat-file.js';
import { formatTree, objectId } from '../../src/gitee/git/git-object.js';
import { ObjectStore } from '../../src/gitee/git/object-store.js';
import { until } from './child.js';

const [boundBytes, trees] = process.argv.slice(2).map(Number) as [number, number];

/** It has come to rest where so many looks in a row find no more of it gone. */
const CALM_LOOKS = 20;
const CALM_BYTES = 256 * 1024;

/** Without what V8 has free in its heap: it keeps that for whoever comes next, a third more with Node 24 than with 20. */
const takenNowBytes = () => {
  for (let i = 0; i < 4; i += 1) global.gc!();
  const rssAnonBytes =
    Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
  const { heapTotal, heapUsed } = process.memoryUsage();
  return rssAnonBytes - (heapTotal - heapUsed);
};

/** Threads of V8 give pages back behind the collection, on a busy machine long behind it: until they are through. */
async function takenBytes(): Promise<number> {
  let least = takenNowBytes();
  let calm = 0;
  await until('its memory is at rest', async () => {
    const now = takenNowBytes();
    calm = now < least - CALM_BYTES ? 0 : calm + 1;
    least = Math.min(least, now);
    return calm >= CALM_LOOKS;
  });
  return least;
}

let next: Buffer = Buffer.alloc(0);
const catFile = { read: async (id: string) => ({ id, type: 'tree', body: next }) } as unknown as CatFile;

async function fill(store: ObjectStore, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 1) {
    const id = i.toString(16).padStart(40, '0');
    next = formatTree(
      new Map([
        ['current', { mode: '40000', id }],
        ['index', { mode: '40000', id }],
      ]),
    );
    await store.readTree(objectId('tree', next));
    // What everything else in the process takes out of the shared slabs meanwhile, and lets go of at once.
    for (let other = 0; other < 3; other += 1) Buffer.from('x'.repeat(2_000));
  }
}

// Code, tables and heap have their size before it is looked at.
await fill(new ObjectStore('/nonexistent', catFile, 1 << 20), 0, 100_000);
const before = await takenBytes();
const store = new ObjectStore('/nonexistent', catFile, boundBytes);
await fill(store, 0, trees);
const grownBytes = (await takenBytes()) - before;
await store.readTree(objectId('tree', next));
console.log(JSON.stringify({ grownBytes }));
