/** What every UploadStore must do (src/journal/upload-store.ts); run by that of the journal and by its gate. */
import { toOid, type ObjectKey } from '../../src/format/ids.js';
import {
  nameOfUpload,
  newUploadId,
  type CompletedUpload,
  type OpenUpload,
  type Upload,
  type UploadedPart,
  type UploadStore,
} from '../../src/journal/upload-store.js';

export interface UploadStoreFixture {
  readonly uploads: UploadStore;
  /** The same after a stop. */
  reopen(): Promise<UploadStore>;
  close(): Promise<void>;
}

const key = (text: string) => text as ObjectKey;
const extent = {
  ...{ oid: toOid('a'.repeat(64)), chunkLengthBytes: 2 ** 40, offsetBytes: 7, lengthBytes: 9, volume: 3 },
};

export function uploadStoreContract(name: string, start: () => Promise<UploadStoreFixture>): void {
  describe(`${name} as an UploadStore`, () => {
    let f: UploadStoreFixture;
    let uploads: UploadStore;
    let startedMs = 1_700_000_000_000;
    beforeEach(async () => {
      f = await start();
      uploads = f.uploads;
    });
    afterEach(() => f.close());

    const upload = (of: string, fields: Partial<Upload> = {}): Upload => {
      startedMs += 1;
      return {
        ...{ key: key(of), uploadId: newUploadId(startedMs), initiatedMs: startedMs },
        ...{ touchedMs: startedMs, meta: {}, ...fields },
      };
    };
    const create = async (of: string, fields?: Partial<Upload>): Promise<OpenUpload> => {
      const made = upload(of, fields);
      await uploads.create(made);
      return found(made);
    };
    const found = async ({ key, uploadId }: Upload): Promise<OpenUpload> => {
      const open = await uploads.find(key, uploadId);
      if (!open) throw new Error('there is no such upload');
      return open;
    };
    const part = (partNumber: number, fields: Partial<UploadedPart> = {}): UploadedPart => ({
      ...{
        partNumber,
        sizeBytes: 9,
        etag: `e${partNumber}`,
        lastModifiedMs: 5,
        extents: [extent],
        ...fields,
      },
    });
    const completed = (of: Upload, fields: Partial<CompletedUpload> = {}): CompletedUpload => ({
      ...{ key: of.key, etag: 'etag', partsDigest: 'digest', completedMs: 8, ...fields },
    });
    const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
      const list: T[] = [];
      for await (const item of items) list.push(item);
      return list;
    };

    test('what is kept comes back exactly, also after a stop', async () => {
      const meta = {
        ...{ contentType: 'a/b', cacheControl: '', storageClass: 'GLACIER' },
        userMetadata: { ['__proto__']: 'x', __proto_: 'y', constructor: 'z', length: '1' },
        tags: { ['__proto__']: '\u{1f600}' },
      };
      const fields: Partial<Upload> = { meta, checksumAlgorithm: 'SHA256', checksumType: 'COMPOSITE' };
      const plain = upload('a\0b');
      const full = upload('a\0b', fields);
      const sent = [
        part(1),
        part(10_000, { checksum: { algorithm: 'MD5', type: 'FULL_OBJECT', value: '=' } }),
      ];
      for (const made of [plain, full]) await uploads.create(made);
      for (const each of sent) expect(await uploads.putPart(full, each, 99)).toBe(true);
      uploads = await f.reopen();
      expect(await found(plain)).toEqual({ ...plain, revision: expect.any(Number) });
      const again = await found(full);
      expect(again).toEqual({ ...full, touchedMs: 99, revision: expect.any(Number) });
      expect(Object.entries(again.meta.userMetadata!)).toEqual(Object.entries(meta.userMetadata));
      expect(Object.entries(again.meta.tags!)).toEqual(Object.entries(meta.tags));
      expect(await uploads.parts(full.uploadId, 0, 10)).toEqual(sent);
      expect(await uploads.part(full.uploadId, 10_000)).toEqual(sent[1]);
    });

    test('an upload is found by its key and its id only', async () => {
      const { uploadId } = await create('a');
      expect(await uploads.find(key('b'), uploadId)).toBeUndefined();
      for (const id of ['', 'x', '../a', uploadId.slice(1), newUploadId(0)])
        expect(await uploads.find(key('a'), id)).toBeUndefined();
    });

    test('uploads are in the order of keys, those of one key in the order of their start', async () => {
      const made: OpenUpload[] = [];
      for (const each of ['b', 'a', '\u{1f600}', '\ue000', 'a', 'a/1']) made.push(await create(each));
      const order = [1, 4, 5, 0, 3, 2].map((i) => made[i]!);
      expect(await uploads.page('', undefined, 10)).toEqual(order);
      expect(await all(uploads.all())).toEqual(order);
      expect(await uploads.page('', undefined, 2)).toEqual(order.slice(0, 2));
      expect(await uploads.page(`${nameOfUpload(order[0]!)}\0`, Buffer.from('b'), 9)).toEqual(
        order.slice(1, 3),
      );
      expect(await uploads.page('b', Buffer.from('a'), 9)).toEqual([]);
    });

    test('a part takes the place of one with its number, and each put is seen in the upload', async () => {
      const before = await create('a');
      for (const number of [2, 1, 300]) await uploads.putPart(before, part(number), 50);
      await uploads.putPart(before, part(2, { etag: 'new', extents: [] }), 50);
      const numbers = async (after: number, limit: number) =>
        (await uploads.parts(before.uploadId, after, limit)).map(({ partNumber }) => partNumber);
      expect(await numbers(0, 10)).toEqual([1, 2, 300]);
      expect(await numbers(1, 1)).toEqual([2]);
      expect(await numbers(300, 10)).toEqual([]);
      for (const none of [65_534, 65_535, 65_536, 2 ** 31]) expect(await numbers(none, 10)).toEqual([]);
      expect(await uploads.part(before.uploadId, 2)).toMatchObject({ etag: 'new', extents: [] });
      expect(await uploads.part(before.uploadId, 3)).toBeUndefined();
      expect(await found(before)).toMatchObject({ touchedMs: 50, revision: before.revision + 4 });
    });

    test('parts that are put at once are all there', async () => {
      const open = await create('a');
      const numbers = Array.from({ length: 20 }, (_, i) => i + 1);
      await Promise.all(numbers.map((number) => uploads.putPart(open, part(number), 1)));
      expect(await uploads.parts(open.uploadId, 0, 99)).toHaveLength(20);
      expect((await found(open)).revision).toBe(open.revision + 20);
    });

    test('an end holds for the upload as it was read, and takes all that was of it', async () => {
      const early = await create('a');
      const other = await create('a');
      for (const each of [early, other]) await uploads.putPart(each, part(1), 1);
      expect(await uploads.complete({ upload: early, completed: completed(early) })).toBe(false);
      expect(await uploads.completed(early.uploadId)).toBeUndefined();
      const open = await found(early);
      const checksum = { algorithm: 'SHA1', type: 'COMPOSITE', value: 'v-1' } as const;
      const done = completed(open, { checksum });
      expect(await uploads.complete({ upload: open, completed: done })).toBe(true);
      expect(await uploads.completed(open.uploadId)).toEqual(done);
      expect(await uploads.find(open.key, open.uploadId)).toBeUndefined();
      expect(await uploads.parts(open.uploadId, 0, 9)).toEqual([]);
      expect(await uploads.putPart(open, part(2), 2)).toBe(false);
      expect(await uploads.complete({ upload: open, completed: done })).toBe(false);
      expect(await all(uploads.allParts())).toEqual([part(1)]);
      expect(await all(uploads.all())).toEqual([await found(other)]);
    });

    test('of ends at once exactly one holds', async () => {
      const open = await create('a');
      const ends = ['x', 'y', 'z'].map((etag) =>
        uploads.complete({ upload: open, completed: completed(open, { etag }) }),
      );
      const held = await Promise.all(ends);
      expect(held.filter(Boolean)).toHaveLength(1);
      expect((await uploads.completed(open.uploadId))!.etag).toBe(['x', 'y', 'z'][held.indexOf(true)]);
    });

    test('an upload that is removed leaves nothing, and its neighbours alone', async () => {
      const [first, gone, last] = [await create('a'), await create('a'), await create('a')];
      for (const each of [first, gone, last])
        for (const number of [1, 0xff, 0x100, 10_000]) await uploads.putPart(each, part(number), 1);
      await uploads.remove(gone);
      await uploads.remove(gone);
      expect(await uploads.find(gone.key, gone.uploadId)).toBeUndefined();
      expect(await uploads.parts(gone.uploadId, 0, 9)).toEqual([]);
      expect(await uploads.putPart(gone, part(1), 1)).toBe(false);
      expect(await all(uploads.allParts())).toHaveLength(8);
    });

    test('what was completed is forgotten by the time of its start', async () => {
      const [old, young] = [await create('a'), await create('b')];
      for (const each of [old, young]) await uploads.complete({ upload: each, completed: completed(each) });
      await uploads.expireCompleted(young.initiatedMs);
      expect(await uploads.completed(old.uploadId)).toBeUndefined();
      expect(await uploads.completed(young.uploadId)).toEqual(completed(young));
    });
  });
}
