/** More changes that can't land yet than are looked at in one go: what a look costs, and that all of them land. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RemoteError } from '../../../src/gitee/errors.js';
import { until } from '../../support/child.js';
import { wholeExtent } from '../../../src/format/extent.js';
import { bytesOf, JournalBucket, key, REGISTRY } from '../../support/journal-bucket.js';

/** Looked at in one go, and so many changes. */
const LOOKED_AT = 2_000;
const CHANGES = 2_100;

describe('a registry whose line is gone for long', () => {
  let b: JournalBucket;
  beforeEach(async () => {
    b = await JournalBucket.open({ rules: REGISTRY, timings: { maxAgeMs: 50, lookedAtMax: LOOKED_AT } });
    await b.start();
  });
  afterEach(async () => {
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  test(`${CHANGES} held changes are looked at once a look, and all land in the end`, async () => {
    let isGone = true;
    b.chunks.beforeUpload = async () => {
      if (isGone) throw new RemoteError('timeout', 'no answer in time');
    };
    let asked = 0;
    const isUnsent = b.chunks.isUnsent.bind(b.chunks);
    b.chunks.isUnsent = (oid) => {
      asked += 1;
      return isUnsent(oid);
    };
    const chunk = b.chunks.cut(bytesOf('x'.repeat(90)))[0]!;
    const object = {
      ...{ sizeBytes: 90, etag: 'e', lastModifiedMs: 1, meta: {} },
      body: { kind: 'extents' as const, extents: [wholeExtent(chunk)] },
    };
    for (let at = 0; at < CHANGES; at += 100)
      await b.state.append(
        Array.from({ length: 100 }, (_, i) => ({ kind: 'put' as const, key: key(`k${at + i}`), object })),
      );
    b.bucket.committer.flush();
    await until('some looks', () => asked > 1.5 * LOOKED_AT);
    const before = asked;
    const looks = () => Math.ceil((asked - before) / LOOKED_AT);
    expect(b.tree().size).toBe(0);
    isGone = false;
    b.bucket.kick();
    await until('nothing waits', () => b.state.status().pendingChanges === 0);
    expect(b.tree().size).toBe(CHANGES);
    // Some looks more than there are batches; each with every change would be thousands.
    expect(looks()).toBeLessThan(40);
  });
});
