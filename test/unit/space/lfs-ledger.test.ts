import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/async/log.js';
import { LfsLedger, type RepositoryLedger } from '../../../src/space/lfs-ledger.js';
import { describeSpace, LfsSpace } from '../../../src/space/lfs-space.js';
import { LfsTrend } from '../../../src/space/lfs-trend.js';
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
  ledgers = new LfsLedger({ store, clock, log: silentLog, random: () => 0.999 });
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
    await asked();
    return { index, completed };
  }

  /** Gitee has all of it. */
  const asked = () => ledger.recount(async () => []);

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
    await asked();
    expect(ledger.usedBytes).toBe(600_000);
    expect((await ledger.censusOf('files', async () => {})).isComplete).toBe(true);
    await index.close();
  });
});

describe('what only a pointer on the branch claims', () => {
  const HUGE = 2 ** 47;
  let there: Set<string>;
  let asked: string[][];
  /** As Gitee answers: it has it, or not; the wrong size is no object of its. */
  const missing = async (chunks: readonly Chunk[]) => {
    asked.push(chunks.map(({ oid }) => oid));
    return chunks.filter(({ oid, sizeBytes }) => !there.has(`${oid} ${sizeBytes}`));
  };
  const has = (...chunks: Chunk[]) => chunks.forEach((one) => there.add(`${one.oid} ${one.sizeBytes}`));
  const claim = async (...chunks: Chunk[]) => {
    const census = await ledger.censusOf('files', async () => {});
    for (const one of chunks) await census.add(one);
  };
  /** Until Gitee was asked so often in all. */
  async function askedTimes(times: number, stepMs = 1_000): Promise<void> {
    await until(() => {
      if (asked.length < times) clock.advance(stepMs);
      return asked.length >= times;
    });
  }

  beforeEach(() => {
    there = new Set();
    asked = [];
  });

  test('takes no space, whatever size it says, until Gitee has it', async () => {
    has(chunk(2, 200));
    await claim(chunk(1, HUGE), chunk(2, 200), chunk(3, Number.MAX_SAFE_INTEGER));
    expect(ledger.usedBytes).toBe(0);
    ledger.askWith(missing);
    await askedTimes(1);
    expect(asked).toEqual([[1, 2, 3].map((seed) => chunk(seed).oid).sort()]);
    await ledgers.close();
    expect([ledger.usedBytes, ledger.objects]).toEqual([200, 1]);
    await open();
    expect(ledger.usedBytes).toBe(200);
  });

  test('leaves a quota as it is', async () => {
    const trend = await LfsTrend.open(store);
    const space = new LfsSpace({
      ...{ ledger: ledgers, trend, quotaBytes: 1_000, action: 'refuse', clock, log: silentLog },
    });
    await ledger.add(chunk(9, 400));
    await claim(chunk(1, HUGE));
    ledger.askWith(missing);
    await askedTimes(1);
    await ledgers.close();
    expect(() => space.demand(600)).not.toThrow();
    expect(describeSpace(space.status())).toContain('(40 %)');
  });

  test('is asked for once it is claimed, and not again for what is counted', async () => {
    ledger.askWith(missing);
    await ledger.add(chunk(1));
    await claim(chunk(1));
    has(chunk(2));
    await claim(chunk(2), chunk(2));
    await askedTimes(1);
    await until(() => ledger.usedBytes === 200);
    await claim(chunk(1), chunk(2));
    await claim(chunk(3));
    await askedTimes(2);
    expect(asked).toEqual([[chunk(2).oid], [chunk(3).oid]]);
    expect(ledger.usedBytes).toBe(200);
  });

  test('is known after a restart, and asked for again as long as Gitee gives no answer, seldomer each time', async () => {
    has(chunk(1));
    await claim(chunk(1));
    await ledgers.close();
    await open();
    let times = 0;
    const waits: number[] = [];
    const sleep = clock.sleep.bind(clock);
    clock.sleep = (ms, signal) => {
      waits.push(ms);
      return sleep(ms, signal);
    };
    ledger.askWith(async (chunks) => {
      times += 1;
      if (times <= 12) throw new RemoteError('unreachable', 'no answer');
      return missing(chunks);
    });
    await askedTimes(1, 3_600_000);
    expect(times).toBe(13);
    expect(waits[1]).toBeLessThanOrEqual(5_000);
    expect(waits[11]).toBeGreaterThan(1_800_000 - 1);
    expect(Math.max(...waits)).toBeLessThanOrEqual(3_600_000);
    await until(() => ledger.usedBytes === 100);
  });

  test('and about which Gitee says nothing, or refuses to, holds up no other', async () => {
    has(chunk(1), chunk(2), chunk(3));
    await claim(chunk(1), chunk(2), chunk(3));
    let isWell = false;
    ledger.askWith(async (chunks) => {
      const names = (seed: number) => chunks.some(({ oid }) => oid === chunk(seed).oid);
      if (names(1)) throw new RemoteError('chunk-refused', 'no', { oids: [chunk(1).oid] });
      if (names(2) && !isWell) throw new RemoteError('server-fault', 'oops', { oids: [chunk(2).oid] });
      return missing(chunks);
    });
    await askedTimes(1);
    await until(() => ledger.usedBytes === 100);
    isWell = true;
    await askedTimes(2, 60_000);
    expect(asked.at(-1)).toEqual([chunk(2).oid]);
    await until(() => ledger.usedBytes === 200);
  });

  test('and was told of a whole branch counts before that is said to be counted, over a restart too', async () => {
    const known: number[] = [];
    const census = () => ledger.censusOf('files', async () => void known.push(ledger.usedBytes));
    has(chunk(1), chunk(2));
    const first = await census();
    for (const seed of [1, 2]) await first.add(chunk(seed));
    await first.complete();
    expect([known, first.isComplete]).toEqual([[], true]);
    await ledgers.close();
    await open();
    expect((await census()).isComplete).toBe(true);
    ledger.askWith(missing);
    await until(() => {
      clock.advance(1_000);
      return known.length > 0;
    });
    expect(known).toEqual([200]);
    await ledgers.close();
    await open();
    await census();
    await ledger.recount(missing);
    expect(known).toEqual([200]);
  });

  test('is asked for page by page, thousands of them', async () => {
    const chunks = Array.from({ length: 2_500 }, (_, seed) => chunk(seed));
    has(...chunks.slice(0, 2_000));
    await claim(...chunks);
    ledger.askWith(missing);
    await askedTimes(3);
    await until(() => ledger.objects === 2_000);
    expect(asked.map((oids) => oids.length)).toEqual([1_000, 1_000, 500]);
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
