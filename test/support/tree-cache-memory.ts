/**
 * A process of its own that fills a tree cache as a gateway does and prints what it then takes: `--expose-gc
 * --single-threaded-gc --max-semi-space-size=1 tree-cache-memory.ts <bound in bytes> <trees>`. Prints JSON: growth of
 * RssAnon in bytes.
 */
import { readFileSync } from 'node:fs';
import type { CatFile } from '../../src/gitee/git/cat-file.js';
import { formatTree, objectId } from '../../src/gitee/git/git-object.js';
import { ObjectStore } from '../../src/gitee/git/object-store.js';

const [boundBytes, trees] = process.argv.slice(2).map(Number) as [number, number];

/**
 * It is collected by the thread that asks for it, and a small young generation leaves nothing to speak of in V8's pools:
 * threads of V8 give pages back when they come to it, on a busy machine long after.
 */
function takenBytes(): number {
  for (let i = 0; i < 4; i += 1) global.gc!();
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
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
const before = takenBytes();
const store = new ObjectStore('/nonexistent', catFile, boundBytes);
await fill(store, 0, trees);
const grownBytes = takenBytes() - before;
await store.readTree(objectId('tree', next));
console.log(JSON.stringify({ grownBytes }));
