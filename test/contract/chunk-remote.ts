/** What every ChunkRemote must do (src/gitee/remote.ts); run by the LFS one and by the one in memory. */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Chunk } from '../../src/format/extent.js';
import { toOid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { ChunkRemote } from '../../src/gitee/remote.js';
import { lentRuns } from '../support/bytes.js';

export interface ChunkRemoteFixture {
  readonly remote: ChunkRemote;
  /** The next download breaks after so many bytes. */
  cutNextDownload(afterBytes: number): Promise<void>;
  /** Every call from now on hangs until its deadline or its signal. */
  stall(): Promise<void>;
  /** Somebody deletes a chunk on the server. */
  lose(chunk: Chunk): Promise<void>;
  close(): Promise<void>;
}

export function chunkOf(bytes: Uint8Array): Chunk {
  const oid = toOid(createHash('sha256').update(bytes).digest('hex'));
  return { oid, sizeBytes: bytes.length, volume: 0 };
}

/** The bytes in pieces, as a file gives them. */
export function opener(bytes: Uint8Array): () => Readable {
  return () =>
    Readable.from(
      (function* () {
        for (let at = 0; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
      })(),
    );
}

export async function readAll(body: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of body as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function remoteFailure(promise: Promise<unknown>): Promise<RemoteError> {
  const error: unknown = await promise.then(
    (value) => new Error(`it resolved with ${String(value)}`),
    (e: unknown) => e,
  );
  if (!(error instanceof RemoteError)) throw error;
  return error;
}

export function chunkRemoteContract(name: string, start: () => Promise<ChunkRemoteFixture>): void {
  describe(`${name} as a ChunkRemote`, () => {
    let fixture: ChunkRemoteFixture;
    let remote: ChunkRemote;
    beforeEach(async () => {
      fixture = await start();
      remote = fixture.remote;
    });
    afterEach(() => fixture.close());

    const fresh = (sizeBytes = 1000) => {
      const bytes = randomBytes(sizeBytes);
      return { bytes, chunk: chunkOf(bytes), open: opener(bytes) };
    };

    test('what was put is not missing and comes back as it was', async () => {
      const { bytes, chunk, open } = fresh(300_000);
      expect(await remote.missing([chunk])).toEqual([chunk]);
      expect(await remote.put(chunk, open)).toEqual({ sentBytes: 300_000 });
      expect(await remote.missing([chunk])).toEqual([]);
      expect((await readAll(await remote.get(chunk))).equals(bytes)).toBe(true);
    });

    test('a piece of a body is needed no more when the next one is asked for', async () => {
      const { bytes, chunk } = fresh(3_000_000);
      await remote.put(chunk, () => lentRuns(bytes, 256 * 1024));
      expect((await readAll(await remote.get(chunk))).equals(bytes)).toBe(true);
    });

    test('of no chunks none is missing', async () => {
      expect(await remote.missing([])).toEqual([]);
    });

    test('of many chunks exactly the absent ones are missing, in their order', async () => {
      const all = Array.from({ length: 250 }, () => fresh(50));
      for (const { chunk, open } of [all[0]!, all[120]!, all[249]!]) await remote.put(chunk, open);
      const missing = await remote.missing(all.map((item) => item.chunk));
      const expected = all.filter((_item, i) => i !== 0 && i !== 120 && i !== 249).map((item) => item.chunk);
      expect(missing).toEqual(expected);
    });

    test('a chunk that is there is not sent again, and its file not even opened', async () => {
      const { chunk, open } = fresh();
      await remote.put(chunk, open);
      const never = () => {
        throw new Error('opened');
      };
      expect(await remote.put(chunk, never)).toEqual({ sentBytes: 0 });
    });

    test('the same chunk may be put several times at once', async () => {
      const { bytes, chunk, open } = fresh(200_000);
      await Promise.all([remote.put(chunk, open), remote.put(chunk, open), remote.put(chunk, open)]);
      expect((await readAll(await remote.get(chunk))).equals(bytes)).toBe(true);
    });

    test('several chunks may be put and read at once', async () => {
      const all = Array.from({ length: 6 }, () => fresh(150_000));
      await Promise.all(all.map(({ chunk, open }) => remote.put(chunk, open)));
      const bodies = await Promise.all(all.map(async ({ chunk }) => readAll(await remote.get(chunk))));
      expect(bodies.map((body, i) => body.equals(all[i]!.bytes))).toEqual(all.map(() => true));
    });

    test('bytes that do not hash to the oid are refused and not kept', async () => {
      const { chunk } = fresh();
      const error = await remoteFailure(remote.put(chunk, opener(randomBytes(chunk.sizeBytes))));
      expect(error.isTransient).toBe(false);
      expect(error.oids).toEqual([chunk.oid]);
      expect(await remote.missing([chunk])).toEqual([chunk]);
    });

    test.each([-1, 1])('a file that is %i byte longer than its chunk is refused', async (more) => {
      const { bytes, chunk } = fresh();
      const longer = Buffer.concat([bytes, randomBytes(1)]).subarray(0, chunk.sizeBytes + more);
      expect((await remoteFailure(remote.put(chunk, opener(longer)))).oids).toEqual([chunk.oid]);
      expect(await remote.missing([chunk])).toEqual([chunk]);
    });

    test('an error of the file is passed on as it is', async () => {
      const { chunk, bytes } = fresh();
      const broken = new Error('the disk is broken');
      const open = () =>
        Readable.from(
          (async function* () {
            yield bytes.subarray(0, 10);
            throw broken;
          })(),
        );
      await expect(remote.put(chunk, open)).rejects.toBe(broken);
      expect(await remote.missing([chunk])).toEqual([chunk]);
      expect((await remote.put(chunk, opener(bytes))).sentBytes).toBe(bytes.length);
    });

    test('a chunk that is not there is chunk-missing, by name', async () => {
      const { chunk } = fresh();
      const error = await remoteFailure(remote.get(chunk));
      expect([error.code, error.oids]).toEqual(['chunk-missing', [chunk.oid]]);
    });

    test('a chunk that the server lost is missing, and can be put again', async () => {
      const { chunk, open } = fresh();
      await remote.put(chunk, open);
      await readAll(await remote.get(chunk));
      await fixture.lose(chunk);
      expect(await remote.missing([chunk])).toEqual([chunk]);
      expect((await remoteFailure(remote.get(chunk))).code).toBe('chunk-missing');
      expect(await remote.put(chunk, open)).toEqual({ sentBytes: chunk.sizeBytes });
      expect(await remote.missing([chunk])).toEqual([]);
    });

    test('a cut download is an error, never an early end', async () => {
      const { chunk, bytes, open } = fresh(500_000);
      await remote.put(chunk, open);
      await fixture.cutNextDownload(100_000);
      const body = await remote.get(chunk);
      expect((await remoteFailure(readAll(body))).isTransient).toBe(true);
      expect((await readAll(await remote.get(chunk))).equals(bytes)).toBe(true);
    });

    test('a download begins where it is asked to', async () => {
      const { chunk, bytes, open } = fresh(500_000);
      await remote.put(chunk, open);
      for (const offsetBytes of [0, 1, 123_456, 499_999]) {
        const body = await readAll(await remote.get(chunk, { offsetBytes }));
        expect(body.equals(bytes.subarray(offsetBytes))).toBe(true);
      }
    });

    test('a cut download goes on from the byte that was reached', async () => {
      const { chunk, bytes, open } = fresh(500_000);
      await remote.put(chunk, open);
      await fixture.cutNextDownload(200_000);
      const pieces: Buffer[] = [];
      const body = await remote.get(chunk, { offsetBytes: 100_000 });
      body.on('data', (piece: Buffer) => pieces.push(piece));
      await new Promise((resolve) => body.once('error', resolve));
      const reached = 100_000 + Buffer.concat(pieces).length;
      pieces.push(await readAll(await remote.get(chunk, { offsetBytes: reached })));
      expect(Buffer.concat(pieces).equals(bytes.subarray(100_000))).toBe(true);
    });

    test('a body may be given up in the middle', async () => {
      const { chunk, open } = fresh(500_000);
      await remote.put(chunk, open);
      for await (const piece of await remote.get(chunk)) {
        expect((piece as Buffer).length).toBeGreaterThan(0);
        break;
      }
      expect((await readAll(await remote.get(chunk))).length).toBe(500_000);
    });

    test.each(['missing', 'put', 'get'] as const)('the signal ends %s with its reason', async (call) => {
      const { chunk, open } = fresh();
      if (call === 'get') await remote.put(chunk, open);
      await fixture.stall();
      const stop = new AbortController();
      const reason = new Error('enough');
      const calls = {
        missing: () => remote.missing([chunk], stop.signal),
        put: () => remote.put(chunk, open, stop.signal),
        get: () => remote.get(chunk, undefined, stop.signal),
      };
      const running = calls[call]();
      stop.abort(reason);
      await expect(running).rejects.toBe(reason);
    });
  });
}
