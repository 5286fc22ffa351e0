// Attacks "errors are translated at the seam, streams included": a stream is read when its operation has returned.
import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { ChunkError } from '../../../src/chunks/api.js';
import { StorageError } from '../../../src/index/errors.js';
import type { ObjectRecord } from '../../../src/index/object-record.js';
import type { Bucket } from '../../../src/objects/bucket.js';
import { getObject } from '../../../src/objects/object-reader.js';
import { TranslatedStream } from '../../../src/objects/translated-stream.js';
import { key } from '../../support/journal-bucket.js';

async function* blocks(count: number, end?: Error): AsyncGenerator<Buffer> {
  for (let i = 0; i < count; i += 1) yield Buffer.alloc(1000, i);
  if (end) throw end;
}
const away = new ChunkError('remote-unavailable', 'Gitee gives no answer', { retryAfterMs: 2_000 });

async function drain(stream: Readable): Promise<{ bytes: Buffer; error: unknown }> {
  const out: Buffer[] = [];
  try {
    for await (const block of stream) out.push(block as Buffer);
    return { bytes: Buffer.concat(out), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(out), error };
  }
}

describe('the body of a read', () => {
  /** A bucket of one object whose bytes come from this stream. */
  const bucketOf = (source: Readable) =>
    ({
      state: {
        get: async () =>
          ({ sizeBytes: 5000, etag: 'e', lastModifiedMs: 0, meta: {} }) as unknown as ObjectRecord,
        openBody: async () => ({ kind: 'extents', list: {} }),
      },
      chunks: { read: () => source },
    }) as unknown as Bucket;
  const open = async (source: Readable) => {
    const context = { signal: new AbortController().signal, requestId: 'r' };
    return (await getObject(bucketOf(source), key('k'), { conditions: {} }, context)).open();
  };

  test.each([0, 3])('that breaks after %i blocks says why in the words of objects', async (count) => {
    const { bytes, error } = await drain(await open(Readable.from(blocks(count, away))));
    expect(error).toMatchObject({ name: 'ObjectError', code: 'remote-unavailable', retryAfterMs: 2_000 });
    expect(bytes.length).toBeLessThanOrEqual(count * 1000);
  });

  test('whose extents cannot be read says so too', async () => {
    const { error } = await drain(
      await open(Readable.from(blocks(0, new StorageError('not-ready', 'no index')))),
    );
    expect(error).toMatchObject({ name: 'ObjectError', code: 'unavailable' });
  });
});

describe('TranslatedStream', () => {
  test('gives every byte, in order', async () => {
    const { bytes, error } = await drain(new TranslatedStream(Readable.from(blocks(50))));
    expect(error).toBeUndefined();
    expect(bytes.equals((await drain(Readable.from(blocks(50)))).bytes)).toBe(true);
  });

  test('of nothing ends', async () => {
    expect((await drain(new TranslatedStream(Readable.from([])))).bytes).toHaveLength(0);
  });

  test('holds no more than its source would', async () => {
    let given = 0;
    const source = Readable.from(
      (async function* () {
        for await (const block of blocks(50)) {
          given += 1;
          yield block;
        }
      })(),
      { highWaterMark: 1 },
    );
    const stream = new TranslatedStream(source);
    await once(stream, 'readable');
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(given).toBeLessThanOrEqual(4);
    stream.destroy();
  });

  test('that is given up ends its source', async () => {
    const source = new Readable({ read: () => {} });
    const stream = new TranslatedStream(source);
    stream.resume();
    stream.destroy();
    await once(source, 'close');
  });

  test('ends with its source', async () => {
    const source = new Readable({ read: () => {} });
    const stream = new TranslatedStream(source);
    stream.resume();
    source.destroy();
    await once(stream, 'close');
    expect(stream.readableEnded).toBe(false);
  });
});
