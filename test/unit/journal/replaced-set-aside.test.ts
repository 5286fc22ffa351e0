/**
 * Attacks invariant 4, "every commit is closed", where what a tag rests on is set aside while a newer change of the same
 * key waits: from then on the tag rests on that one, which was written after it.
 */
import { expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import type { JournalEntry } from '../../../src/journal/overlay-rows.js';
import { Selection, type SelectionSource } from '../../../src/journal/selection.js';
import { until } from '../../support/child.js';
import { JournalBucket, key, REGISTRY } from '../../support/journal-bucket.js';
import { openImages, pushImage, revisionPath, tagPath } from '../../support/journal-images.js';

/** A bucket of small images whose commits are asked for, and a Gitee that takes no link of a revision. */
async function refusingLinks(): Promise<JournalBucket> {
  const b = await JournalBucket.open({
    rules: { ...REGISTRY, inlineLimitBytes: 80 },
    timings: { maxAgeMs: 600_000 },
  });
  await b.start();
  const refusal = new RemoteError('content-refused', 'as was asked for');
  b.remote.refuse = (path) => (path.includes('/revisions/') ? refusal : undefined);
  return b;
}

/** What can't land is set aside, and no commit has an image that is not whole. */
async function settled(b: JournalBucket): Promise<void> {
  b.bucket.committer.flush();
  await until('nothing waits', () => b.state.status().pendingChanges === 0);
  expect(openImages(b)).toEqual([]);
}

/** Gitee takes all of it, and it is tried again. */
async function healed(b: JournalBucket): Promise<void> {
  b.remote.refuse = () => undefined;
  b.bucket.kick();
  await until('all has landed', () => {
    b.bucket.committer.flush();
    const { pendingChanges, quarantinedChanges } = b.state.status();
    return pendingChanges + quarantinedChanges === 0;
  });
  expect(openImages(b)).toEqual([]);
  expect(b.fatal).toEqual([]);
}

test.each(['the same tag', 'another tag'])(
  'an image that was pushed twice, to %s, and whose link Gitee refused: no tag lands before the link',
  async (which) => {
    const b = await refusingLinks();
    try {
      await pushImage(b, 'a', 'v1', ['one']);
      // The same manifest: its link is written once more, and neither was sent.
      await pushImage(b, 'a', which === 'the same tag' ? 'v1' : 'v2', ['one']);
      await settled(b);
      await healed(b);
      expect(b.tree().has(tagPath('a', 'v1'))).toBe(true);
    } finally {
      await b.remove();
    }
  },
);

test('a link that Gitee refuses and that is deleted by now: no tag that needed it lands, the newer one neither', async () => {
  const b = await refusingLinks();
  try {
    const { digest } = await pushImage(b, 'a', 'v1', ['one']);
    const newer = await pushImage(b, 'a', 'v1', ['two']);
    // As a registry's collection does. Refused, the link leaves the log: what was written after it stands for it.
    await b.delete(revisionPath('a', digest));
    await settled(b);
    expect(b.tree().has(tagPath('a', 'v1'))).toBe(false);
    expect(await b.read(tagPath('a', 'v1'))).toBe(`sha256:${newer.digest}`);
    await healed(b);
    expect(b.tree().get(tagPath('a', 'v1'))).toBe(`sha256:${newer.digest}`);
  } finally {
    await b.remove();
  }
});

test.each([
  { closableSeq: 9, batch: [7] },
  // Another change before it is being written.
  { closableSeq: 6, batch: undefined },
])(
  'a link that is tried again while its tag is looked at, up to $closableSeq: the tag waits for it',
  async ({ closableSeq, batch }) => {
    const link = key(revisionPath('a', 'ab'.repeat(32)));
    const record = { body: { kind: 'plain', bytes: new Uint8Array(0) }, sizeBytes: 0 };
    const tag = { seq: 5, key: key(tagPath('a', 'v1')), record };
    let again = 0;
    const source = {
      journal: {
        ...{ closableSeq, quarantinedCount: 0 },
        get triedAgainUpToSeq() {
          return again;
        },
        async *entries(upToSeq: number) {
          yield tag;
          if (upToSeq >= 7) yield { seq: 7, key: link, record };
        },
        isSetAside: async () => false,
        newest: async () => ({ state: 'pending', seq: 7, record }),
      },
      chunks: { isUnsent: () => false },
      closure: {
        of: async (entry: JournalEntry) => {
          again = 7;
          return entry.seq === 5 ? [link] : [];
        },
      },
      base: { get: async () => undefined },
      isAside: () => false,
    } as unknown as SelectionSource;
    const selection = await Selection.of(source, 100);
    expect(selection.heldSeqs).toEqual([5]);
    expect(selection.batch && [...selection.batch.net.values()].map(({ seq }) => seq)).toEqual(batch);
  },
);
