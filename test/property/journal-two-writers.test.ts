/**
 * Two gateways that write the same branch, and somebody by hand: writes, deletions, lost answers, pushes that are held
 * up on the way while others are refused, changes that are set aside for that, and dropped or tried again, copies of the
 * repository that lag, kills at any step of a committer. Whatever happens, every acknowledged write of a key that one of
 * them has to itself is there at the end, a key that both write has the last word of one of them, and both show what the
 * branch has.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RemoteError, type RemoteCause } from '../../src/gitee/errors.js';
import { JournalBucket, signal } from '../support/journal-bucket.js';
import { until } from '../support/child.js';
import { MemoryHeadRemote } from '../support/memory-head-remote.js';
import { rounds } from '../support/rounds.js';

const POINTS = [
  'committer.batchClosed',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
];
/** Of the last one the change is set aside. */
const REFUSALS = ['unauthorized', 'quota-full', 'refused', 'content-refused'] as const;
const SHARED = ['s1', 's2'];

interface Step {
  readonly who: 0 | 1;
  readonly what:
    | 'put'
    | 'shared'
    | 'delete'
    | 'land'
    | 'lost'
    | 'held'
    | 'arrives'
    | 'lag'
    | 'refused'
    | 'unwell'
    | 'kill'
    | 'restart'
    | 'drop'
    | 'again'
    | 'by-hand';
  readonly n: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.constantFrom(0 as const, 1 as const),
  what: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('put' as const, 'shared', 'land') },
    { weight: 3, arbitrary: fc.constantFrom('delete' as const, 'lost', 'lag', 'kill', 'by-hand') },
    { weight: 3, arbitrary: fc.constantFrom('held' as const, 'arrives', 'drop') },
    { weight: 1, arbitrary: fc.constantFrom('refused' as const, 'unwell', 'restart', 'again') },
  ),
  n: fc.nat({ max: 60 }),
});

/** One of the gateways, and what it was told to keep. */
class Writer {
  readonly own = new Map<string, string>();
  readonly shared = new Map<string, string>();
  lastSeq = 0;
  #writes = 0;
  #held: () => Promise<unknown> = async () => {};

  constructor(
    readonly name: string,
    readonly b: JournalBucket,
  ) {}

  async put(key: string, into: Map<string, string>, sizeBytes: number): Promise<void> {
    const content = `${this.name} ${(this.#writes += 1)} `.padEnd(sizeBytes, 'x');
    this.lastSeq = await this.b.put(key, content);
    into.set(key, content);
  }

  /** The LFS store forgets a chunk so many times. */
  isUnwell(times: number): void {
    let left = times;
    this.b.chunks.beforeEnsure = async ([chunk]) => {
      if (chunk && left-- > 0) throw new RemoteError('chunk-unkept', 'asked for', { oids: [chunk.oid] });
    };
  }

  /** The next push is heard of no more, and the one after it refused with this; `meanwhile` runs before the refusal. */
  isHeldUp(code: RemoteCause, meanwhile: () => Promise<void>): void {
    const { remote, repository } = this.b;
    remote.push = async (request) => {
      this.#held = () => new MemoryHeadRemote(repository).push(request);
      remote.push = async () => {
        Reflect.deleteProperty(remote, 'push');
        await meanwhile();
        throw new RemoteError(code, 'asked for');
      };
      throw new RemoteError('timeout', 'asked for');
    };
  }

  /** What was held up comes to the server after all. */
  async arrives(): Promise<void> {
    await this.#held();
    this.#held = async () => {};
  }

  /** So many looks meet a copy that lags so many commits; one of them comes at once. */
  async lags(looks: number, commits: number): Promise<void> {
    let left = looks;
    this.b.remote.lag = () => (left-- > 0 ? commits : 0);
    await this.b.bucket.follower.followOnce(signal).catch((error: unknown) => {
      if (!(error instanceof RemoteError)) throw error;
    });
  }

  /** An operator gives up what was set aside: what the branch has counts. */
  async drop(): Promise<void> {
    const { setAside } = this.b.bucket;
    for await (const row of setAside.rows()) {
      if (!(await setAside.drop(row))) continue;
      const left = await this.b.read(row.key);
      const into = row.key.startsWith(this.name) ? this.own : this.shared;
      if (left === undefined) into.delete(row.key);
      else if (into === this.own) into.set(row.key, left);
    }
  }

  async delete(key: string): Promise<void> {
    this.lastSeq = await this.b.delete(key);
    this.own.delete(key);
  }

  /** Dies at the point if the committer comes there, and starts again. */
  async killAt(point: string): Promise<void> {
    const { b } = this;
    b.failpoints = {
      hit: async (name) => {
        if (name === point) throw new Error(`killed at ${name}`);
      },
    };
    await b.state.waitLanded(this.lastSeq, { timeoutMs: 15, signal });
    await b.kill();
    b.failpoints = { hit: async () => {} };
    await b.reopen();
    b.bucket.start();
  }

  /** Everything lands, and the branch as it is then is known. */
  async settle(): Promise<void> {
    this.b.remote.heal();
    Reflect.deleteProperty(this.b.remote, 'push');
    this.b.remote.lag = () => 0;
    await this.put(`${this.name}/end`, this.own, 5);
    await this.b.landed(this.lastSeq);
    this.b.bucket.committer.flush();
    this.b.bucket.kick();
    // What a kill made fail three times is set aside, and tried again after the start.
    await until('everything has landed', () => {
      const { pendingChanges, quarantinedChanges } = this.b.state.status();
      return pendingChanges + quarantinedChanges === 0;
    });
  }
}

async function take(writers: readonly Writer[], { who, what, n }: Step, byHand: Map<string, string>) {
  const w = writers[who]!;
  const ownKey = `${w.name}/${n % 4}`;
  switch (what) {
    case 'put':
      return w.put(ownKey, w.own, n * 4);
    case 'shared':
      return w.put(SHARED[n % 2]!, w.shared, n);
    case 'delete':
      return w.delete(ownKey);
    case 'land':
      return w.b.landed(w.lastSeq);
    case 'lost':
      return w.b.remote.fail('push-answer', new RemoteError('outcome-unknown', 'asked for'));
    case 'held':
      // Whoever thinks better of it deletes it before it has landed.
      w.isHeldUp(REFUSALS[n % REFUSALS.length]!, async () => (n % 2 === 0 ? w.delete(ownKey) : undefined));
      await w.put(ownKey, w.own, n);
      await w.b.landed(w.lastSeq);
      return n % 4 === 0 ? w.arrives() : undefined;
    case 'arrives':
      return w.arrives();
    case 'lag':
      return w.lags(1 + (n % 3), 1 + (n % 5));
    case 'refused':
      return w.b.remote.fail('push', new RemoteError('timeout', 'asked for'));
    case 'unwell':
      return w.isUnwell(1 + (n % 4));
    case 'kill':
      return w.killAt(POINTS[n % POINTS.length]!);
    case 'restart':
      return w.b.restart();
    case 'drop':
      return w.drop();
    case 'again':
      return w.b.bucket.kick();
    case 'by-hand':
      w.b.repository.foreignCommit({ [`hand-${n % 2}`]: `h${n}` });
      byHand.set(`hand-${n % 2}`, `h${n}`);
  }
}

test('two gateways and somebody by hand lose nothing of each other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const timings = { maxAgeMs: 3_000, lagMaxMs: 60_000 };
      const a = await JournalBucket.open({ timings });
      const b = await JournalBucket.open({ timings }, a.repository);
      try {
        await a.start();
        await b.start();
        const writers = [new Writer('a', a), new Writer('b', b)];
        const byHand = new Map<string, string>();
        for (const one of steps) await take(writers, one, byHand);
        for (const writer of writers) await writer.settle();
        for (const writer of writers) await writer.arrives();
        for (const { b: bucket } of writers) expect(bucket.state.status().frozen).toBeUndefined();
        for (const { b: bucket } of writers) await bucket.bucket.follower.followOnce(signal);

        const tree = new Map(a.repository.texts());
        for (const { b: bucket, own, name } of writers) {
          for (const [key, content] of own) expect([key, await bucket.read(key)]).toEqual([key, content]);
          const there = (await bucket.list()).filter((key) => key.startsWith(`${name}/`));
          expect(there.sort()).toEqual([...own.keys()].sort());
        }
        for (const key of SHARED) {
          const said = writers.map(({ shared }) => shared.get(key)).filter((text) => text !== undefined);
          const read = await a.read(key);
          expect(said.length === 0 ? read === undefined : said.includes(read!)).toBe(true);
        }
        for (const [file, content] of byHand) expect([file, tree.get(file)]).toEqual([file, content]);
        expect(await a.list()).toEqual(await b.list());
        for (const key of [...SHARED, ...byHand.keys()]) expect(await a.read(key)).toBe(await b.read(key));
        for (const { b: bucket } of writers) expect(bucket.fatal).toEqual([]);
      } finally {
        await a.remove();
        await b.remove();
      }
    }),
    { numRuns: rounds(25) },
  );
});
