/** The vectors of docs/storage-format.md for what stands in a tree: read in one go, and followed file by file. */
import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { META_FILE_BYTES_MAX, TIME_MS_MAX } from '../../../src/format/bounds.js';
import { decodeMeta, encodeMeta, type MetaDocument } from '../../../src/format/meta.js';
import type { CommitId } from '../../../src/format/ids.js';
import { changesBetween } from '../../../src/index/apply-diff.js';
import { KeyIndex } from '../../../src/index/key-index.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { fillBase } from '../../../src/index/rebuild.js';
import { GENERIC, key, REGISTRY } from '../../support/journal-bucket.js';
import { MemoryHeadRemote, MemoryRepository } from '../../support/memory-head-remote.js';

interface Vector {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly object?: { readonly plain?: string; readonly chunkSizes?: readonly number[] };
  readonly damaged?: boolean;
}
const vectors = JSON.parse(readFileSync('test/fixtures/format/objects.json', 'utf8')) as Vector[];

async function withIndex<T>(use: (index: KeyIndex) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'object-files-'));
  const index = await KeyIndex.open(LmdbStore.open(directory), systemClock);
  try {
    return await use(index);
  } finally {
    await index.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function follow(
  repository: MemoryRepository,
  index: KeyIndex,
  head: CommitId,
  rules = GENERIC,
): Promise<void> {
  const known = async function* () {
    const record = await index.get('k');
    if (record) yield { record, body: await index.openBody(record) };
  };
  const remote = new MemoryHeadRemote(repository);
  const from = index.marker?.head ?? null;
  const changes = changesBetween({ remote, rules, log: silentLog, known }, from, head);
  await index.apply(changes, { head, landedSeq: 0 });
}

function rebuild(
  repository: MemoryRepository,
  index: KeyIndex,
  head: CommitId,
  rules = GENERIC,
): Promise<void> {
  const remote = new MemoryHeadRemote(repository);
  return fillBase({ remote, rules, log: silentLog, onProgress: () => {} }, index, { head, landedSeq: 0 });
}

/** What the index says of key `k`, as the vectors do. */
async function seen(index: KeyIndex): Promise<Pick<Vector, 'object' | 'damaged'>> {
  const record = await index.get('k');
  const damaged = (await index.damage(key('k'))) !== undefined;
  expect(index.damagedCount).toBe(damaged ? 1 : 0);
  if (!record) return damaged ? { damaged } : {};
  const body = await index.openBody(record);
  if (body.kind === 'plain') return { object: { plain: Buffer.from(body.bytes).toString() } };
  const chunkSizes: number[] = [];
  for await (const { chunkLengthBytes } of body.list.range(0, record.sizeBytes))
    chunkSizes.push(chunkLengthBytes);
  return { object: { chunkSizes } };
}

test.each(vectors)('$name', async ({ name: _, files, ...expected }) => {
  const repository = new MemoryRepository();
  const before = repository.foreignCommit({ k: 'before', other: 'o' });
  const head = repository.foreignCommit({ k: null, ...files });
  await withIndex(async (index) => {
    await rebuild(repository, index, head);
    expect(await seen(index)).toEqual(expected);
    expect(await index.get('other')).toBeDefined();
  });
  await withIndex(async (index) => {
    await follow(repository, index, before);
    await follow(repository, index, head);
    expect(await seen(index)).toEqual(expected);
    // One file after the other, as a client of git may push them; then all of them go.
    const one = repository.foreignCommit(Object.fromEntries(Object.keys(files).map((path) => [path, null])));
    await follow(repository, index, one);
    expect(await seen(index)).toEqual({});
    for (const [path, content] of Object.entries(files))
      await follow(repository, index, repository.foreignCommit({ [path]: content }));
    expect(await seen(index)).toEqual(expected);
  });
});

test('a plain file that is too large is damage, whichever way it is read', async () => {
  const repository = new MemoryRepository();
  const first = repository.foreignCommit({ other: 'o' });
  const head = repository.foreignCommit({ k: new Uint8Array(16 * 1024 * 1024 + 1), 'k%object': 'object' });
  const later = repository.foreignCommit({ '.gateway/meta/k%meta': '{}' });
  await withIndex(async (index) => {
    await follow(repository, index, first);
    for (const commit of [head, later]) {
      await follow(repository, index, commit);
      expect(await seen(index)).toEqual({ damaged: true });
    }
  });
  await withIndex(async (index) => {
    await rebuild(repository, index, later);
    expect(await seen(index)).toEqual({ damaged: true });
  });
});

const GOOD: MetaDocument = {
  etag: 'abc-2',
  lastModifiedMs: 5,
  meta: {},
  partSizesBytes: [1, 0],
  describes: { blobId: '8fe5e3b0e5c1ef1b1d5d4b5d1a2c3d4e5f607182', sizeBytes: 1 },
};
const change = (fields: object) => decodeMeta(Buffer.from(JSON.stringify({ ...GOOD, ...fields })));

test('metadata out of bounds is no metadata', () => {
  expect(change({})).toEqual(GOOD);
  expect(change({ lastModifiedMs: TIME_MS_MAX })).toBeDefined();
  for (const lastModifiedMs of [TIME_MS_MAX + 1, 8.64e15 + 1, -1, 1.5, '5'])
    expect(change({ lastModifiedMs })).toBeUndefined();
  for (const etag of ['a\r\nSet-Cookie: b', 'a"', 'a b', 'é', '', '\u0000', 'x'.repeat(257)])
    expect(change({ etag })).toBeUndefined();
  for (const partSizesBytes of [[2], [2 ** 48], [1, -1, 1], Array(10_001).fill(0)])
    expect(change({ partSizesBytes })).toBeUndefined();
  for (const partChecksums of [['AAAA'], ['AAAA', 'a\r\nb'], ['AAAA', 1], 'AAAA'])
    expect(change({ partChecksums })).toBeUndefined();
  expect(change({ partChecksums: ['AAAA', 'AAAB'] })).toBeDefined();
  for (const value of ['a\r\nb', '', 'é'])
    expect(change({ checksum: { algorithm: 'SHA1', type: 'COMPOSITE', value } })).toBeUndefined();
  const padded = Buffer.concat([encodeMeta(GOOD), Buffer.alloc(META_FILE_BYTES_MAX, ' ')]);
  expect(decodeMeta(padded)).toBeUndefined();
});

test('the largest document that the gateway writes is within the bounds', () => {
  const oids = Array.from({ length: 1000 }, () => 'a'.repeat(64));
  const partSizesBytes = Array.from({ length: 10_000 }, () => 5 * 1024 ** 3);
  const sizeBytes = partSizesBytes.reduce((a, b) => a + b, 0);
  const value = '\u0001'.repeat(16 * 1024);
  const doc = {
    ...GOOD,
    meta: { contentType: value, userMetadata: { a: value } },
    partSizesBytes,
    describes: { oids, sizeBytes },
  };
  expect(decodeMeta(encodeMeta(doc))).toEqual(doc);
});

test('metadata beside a key that has none is not believed', async () => {
  const name = 'docker/registry/v2/repositories/a/_manifests/tags/v1/current/link';
  const content = 'sha256:0';
  const meta = (blobId: string) =>
    encodeMeta({
      etag: 'lie',
      lastModifiedMs: 1,
      meta: { contentType: 'lie' },
      describes: { blobId, sizeBytes: 8 },
    });
  const repository = new MemoryRepository(() => 7000);
  const first = repository.foreignCommit({ other: 'o' });
  const file = { [name]: content };
  const remote = new MemoryHeadRemote(repository);
  const plain = repository.foreignCommit(file);
  let blobId = '';
  for await (const { path, blobId: id } of remote.files(plain)) if (path === name) blobId = id;
  const head = repository.foreignCommit({ [`.gateway/meta/${name}%meta`]: meta(blobId) });
  const etags: (string | undefined)[] = [];
  await withIndex(async (index) => {
    await follow(repository, index, first, REGISTRY);
    await follow(repository, index, head, REGISTRY);
    etags.push((await index.get(name))?.etag);
    expect((await index.get(name))?.meta).toEqual({});
  });
  await withIndex(async (index) => {
    await rebuild(repository, index, head, REGISTRY);
    etags.push((await index.get(name))?.etag);
    expect((await index.get(name))?.lastModifiedMs).toBe(7000);
  });
  expect(etags[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(etags[1]).toBe(etags[0]);
});

test('a commit date that nobody can write down is no date, and nothing of it stays', async () => {
  for (const claimed of [1e300, Infinity, NaN, -5, 2 ** 53 * 1000]) {
    let nowMs = 1000;
    const repository = new MemoryRepository(() => nowMs);
    const first = repository.foreignCommit({ other: 'o' });
    nowMs = claimed;
    const head = repository.foreignCommit({ k: '1' });
    nowMs = 3000;
    const later = repository.foreignCommit({ k: '2' });
    await withIndex(async (index) => {
      await follow(repository, index, first);
      await follow(repository, index, head);
      expect((await index.get('k'))?.lastModifiedMs).toBe(0);
      await follow(repository, index, later);
      expect((await index.get('k'))?.lastModifiedMs).toBe(3000);
    });
    await withIndex(async (index) => {
      await rebuild(repository, index, head);
      expect((await index.get('k'))?.lastModifiedMs).toBe(0);
      expect((await index.get('other'))?.lastModifiedMs).toBe(1000);
    });
  }
});
