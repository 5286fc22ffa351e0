/** What is unsent counts for everybody who would send: so it is on its way, or Gitee has refused it. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Chunk } from '../../../src/format/extent.js';
import type { Oid } from '../../../src/format/ids.js';
import { RemoteError } from '../../../src/gitee/errors.js';
import { bytesOf, ChunkBench, until } from '../../support/chunk-bench.js';

const GONE: Chunk = { oid: 'f'.repeat(64) as Oid, sizeBytes: 1000, volume: 0 };
const HOUR_MS = 3_600_000;
/** Gitee is asked anew for what it was seen to have so long ago. */
const DOUBTFUL_MS = 11 * 60_000;

describe('chunks that Gitee has lost and that are here', () => {
  let bench: ChunkBench;
  let image: Chunk[];
  beforeEach(async () => {
    bench = await ChunkBench.start();
    image = [];
    for (let seed = 1; seed <= 20; seed += 1) {
      const [extent] = await bench.put(bytesOf(seed, 1024));
      image.push({ oid: extent!.oid, sizeBytes: 1024, volume: 0 });
    }
    await bench.stepped(bench.chunks.ensureRemote(image));
    bench.remote.chunks.clear();
    await bench.stepped(bench.clock.sleep(DOUBTFUL_MS));
  });
  afterEach(() => bench.remove());

  const expectAllSent = async () => {
    await bench.stepped(bench.clock.sleep(HOUR_MS));
    expect(bench.chunks.stats().unsentChunks).toBe(0);
    expect(image.filter(({ oid }) => !bench.remote.chunks.has(oid))).toEqual([]);
    expect(bench.line.admission.status().unsentBytes).toBe(0);
  };

  test('are sent though another one of the image is gone for good', async () => {
    const kept = await bench.stepped(bench.chunks.ensureKept([GONE, ...image]));
    expect(kept.kind).toBe('lost');
    await expectAllSent();
  });

  test('are sent though whoever found it out has gone', async () => {
    bench.remote.gates.put.shut();
    const client = new AbortController();
    const kept = bench.chunks.ensureKept(image, client.signal);
    await until(() => bench.remote.gates.put.waiting > 0);
    client.abort(new Error('gone'));
    await expect(kept).rejects.toMatchObject({ code: 'aborted' });
    bench.remote.gates.put.open();
    await expectAllSent();
  });

  test('are sent, and asked for, until a forgetful store keeps them, though nobody asks again', async () => {
    bench.remote.forgetPuts = 4 * image.length;
    expect(await bench.stepped(bench.chunks.ensureKept(image))).toMatchObject({ kind: 'unkept' });
    await expectAllSent();
    expect(bench.remote.forgetPuts).toBe(0);
  });

  test('are asked for again where Gitee gave no answer to that', async () => {
    bench.remote.gates.put.shut();
    const client = new AbortController();
    const kept = bench.chunks.ensureKept(image, client.signal);
    await until(() => bench.remote.gates.put.waiting > 0);
    client.abort(new Error('gone'));
    await expect(kept).rejects.toMatchObject({ code: 'aborted' });
    bench.remote.forgetPuts = image.length;
    bench.remote.fail('missing', () => new RemoteError('timeout', 'no answer'), 30);
    bench.remote.gates.put.open();
    await expectAllSent();
  });

  test('hold up no other bucket while a forgetful store gets them later', async () => {
    bench.remote.forgetPuts = Number.POSITIVE_INFINITY;
    expect(await bench.chunks.ensureKept(image)).toMatchObject({ kind: 'unkept' });
    expect(bench.chunks.stats().unsentChunks).toBe(image.length);
    expect(bench.line.admission.status().unsentBytes).toBe(0);
    // An operator says that it is well again.
    bench.remote.forgetPuts = 0;
    bench.chunks.kick();
    await until(() => bench.chunks.stats().unsentChunks === 0);
  });

  test('that Gitee refused stand in line again when somebody asked for them, and has gone', async () => {
    bench.remote.fail('put', (oids) => new RemoteError('chunk-refused', 'no', { oids }));
    expect(await bench.stepped(bench.chunks.ensureKept(image))).toMatchObject({ kind: 'lost' });
    expect(bench.line.admission.status().unsentBytes).toBe(0);
    bench.remote.heal();
    bench.remote.gates.put.shut();
    const client = new AbortController();
    const sent = bench.chunks.upload(image, 'waited', client.signal);
    await until(() => bench.remote.gates.put.waiting > 0);
    client.abort(new Error('gone'));
    await expect(sent).rejects.toMatchObject({ code: 'aborted' });
    bench.remote.gates.put.open();
    await expectAllSent();
  });
});
