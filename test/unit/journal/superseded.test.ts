/** A change that was set aside while a newer one of the same key waits: what becomes of the key. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { bytesOf, GENERIC, JournalBucket, key, REGISTRY } from '../../support/journal-bucket.js';

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
