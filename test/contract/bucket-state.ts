/** What every BucketState must do (src/journal/bucket-state.ts); run by the journaled bucket and by its gate. */
import type { Extent } from '../../src/format/extent.js';
import type { ObjectKey } from '../../src/format/ids.js';
import type { NewBody, NewObject } from '../../src/index/object-record.js';
import type { AppendOptions, BucketState, Change } from '../../src/journal/bucket-state.js';
import { newUploadId } from '../../src/journal/upload-store.js';
import { seededBytes } from '../support/bytes.js';
import { CONDITION_LIMIT_MS } from '../support/time-limits.js';

/** A bucket of preset generic without objects, that commits only when it is asked to. */
export interface BucketStateFixture {
  readonly state: BucketState;
  /** Whole chunks of these bytes, stored; more than one for 250 bytes. */
  cut(bytes: Uint8Array): readonly Extent[];
  /** Somebody else writes objects of the branch, or deletes them. */
  byOthers(files: Readonly<Record<string, string | null>>): void;
  /** Gitee answers nothing from now on, or does again. */
  setAway(isAway: boolean): void;
  /** Gitee refuses whatever writes this key, or does no more. */
  refuse(key: ObjectKey | undefined): void;
  close(): Promise<void>;
}

const key = (text: string) => text as ObjectKey;
const bytesOf = (text: string) => new TextEncoder().encode(text);
const signal = new AbortController().signal;
const LONG = { timeoutMs: CONDITION_LIMIT_MS, signal };

export function bucketStateContract(name: string, start: () => Promise<BucketStateFixture>): void {
  describe(`${name} as a BucketState`, () => {
    let f: BucketStateFixture;
    let state: BucketState;
    beforeEach(async () => {
      f = await start();
      state = f.state;
    });
    afterEach(async () => {
      f.setAway(false);
      await f.close();
    });

    const put = (of: string, content: string | Uint8Array = of, fields: Partial<NewObject> = {}): Change => {
      const bytes = typeof content === 'string' ? bytesOf(content) : content;
      const body: NewBody =
        bytes.length <= 64 ? { kind: 'plain', bytes } : { kind: 'extents', extents: f.cut(bytes) };
      const object = {
        ...{ sizeBytes: bytes.length, etag: `etag of ${of}`, lastModifiedMs: 1_700_000_000_000, meta: {} },
        ...fields,
        body,
      };
      return { kind: 'put', key: key(of), object };
    };
    const remove = (of: string): Change => ({ kind: 'delete', key: key(of) });
    const append = async (changes: readonly Change[], options?: AppendOptions) => {
      const seq = await state.append(changes, options);
      if (seq === undefined) throw new Error('nothing was written');
      return seq;
    };
    const land = async (...changes: Change[]) =>
      expect(await state.waitLanded(await append(changes), LONG)).toBe(true);
    const keys = async (start = '', end?: string, limit = 100) =>
      (await state.page(start, end === undefined ? undefined : bytesOf(end), limit)).map((item) => item.key);
    const text = async (of: string): Promise<string | undefined> => {
      const record = await state.get(key(of));
      const body = record && (await state.openBody(record));
      return body?.kind === 'plain' ? Buffer.from(body.bytes).toString() : undefined;
    };
    const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
      const found: T[] = [];
      for await (const item of items) found.push(item);
      return found;
    };

    test('what was appended is there at once, with all that was said of it', async () => {
      expect(await state.get(key('a'))).toBeUndefined();
      const fields: Partial<NewObject> = {
        meta: { contentType: 'a/b', userMetadata: { ['__proto__']: 'x' }, tags: { t: 'v' } },
        checksum: { algorithm: 'CRC32', type: 'FULL_OBJECT', value: 'AAAAAA==' },
        partSizesBytes: [1],
      };
      await append([put('a', 'x', fields)]);
      expect(await state.get(key('a'))).toMatchObject({ sizeBytes: 1, etag: 'etag of a', ...fields });
      expect(await text('a')).toBe('x');
      await append([put('a', 'y')]);
      expect(await text('a')).toBe('y');
      await append([remove('a')]);
      expect(await state.get(key('a'))).toBeUndefined();
    });

    test('numbers grow, and changes of one call are all there', async () => {
      const first = await append([put('a'), put('b'), remove('never')]);
      expect(await append([put('c')])).toBeGreaterThan(first);
      expect(await keys()).toEqual(['a', 'b', 'c']);
    });

    test('extents are walked in order, clipped to what is asked', async () => {
      const extents = f.cut(seededBytes(1, 250));
      expect(extents.length).toBeGreaterThan(1);
      await append([put('a', seededBytes(1, 250))]);
      const body = await state.openBody((await state.get(key('a')))!);
      if (body.kind !== 'extents') throw new Error('the body is not in chunks');
      expect(body.list.sizeBytes).toBe(250);
      expect(await all(body.list.range(0, 250))).toEqual(extents);
      const clipped = await all(body.list.range(10, extents[0]!.lengthBytes + 5));
      expect(clipped.map((e) => [e.oid, e.offsetBytes, e.lengthBytes])).toEqual([
        [extents[0]!.oid, 10, extents[0]!.lengthBytes - 10],
        [extents[1]!.oid, 0, 5],
      ]);
    });

    test('a page is in the order of UTF-8 bytes over what has landed and what has not', async () => {
      const names = ['b', '\u{1f600}', 'a', '\ue000', 'a/1'];
      await land(...names.slice(0, 3).map((of) => put(of)));
      await append(names.slice(3).map((of) => put(of)));
      const order = ['a', 'a/1', 'b', '\ue000', '\u{1f600}'];
      expect(await keys()).toEqual(order);
      expect(await keys('', undefined, 2)).toEqual(order.slice(0, 2));
      expect(await keys('a/1', '\ue000')).toEqual(['a/1', 'b']);
      expect(await keys('b\0')).toEqual(order.slice(3));
      await append([remove('b'), remove('a/1')]);
      expect(await keys('', undefined, 2)).toEqual(['a', '\ue000']);
    });

    test('an upload ends with the changes of the same call, or none of it is written', async () => {
      const { uploads } = state;
      const made = { key: key('a'), uploadId: newUploadId(1), initiatedMs: 1, touchedMs: 1, meta: {} };
      await uploads.create(made);
      const part = { partNumber: 1, sizeBytes: 1, etag: 'p', lastModifiedMs: 1, extents: [] };
      const early = (await uploads.find(made.key, made.uploadId))!;
      await uploads.putPart(made, part, 1);
      const upload = (await uploads.find(made.key, made.uploadId))!;
      const completed = { key: key('a'), etag: 'e', partsDigest: 'd', completedMs: 2 };
      expect(await state.append([put('a')], { completes: { upload: early, completed } })).toBeUndefined();
      expect(await keys()).toEqual([]);
      expect(await uploads.parts(made.uploadId, 0, 9)).toEqual([part]);
      await append([put('a')], { completes: { upload, completed } });
      expect(await keys()).toEqual(['a']);
      expect(await uploads.completed(made.uploadId)).toEqual(completed);
      expect(await uploads.parts(made.uploadId, 0, 9)).toEqual([]);
      expect(await state.append([put('b')], { completes: { upload, completed } })).toBeUndefined();
      expect(await keys()).toEqual(['a']);
    });

    describe('towards Gitee', () => {
      test('a change is pending until it has landed, and then no more', async () => {
        f.setAway(true);
        const seq = await append([put('a')]);
        expect(await state.changeState(key('a'))).toMatchObject({ seq, state: 'pending' });
        expect(state.status()).toMatchObject({ pendingChanges: 1, pendingBytes: 1, head: null });
        expect(await state.waitLanded(seq, { timeoutMs: 20, signal })).toBe(false);
        f.setAway(false);
        expect(await state.waitLanded(seq, LONG)).toBe(true);
        expect(await state.changeState(key('a'))).toBeUndefined();
        expect(state.setAsideAs(seq)).toBeUndefined();
        expect(state.status()).toMatchObject({ pendingChanges: 0, pendingBytes: 0, ready: true });
        expect(state.status().head).not.toBeNull();
        expect(await text('a')).toBe('a');
      });

      test('who waits may go away', async () => {
        f.setAway(true);
        const seq = await append([put('a')]);
        const stop = new AbortController();
        const reason = new Error('enough');
        const waiting = state.waitLanded(seq, { ...LONG, signal: stop.signal });
        stop.abort(reason);
        await expect(waiting).rejects.toBe(reason);
      });

      test('a look at the branch brings what others had written', async () => {
        await land(put('mine'));
        const look = () => state.lookAtBranch({ ...LONG, followMs: CONDITION_LIMIT_MS });
        expect(await look()).toBe('seen');
        f.byOthers({ theirs: 'x', mine: null });
        expect(await look()).toBe('seen');
        expect(await keys()).toEqual(['theirs']);
      });

      test('a look while Gitee is away is unknown, and ends with its signal', async () => {
        f.setAway(true);
        const short = { timeoutMs: 20, followMs: 20 };
        expect(await state.lookAtBranch({ ...short, signal })).toBe('unknown');
        const reason = new Error('enough');
        const looking = state.lookAtBranch({ ...short, signal: AbortSignal.abort(reason) });
        await expect(looking).rejects.toBe(reason);
      });

      test('what Gitee refuses for good is set aside, and can be tried again', async () => {
        f.refuse(key('a'));
        const seq = await append([put('a')]);
        expect(await state.waitLanded(seq, LONG)).toBe(true);
        expect(state.setAsideAs(seq)).toBe('newest');
        expect(await state.changeState(key('a'))).toMatchObject({ state: 'quarantined' });
        expect(state.status()).toMatchObject({ pendingChanges: 0, quarantinedChanges: 1 });
        expect(await text('a')).toBe('a');
        f.refuse(undefined);
        const again = await state.retrySetAside(key('a'));
        expect(again).toBeGreaterThan(seq);
        expect(await state.waitLanded(again!, LONG)).toBe(true);
        expect(state.setAsideAs(again!)).toBeUndefined();
        expect(await state.retrySetAside(key('a'))).toBeUndefined();
      });
    });

    test('local keys never land, and go when they are old and not kept', async () => {
      await append([put('local/a'), put('local/b')], { local: true });
      expect(await state.changeState(key('local/a'))).toMatchObject({ state: 'local' });
      expect(state.status().pendingChanges).toBe(0);
      const keysSince = async (ms: number) => (await all(state.localKeysSince(ms))).sort();
      expect(await keysSince(0)).toEqual(['local/a', 'local/b']);
      expect(await keysSince(Number.MAX_SAFE_INTEGER)).toEqual([]);
      expect(await state.expireLocalKeys(0, () => false)).toBe(0);
      const isKept = (of: ObjectKey) => of === 'local/b';
      expect(await state.expireLocalKeys(Number.MAX_SAFE_INTEGER, isKept)).toBe(1);
      expect(await keys()).toEqual(['local/b']);
    });

    test('chunks are named by the overlay, then by the branch', async () => {
      const bytes = seededBytes(2, 250);
      const oids = f.cut(bytes).map(({ oid }) => oid as string);
      const other = f.cut(seededBytes(3, 100))[0]!.oid;
      const overlay = async () => new Set((await all(state.overlayExtents())).map(({ oid }) => oid));
      f.setAway(true);
      const seq = await append([put('a', bytes)]);
      expect(await overlay()).toEqual(new Set(oids));
      expect(await state.namedOnBranch(new Set([...oids, other]))).toEqual(new Set());
      f.setAway(false);
      await state.waitLanded(seq, LONG);
      expect(await overlay()).toEqual(new Set());
      expect(await state.namedOnBranch(new Set([...oids, other]))).toEqual(new Set(oids));
    });
  });
}
