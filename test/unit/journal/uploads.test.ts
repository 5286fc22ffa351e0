import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Packr } from 'msgpackr';
import { toOid, type ObjectKey } from '../../../src/format/ids.js';
import { StorageError } from '../../../src/index/errors.js';
import { Keyspace } from '../../../src/index/keyspace.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { JournaledUploads } from '../../../src/journal/journaled-uploads.js';
import type { Admits } from '../../../src/journal/room.js';
import { newUploadId, type UploadStore } from '../../../src/journal/upload-store.js';
import { BucketGate, GatedUploads } from '../../../src/buckets/gate.js';
import { uploadStoreContract } from '../../contract/upload-store.js';

const keys = Keyspace.overlay('bucket');

async function opened(wrap: (uploads: UploadStore) => UploadStore = (u) => u, admits?: Admits) {
  const directory = await mkdtemp(join(tmpdir(), 'uploads-'));
  let store = LmdbStore.open(directory);
  const uploads = () => wrap(new JournaledUploads(store, keys, admits));
  return {
    uploads: uploads(),
    store,
    reopen: async () => {
      await store.close();
      store = LmdbStore.open(directory);
      return uploads();
    },
    close: async () => {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

uploadStoreContract('JournaledUploads', () => opened());
uploadStoreContract('GatedUploads', () =>
  opened((uploads) => new GatedUploads(uploads, new BucketGate('images'))),
);

const key = 'a/b' as ObjectKey;
const uploadId = newUploadId(1_700_000_000_000);

/** As versions before wrote them: maps, in which a map of the user with that name stood as pairs. */
test('an upload that an earlier version began is read, goes on and ends', async () => {
  const f = await opened();
  const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  const under = (table: 'upload' | 'part', ...bytes: number[]) => keys.key(table, Buffer.from(bytes));
  const text = (of: string) => [...Buffer.from(of)];
  const times = { initiatedMs: 1, touchedMs: 2 };
  const extents = [
    {
      ...{ oid: toOid('b'.repeat(64)), chunkLengthBytes: 5, offsetBytes: 1, lengthBytes: 4, volume: 0 },
    },
  ];
  const part = { partNumber: 258, sizeBytes: 4, etag: 'e', lastModifiedMs: 3, extents };
  const old = {
    ...{ key, uploadId, ...times, checksumAlgorithm: 'CRC32', checksumType: 'FULL_OBJECT' },
    meta: { contentType: 'x/y', userMetadata: [['__proto__', 'p']], tags: { t: 'v' } },
  };
  const doneId = newUploadId(5);
  const done = { key, etag: 'e-1', partsDigest: 'd', completedMs: 9 };
  await f.store.commit(
    [],
    [
      { key: under('upload', 0, ...text(key), 0, ...text(uploadId)), value: packr.pack(old) },
      { key: under('part', ...text(uploadId), 0, 1, 2), value: packr.pack(part) },
      { key: under('upload', 1, ...text(doneId)), value: packr.pack(done) },
    ],
  );
  const open = (await f.uploads.find(key, uploadId))!;
  expect(open).toMatchObject({ key, uploadId, ...times, checksumAlgorithm: 'CRC32' });
  expect(Object.entries(open.meta.userMetadata!)).toEqual([['__proto__', 'p']]);
  expect(open.meta).toMatchObject({ contentType: 'x/y', tags: { t: 'v' } });
  expect(await f.uploads.parts(uploadId, 0, 9)).toEqual([part]);
  expect(await f.uploads.completed(doneId)).toEqual(done);
  expect(await f.uploads.page('', undefined, 9)).toEqual([open]);

  expect(await f.uploads.putPart(open, { ...part, partNumber: 1 }, 7)).toBe(true);
  const completion = (upload: typeof open) => ({ upload, completed: { ...done, completedMs: 10 } });
  expect(await f.uploads.complete(completion(open))).toBe(false);
  expect(await f.uploads.complete(completion((await f.uploads.find(key, uploadId))!))).toBe(true);
  expect(await f.uploads.parts(uploadId, 0, 9)).toEqual([]);
  await f.close();
});

test('a row that is damaged, or of a newer version, is told as that', async () => {
  const f = await opened();
  await f.uploads.create({ key, uploadId, initiatedMs: 1, touchedMs: 1, meta: {} });
  const [row] = await f.store.page(keys.key('upload'), keys.end('upload'), 1);
  for (const value of [new Packr().pack([2, key]), new Packr().pack(7), Buffer.from([0xc1])]) {
    await f.store.commit([], [{ key: row!.key, value }]);
    await expect(f.uploads.find(key, uploadId)).rejects.toThrow(StorageError);
  }
  await f.close();
});

test('where the disk has no room for clients nothing is written, and what is there can end', async () => {
  let isFull = false;
  const f = await opened(undefined, async () => !isFull);
  const upload = { key, uploadId, initiatedMs: 1, touchedMs: 1, meta: {} };
  await f.uploads.create(upload);
  isFull = true;
  const full = { code: 'disk-full' };
  const part = { partNumber: 1, sizeBytes: 0, etag: 'e', lastModifiedMs: 1, extents: [] };
  await expect(f.uploads.create({ ...upload, uploadId: newUploadId(2) })).rejects.toMatchObject(full);
  await expect(f.uploads.putPart(upload, part, 1)).rejects.toMatchObject(full);
  await f.uploads.remove(upload);
  expect(await f.uploads.page('', undefined, 9)).toEqual([]);
  await f.close();
});
