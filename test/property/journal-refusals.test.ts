/**
 * Random pushes of images that share layers and skip what is there, collections as a registry makes them, and a Gitee
 * that refuses single objects, paths and pushes, for good or for a reason that nobody knows, for a while; with kills,
 * restarts, lost answers and retries of what was set aside in between. Every commit of the branch is closed, also while
 * parts are set aside; and once Gitee takes everything again, the branch has exactly what was written.
 */
import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { systemClock } from '../../src/async/clock.js';
import { manifestReferences } from '../../src/format/registry-keys.js';
import { RemoteError } from '../../src/gitee/errors.js';
import { until } from '../support/child.js';
import { bytesOf, JournalBucket, key, REGISTRY, signal } from '../support/journal-bucket.js';
import { blobPath, openImages, tagPath } from '../support/journal-images.js';
import { rounds } from '../support/rounds.js';

const LAYERS = ['one', 'two', 'three', 'x'.repeat(150), 'y'.repeat(350)];
const NAMES = ['a', 'b/c'];
const TAGS = ['v1', 'v2'];
const CAUSES = ['chunk-refused', 'refused', 'server-fault'] as const;
const ROOT = 'docker/registry/v2/';
const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const link = (digest: string) => `sha256:${digest}`;
const layerLink = (name: string, digest: string) =>
  `${ROOT}repositories/${name}/_layers/sha256/${digest}/link`;
const revision = (name: string, digest: string) =>
  `${ROOT}repositories/${name}/_manifests/revisions/sha256/${digest}/link`;

type Step =
  | { kind: 'push'; name: string; tag: string; layers: string[] }
  | { kind: 'untag'; name: string; tag: string }
  | { kind: 'refuse'; layer: string; cause: (typeof CAUSES)[number] }
  | { kind: 'refuse paths'; part: string }
  | {
      kind: 'fail';
      operation: 'push' | 'push-answer' | 'fetch';
      code: 'outcome-unknown' | 'refused';
      times: number;
    }
  | { kind: 'collect' | 'heal' | 'rest' | 'wait' | 'flush' | 'restart' | 'kick' | 'foreign' };

const name = fc.constantFrom(...NAMES);
const tag = fc.constantFrom(...TAGS);
const of = <K extends string>(kind: K) => fc.constant(kind);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: of('push'),
      name,
      tag,
      layers: fc.uniqueArray(fc.constantFrom(...LAYERS), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: of('untag'), name, tag }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: of('refuse'),
      layer: fc.constantFrom(...LAYERS),
      cause: fc.constantFrom(...CAUSES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: of('refuse paths'),
      part: fc.constantFrom('/revisions/', '/_layers/', '/tags/v1/', '/a/', hash('one')),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: of('fail'),
      operation: fc.constantFrom('push' as const, 'push-answer' as const, 'fetch' as const),
      code: fc.constantFrom('outcome-unknown' as const, 'refused' as const),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 9,
    arbitrary: fc
      .constantFrom(
        'collect' as const,
        'heal',
        'rest',
        'rest',
        'rest',
        'wait',
        'flush',
        'restart',
        'kick',
        'kick',
        'foreign',
      )
      .map((kind) => ({ kind })),
  },
);

/** Found by a run: the link of the first image is refused, and leaves the log since its deletion has replaced it. */
const LINK_REPLACED_BY_ITS_DELETION: Step[] = [
  { kind: 'push', name: 'a', tag: 'v1', layers: ['one'] },
  { kind: 'push', name: 'a', tag: 'v1', layers: ['two'] },
  { kind: 'refuse paths', part: '/revisions/' },
  { kind: 'collect' },
  { kind: 'rest' },
  { kind: 'push', name: 'a', tag: 'v1', layers: ['one'] },
];

class Run {
  readonly tags = new Map<string, string>();
  readonly #refused = new Map<string, (typeof CAUSES)[number]>();
  #part: string | undefined;
  #lastSeq = 0;
  #foreign = 0;

  constructor(readonly b: JournalBucket) {
    const refuse = async (chunks: readonly { oid: string }[]) => {
      for (const cause of CAUSES) {
        const oids = chunks.map(({ oid }) => oid).filter((oid) => this.#refused.get(oid) === cause);
        if (oids.length > 0) throw new RemoteError(cause, 'as was asked for', { oids });
      }
    };
    b.chunks.beforeUpload = refuse;
    b.chunks.beforeEnsure = async (chunks) => refuse(chunks.filter(({ oid }) => b.chunks.isUnsent(oid)));
    this.#heedPaths();
  }

  async step(step: Step): Promise<void> {
    const { b, tags } = this;
    switch (step.kind) {
      case 'push':
        return this.#push(step.name, step.tag, step.layers);
      case 'untag':
        if (!(await b.state.get(key(tagPath(step.name, step.tag))))) return;
        this.#lastSeq = await b.delete(tagPath(step.name, step.tag));
        tags.delete(tagPath(step.name, step.tag));
        return;
      case 'refuse':
        for (const { oid } of b.chunks.cut(bytesOf(step.layer)))
          if (b.chunks.isUnsent(oid)) this.#refused.set(oid, step.cause);
        return;
      case 'refuse paths':
        this.#part = step.part;
        return;
      case 'collect':
        return this.#collect();
      case 'heal':
        return this.#heal();
      case 'wait':
        await b.state.waitLanded(this.#lastSeq, { timeoutMs: 30, signal });
        return;
      case 'rest':
        return this.#rest();
      case 'flush':
        return b.bucket.committer.flush();
      case 'restart':
        await b.restart();
        return this.#heedPaths();
      case 'kick':
        return b.bucket.kick();
      case 'foreign':
        b.repository.foreignCommit({ [`f${(this.#foreign += 1) % 2}`]: String(this.#foreign) });
        await b.bucket.follower.followOnce(signal).catch(() => {});
        return;
      case 'fail':
        b.remote.fail(step.operation, new RemoteError(step.code, 'as was asked for'), step.times);
    }
  }

  /** Gitee takes everything again, and everything is tried again. */
  async settle(): Promise<void> {
    const { b } = this;
    this.#heal();
    let kicked = 0;
    await until('all has landed', async () => {
      const { pendingChanges, quarantinedChanges } = b.state.status();
      if (pendingChanges + quarantinedChanges === 0) return true;
      if ((kicked += 1) % 10 === 1) b.bucket.kick();
      b.bucket.committer.flush();
      return false;
    }).catch((error: unknown) => {
      throw new Error(`did not land: ${JSON.stringify(b.state.status())}`, { cause: error });
    });
  }

  /** Until what can land has, and the rest is set aside or stands aside for ever. */
  async #rest(): Promise<void> {
    const { b } = this;
    for (let calm = 0, last = -1; calm < 8 && b.state.status().pendingChanges > 0;) {
      b.bucket.committer.flush();
      await b.state.waitLanded(this.#lastSeq, { timeoutMs: 1, signal });
      await systemClock.sleep(15);
      const { pendingChanges } = b.state.status();
      calm = pendingChanges === last ? calm + 1 : 0;
      last = pendingChanges;
    }
  }

  #heal(): void {
    this.#refused.clear();
    this.#part = undefined;
    this.b.remote.heal();
  }

  #heedPaths(): void {
    this.b.remote.refuse = (path) =>
      this.#part !== undefined && path.includes(this.#part)
        ? new RemoteError('content-refused', 'as was asked for')
        : undefined;
  }

  /** As a registry does it: what is there already is not sent again. */
  async #push(name: string, tag: string, layers: readonly string[]): Promise<void> {
    const { b } = this;
    const texts = [...layers, `{"config":"${name}:${tag}"}`];
    const [config, ...rest] = texts.map((text) => ({ digest: link(hash(text)) })).reverse();
    const manifest = JSON.stringify({ config, layers: rest });
    for (const text of texts) {
      if (!(await b.state.get(key(blobPath(hash(text)))))) await b.put(blobPath(hash(text)), text);
      if (!(await b.state.get(key(layerLink(name, hash(text))))))
        await b.put(layerLink(name, hash(text)), link(hash(text)));
    }
    const digest = hash(manifest);
    await b.put(blobPath(digest), manifest);
    await b.put(revision(name, digest), link(digest));
    this.#lastSeq = await b.put(tagPath(name, tag), link(digest));
    this.tags.set(tagPath(name, tag), link(digest));
  }

  /** As a registry does it: what no tag needs goes, revisions first. */
  async #collect(): Promise<void> {
    const { b } = this;
    const marked = new Set<string>();
    const revisions = new Set<string>();
    for (const [path, text] of this.tags) {
      const digest = text.slice('sha256:'.length);
      marked.add(digest);
      revisions.add(revision(/repositories\/(.*)\/_manifests/.exec(path)![1]!, digest));
      for (const each of manifestReferences(bytesOf((await b.read(blobPath(digest)))!)))
        marked.add(each.digest);
    }
    const keys = await b.list();
    for (const each of keys)
      if (each.includes('/revisions/') && !revisions.has(each)) this.#lastSeq = await b.delete(each);
    for (const each of keys) {
      const [, digest] = /\/blobs\/sha256\/..\/(.*)\/data$/.exec(each) ?? [];
      if (digest !== undefined && !marked.has(digest)) this.#lastSeq = await b.delete(each);
    }
    for (const each of keys) {
      const [, digest] = /\/_layers\/sha256\/(.*)\/link$/.exec(each) ?? [];
      if (digest !== undefined && !marked.has(digest)) this.#lastSeq = await b.delete(each);
    }
  }
}

test('every commit is closed, and all lands in the end, whatever Gitee refuses meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const b = await JournalBucket.open({
        rules: { ...REGISTRY, inlineLimitBytes: 80 },
        timings: { maxAgeMs: 50, pollMs: 60_000 },
      });
      try {
        await b.start();
        const run = new Run(b);
        for (const one of steps) await run.step(one);
        await run.settle();
        const landed = [...b.tree()].filter(([path]) => path.endsWith('/current/link'));
        expect(new Map(landed)).toEqual(run.tags);
        expect(openImages(b)).toEqual([]);
        expect(await b.problems()).toEqual([]);
        expect(b.fatal).toEqual([]);
      } finally {
        await b.remove();
      }
    }),
    { numRuns: rounds(25), examples: [[LINK_REPLACED_BY_ITS_DELETION]] },
  );
});
