import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/async/log.js';
import { LfsLedger, type RepositoryLedger } from '../../../src/chunks/lfs-ledger.js';
import type { Chunk } from '../../../src/format/extent.js';
import { formatPointer } from '../../../src/format/lfs-pointer.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { tellBase } from '../../../src/index/chunk-census.js';
import { KeyIndex } from '../../../src/index/key-index.js';
import type { KeyValueStore } from '../../../src/index/key-value-store.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { fillBase } from '../../../src/index/rebuild.js';
import { bytesOf, ChunkBench, ManualClock, until } from '../../support/chunk-bench.js';
import { GENERIC } from '../../support/journal-bucket.js';
import { oidOf } from '../../support/memory-chunk-remote.js';
import { MemoryHeadRemote, MemoryRepository } from '../../support/memory-head-remote.js';

const REPOSITORY = 'acme/images';
const chunk = (seed: number, sizeBytes = 100): Chunk => ({
  oid: oidOf(bytesOf(seed, 32)),
  sizeBytes,
  volume: 0,
});

let directory: string;
let clock: ManualClock;
let store: KeyValueStore;
let ledgers: LfsLedger;
let ledger: RepositoryLedger;
/** Commits of the store; each is an fsync. */
let commits: number;

async function open(): Promise<void> {
  const lmdb = LmdbStore.open(join(directory, 'ledger'));
  commits = 0;
  store = {
    get: (key) => lmdb.get(key),
    page: (...range) => lmdb.page(...range),
    commit: (...what) => {
      commits += 1;
      return lmdb.commit(...what);
    },
    sizeBytes: () => lmdb.sizeBytes(),
    close: () => lmdb.close(),
  };
  ledgers = new LfsLedger({ store, clock, log: silentLog });
  ledger = await ledgers.repository(REPOSITORY);
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ledger-'));
  clock = new ManualClock();
  await open();
});
afterEach(async () => {
  await ledgers.close();
  await rm(directory, { recursive: true, force: true });
});

/** What another process would find if this one were killed now. */
async function keptBytes(): Promise<number> {
  return (await new LfsLedger({ store, clock, log: silentLog }).repository(REPOSITORY)).usedBytes;
}

describe('what Gitee keeps', () => {
  test('an object is counted once however often, and in whatever order, it is told', async () => {
    await Promise.all([1, 2, 1, 3, 2, 1].map((seed) => ledger.add(chunk(seed))));
    expect([ledger.usedBytes, ledger.objects]).toEqual([300, 3]);
    const flushing = ledger.flush();
    await Promise.all([1, 2, 3, 4].map((seed) => ledger.add(chunk(seed))));
    await flushing;
    await ledger.add(chunk(2));
    await ledger.flush();
    expect([ledger.usedBytes, ledger.objects, await keptBytes()]).toEqual([400, 4, 400]);
  });

  test('many objects share one fsync, a second after the first of them', async () => {
    for (let seed = 0; seed < 500; seed += 1) await ledger.add(chunk(seed));
    expect([ledger.usedBytes, commits]).toEqual([50_000, 0]);
    clock.advance(1_000);
    await until(() => commits === 1);
    await ledger.flush();
    expect([await keptBytes(), commits]).toEqual([50_000, 1]);
  });

  test('a store that cannot be written for a while loses nothing', async () => {
    const { commit } = store;
    store.commit = () => Promise.reject(new Error('disk full'));
    await ledger.add(chunk(1));
    clock.advance(1_000);
    await until(() => clock.sleepers > 0);
    expect(ledger.usedBytes).toBe(100);
    store.commit = commit;
    clock.advance(1_000);
    await until(() => commits === 1);
    await ledger.flush();
    expect(await keptBytes()).toBe(100);
  });

  test('it is the same after a restart', async () => {
    await ledger.add(chunk(1, 7));
    await ledger.add(chunk(2, 8));
    await ledgers.close();
    await open();
    await ledger.add(chunk(1, 7));
    expect([ledger.usedBytes, ledgers.usedBytes, ledger.objects]).toEqual([15, 15, 2]);
  });

  test('the same object in two repositories takes space twice', async () => {
    const other = await ledgers.repository('acme/files');
    await ledger.add(chunk(1));
    await other.add(chunk(1));
    expect([ledger.usedBytes, other.usedBytes, ledgers.usedBytes]).toEqual([100, 100, 200]);
  });

  test('a recount forgets what is not on Gitee any more, and nothing else', async () => {
    for (let seed = 0; seed < 2_500; seed += 1) await ledger.add(chunk(seed));
    const gone = new Set([3, 1_200, 2_499].map((seed) => chunk(seed).oid));
    const asked: number[] = [];
    const result = await ledger.recount(async (chunks) => {
      asked.push(chunks.length);
      return chunks.filter(({ oid }) => gone.has(oid));
    });
    expect(result).toEqual({ objects: 2_497, removedObjects: 3, removedBytes: 300 });
    expect(asked).toEqual([1_000, 1_000, 500]);
    expect([ledger.usedBytes, await keptBytes()]).toEqual([249_700, 249_700]);
    await ledger.add(chunk(3));
    expect(ledger.usedBytes).toBe(249_800);
  });
});

describe('what the branch names', () => {
  const pointer = (seed: number, sizeBytes: number) =>
    Buffer.from(formatPointer(chunk(seed, sizeBytes))).toString();

  /** One chunk in two objects, two chunks in a third, a plain file. */
  function branch(): MemoryRepository {
    const repository = new MemoryRepository();
    repository.foreignCommit({
      a: pointer(1, 100_000),
      b: pointer(1, 100_000),
      'c%chunks/000000': pointer(2, 200_000),
      'c%chunks/000001': pointer(3, 300_000),
      d: 'plain',
    });
    return repository;
  }

  async function rebuilt(counted: boolean): Promise<{ index: KeyIndex; completed: number }> {
    const remote = new MemoryHeadRemote(branch());
    let completed = 0;
    const census = await ledger.censusOf('files', async () => {
      completed += 1;
    });
    const index = await KeyIndex.open(LmdbStore.open(await mkdtemp(join(directory, 'base-'))), clock);
    const source = { remote, rules: GENERIC, log: silentLog, onProgress: () => {} };
    const marker = { head: await remote.fetch(), landedSeq: 0 };
    await fillBase({ ...source, census: counted ? census : undefined }, index, marker);
    if (counted) await census.complete();
    return { index, completed };
  }

  test('a rebuild on an empty disk counts each object of the branch once', async () => {
    const { index, completed } = await rebuilt(true);
    expect(index.count).toBe(4);
    expect([ledger.usedBytes, ledger.objects, await keptBytes()]).toEqual([600_000, 3, 600_000]);
    expect(completed).toBe(1);
    await index.close();
  });

  test('a second rebuild adds nothing, and keeps what the branch does not name any more', async () => {
    await (await rebuilt(true)).index.close();
    await ledger.add(chunk(9, 50));
    const again = await rebuilt(true);
    expect([ledger.usedBytes, again.completed]).toEqual([600_050, 0]);
    await again.index.close();
  });

  test('a base from before there was a ledger is counted from its rows', async () => {
    const { index } = await rebuilt(false);
    expect(ledger.usedBytes).toBe(0);
    const census = await ledger.censusOf('files', async () => {});
    expect(census.isComplete).toBe(false);
    await tellBase(index, census);
    expect(ledger.usedBytes).toBe(600_000);
    expect((await ledger.censusOf('files', async () => {})).isComplete).toBe(true);
    await index.close();
  });
});

describe('what is sent', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start({ ledger: { add: (sent) => ledger.add(sent) } });
  });
  afterEach(() => bench.remove());

  test('an upload that fails and is repeated counts once; what was there already counts too', async () => {
    bench.remote.fail('put', () => new RemoteError('unreachable', 'cut'), 2);
    bench.remote.seed(bytesOf(2, 900));
    const chunks = [
      ...(await bench.put(bytesOf(1, 1000))),
      ...(await bench.put(bytesOf(2, 900))),
      ...(await bench.put(bytesOf(1, 1000))),
    ];
    const wholes = chunks.map((e) => ({ oid: e.oid, sizeBytes: e.chunkLengthBytes, volume: 0 }));
    await bench.stepped(bench.chunks.ensureRemote(wholes));
    expect(ledger.usedBytes).toBe(1_900);
    expect(bench.chunks.stats().unsentBytes).toBe(0);
  });

  test('what a kill took from the ledger is counted at the next start', async () => {
    await bench.put(bytesOf(1, 1000));
    await until(() => bench.chunks.stats().unsentBytes === 0);
    expect(await keptBytes()).toBe(0);
    // The process is gone, and with it what was not yet durable: a ledger of the same, empty rows.
    ledger = await new LfsLedger({ store, clock, log: silentLog }).repository(REPOSITORY);
    await bench.restart();
    expect(ledger.usedBytes).toBe(1_000);
  });
});
