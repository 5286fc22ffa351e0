import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../src/async/clock.js';
import type { Extent } from '../../../src/format/extent.js';
import { toOid } from '../../../src/format/ids.js';
import { BODY_GRACE_MS, BodyStore, EXTENTS_PER_PAGE } from '../../../src/index/body-store.js';
import { Keyspace } from '../../../src/index/keyspace.js';
import { LmdbStore } from '../../../src/index/lmdb-store.js';
import { decodeRecord, encodeRecord } from '../../../src/index/record-codec.js';
import type { ObjectBody } from '../../../src/index/object-record.js';
import { walk } from '../../../src/index/walk.js';

let directory: string;
let store: LmdbStore;
let bodies: BodyStore;
let nowMs: number;
const keys = Keyspace.overlay('b');
const clock: Clock = { nowMs: () => nowMs, steadyMs: () => 0, sleep: async () => {} };

beforeEach(async () => {
  nowMs = 1_000_000;
  directory = await mkdtemp(join(tmpdir(), 'body-store-'));
  store = LmdbStore.open(directory);
  bodies = new BodyStore(store, keys, clock, 'o');
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const oid = (i: number) => toOid(createHash('sha256').update(`${i}`).digest('hex'));
function* extents(count: number): Generator<Extent> {
  for (let i = 0; i < count; i += 1)
    yield { oid: oid(i), chunkLengthBytes: 10, offsetBytes: 0, lengthBytes: 10, volume: 0 };
}
const list = (body: ObjectBody) => {
  if (body.kind !== 'extents') throw new Error('no list');
  return body.list;
};
const collect = async (body: ObjectBody, start: number, end: number) => {
  const all: Extent[] = [];
  for await (const extent of list(body).range(start, end)) all.push(extent);
  return all;
};
const rows = async () => {
  let count = 0;
  for await (const _ of walk(store, Uint8Array.of(0), Uint8Array.of(0xff))) count += 1;
  return count;
};

test.each([1, 64, 65, EXTENTS_PER_PAGE, EXTENTS_PER_PAGE + 1, 2 * EXTENTS_PER_PAGE])(
  'a list of %i extents gives any range of its bytes, the ends clipped',
  async (count) => {
    const prepared = await bodies.prepare({ kind: 'extents', extents: extents(count) });
    await store.commit([], prepared.writes);
    expect(prepared.sizeBytes).toBe(count * 10);
    const body = await bodies.open(prepared.ref, prepared.sizeBytes);
    expect(list(body).count).toBe(count);
    expect(await collect(body, 0, count * 10)).toEqual([...extents(count)]);
    expect(await collect(body, count * 10 - 13, count * 10)).toEqual(
      count === 1
        ? [...extents(1)].map((e) => e)
        : [
            { oid: oid(count - 2), chunkLengthBytes: 10, offsetBytes: 7, lengthBytes: 3, volume: 0 },
            { oid: oid(count - 1), chunkLengthBytes: 10, offsetBytes: 0, lengthBytes: 10, volume: 0 },
          ],
    );
    expect(await collect(body, 3, 5)).toEqual([
      { oid: oid(0), chunkLengthBytes: 10, offsetBytes: 3, lengthBytes: 2, volume: 0 },
    ]);
    expect(await collect(body, 5, 5)).toEqual([]);
    expect(await collect(body, count * 10, count * 10 + 5)).toEqual([]);
  },
);

test('a list across pages is read across their border', async () => {
  const count = EXTENTS_PER_PAGE + 100;
  const prepared = await bodies.prepare({ kind: 'extents', extents: extents(count) });
  await store.commit([], prepared.writes);
  const border = EXTENTS_PER_PAGE * 10;
  const body = await bodies.open(prepared.ref, prepared.sizeBytes);
  expect(
    (await collect(body, border - 5, border + 5)).map((e) => [e.oid, e.offsetBytes, e.lengthBytes]),
  ).toEqual([
    [oid(EXTENTS_PER_PAGE - 1), 5, 5],
    [oid(EXTENTS_PER_PAGE), 0, 5],
  ]);
});

test('a list that is missing pages is an error, never a short answer', async () => {
  const prepared = await bodies.prepare({ kind: 'extents', extents: extents(100) });
  const body = await bodies.open(prepared.ref, prepared.sizeBytes);
  await expect(collect(body, 0, 1000)).rejects.toMatchObject({ code: 'corrupt' });
});

test('small bytes stand in the record, larger ones in a row of their own', async () => {
  const small = await bodies.prepare({ kind: 'plain', bytes: new Uint8Array(1024) });
  expect(small.writes).toEqual([]);
  const large = await bodies.prepare({ kind: 'plain', bytes: new Uint8Array(1025).fill(7) });
  await expect(bodies.open(large.ref, 1025)).rejects.toMatchObject({ code: 'corrupt' });
  await store.commit([], large.writes);
  const body = await bodies.open(large.ref, 1025);
  expect(body.kind === 'plain' && body.bytes.every((b) => b === 7)).toBe(true);
});

test('a discarded body is there for its readers until the grace time is over, then gone', async () => {
  const plain = await bodies.prepare({ kind: 'plain', bytes: new Uint8Array(5000) });
  const long = await bodies.prepare({ kind: 'extents', extents: extents(EXTENTS_PER_PAGE + 70) });
  await store.commit([], [...plain.writes, ...long.writes]);
  await store.commit([], [...bodies.discard(plain.ref), ...bodies.discard(long.ref)]);
  expect(await bodies.sweep()).toBe(0);
  expect(await collect(await bodies.open(long.ref, long.sizeBytes), 0, 10)).toHaveLength(1);
  nowMs += BODY_GRACE_MS + 1;
  expect(await bodies.sweep()).toBe(2);
  expect(await rows()).toBe(0);
});

test('pages of a list that no commit ever named are swept', async () => {
  await bodies.prepare({ kind: 'extents', extents: extents(EXTENTS_PER_PAGE * 2 + 1) });
  expect(await rows()).toBe(3);
  nowMs += BODY_GRACE_MS + 1;
  expect(await bodies.sweep()).toBe(1);
  expect(await rows()).toBe(0);
});

test('a list that was committed is not swept', async () => {
  const prepared = await bodies.prepare({ kind: 'extents', extents: extents(EXTENTS_PER_PAGE + 1) });
  await store.commit([], prepared.writes);
  nowMs += BODY_GRACE_MS * 2;
  expect(await bodies.sweep()).toBe(0);
  expect(await collect(await bodies.open(prepared.ref, prepared.sizeBytes), 0, 1e9)).toHaveLength(
    EXTENTS_PER_PAGE + 1,
  );
});

test.each([
  ['in the record', 1000],
  ['in a row', 5000],
])(
  'invariant 3: a bit that rots in bytes that stand %s is found when they are read',
  async (_, sizeBytes) => {
    const prepared = await bodies.prepare({ kind: 'plain', bytes: new Uint8Array(sizeBytes).fill(7) });
    await store.commit([], prepared.writes);
    const { ref } = prepared;
    const row = decodeRecord(
      encodeRecord({ sizeBytes, etag: 'e', lastModifiedMs: 1, meta: {}, body: ref }),
    ).body;
    expect(await bodies.open(row, sizeBytes)).toMatchObject({ kind: 'plain' });
    const rotten = new Uint8Array(sizeBytes).fill(7);
    rotten[500] = 6;
    if (ref.kind !== 'plain' || row.kind !== 'plain') throw new Error('no plain body');
    if (ref.at) await store.commit([], [{ key: ref.at, value: rotten }]);
    await expect(bodies.open(ref.at ? row : { ...row, bytes: rotten }, sizeBytes)).rejects.toMatchObject({
      code: 'corrupt',
    });
  },
);

test('bytes that an older version wrote have no hash and are read as they are', async () => {
  const bytes = new Uint8Array(10).fill(3);
  const old = encodeRecord({
    sizeBytes: 10,
    etag: 'e',
    lastModifiedMs: 1,
    meta: {},
    body: { kind: 'plain', bytes },
  });
  expect(await bodies.open(decodeRecord(old).body, 10)).toEqual({ kind: 'plain', bytes: Buffer.from(bytes) });
});
