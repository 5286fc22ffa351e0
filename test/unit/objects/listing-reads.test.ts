/**
 * What a page of a list reads of the stores, in look-ups and rows: by a delimiter it follows the names that it returns
 * and not the keys below them, wherever these stand.
 */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import type { Change } from '../../../src/journal/bucket-state.js';
import { newUploadId } from '../../../src/journal/upload-store.js';
import { rollUp } from '../../../src/objects/listing.js';
import { listUploads } from '../../../src/objects/upload-listing.js';
import { bytesOf, JournalBucket, key, signal } from '../../support/journal-bucket.js';

const FOLDERS = 20;
const KEYS_EACH = 40;
/** Rows of one store for each name, and for the probes of a page. */
const ROWS_A_NAME = 6;

const folders = (name: string) =>
  Array.from({ length: FOLDERS }, (_, i) => `${name}${String(i).padStart(3, '0')}/`);
const keysOf = (folder: string) => Array.from({ length: KEYS_EACH }, (_, i) => `${folder}${i}`);
const put = (name: string): Change => ({
  kind: 'put',
  key: key(name),
  object: {
    ...{ sizeBytes: 1, etag: 'e', lastModifiedMs: 1, meta: {} },
    body: { kind: 'plain', bytes: bytesOf('x') },
  },
});
const remove = (name: string): Change => ({ kind: 'delete', key: key(name) });

describe('what a list reads', () => {
  let b: JournalBucket;
  let rows = 0;
  let lookUps = 0;
  beforeEach(async () => {
    b = await JournalBucket.open();
    await b.start();
    const { page } = LmdbStore.prototype;
    jest.spyOn(LmdbStore.prototype, 'page').mockImplementation(async function (this: LmdbStore, ...args) {
      const found = await page.apply(this, args);
      lookUps += 1;
      rows += found.length;
      return found;
    });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    expect(b.fatal).toEqual([]);
    await b.remove();
  });

  /** In the base, and in no overlay any more. */
  const land = async (names: readonly string[]) => b.landed((await b.state.append(names.map(put)))!);
  /** From now on nothing is committed. */
  const hold = async () => {
    await b.kill();
    await b.reopen();
    await b.bucket.follower.followOnce(signal);
  };
  const list = async (request: { prefix?: string; delimiter?: string; after?: string; limit?: number }) => {
    rows = 0;
    lookUps = 0;
    const page = await rollUp(
      async (start, end, limit) =>
        (await b.state.page(start, end, limit)).map((item) => ({ key: item.key, item })),
      { prefix: '', limit: 1000, ...request },
    );
    return { names: [...page.items.map((item) => item.key), ...page.commonPrefixes], ...page };
  };

  test('of folders on the branch: some rows for each', async () => {
    await land(folders('f').flatMap(keysOf));
    await hold();
    const { names } = await list({ delimiter: '/' });
    expect(names).toEqual(folders('f'));
    expect(rows).toBeLessThanOrEqual(ROWS_A_NAME * FOLDERS);
    // One of the base and one of the overlay.
    expect(lookUps).toBeLessThanOrEqual(2 * (FOLDERS + 1));
  });

  test('of folders that wait for their commit, beside others and among the same: some rows of each store', async () => {
    await land([...folders('a'), ...folders('f')].flatMap(keysOf));
    await hold();
    await b.state.append([...folders('f'), ...folders('z')].flatMap(keysOf).map(put));
    const { names } = await list({ delimiter: '/' });
    expect(names).toEqual([...folders('a'), ...folders('f'), ...folders('z')]);
    expect(rows).toBeLessThanOrEqual(2 * ROWS_A_NAME * names.length);
    expect(lookUps).toBeLessThanOrEqual(2 * (names.length + 1));
  });

  test('of a folder whose first keys are deleted and wait for their commit: a look-up for each doubling', async () => {
    const [folder] = folders('f') as [string];
    const gone = Array.from({ length: 1500 }, (_, i) => `${folder}${String(i).padStart(4, '0')}`);
    await land([...gone, `${folder}x`, 'z']);
    await hold();
    await b.state.append(gone.map(remove));
    const { names } = await list({ delimiter: '/' });
    expect(names).toEqual(['z', folder]);
    // 2, 4, 8, … 1,000, of two stores.
    expect(lookUps).toBeLessThanOrEqual(2 * 13);
    const flat = await list({ limit: 1 });
    expect(flat.names).toEqual([`${folder}x`]);
    expect(lookUps).toBeLessThanOrEqual(2 * 13);
  });

  test('of plain keys with a delimiter: pages that grow', async () => {
    const names = Array.from({ length: 300 }, (_, i) => String(i).padStart(4, '0'));
    await land(names);
    await hold();
    expect((await list({ delimiter: '/' })).names).toEqual(names);
    expect(rows).toBe(names.length);
    // 2, 8, 32, 128 and the rest.
    expect(lookUps).toBeLessThanOrEqual(2 * 5);
  });

  test('from a marker, and at the end of a page: what is passed over is not read', async () => {
    await land(folders('f').flatMap(keysOf));
    await hold();
    const page = await list({ delimiter: '/', after: 'f010/3', limit: 5 });
    expect(page.commonPrefixes).toEqual(['f011/', 'f012/', 'f013/', 'f014/', 'f015/']);
    expect(page.truncated).toBe(true);
    expect(rows).toBeLessThanOrEqual(ROWS_A_NAME * 6);
    const last = await list({ delimiter: '/', after: 'f018/', limit: 1 });
    expect([last.commonPrefixes, last.truncated]).toEqual([['f019/'], false]);
    expect(rows).toBeLessThanOrEqual(ROWS_A_NAME);
  });

  test('of multipart uploads in folders: some rows for each', async () => {
    const names = folders('f').flatMap((folder) => keysOf(folder));
    await Promise.all(
      names.map((name, i) =>
        b.state.uploads.create({
          ...{ key: key(name), uploadId: newUploadId(1_700_000_000_000 + i) },
          ...{ initiatedMs: 1, touchedMs: 1, meta: {} },
        }),
      ),
    );
    rows = 0;
    lookUps = 0;
    const page = await listUploads(b.state.uploads, { prefix: '', delimiter: '/', limit: 1000 });
    expect(page.commonPrefixes).toEqual(folders('f'));
    expect(rows).toBeLessThanOrEqual(ROWS_A_NAME * FOLDERS);
    expect(lookUps).toBeLessThanOrEqual(FOLDERS + 1);
    const next = await listUploads(b.state.uploads, {
      ...{ prefix: '', delimiter: '/', limit: 1000, keyMarker: 'f017/3' },
    });
    expect(next.commonPrefixes).toEqual(['f018/', 'f019/']);
  });
});
