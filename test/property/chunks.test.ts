import fc from 'fast-check';
import { BodyDigests } from '../../src/chunks/digests.js';
import type { Chunk, Extent } from '../../src/format/extent.js';
import { bytesOf, ChunkBench, listOf, listOfChunks } from '../support/chunk-bench.js';
import { rounds } from '../support/rounds.js';
import { Reservation } from '../../src/space/reservation.js';

describe('properties of the chunk store', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start({
      limits: { chunkSizeBytes: 64, eagerFromBytes: 40, spoolSoftBytes: 1 << 30, spoolHardBytes: 1 << 30 },
    });
  });
  afterEach(() => bench.remove());

  const cutAt = (body: Buffer, cuts: readonly number[]): Buffer[] => {
    const at = [...new Set([0, ...cuts.map((c) => c % (body.length + 1)), body.length])].sort(
      (a, b) => a - b,
    );
    return at.slice(1).map((end, i) => body.subarray(at[i], end));
  };

  test('a body gives the same chunks and digests however it arrives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 400 }),
        fc.array(fc.nat({ max: 400 }), { maxLength: 12 }),
        fc.nat({ max: 100 }),
        async (lengthBytes, cuts, keepUpToBytes) => {
          const body = bytesOf(lengthBytes, lengthBytes);
          const options = {
            digests: ['sha256', 'crc64nvme', 'crc32c'] as const,
            signal: new AbortController().signal,
          };
          const ingest = (runs: Buffer[]) =>
            bench.chunks.ingest(
              (async function* () {
                yield* runs;
              })(),
              Reservation.granted({ keepUpToBytes }),
              options,
            );
          const whole = await ingest([body]);
          const split = await ingest(cutAt(body, cuts));
          expect(split).toEqual(whole);
          const digests = new BodyDigests(options.digests);
          digests.update(body);
          expect(whole.digests).toEqual(digests.finish());
          const bytes = whole.bytes ?? (await bench.read(listOf(whole.extents)));
          expect(Buffer.from(bytes).equals(body)).toBe(true);
        },
      ),
      { numRuns: rounds(60) },
    );
  });

  test('any sequence of extents normalises to the same bytes, whole chunks only, and to itself again', async () => {
    const extent = fc.record({
      seed: fc.integer({ min: 1, max: 12 }),
      lengthBytes: fc.integer({ min: 1, max: 90 }),
      from: fc.nat({ max: 89 }),
      upTo: fc.nat({ max: 89 }),
      whole: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(extent, { maxLength: 10 }), async (parts) => {
        const extents: Extent[] = [];
        const expected: Buffer[] = [];
        for (const p of parts) {
          const body = bytesOf(p.seed, p.lengthBytes);
          // Longer than chunk_size as well: made by an earlier configuration.
          const chunk = bench.remote.seed(body);
          const a = p.whole ? 0 : Math.min(p.from, p.upTo) % p.lengthBytes;
          const b = p.whole ? p.lengthBytes : a + 1 + (p.upTo % (p.lengthBytes - a));
          extents.push({
            oid: chunk.oid,
            chunkLengthBytes: chunk.sizeBytes,
            offsetBytes: a,
            lengthBytes: b - a,
            volume: 0,
          });
          expected.push(body.subarray(a, b));
        }
        const collect = async (list: ReturnType<typeof listOf>) => {
          const out: Chunk[] = [];
          for await (const chunk of bench.chunks.normalise(list)) out.push(chunk);
          return out;
        };
        const list = listOf(extents);
        const once = await collect(list);
        expect((await bench.read(listOfChunks(...once))).equals(Buffer.concat(expected))).toBe(true);
        if (list.sizeBytes > 0 && list.sizeBytes <= 64) expect(once.length).toBe(1);
        expect(await collect(listOfChunks(...once))).toEqual(once);
      }),
      { numRuns: rounds(60) },
    );
  });

  test('any range of any object is exactly its bytes', async () => {
    const parts = [30, 64, 1, 90, 17].map((lengthBytes, i) => bytesOf(i + 1, lengthBytes));
    const body = Buffer.concat(parts);
    const list = listOfChunks(...parts.map((p) => bench.remote.seed(p)));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: body.length }), fc.nat({ max: body.length }), async (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        expect((await bench.read(list, start, end)).equals(body.subarray(start, end))).toBe(true);
      }),
      { numRuns: rounds(60) },
    );
  });
});
