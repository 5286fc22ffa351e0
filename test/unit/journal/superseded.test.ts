/** Of two changes of one key that wait one is set aside: what becomes of the key. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints } from '../../../src/async/failpoint.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { Journal } from '../../../src/journal/journal.js';
import { SeqSet } from '../../../src/journal/seq-set.js';
import { until } from '../../support/child.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY, signal } from '../../support/journal-bucket.js';
import {
  layerLinkPath,
  named,
  openImages,
  pushImage,
  putLayer,
  putManifest,
  tagPath,
} from '../../support/journal-images.js';

describe.each([
  ['generic', GENERIC],
  ['registry', REGISTRY],
])('preset %s: an older change of a key that Gitee refuses, with a newer one behind it', (_, rules) => {
  let b: JournalBucket;
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  test.each([1, 10_000])(
    'the newer one lands, the older never comes back (%i changes a batch)',
    async (maxChanges) => {
      b = await JournalBucket.open({ rules, timings: { maxAgeMs: 3_600_000, maxChanges } });
      await b.start();
      const bad = b.chunks.cut(bytesOf('x'.repeat(90)))[0]!.oid;
      let refusals = 0;
      const refuse = async (chunks: readonly { oid: string }[]) => {
        if (!chunks.some(({ oid }) => oid === bad) || b.chunks.remote.has(bad)) return;
        refusals += 1;
        throw new RemoteError('chunk-refused', 'no', { oids: [bad] });
      };
      b.chunks.beforeUpload = refuse;
      b.chunks.beforeEnsure = refuse;
      const older = await b.put('notes/a', 'x'.repeat(90));
      const newer = await b.put('notes/a', 'y'.repeat(90));
      const third = await b.put('notes/b', 'z');
      await b.landed(newer, 5000);
      await b.landed(older);
      await b.landed(third);
      expect(await b.read('notes/a')).toBe('y'.repeat(90));
      expect(await b.state.changeState(key('notes/a'))).toBeUndefined();
      b.bucket.committer.flush();
      await until('nothing waits', () => b.state.status().pendingChanges === 0);
      expect(b.state.status().quarantinedChanges).toBe(0);
      expect(refusals).toBeLessThan(10);
      await b.restart();
      expect(await b.read('notes/a')).toBe('y'.repeat(90));
      expect(await b.problems()).toEqual([]);
    },
  );
});

describe('a newer change of a key that is set aside, with an older one before it that waits', () => {
  const SLOW = 's'.repeat(95);
  const REFUSED = 'x'.repeat(95);
  const TAG = tagPath('a', 'v');
  let b: JournalBucket;
  let arrive: () => void;
  let isWell: boolean;
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  /** The tag waits for a slow layer; it was pushed again with another one, which Gitee refuses. */
  async function pushTwice(): Promise<{ older: number; digests: { older: string; newer: string } }> {
    b = await JournalBucket.open({ rules: { ...REGISTRY, inlineLimitBytes: 80 }, timings: { maxAgeMs: 20 } });
    await b.start();
    isWell = false;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const [slow, refused] = [SLOW, REFUSED].map((text) => b.chunks.cut(bytesOf(text))[0]!.oid);
    b.chunks.beforeUpload = async (chunks) => {
      if (chunks.some(({ oid }) => oid === slow)) await arrived;
      if (!isWell && chunks.some(({ oid }) => oid === refused))
        throw new RemoteError('chunk-refused', 'no', { oids: [refused!] });
    };
    await b.landed((await pushImage(b, 'other', 'v', [REFUSED])).seq);
    const older = await pushImage(b, 'a', 'v', [SLOW]);
    const layer = createHash('sha256').update(REFUSED).digest('hex');
    await b.put(layerLinkPath('a', layer), `sha256:${layer}`);
    const config = named(await putLayer(b, 'a', 'another config'));
    const newer = await putManifest(b, 'a', 'v', { config, layers: [named(layer)] });
    await b.landed(newer.seq);
    expect(await b.state.changeState(key(TAG))).toMatchObject({ state: 'quarantined' });
    expect(b.tree().has(TAG)).toBe(false);
    return { older: older.seq, digests: { older: older.digest, newer: newer.digest } };
  }

  test.each(['kick', 'restart'] as const)('lands after a %s, once the older one has', async (how) => {
    const { older, digests } = await pushTwice();
    arrive();
    await b.landed(older);
    expect(b.tree().get(TAG)).toBe(`sha256:${digests.older}`);
    isWell = true;
    if (how === 'kick') b.bucket.kick();
    else await b.restart();
    await until('it lands', () => b.tree().get(TAG) === `sha256:${digests.newer}`);
    await until('nothing is set aside', () => b.state.status().quarantinedChanges === 0);
    expect(await b.problems()).toEqual([]);
    expect(openImages(b)).toEqual([]);
  });

  test('dropped, gives way to the older one at once', async () => {
    const { older, digests } = await pushTwice();
    await b.bucket.setAside.drop((await b.bucket.setAside.row(key(TAG)))!);
    // Were nothing seen, a deletion would be answered as done, and the older one land after it.
    expect(await b.read(TAG)).toBe(`sha256:${digests.older}`);
    expect(await b.state.changeState(key(TAG))).toMatchObject({ seq: older, state: 'pending' });
    const deleted = await b.delete(TAG);
    arrive();
    await b.landed(deleted);
    expect(b.tree().has(TAG)).toBe(false);
    expect(await b.read(TAG)).toBeUndefined();
    expect(b.state.status().pendingChanges).toBe(0);
    expect(await b.problems()).toEqual([]);
  });

  test('is not tried again over what somebody wrote to the key after that', async () => {
    const { older } = await pushTwice();
    arrive();
    await b.landed(older);
    b.repository.foreignCommit({ [TAG]: 'by hand' });
    await b.bucket.follower.followOnce(signal);
    expect(await b.state.retrySetAside(key(TAG))).toBeUndefined();
  });

  test('knows what the branch has, though the older one lands at that very moment', async () => {
    b = await JournalBucket.open();
    const journal = await Journal.open(b.overlay, 'of its own', {
      clock: systemClock,
      failpoints: noFailpoints,
    });
    const change = (etag: string) => ({
      ...{ kind: 'put' as const, key: key('a') },
      object: { ...{ sizeBytes: 1, etag, lastModifiedMs: 1, meta: {} }, body: plain },
    });
    const plain = { kind: 'plain' as const, bytes: bytesOf('x') };
    for (const etag of ['1', '2']) await journal.append([change(etag)]);
    const newer = (await journal.entry(2))!;
    let drop: Promise<void> | undefined;
    // The base is asked, then it takes the older one, which leaves the journal at once.
    const baseOf = async () => {
      drop = journal.drop(SeqSet.range(1, 1));
      await new Promise((resolve) => setImmediate(resolve));
      return null;
    };
    await journal.quarantine(newer, { code: 'chunk-refused', message: 'no', baseOf });
    await drop;
    expect(await journal.setAsideRow(key('a'))).toMatchObject({ seq: 2, base: '1' });
    expect(journal.pendingCount).toBe(0);
  });

  test('knows that the branch has nothing, where the older one was a deletion', async () => {
    b = await JournalBucket.open();
    const journal = await Journal.open(b.overlay, 'of its own', {
      clock: systemClock,
      failpoints: noFailpoints,
    });
    await journal.append([{ kind: 'delete', key: key('a') }]);
    await journal.append([{ kind: 'delete', key: key('a') }]);
    const newer = (await journal.entry(2))!;
    await journal.quarantine(newer, { code: 'chunk-refused', message: 'no', baseOf: async () => 'old' });
    await journal.drop(SeqSet.range(1, 1));
    expect(await journal.setAsideRow(key('a'))).toMatchObject({ seq: 2, base: null });
  });
});
