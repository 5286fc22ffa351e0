/**
 * Random pushes of images that share layers, some of which are stuck on the line, deletions, kills, lost answers,
 * refused pushes, commits of others and rebuilds, in a bucket of preset registry. Every commit of the branch is closed
 * (a tag's manifest, layers and links are there), and at the end the branch has exactly what was written.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RemoteError } from '../../src/gitee/errors.js';
import { bytesOf, JournalBucket, REGISTRY, signal } from '../support/journal-bucket.js';
import { openImages, pushImage, tagPath } from '../support/journal-images.js';
import { rounds } from '../support/rounds.js';

const LAYERS = ['one', 'two', 'three', 'x'.repeat(150), 'y'.repeat(350)];
const NAMES = ['a', 'b/c'];
const POINTS = [
  'committer.batchClosed',
  'committer.chunksRemote',
  'committer.claimed',
  'committer.afterLanded',
  'committer.baseApplied',
  'committer.overlayDropped',
];

type Step =
  | { kind: 'push'; name: string; tag: string; layers: string[] }
  | { kind: 'untag'; name: string; tag: string }
  | { kind: 'stick'; layer: string }
  | { kind: 'release' | 'wait' | 'flush' | 'restart' | 'rebuild' | 'foreign' }
  | { kind: 'fail'; operation: 'push' | 'push-answer' }
  | { kind: 'kill'; point: string };

const name = fc.constantFrom(...NAMES);
const tag = fc.constantFrom('v1', 'v2');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      name,
      tag,
      layers: fc.uniqueArray(fc.constantFrom(...LAYERS), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('untag' as const), name, tag }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('stick' as const), layer: fc.constantFrom(...LAYERS) }),
  },
  {
    weight: 6,
    arbitrary: fc
      .constantFrom('release' as const, 'wait', 'wait', 'flush', 'restart', 'rebuild', 'foreign')
      .map((kind) => ({ kind })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      operation: fc.constantFrom('push' as const, 'push-answer' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), point: fc.constantFrom(...POINTS) }),
  },
);

class Run {
  readonly tags = new Map<string, string>();
  readonly #stuck = new Set<string>();
  #lastSeq = 0;
  #foreign = 0;

  constructor(readonly b: JournalBucket) {
    const refuse = async (chunks: readonly { oid: string }[]) => {
      if (chunks.some(({ oid }) => this.#stuck.has(oid))) throw new RemoteError('timeout', 'stuck');
    };
    b.chunks.beforeUpload = refuse;
  }

  async step(step: Step): Promise<void> {
    const { b, tags } = this;
    switch (step.kind) {
      case 'push': {
        const { seq, digest } = await pushImage(b, step.name, step.tag, step.layers);
        this.#lastSeq = seq;
        tags.set(tagPath(step.name, step.tag), `sha256:${digest}`);
        break;
      }
      case 'untag':
        this.#lastSeq = await b.delete(tagPath(step.name, step.tag));
        tags.delete(tagPath(step.name, step.tag));
        break;
      case 'stick':
        for (const { oid } of b.chunks.cut(bytesOf(step.layer)))
          if (b.chunks.isUnsent(oid)) this.#stuck.add(oid);
        break;
      case 'release':
        this.#stuck.clear();
        break;
      case 'wait':
        await b.state.waitLanded(this.#lastSeq, { timeoutMs: 15, signal });
        break;
      case 'flush':
        b.bucket.committer.flush();
        break;
      case 'restart':
        await b.restart();
        break;
      case 'rebuild':
        await b.bucket.rebuild();
        break;
      case 'foreign':
        b.repository.foreignCommit({ [`f${(this.#foreign += 1) % 2}`]: String(this.#foreign) });
        await b.bucket.follower.followOnce(signal);
        break;
      case 'fail':
        b.remote.fail(step.operation, new RemoteError('outcome-unknown', 'asked for'));
        break;
      case 'kill':
        await this.#killAt(step.point);
    }
  }

  /** Everything goes out; what is left over would wait for ever. */
  async settle(): Promise<void> {
    this.#stuck.clear();
    this.b.bucket.kick();
    if (!(await this.b.bucket.settle({ timeoutMs: 20_000, signal })))
      throw new Error(`did not land: ${JSON.stringify(this.b.state.status())}`);
  }

  async #killAt(point: string): Promise<void> {
    const { b } = this;
    b.failpoints = {
      hit: async (at) => {
        if (at === point) throw new Error(`killed at ${at}`);
      },
    };
    await b.state.waitLanded(this.#lastSeq, { timeoutMs: 15, signal });
    await b.kill();
    b.failpoints = { hit: async () => {} };
    await b.reopen();
    b.bucket.start();
  }
}

test('every commit is closed, and nothing is lost, whatever is stuck or fails', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const b = await JournalBucket.open({
        rules: { ...REGISTRY, inlineLimitBytes: 80 },
        timings: { maxAgeMs: 200, pollMs: 60_000 },
      });
      try {
        await b.start();
        const run = new Run(b);
        for (const one of steps) await run.step(one);
        await run.settle();
        const tree = b.tree();
        const landed = [...tree].filter(([path]) => path.endsWith('/current/link'));
        expect(new Map(landed)).toEqual(run.tags);
        expect(openImages(b)).toEqual([]);
        expect(b.state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 0 });
        expect(await b.problems()).toEqual([]);
        expect(b.fatal).toEqual([]);
      } finally {
        await b.remove();
      }
    }),
    { numRuns: rounds(25) },
  );
});
