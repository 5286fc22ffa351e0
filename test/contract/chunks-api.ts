/** What every ChunksApi must do (src/chunks/api.ts); run by the store of a bucket, its gate and the one in memory. */
import { createHash } from 'node:crypto';
import {
  ChunkError,
  type ChunkErrorCode,
  type ChunksApi,
  type DigestName,
  type IngestOptions,
} from '../../src/chunks/api.js';
import { isWholeChunk, wholeExtent, type Chunk, type Extent } from '../../src/format/extent.js';
import type { Oid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { AskedBody } from '../../src/space/reservation.js';
import { lentRuns, seededBytes } from '../support/bytes.js';
import { listOf, listOfChunks, pieces } from '../support/chunk-bench.js';
import { chunkOf } from './chunk-remote.js';

export interface ChunksApiFixture {
  readonly chunks: ChunksApi;
  /** Longest chunk, 512 bytes or more. */
  readonly chunkSizeBytes: number;
  /** Bytes that Gitee has and this disk has not. */
  seedRemote(bytes: Uint8Array): Promise<Chunk>;
  /** Gitee answers nothing from now on, or does again. */
  setAway(isAway: boolean): void;
  /** Whatever is unsent now was not touched within the grace time. */
  age(): Promise<void>;
  /** Lets time pass until it has settled, where the fixture owns the clock. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Code of the ChunkError with which it must fail. */
async function chunkFailure(promise: Promise<unknown>): Promise<ChunkErrorCode> {
  const error: unknown = await promise.then(
    (value) => new Error(`it resolved with ${String(value)}`),
    (e: unknown) => e,
  );
  if (!(error instanceof ChunkError)) throw error;
  return error.code;
}

async function drain(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const out: Uint8Array[] = [];
  for await (const block of stream) out.push(block as Uint8Array);
  return Buffer.concat(out);
}

const nothing = async (): Promise<ReadonlySet<string>> => new Set();
const oidsOf = (extents: readonly Extent[]) => extents.map(({ oid }) => oid);
const chunksOf = (extents: readonly Extent[]): Chunk[] =>
  extents.map(({ oid, chunkLengthBytes, volume }) => ({ oid, sizeBytes: chunkLengthBytes, volume }));

export function chunksApiContract(name: string, start: () => Promise<ChunksApiFixture>): void {
  describe(`${name} as a ChunksApi`, () => {
    let f: ChunksApiFixture;
    let chunks: ChunksApi;
    beforeEach(async () => {
      f = await start();
      chunks = f.chunks;
    });
    afterEach(async () => {
      f.setAway(false);
      await f.close();
    });

    const bytesOf = (chunkShare: number, seed = 1) =>
      seededBytes(seed, Math.round(f.chunkSizeBytes * chunkShare));
    const { signal } = new AbortController();
    const ingest = (
      body: AsyncIterable<Uint8Array>,
      { keepUpToBytes = -1, ...options }: Partial<IngestOptions & AskedBody> = {},
    ) =>
      f.settle(
        chunks
          .reserve({ keepUpToBytes }, signal)
          .then((room) => chunks.ingest(body, room, { digests: [], signal, ...options })),
      );
    const put = async (bytes: Uint8Array) => (await ingest(pieces(bytes))).extents;
    const read = (extents: readonly Extent[], startBytes = 0, endBytes = listOf(extents).sizeBytes) =>
      f.settle(drain(chunks.read(listOf(extents), startBytes, endBytes)));
    const normalised = async (extents: readonly Extent[]) => {
      const all: Chunk[] = [];
      const run = async () => {
        for await (const chunk of chunks.normalise(listOf(extents))) all.push(chunk);
      };
      await f.settle(run());
      return all;
    };

    describe('ingest', () => {
      test('gives whole chunks, none too long, whose bytes are those of the body', async () => {
        const body = bytesOf(3.5);
        const { bytes, extents, sizeBytes } = await ingest(pieces(body.subarray(0, 100), body.subarray(100)));
        expect([bytes, sizeBytes]).toEqual([undefined, body.length]);
        expect(extents.every(isWholeChunk)).toBe(true);
        expect(Math.max(...extents.map((e) => e.lengthBytes))).toBeLessThanOrEqual(f.chunkSizeBytes);
        expect((await read(extents)).equals(body)).toBe(true);
        for (const chunk of chunksOf(extents)) expect(chunks.hasCopy(chunk)).toBe(true);
      });

      test.each([
        ['up to keepUpToBytes comes back as bytes and makes no chunk', 100, true],
        ['of one byte more makes chunks', 101, false],
      ])('a body %s', async (_what, lengthBytes, isKept) => {
        f.setAway(true); // nothing is sent meanwhile
        const body = seededBytes(2, lengthBytes);
        const { bytes, extents, sizeBytes } = await ingest(pieces(body), { keepUpToBytes: 100 });
        expect([bytes && Buffer.from(bytes).equals(body), sizeBytes]).toEqual([
          isKept ? true : undefined,
          lengthBytes,
        ]);
        expect(extents).toHaveLength(isKept ? 0 : 1);
        expect(chunks.stats().unsentChunks).toBe(isKept ? 0 : 1);
      });

      test('of nothing has no extents', async () => {
        expect(await ingest(pieces())).toMatchObject({ sizeBytes: 0, extents: [] });
      });

      test.each([
        ['kept as bytes', 1000],
        ['in chunks', -1],
      ])('computes what digests it is asked for (%s)', async (_how, keepUpToBytes) => {
        const body = seededBytes(3, 700);
        const digests: readonly DigestName[] = ['md5', 'sha256', 'crc32', 'crc64nvme'];
        const found = (await ingest(pieces(body), { digests, keepUpToBytes })).digests;
        expect([...found.keys()].sort()).toEqual([...digests].sort());
        for (const hash of ['md5', 'sha256'] as const)
          expect(Buffer.from(found.get(hash)!)).toEqual(createHash(hash).update(body).digest());
        expect([found.get('crc32')?.length, found.get('crc64nvme')?.length]).toEqual([4, 8]);
      });

      test.each([
        ['kept as bytes', 1000],
        ['in chunks', -1],
      ])(
        'needs a run of the body no more when it asks for the next one (%s)',
        async (_how, keepUpToBytes) => {
          const body = seededBytes(5, 900);
          const { bytes, extents, digests } = await ingest(lentRuns(body, 70), {
            ...{ keepUpToBytes, digests: ['md5'] },
          });
          expect(Buffer.from(bytes ?? (await read(extents))).equals(body)).toBe(true);
          expect(Buffer.from(digests.get('md5')!)).toEqual(createHash('md5').update(body).digest());
        },
      );

      test('an error of the body is passed on as it is', async () => {
        const broken = new Error('the client went away');
        const body = (async function* () {
          yield bytesOf(0.5);
          throw broken;
        })();
        await expect(ingest(body)).rejects.toBe(broken);
      });

      test('is aborted by its signal, while the body stalls', async () => {
        const stop = new AbortController();
        const stalled: AsyncIterable<Uint8Array> = {
          [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
        };
        const running = ingest(stalled, { signal: stop.signal });
        stop.abort(new Error('enough'));
        expect(await chunkFailure(running)).toBe('aborted');
      });
    });

    test('what is known of a body stands in its reservation', async () => {
      const room = await f.settle(chunks.reserve({ lengthBytes: 7, keepUpToBytes: 3 }, signal));
      expect(room.take()).toEqual({ lengthBytes: 7, keepUpToBytes: 3 });
      chunks.demandSpace(1);
    });

    test('a reservation is for one body: a second one is refused, and not read', async () => {
      const room = await f.settle(chunks.reserve({ keepUpToBytes: -1 }, signal));
      const options = { digests: [], signal };
      await f.settle(chunks.ingest(pieces(bytesOf(1)), room, options));
      const second: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => {
          throw new Error('it is read');
        },
      };
      await expect(f.settle(chunks.ingest(second, room, options))).rejects.toMatchObject({
        code: 'broken-invariant',
      });
    });

    test('store makes one chunk, of 1 to chunk_size bytes', async () => {
      const body = bytesOf(1);
      const chunk = await chunks.store(body);
      expect(chunk).toEqual(chunkOf(body));
      expect((await read([wholeExtent(chunk)])).equals(body)).toBe(true);
      await expect(chunks.store(new Uint8Array(0))).rejects.toThrow(RangeError);
      await expect(chunks.store(new Uint8Array(f.chunkSizeBytes + 1))).rejects.toThrow(RangeError);
    });

    describe('read', () => {
      test('gives exactly the bytes of a range, across chunks and of parts of them', async () => {
        const body = bytesOf(3);
        const extents = await put(body);
        const size = f.chunkSizeBytes;
        for (const [from, to] of [
          [0, 1],
          [size - 3, size + 3],
          [5, 5],
          [size * 3, size * 3],
          [size * 3 - 1, size * 3],
        ] as const)
          expect((await read(extents, from, to)).equals(body.subarray(from, to))).toBe(true);
        const part: Extent = { ...extents[1]!, offsetBytes: 7, lengthBytes: 100 };
        expect((await read([part])).equals(body.subarray(size + 7, size + 107))).toBe(true);
      });

      test.each([
        ['behind the end', 0, 101],
        ['that ends before it begins', 5, 4],
        ['before the start', -1, 4],
      ])('refuses a range %s at once', async (_what, from, to) => {
        const extents = await put(seededBytes(4, 100));
        expect(() => chunks.read(listOf(extents), from, to)).toThrow(RangeError);
      });

      test('what this disk has not comes from Gitee', async () => {
        const body = bytesOf(0.8);
        const chunk = await f.seedRemote(body);
        expect((await read([wholeExtent(chunk)])).equals(body)).toBe(true);
      });

      test('while Gitee is away the stream says so, and gives what is here', async () => {
        const here = await put(bytesOf(0.5));
        const there = wholeExtent(await f.seedRemote(bytesOf(0.5, 2)));
        f.setAway(true);
        const isAway = /^remote-(unavailable|down)$/;
        expect(await chunkFailure(read([there]))).toMatch(isAway);
        expect(await chunkFailure(read([...here, there]))).toMatch(isAway);
        expect(await read(here)).toHaveLength(here[0]!.lengthBytes);
      });

      test('a chunk that is nowhere is missing, by name', async () => {
        const { oid, sizeBytes } = chunkOf(bytesOf(0.5, 9));
        expect(await chunkFailure(read([wholeExtent({ oid, sizeBytes, volume: 0 })]))).toBe('missing');
      });

      test('extents that give fewer bytes than the object has are an error, not an early end', async () => {
        const short = listOf(await put(seededBytes(4, 100)));
        const list = { ...short, sizeBytes: 101, range: short.range };
        expect(await chunkFailure(f.settle(drain(chunks.read(list, 0, 101))))).toBe('corrupt');
      });

      test('an aborted reader is told so', async () => {
        const stop = new AbortController();
        stop.abort(new Error('enough'));
        const list = listOf(await put(seededBytes(4, 100)));
        expect(await chunkFailure(f.settle(drain(chunks.read(list, 0, 100, stop.signal))))).toBe('aborted');
      });
    });

    describe('normalise', () => {
      test('leaves whole chunks as they are', async () => {
        const extents = await put(bytesOf(3));
        expect(await normalised(extents)).toEqual(chunksOf(extents));
      });

      test('cuts parts of chunks anew: whole chunks, none too long, of the same bytes', async () => {
        const body = bytesOf(3);
        const [a, b, c] = await put(body);
        const half = f.chunkSizeBytes / 2;
        const cut = [
          { ...a!, offsetBytes: 10, lengthBytes: half },
          { ...b!, offsetBytes: 0, lengthBytes: half },
          { ...c!, offsetBytes: 0, lengthBytes: half },
        ];
        const all = await normalised(cut);
        expect((await read(all.map(wholeExtent))).equals(await read(cut))).toBe(true);
        expect(Math.max(...all.map((chunk) => chunk.sizeBytes))).toBeLessThanOrEqual(f.chunkSizeBytes);
        expect(await normalised(all.map(wholeExtent))).toEqual(all);
      });

      test('of an object no longer than a chunk gives exactly one', async () => {
        const [a, b] = [await put(bytesOf(0.3)), await put(bytesOf(0.3, 2))];
        const all = await normalised([...a, ...b]);
        expect(all).toHaveLength(1);
        expect(all[0]!.sizeBytes).toBe(a[0]!.lengthBytes + b[0]!.lengthBytes);
      });
    });

    describe('towards Gitee', () => {
      test('what was stored is unsent until it was sent, and what Gitee has never is', async () => {
        f.setAway(true);
        const extents = await put(bytesOf(2));
        expect(chunks.stats().unsentBytes).toBe(listOf(extents).sizeBytes);
        expect(oidsOf(extents).every((oid) => chunks.isUnsent(oid))).toBe(true);
        f.setAway(false);
        await f.settle(chunks.upload(chunksOf(extents), 'waited'));
        expect(oidsOf(extents).some((oid) => chunks.isUnsent(oid))).toBe(false);
        expect(chunks.stats()).toMatchObject({ unsentBytes: 0, unsentChunks: 0 });
        expect(chunks.isUnsent((await f.seedRemote(bytesOf(0.5, 8))).oid)).toBe(false);
      });

      test('upload and ensureRemote while it is away fail with a RemoteError, and it stays unsent', async () => {
        f.setAway(true);
        const extents = await put(bytesOf(0.5));
        for (const run of [
          () => chunks.upload(chunksOf(extents), 'push'),
          () => chunks.ensureRemote(chunksOf(extents)),
        ])
          await expect(f.settle(run())).rejects.toBeInstanceOf(RemoteError);
        expect(chunks.isUnsent(extents[0]!.oid)).toBe(true);
        expect(await f.settle(chunks.ensureKept(chunksOf(extents)))).toMatchObject({ kind: 'unknown' });
      });

      test('ensureRemote sends what it lacks', async () => {
        const extents = await put(bytesOf(0.5));
        await f.settle(chunks.ensureRemote([...chunksOf(extents), await f.seedRemote(bytesOf(0.4, 7))]));
        expect(chunks.isUnsent(extents[0]!.oid)).toBe(false);
        expect(await f.settle(chunks.ensureKept(chunksOf(extents)))).toEqual({ kind: 'kept' });
      });

      test('what is neither here nor there is named', async () => {
        const nowhere = chunkOf(bytesOf(0.5, 9));
        const here = chunksOf(await put(bytesOf(0.5)));
        await expect(f.settle(chunks.ensureRemote([...here, nowhere]))).rejects.toMatchObject({
          name: 'RemoteError',
          code: 'chunk-missing',
          oids: [nowhere.oid],
        });
        expect(chunks.hasCopy(nowhere)).toBe(false);
        expect(await f.settle(chunks.ensureKept([nowhere]))).toMatchObject({ kind: 'lost' });
      });

      test('of nothing is done at once, also while it is away', async () => {
        f.setAway(true);
        await chunks.upload([], 'waited');
        await chunks.ensureRemote([]);
        expect(await chunks.ensureKept([])).toEqual({ kind: 'kept' });
      });

      test('landed never fails', async () => {
        const [extent] = await put(bytesOf(0.5));
        for (const oid of [extent!.oid, chunkOf(bytesOf(0.5, 9)).oid]) await chunks.landed(oid);
      });
    });

    describe('collect', () => {
      const setOf =
        (...extents: readonly Extent[]) =>
        async () =>
          new Set<string>(oidsOf(extents));
      beforeEach(() => f.setAway(true)); // nothing is sent meanwhile

      test('forgets what is old and nothing names, here or on the branch', async () => {
        const [named] = await put(bytesOf(0.5));
        const [onBranch] = await put(bytesOf(0.5, 2));
        const [unnamed] = await put(bytesOf(0.5, 3));
        await f.age();
        const [fresh] = await put(bytesOf(0.5, 4));
        const removed = await f.settle(chunks.collect(setOf(named!), setOf(onBranch!)));
        expect(removed).toEqual({ removedChunks: 1, removedBytes: unnamed!.lengthBytes });
        expect(chunksOf([named!, onBranch!, unnamed!, fresh!]).map((c) => chunks.hasCopy(c))).toEqual([
          ...[true, true, false, true],
        ]);
      });

      test('spares what a request holds, until it ends', async () => {
        const hold = chunks.hold();
        const { oid } = await chunks.store(bytesOf(0.5), hold);
        hold.add(oid);
        await f.age();
        expect((await chunks.collect(nothing, nothing)).removedChunks).toBe(0);
        hold.end();
        hold.end();
        expect((await chunks.collect(nothing, nothing)).removedChunks).toBe(1);
      });

      test('asks nobody where there is nothing to forget', async () => {
        const never = (_oids: ReadonlySet<string>): Promise<ReadonlySet<string>> =>
          Promise.reject(new Error('asked'));
        expect(await chunks.collect(never, never)).toEqual({ removedChunks: 0, removedBytes: 0 });
      });

      test('nothing is forgotten where it cannot be found out what is named', async () => {
        const [extent] = await put(bytesOf(0.5));
        await f.age();
        const broken = new Error('the index cannot be read');
        await expect(chunks.collect(nothing, () => Promise.reject(broken))).rejects.toBe(broken);
        expect(chunks.hasCopy(chunksOf([extent!])[0]!)).toBe(true);
      });
    });

    test('verifyLocal finds nothing wrong with what is right', async () => {
      await put(bytesOf(1.5));
      const wrong: { oid: string }[] = [];
      for await (const item of chunks.verifyLocal()) wrong.push(item);
      expect(wrong).toEqual([]);
    });

    test('the same bytes twice are one chunk', async () => {
      f.setAway(true); // nothing is sent meanwhile
      const [first] = await put(bytesOf(0.5));
      const second = await chunks.store(bytesOf(0.5));
      expect(second.oid).toBe<Oid>(first!.oid);
      expect(chunks.stats().unsentChunks).toBe(1);
      expect((await read([wholeExtent(second)])).equals(bytesOf(0.5))).toBe(true);
      expect(listOfChunks(second).sizeBytes).toBe(second.sizeBytes);
    });
  });
}
