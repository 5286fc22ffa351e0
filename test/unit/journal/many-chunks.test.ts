/** Attacks "an object of more chunks than a row of the index holds is the same one after a rebuild". */
import { afterEach, describe, expect, test } from '@jest/globals';
import { INLINE_EXTENTS_MAX } from '../../../src/index/body-store.js';
import { JournalBucket, key, signal } from '../../support/journal-bucket.js';

const CHUNK_BYTES = 100;
const opened: JournalBucket[] = [];
afterEach(async () => {
  for (const b of opened.splice(0)) await b.remove();
});

/** All of its chunks differ. */
function textOf(name: string, chunks: number): string {
  return (
    Array.from({ length: chunks }, (_, i) => `${name} ${i};`.padEnd(CHUNK_BYTES, '.')).join('') +
    `${name} ends`
  );
}

/** Its distinct chunks, those that reads of it or waiting changes name, and of them those that the branch names. */
async function named(b: JournalBucket, text: string): Promise<{ overlay: number; branch: number }> {
  const oids = new Set<string>(b.chunks.cut(Buffer.from(text)).map(({ oid }) => oid));
  let overlay = 0;
  const seen = new Set<string>();
  for await (const { oid } of b.state.overlayExtents())
    if (oids.has(oid) && !seen.has(oid)) {
      seen.add(oid);
      overlay += 1;
    }
  return { overlay, branch: (await b.state.namedOnBranch(oids)).size };
}

describe.each([INLINE_EXTENTS_MAX - 1, INLINE_EXTENTS_MAX, 3 * INLINE_EXTENTS_MAX + 5])(
  'an object of %d chunks and a rest',
  (chunks) => {
    test('is whole, and each of its chunks is named, over restarts and rebuilds until it is deleted', async () => {
      const b = await JournalBucket.open();
      opened.push(b);
      await b.start();
      const first = textOf('first', chunks);
      const second = textOf('second', chunks);
      await b.put('other', textOf('other', 2));
      expect(await named(b, first)).toEqual({ overlay: 0, branch: 0 });
      const seq = await b.put('big', first);
      expect(await named(b, first)).toEqual({ overlay: chunks + 1, branch: 0 });
      await b.landed(seq);
      expect(await b.read('big')).toBe(first);
      expect((await named(b, first)).branch).toBe(chunks + 1);

      await b.bucket.rebuild();
      expect(await b.read('big')).toBe(first);
      expect((await named(b, first)).branch).toBe(chunks + 1);

      // Waiting changes outlive a rebuild, and hide what the branch has.
      await b.bucket.committer.stop();
      await b.put('big', second);
      await b.put('copy', first);
      await b.bucket.rebuild();
      expect([await b.read('big'), await b.read('copy')]).toEqual([second, first]);
      expect([await named(b, first), await named(b, second)]).toEqual([
        { overlay: chunks + 1, branch: chunks + 1 },
        { overlay: chunks + 1, branch: 0 },
      ]);
      await b.restart();
      await b.landed(await b.put('after', 'x'));
      expect([await b.read('big'), await b.read('copy')]).toEqual([second, first]);

      // A gateway that knows the branch alone.
      const fresh = await JournalBucket.open({}, b.repository);
      opened.push(fresh);
      await fresh.bucket.follower.followOnce(signal);
      for (const name of ['big', 'copy']) {
        const [here, there] = [await b.state.get(key(name)), await fresh.state.get(key(name))];
        expect([there?.sizeBytes, there?.etag]).toEqual([here?.sizeBytes, here?.etag]);
      }
      expect([(await named(fresh, first)).branch, (await named(fresh, second)).branch]).toEqual([
        chunks + 1,
        chunks + 1,
      ]);

      await b.landed(await b.delete('big'));
      await b.bucket.rebuild();
      expect([await named(b, first), await named(b, second)]).toEqual([
        { overlay: 0, branch: chunks + 1 },
        { overlay: 0, branch: 0 },
      ]);
      expect(await b.read('copy')).toBe(first);
      expect(await b.problems()).toEqual([]);
    });
  },
);
