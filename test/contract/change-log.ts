/** What every ChangeLog must do, with its claims, its identity and its uploads (src/journal/change-log.ts). */
import type { CommitId, ObjectKey } from '../../src/format/ids.js';
import type { Change } from '../../src/journal/bucket-state.js';
import type { BucketLog, ChangeLog, ChangeLogs } from '../../src/journal/change-log.js';
import { SeqSet } from '../../src/journal/seq-set.js';
import { newUploadId } from '../../src/journal/upload-store.js';

export interface ChangeLogFixture {
  /** The log of this bucket, of the same state each time; what was open of it before is open no more. */
  open(bucket?: string): Promise<BucketLog>;
  readonly logs: () => ChangeLogs;
  close(): Promise<void>;
}

const key = (text: string) => text as ObjectKey;
const commit = (digit: string) => digit.repeat(40) as CommitId;
const bytesOf = (text: string) => new TextEncoder().encode(text);

export function changeLogContract(name: string, start: () => Promise<ChangeLogFixture>): void {
  describe(`${name} as a ChangeLog`, () => {
    let f: ChangeLogFixture;
    let log: BucketLog;
    let changes: ChangeLog;
    const open = async () => {
      log = await f.open();
      changes = log.changes;
    };
    beforeEach(async () => {
      f = await start();
      await open();
    });
    afterEach(() => f.close());

    const put = (of: string, text = of): Change => ({
      ...{ kind: 'put', key: key(of) },
      object: {
        ...{ sizeBytes: bytesOf(text).length, etag: text, lastModifiedMs: 1, meta: {} },
        body: { kind: 'plain', bytes: bytesOf(text) },
      },
    });
    const remove = (of: string): Change => ({ kind: 'delete', key: key(of) });
    const append = async (...list: Change[]) => (await changes.append(list))!;
    const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
      const found: T[] = [];
      for await (const item of items) found.push(item);
      return found;
    };
    const pending = async () => (await all(changes.entries(Infinity))).map(({ seq, key: of }) => [seq, of]);
    const counts = () => [
      ...[changes.pendingCount, changes.pendingBytes],
      ...[changes.quarantinedCount, changes.quarantinedBytes],
    ];
    const setAside = async (seq: number, hide = false) =>
      changes.quarantine((await changes.entry(seq))!, { code: 'no', message: 'not that' }, hide);

    test('a call takes a number for each change, and what it wrote is there after a stop', async () => {
      expect(await append(put('a'), put('b', 'bb'), remove('c'))).toBe(changes.lastSeq);
      const { lastSeq } = changes;
      const before = await pending();
      expect(before).toEqual([
        [lastSeq - 2, 'a'],
        [lastSeq - 1, 'b'],
        [lastSeq, 'c'],
      ]);
      expect(counts()).toEqual([3, 3, 0, 0]);
      await open();
      expect(await pending()).toEqual(before);
      expect(counts()).toEqual([3, 3, 0, 0]);
      expect([changes.lastSeq, changes.closableSeq, changes.floorSeq]).toEqual([
        lastSeq,
        lastSeq,
        lastSeq - 3,
      ]);
      expect(await append(put('d'))).toBeGreaterThan(lastSeq);
    });

    test('calls of one key that are made at once take effect in the order of the calls, each with its numbers', async () => {
      const calls = Array.from({ length: 60 }, (_, i) => changes.append([put('same', `${i}`), put(`k${i}`)]));
      const lasts = (await Promise.all(calls)) as number[];
      expect(lasts).toEqual([...lasts].sort((a, b) => a - b));
      expect(new Set((await pending()).map(([seq]) => seq)).size).toBe(120);
      const order = (await all(changes.entries(Infinity))).filter((entry) => entry.key === 'same');
      expect(order.map(({ record }) => record!.etag)).toEqual(calls.map((_, i) => `${i}`));
      expect((await changes.newest('same'))!.record!.etag).toBe('59');
      expect(changes.closableSeq).toBe(changes.lastSeq);
    });

    test('the newest of a key is what was appended last, and a page of them is in the order of bytes', async () => {
      await append(put('b', '1'), put('\u{1f600}'), put('\ue000'), put('a'));
      await append(put('b', '2'), remove('a'));
      const page = async (start: string, end: string | undefined, limit: number) =>
        (await changes.newestPage(bytesOf(start), end === undefined ? undefined : bytesOf(end), limit)).map(
          ({ key: of, row }) => [of, row.record?.etag],
        );
      const order = [
        ['a', undefined],
        ['b', '2'],
        ['\ue000', '\ue000'],
        ['\u{1f600}', '\u{1f600}'],
      ];
      expect(await page('', undefined, 9)).toEqual(order);
      expect(await page('b', undefined, 2)).toEqual(order.slice(1, 3));
      expect(await page('', 'b', 9)).toEqual(order.slice(0, 1));
      expect((await all(changes.newestRows())).map((row) => row.key)).toEqual(order.map(([of]) => of));
      expect(await changes.newest('x')).toBeUndefined();
    });

    test('bytes are those that were written, of whatever length', async () => {
      const texts = ['', 'x', 'y'.repeat(100_000)];
      await append(...texts.map((text, i) => put(`k${i}`, text)));
      await open();
      for (const [i, text] of texts.entries()) {
        const { record } = (await changes.newest(`k${i}`))!;
        expect(changes.ownsBody(record!)).toBe(true);
        const body = await changes.openBody(record!);
        expect(body.kind === 'plain' && Buffer.from(body.bytes).toString()).toBe(text);
      }
      expect((await changes.unnamedBodies()).problems).toEqual([]);
    });

    test('exactly those that are dropped leave, and what was written since stays for readers', async () => {
      const settled: [number[], number][] = [];
      changes.onSettled = (seqs, floorSeq) => settled.push([seqs.toRow() as number[], floorSeq]);
      const first = await append(put('a', '1'));
      await append(put('b'), put('a', '22'), put('c'));
      await changes.drop(new SeqSet([first, first, first + 3, first + 3]));
      expect(await pending()).toEqual([
        [first + 1, 'b'],
        [first + 2, 'a'],
      ]);
      expect(counts()).toEqual([2, 3, 0, 0]);
      expect(await changes.newest('c')).toBeUndefined();
      expect((await changes.newest('a'))!.record!.etag).toBe('22');
      expect(changes.floorSeq).toBe(first);
      expect([await changes.isPending(first), await changes.isPending(first + 1)]).toEqual([false, true]);
      await changes.drop(SeqSet.range(0, first + 3));
      expect(changes.floorSeq).toBe(first + 3);
      expect(settled.map(([, floorSeq]) => floorSeq)).toEqual([first, first + 3]);
      expect([await pending(), await all(changes.newestRows()), counts()]).toEqual([[], [], [0, 0, 0, 0]]);
    });

    test('local keys have numbers and wait for nothing', async () => {
      const base = await append(put('a'));
      const local = async (...list: Change[]) => (await changes.append(list, { local: true }))!;
      expect(await local(put('u/1'), put('u/2'))).toBe(base + 2);
      expect([await pending(), changes.lastPendingSeq]).toEqual([[[base, 'a']], base]);
      expect(await changes.newest('u/1')).toMatchObject({ state: 'local' });
      await local(remove('u/1'));
      expect(await changes.newest('u/1')).toBeUndefined();
      await changes.append([remove('u/2')], { local: true, hidesBase: () => true });
      expect(await changes.newest('u/2')).toMatchObject({ state: 'local', record: undefined });
      expect(await changes.expireLocal(Infinity, (of) => of === 'u/2')).toBe(0);
      expect(await changes.expireLocal(Infinity, () => false)).toBe(1);
      expect(await pending()).toEqual([[base, 'a']]);
    });

    test('what is set aside is not pending, counts as that, and can be pending again or go', async () => {
      const seq = await append(put('a', 'abc'));
      expect(await setAside(seq)).toBe(true);
      expect([counts(), await pending()]).toEqual([[0, 0, 1, 3], []]);
      expect(await changes.newest('a')).toMatchObject({ seq, state: 'quarantined' });
      expect([changes.setAsideAs(seq), await changes.isSetAside(key('a'))]).toEqual(['newest', true]);
      await open();
      expect(counts()).toEqual([0, 0, 1, 3]);
      const again = (await changes.retrySetAside({ key: key('a'), seq }))!;
      expect(again).toBeGreaterThan(seq);
      expect([counts(), await pending()]).toEqual([[1, 3, 0, 0], [[again, 'a']]]);
      expect(changes.triedAgainUpToSeq).toBeGreaterThanOrEqual(again);
      expect(await changes.retrySetAside({ key: key('a'), seq })).toBeUndefined();
      await setAside(again);
      expect(await changes.unshowSetAside({ key: key('a'), seq: again }, false)).toBe(true);
      expect([counts(), await changes.newest('a')]).toEqual([[0, 0, 0, 0], undefined]);
    });

    test('a key that is written anew is set aside no more', async () => {
      const seq = await append(put('a', 'abc'));
      await setAside(seq);
      const newer = await append(put('a', 'x'));
      expect([counts(), await changes.setAsideRow(key('a'))]).toEqual([[1, 1, 0, 0], undefined]);
      expect(await changes.newest('a')).toMatchObject({ seq: newer, state: 'pending' });
    });

    test('changes and the end of an upload are written together, or neither', async () => {
      const made = { key: key('a'), uploadId: newUploadId(1), initiatedMs: 1, touchedMs: 1, meta: {} };
      await log.uploads.create(made);
      const upload = (await log.uploads.find(made.key, made.uploadId))!;
      const completed = { key: key('a'), etag: 'e', partsDigest: 'd', completedMs: 2 };
      const completes = { upload, completed };
      const ends = await Promise.all(
        [put('a', '1'), put('a', '2')].map((c) => changes.append([c], { completes })),
      );
      expect(ends.filter((seq) => seq !== undefined)).toHaveLength(1);
      expect(await changes.append([put('b')], { completes })).toBeUndefined();
      expect([(await pending()).length, await changes.newest('b')]).toEqual([1, undefined]);
      expect(await log.uploads.completed(made.uploadId)).toEqual(completed);
    });

    test('a claim is there after a stop, and with its landing exactly its changes leave', async () => {
      const first = await append(put('a'), put('b'), put('c'));
      const claim = await log.claims.make(
        commit('1'),
        new SeqSet([first - 2, first - 2, first, first]),
        first - 2,
      );
      await open();
      expect(log.claims.undecided).toEqual([claim]);
      expect(log.identity.attemptedSeq).toBe(first - 2);
      expect(log.claims.find(claim.id)).toEqual(claim);
      const next = await log.claims.make(null, SeqSet.range(first - 1, first - 1), first);
      expect(next.number).toBeGreaterThan(claim.number);
      expect(log.claims.find(`${next.number}-${'0'.repeat(24)}`)).toBe('unknown');
      await log.claims.bury([next]);
      await log.claims.land([claim]);
      expect(await pending()).toEqual([[first - 1, 'b']]);
      await open();
      expect(log.claims.undecided).toEqual([]);
      expect(log.claims.find(claim.id)).toMatchObject({ state: 'landed' });
      expect(log.claims.find(next.id)).toMatchObject({ state: 'dead' });
    });

    test('each opening is an epoch of its own under the same id, until it becomes somebody else', async () => {
      const { epoch, id, isNew } = log.identity;
      await append(put('a'));
      await log.identity.setFrozen({ code: 'diverged', reason: 'r', sinceMs: 1, head: commit('2') });
      await open();
      expect([log.identity.id, isNew, log.identity.isNew]).toEqual([id, true, false]);
      expect(log.identity.epoch).toBeGreaterThan(epoch);
      expect(log.identity.frozen).toMatchObject({ code: 'diverged', head: commit('2') });
      expect(log.identity.runs).toHaveLength(2);
      const claim = await log.claims.make(null, SeqSet.range(1, 1), 1);
      await log.claims.land([claim], { carriesRuns: true });
      expect(log.identity.runs).toHaveLength(1);
      await log.identity.renew();
      await log.claims.forgetAll();
      expect([log.identity.id === id, log.claims.isEmpty, log.identity.attemptedSeq]).toEqual([
        false,
        true,
        0,
      ]);
    });

    test('logs of buckets know nothing of each other, and one is wiped without the others', async () => {
      await append(put('a'));
      const other = await f.open('buckets');
      await other.changes.append([put('b'), put('c')]);
      expect((await all(other.changes.newestRows())).map((row) => row.key)).toEqual(['b', 'c']);
      await f.logs().wipe('bucket');
      await f.logs().wipe('bucket');
      await open();
      expect([changes.lastSeq, await pending(), log.identity.isNew]).toEqual([0, [], true]);
      expect((await f.open('buckets')).changes.pendingCount).toBe(2);
    });
  });
}
