import { RemoteError } from '../../../src/gitee/errors.js';
import { wholeExtent } from '../../../src/format/extent.js';
import { BucketGate, GatedState } from '../../../src/buckets/gate.js';
import { bucketStateContract, type BucketStateFixture } from '../../contract/bucket-state.js';
import { JournalBucket } from '../../support/journal-bucket.js';

async function journaled(): Promise<BucketStateFixture> {
  const b = await JournalBucket.open({ timings: { maxAgeMs: 3_600_000 } });
  await b.start();
  const away = new RemoteError('unreachable', 'Gitee is away');
  return {
    state: b.state,
    cut: (bytes) => b.chunks.cut(bytes).map(wholeExtent),
    byOthers: (files) => {
      b.repository.foreignCommit(files);
    },
    setAway: (isAway) => {
      b.remote.heal();
      if (isAway)
        for (const call of ['fetch', 'push'] as const) b.remote.fail(call, away, Number.POSITIVE_INFINITY);
    },
    refuse: (key) => {
      b.remote.refuse = (path) => (path === key ? new RemoteError('content-refused', 'not that') : undefined);
    },
    close: async () => {
      expect(b.fatal).toEqual([]);
      await b.remove();
    },
  };
}

bucketStateContract('JournaledBucket', journaled);
bucketStateContract('GatedState', async () => {
  const inner = await journaled();
  return { ...inner, state: new GatedState(inner.state, new BucketGate('images')) };
});
