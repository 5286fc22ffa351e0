/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 * Invariant 5. Memory is bounded: a reader, however slow, holds one block in its stream and one in hand.
 *
 * Index → pinned → cache → Gitee. A chunk that is still being downloaded is passed on as it comes, but the end
 * of what is asked of it is withheld until the whole chunk hashes to its oid; otherwise the stream errors, and
 * the protocol layer resets the connection.
 */
import { Readable } from 'node:stream';
import { onAbort } from '../async/abort.js';
import type { Chunk, Extent } from '../format/extent.js';
import type { ExtentList } from '../index/object-record.js';
import { ChunkError } from './api.js';
import { BLOCK_BYTES } from './block-pool.js';
import { abortedBy } from './aborted.js';
import type { ChunkSource } from './chunk-source.js';
import type { ChunkFetcher } from './fetch.js';
import type { LocalChunks } from './local-chunks.js';
import { openAhead } from './read-ahead.js';
import type { ReadRequest } from './read-request.js';

/** The end of each extent that waits for the chunk's hash. */
const WITHHELD_BYTES = 64 * 1024;
const LOCAL_TRIES = 3;

/** Opens chunks of one bucket wherever they are, and reads objects made of them. */
export class ChunkReader {
  constructor(
    private readonly local: LocalChunks,
    private readonly fetcher: ChunkFetcher,
  ) {}

  /** @throws ChunkError; where the download fails, the source's own calls tell */
  async open(chunk: Chunk, request: ReadRequest = this.fetcher.newRequest()): Promise<ChunkSource> {
    // A chunk that moves (downloaded → cache) between two looks is looked for again, or it would be fetched twice.
    for (let tries = 0; tries < LOCAL_TRIES; tries += 1) {
      const running = this.fetcher.join(chunk, request);
      if (running) return running;
      if (!this.local.has(chunk)) break;
      const source = await this.local.open(chunk);
      if (source) return source;
    }
    return this.fetcher.start(chunk, request);
  }

  /**
   * Bytes [startBytes, endBytes) of an object. Nothing is opened before the first read. Errors are ChunkError;
   * destroying the stream or the signal lets go of downloads that nobody else waits for.
   * @throws RangeError where the range does not lie in the object
   */
  read(list: ExtentList, startBytes: number, endBytes: number, signal?: AbortSignal): Readable {
    if (!(startBytes >= 0 && startBytes <= endBytes && endBytes <= list.sizeBytes))
      throw new RangeError(`bytes ${startBytes} to ${endBytes} of an object of ${list.sizeBytes}`);
    return new BlockStream((stop) => this.#blocks(list, startBytes, endBytes, stop), signal);
  }

  async *#blocks(
    list: ExtentList,
    startBytes: number,
    endBytes: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    let sentBytes = 0;
    if (startBytes === endBytes) return;
    const request = this.fetcher.newRequest();
    const chunks = openAhead(list.range(startBytes, endBytes), (chunk) => this.open(chunk, request));
    for await (const { extent, source } of chunks) {
      for await (const block of blocksOf(extent, source, signal)) {
        sentBytes += block.length;
        request.hasBegun = true;
        yield block;
      }
    }
    if (sentBytes !== endBytes - startBytes)
      throw new ChunkError(
        'corrupt',
        `the extents give ${sentBytes} bytes where the index says ${endBytes - startBytes}`,
      );
  }
}

async function* blocksOf(
  extent: Extent,
  source: ChunkSource,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const endBytes = extent.offsetBytes + extent.lengthBytes;
  if (endBytes > extent.chunkLengthBytes || extent.lengthBytes < 0 || extent.offsetBytes < 0)
    throw new ChunkError('corrupt', `an extent reaches beyond chunk ${extent.oid}`);
  const withheldFromBytes = endBytes - Math.min(WITHHELD_BYTES, extent.lengthBytes);
  for (let at = extent.offsetBytes; at < endBytes;) {
    if (at >= withheldFromBytes && !source.isVerified) await source.verified(signal);
    const limitBytes = source.isVerified ? endBytes : withheldFromBytes;
    const block = await source.read(at, Math.min(BLOCK_BYTES, limitBytes - at), signal);
    at += block.length;
    // The bytes were read before the hash was known where they lie before the withheld end: those may go.
    yield block;
  }
}

/** A stream of blocks that can be stopped while it waits for one: Readable.from would wait for it to come. */
class BlockStream extends Readable {
  readonly #stop = new AbortController();
  readonly #blocks: AsyncGenerator<Uint8Array>;
  #release = () => {};

  constructor(open: (signal: AbortSignal) => AsyncGenerator<Uint8Array>, signal?: AbortSignal) {
    // One block in the buffer is a full one, so that no second is read before the first is taken.
    super({ highWaterMark: 1 });
    this.#blocks = open(this.#stop.signal);
    this.#release = onAbort(signal, () => this.destroy(abortedBy(signal!)));
  }

  override _read(): void {
    this.#blocks.next().then(
      ({ done, value }) => {
        if (!this.destroyed) this.push(done ? null : value);
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#release();
    this.#stop.abort(new ChunkError('aborted', 'the reader went away'));
    // Not waited for: closing sources may take as long as the call that is under way.
    this.#blocks.return(undefined).catch(() => {});
    callback(error);
  }
}
