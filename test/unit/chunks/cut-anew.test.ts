import type { Chunk, Extent } from '../../../src/format/extent.js';
import { wholeExtent } from '../../../src/format/extent.js';
import type { ExtentList } from '../../../src/index/object-record.js';
import { bytesOf, ChunkBench, listOf, listOfChunks, until } from '../../support/chunk-bench.js';

describe('normalising an object for a commit', () => {
  let bench: ChunkBench;
  beforeEach(async () => {
    bench = await ChunkBench.start();
  });
  afterEach(() => bench.remove());

  const normalised = async (list: ExtentList) => {
    const out: Chunk[] = [];
    for await (const chunk of bench.chunks.normalise(list)) out.push(chunk);
    return out;
  };
  const part = (extent: Extent, offsetBytes: number, lengthBytes: number): Extent => ({
    ...extent,
    offsetBytes,
    lengthBytes,
  });
  const sizes = (chunks: readonly Chunk[]) => chunks.map((c) => c.sizeBytes);

  test('whole chunks of a good size and a single short last one stay', async () => {
    const extents = await bench.put(bytesOf(1, 2_500));
    expect((await normalised(listOf(extents))).map(wholeExtent)).toEqual(extents);
  });

  test('an object up to a chunk is exactly one chunk', async () => {
    const a = await bench.put(bytesOf(1, 700));
    const b = await bench.put(bytesOf(2, 324));
    const [chunk, ...rest] = await normalised(listOf([...a, ...b]));
    expect(rest).toEqual([]);
    expect(await bench.read(listOfChunks(chunk!))).toEqual(Buffer.concat([bytesOf(1, 700), bytesOf(2, 324)]));
  });

  test('adjoining short chunks are cut anew together, the good ones around them stay', async () => {
    const good = await bench.put(bytesOf(1, 1_024));
    bench.remote.gates.put.shut();
    const shorts = [];
    for (const seed of [2, 3, 4]) shorts.push(...(await bench.put(bytesOf(seed, 500))));
    const list = listOf([...good, ...shorts, ...good]);
    const chunks = await normalised(list);
    expect(sizes(chunks)).toEqual([1_024, 1_024, 476, 1_024]);
    expect(chunks[0]).toEqual(chunks[3]);
    expect(await bench.read(listOfChunks(...chunks))).toEqual(await bench.read(list));
  });

  test('what a slow line has cut smaller is not cut anew, nor what Gitee has already', async () => {
    bench.remote.gates.put.shut();
    const pieces = [];
    for (const seed of [1, 2, 3]) pieces.push(...(await bench.put(bytesOf(seed, 512))));
    expect((await normalised(listOf(pieces))).map(wholeExtent)).toEqual(pieces);
    bench.remote.gates.put.open();
    const sent = [];
    for (const seed of [4, 5, 6, 7, 8]) sent.push(...(await bench.put(bytesOf(seed, 300))));
    await until(() => bench.chunks.stats().unsentBytes === 0);
    expect((await normalised(listOf(sent))).map(wholeExtent)).toEqual(sent);
  });

  test('a part of a chunk is cut anew', async () => {
    const [a, b] = await bench.put(bytesOf(1, 2_048));
    const list = listOf([part(a!, 100, 924), b!]);
    const chunks = await normalised(list);
    expect(sizes(chunks)).toEqual([924, 1_024]);
    expect(await bench.read(listOfChunks(...chunks))).toEqual(bytesOf(1, 2_048).subarray(100));
  });

  test('chunks larger than the chunk size of today stay as they are', async () => {
    const large = bench.remote.seed(bytesOf(1, 5_000));
    expect(await normalised(listOfChunks(large))).toEqual([large]);
    expect(bench.remote.count('get')).toBe(0);
  });

  test('bytes that read as an LFS pointer become two chunks that do not, and stay so', async () => {
    const text = Buffer.from(
      `\n version https://git-lfs.github.com/spec/v1\noid sha256:${'b'.repeat(64)}\nsize 12345\n`.replace(
        ' ',
        '',
      ),
    );
    const chunks = await normalised(listOf(await bench.put(text)));
    expect(sizes(chunks)).toEqual([4, text.length - 4]);
    expect(await bench.read(listOfChunks(...chunks))).toEqual(text);
    expect(await normalised(listOfChunks(...chunks))).toEqual(chunks);
  });

  test('nothing gives no chunk', async () => {
    expect(await normalised(listOf([]))).toEqual([]);
  });

  test('a full spool does not keep a commit from its chunks', async () => {
    bench.remote.gates.put.shut();
    const extents = await bench.put(bytesOf(1, 128 * 1024));
    await expect(bench.put(bytesOf(2, 10))).rejects.toMatchObject({ code: 'spool-full' });
    const chunks = await normalised(listOf([part(extents[0]!, 1, 1_000), part(extents[1]!, 0, 1_000)]));
    expect(sizes(chunks)).toEqual([1_024, 976]);
  });

  test('extents that give fewer bytes than the object has are corrupt', async () => {
    const extents = await bench.put(bytesOf(1, 2_048));
    const wrong = { ...listOf(extents), sizeBytes: 3_000 };
    await expect(normalised(wrong)).rejects.toMatchObject({ code: 'corrupt' });
  });
});
