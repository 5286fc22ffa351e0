/** In which order what was set aside is tried again. */
import { expect, test } from '@jest/globals';
import { silentLog } from '../../../src/async/log.js';
import { SetAsideAgain } from '../../../src/journal/set-aside-again.js';
import { until } from '../../support/child.js';
import { key } from '../../support/journal-bucket.js';
import { blobPath, layerLinkPath, tagPath } from '../../support/journal-images.js';

test('what others rest on is tried first, in whichever order it was set aside', async () => {
  const layer = 'ab'.repeat(32);
  const manifest = 'cd'.repeat(32);
  // The layer was written again, and refused again, after the first tag.
  const rows = [
    { key: key(tagPath('a', 'v1')), seq: 5, shown: true },
    { key: key(blobPath(manifest)), seq: 3, shown: true },
    { key: key(layerLinkPath('a', layer)), seq: 2, shown: true },
    { key: key(blobPath(layer)), seq: 9, shown: true },
    { key: key('another file'), seq: 1, shown: true },
    { key: key(tagPath('b', 'v1')), seq: 4, shown: false },
  ];
  const tried: string[] = [];
  const again = new SetAsideAgain({
    journal: {
      quarantinedCount: rows.length,
      async *quarantinedRows() {
        yield* rows;
      },
    } as never,
    state: {
      retrySetAside: async (each) => {
        tried.push(each);
        return 100 + tried.length;
      },
    },
    condition: {} as never,
    log: silentLog,
    registryRoot: '',
  });
  again.atStart();
  await until('all were tried', () => tried.length === 5);
  await again.stop();
  expect(tried).toEqual([
    'another file',
    blobPath(manifest),
    blobPath(layer),
    layerLinkPath('a', layer),
    tagPath('a', 'v1'),
  ]);
});
