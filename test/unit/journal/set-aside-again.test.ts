/** In which order what was set aside is tried again; and who asks is heard, whatever goes on at the moment. */
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { silentLog } from '../../../src/async/log.js';
import type { ObjectKey } from '../../../src/format/ids.js';
import type { QuarantineRow } from '../../../src/journal/overlay-rows.js';
import { SetAsideAgain } from '../../../src/journal/set-aside-again.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { until } from '../../support/child.js';
import { key } from '../../support/journal-bucket.js';
import { blobPath, layerLinkPath, tagPath } from '../../support/journal-images.js';

test('what others rest on is tried first, and deletions last, in whichever order it was set aside', async () => {
  const layer = 'ab'.repeat(32);
  const manifest = 'cd'.repeat(32);
  // The layer was written again, and refused again, after the first tag.
  const record = {};
  const rows = [
    { key: key(blobPath('ef'.repeat(32))), seq: 1, shown: true, record: undefined },
    { key: key(tagPath('a', 'v1')), seq: 5, shown: true, record },
    { key: key(blobPath(manifest)), seq: 3, shown: true, record },
    { key: key(layerLinkPath('a', layer)), seq: 2, shown: true, record },
    { key: key(blobPath(layer)), seq: 9, shown: true, record },
    { key: key('another file'), seq: 1, shown: true, record },
    { key: key(tagPath('b', 'v1')), seq: 4, shown: false, record },
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
    clock: new ManualClock(),
    log: silentLog,
    registryRoot: '',
  });
  again.atStart();
  await until('all were tried', () => tried.length === 6);
  await again.stop();
  expect(tried).toEqual([
    'another file',
    blobPath(manifest),
    blobPath(layer),
    layerLinkPath('a', layer),
    tagPath('a', 'v1'),
    blobPath('ef'.repeat(32)),
  ]);
});

/** One change is set aside, and again as soon as it was tried. A try lasts until it is let go. */
function bench() {
  const row = { code: 'chunk-refused', key: key('a'), seq: 1, shown: true } as QuarantineRow;
  const ours = ['chunk-missing', 'chunk-corrupt', 'not-committable'].map(
    (code) => ({ code, key: key(code), seq: 2, shown: true }) as QuarantineRow,
  );
  const tries: (() => void)[] = [];
  let fails = false;
  let hasOurs = false;
  const clock = new ManualClock();
  const again = new SetAsideAgain({
    journal: {
      quarantinedCount: 1,
      quarantinedRows: async function* () {
        if (fails) throw new Error('unreadable');
        yield row;
        if (hasOurs) yield* ours;
      },
    },
    state: {
      retrySetAside: (_key: ObjectKey) => new Promise((resolve) => tries.push(() => resolve(2))),
    },
    condition: { frozen: undefined },
    clock,
    log: silentLog,
    random: () => 0.5,
    registryRoot: '',
  });
  return { again, tries, clock, fail: (isSo: boolean) => (fails = isSo), addOurs: () => (hasOurs = true) };
}

test('who asks while everything is tried again is not overheard: all of it is tried once more, after that', async () => {
  const { again, tries } = bench();
  again.atStart();
  await setImmediate();
  expect(tries).toHaveLength(1);
  again.now();
  again.now();
  await setImmediate();
  expect(tries).toHaveLength(1);
  tries[0]!();
  await setImmediate();
  expect(tries).toHaveLength(2);
  tries[1]!();
  await setImmediate();
  expect(tries).toHaveLength(2);
  again.now();
  await setImmediate();
  expect(tries).toHaveLength(3);
  tries[2]!();
  await again.stop();
});

test('also where the run that it came into fails', async () => {
  const { again, tries, fail } = bench();
  fail(true);
  again.atStart();
  again.now();
  fail(false);
  await setImmediate();
  expect(tries).toHaveLength(1);
  tries[0]!();
  await again.stop();
});

test('what could not be tried after a start is tried when the branch is read the next time, once', async () => {
  const { again, tries, fail } = bench();
  fail(true);
  again.atStart();
  await setImmediate();
  fail(false);
  again.atStart();
  await setImmediate();
  expect(tries).toHaveLength(1);
  tries[0]!();
  await setImmediate();
  again.atStart();
  await setImmediate();
  expect(tries).toHaveLength(1);
  await again.stop();
});

test('what Gitee refuses is tried by itself an hour after it was tried last, as long as there is any', async () => {
  const { again, tries, clock, addOurs } = bench();
  again.atStart();
  await setImmediate();
  tries[0]!();
  await setImmediate();
  // Nothing that happens at Gitee mends these.
  addOurs();
  for (let hour = 1; hour <= 3; hour += 1) {
    clock.advance(3_599_999);
    await setImmediate();
    expect(tries).toHaveLength(hour);
    clock.advance(1);
    await setImmediate();
    expect(tries).toHaveLength(hour + 1);
    // It takes a while, which is no part of the pause.
    clock.advance(60_000);
    tries[hour]!();
    await setImmediate();
  }
  await again.stop();
  expect(clock.sleepers).toBe(0);
});

test('nothing is tried after a stop', async () => {
  const { again, tries } = bench();
  again.atStart();
  await setImmediate();
  again.now();
  const stopped = again.stop();
  tries[0]!();
  await stopped;
  again.now();
  await setImmediate();
  expect(tries).toHaveLength(1);
});
