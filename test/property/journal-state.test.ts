/**
 * Random operations on one bucket against a sorted map: writes, deletions, landings, commits of others, failures
 * of the remote, kills at any step of the committer, restarts, rebuilds. Whatever happens, reads and lists are
 * those of the map, and at the end the branch is too.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RemoteError } from '../../src/gitee/errors.js';
import { until } from '../support/child.js';
import { JournalBucket, key, signal } from '../support/journal-bucket.js';
import { rounds } from '../support/rounds.js';

/** Few keys, so that they meet; some are directories of others. */
const KEYS = ['a', 'a/b', 'a/b/c', 'a/', 'b', 'b%', 'a!', 'é', '\u{1F600}', '\uffff', '.git', 'z/.gateway'];
const POINTS = [
  'committer.batchClosed',
  'committer.chunksRemote',
  'committer.beforeClaim',
  'committer.claimed',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
];

type Step =
  | { kind: 'put'; key: string; sizeBytes: number }
  | { kind: 'delete'; keys: string[] }
  | { kind: 'land' | 'restart' | 'rebuild' | 'foreign' }
  | { kind: 'fail'; operation: 'push' | 'push-answer' }
  | { kind: 'unwell'; times: number }
  | { kind: 'kill'; point: string };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      key: fc.constantFrom(...KEYS),
      sizeBytes: fc.constantFrom(0, 5, 64, 65, 100, 250),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      keys: fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom('land' as const, 'restart', 'rebuild', 'foreign').map((kind) => ({ kind })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      operation: fc.constantFrom('push' as const, 'push-answer' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('unwell' as const), times: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), point: fc.constantFrom(...POINTS) }),
  },
);

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

class Run {
  readonly model = new Map<string, string>();
  #writes = 0;
  #lastSeq = 0;

  constructor(readonly b: JournalBucket) {}

  async step(step: Step): Promise<void> {
    const { b, model } = this;
    switch (step.kind) {
      case 'put': {
        const content = `${(this.#writes += 1)}:`.padEnd(step.sizeBytes, 'x').slice(0, step.sizeBytes);
        this.#lastSeq = await b.put(step.key, content);
        model.set(step.key, content);
        break;
      }
      case 'delete':
        this.#lastSeq = await b.delete(...step.keys);
        for (const name of step.keys) model.delete(name);
        break;
      case 'land':
        await b.landed(this.#lastSeq);
        break;
      case 'restart':
        await b.restart();
        break;
      case 'rebuild':
        await b.bucket.rebuild();
        break;
      case 'foreign':
        this.#writes += 1;
        b.repository.foreignCommit({ [`foreign-${this.#writes % 3}`]: `f${this.#writes}` });
        await b.bucket.follower.followOnce(signal);
        model.set(`foreign-${this.#writes % 3}`, `f${this.#writes}`);
        break;
      case 'fail':
        b.remote.fail(step.operation, new RemoteError('outcome-unknown', 'asked for'));
        break;
      case 'unwell':
        this.#isUnwell(step.times);
        break;
      case 'kill':
        await this.#killAt(step.point);
    }
  }

  /** The LFS store forgets a chunk so many times. */
  #isUnwell(times: number): void {
    let left = times;
    this.b.chunks.beforeEnsure = async ([chunk]) => {
      if (chunk && left-- > 0) throw new RemoteError('chunk-unkept', 'asked for', { oids: [chunk.oid] });
    };
  }

  /** Dies at the point if the committer comes there, and starts again. */
  async #killAt(point: string): Promise<void> {
    const { b } = this;
    b.failpoints = {
      hit: async (name) => {
        if (name === point) throw new Error(`killed at ${name}`);
      },
    };
    await b.state.waitLanded(this.#lastSeq, { timeoutMs: 15, signal });
    await b.kill();
    b.failpoints = { hit: async () => {} };
    await b.reopen();
    b.bucket.start();
  }

  async compare(): Promise<void> {
    const keys = [...this.model.keys()].sort(byBytes);
    expect(await this.b.list()).toEqual(keys);
    for (const name of [...KEYS, ...keys]) expect(await this.b.read(name)).toBe(this.model.get(name));
    for (const name of KEYS) {
      const page = await this.b.state.page(name, Buffer.from('b'), 2);
      const wanted = keys.filter((k) => byBytes(k, name) >= 0 && byBytes(k, 'b') < 0).slice(0, 2);
      expect(page.map((item) => item.key)).toEqual(wanted);
    }
  }
}

test('a bucket is the sorted map of what was written to it, whatever fails on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const b = await JournalBucket.open({ timings: { maxAgeMs: 3_000, pollMs: 60_000 } });
      try {
        await b.start();
        const run = new Run(b);
        for (const [i, one] of steps.entries()) {
          await run.step(one);
          if (i % 5 === 4) await run.compare();
        }
        await run.compare();
        run.model.set('end', 'x');
        await b.landed(await b.put('end', 'x'));
        await run.compare();
        // What stood aside comes later.
        b.bucket.committer.flush();
        await until('everything has landed', () => b.state.status().pendingChanges === 0);
        await run.compare();
        expect(await b.state.changeState(key('end'))).toBeUndefined();
        expect(await b.problems()).toEqual([]);
        expect(b.fatal).toEqual([]);
        // What the branch alone gives is the same.
        await b.bucket.rebuild();
        await run.compare();
      } finally {
        await b.remove();
      }
    }),
    { numRuns: rounds(25) },
  );
});
