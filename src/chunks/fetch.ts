/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 * Invariant 5. Memory is bounded: a download holds one batch of bytes; readers take theirs from the file.
 *
 * One download per chunk, however many ask for it: it goes into a file, and every reader reads the part of the
 * file that is there already. A failed attempt is repeated. What readers were given of the first attempt must
 * be what the second one brings, so the handed-out prefix is hashed and compared before they go on; the end
 * of it is withheld by the reader until the whole hash is right.
 */
import { createHash, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Observer } from '../async/observer.js';
import { retry } from '../async/retry.js';
import { Semaphore } from '../async/semaphore.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import { ChunkError } from './api.js';
import { abortedBy, Bell } from './bell.js';
import type { ChunkCache } from './cache.js';
import type { ChunkSource } from './chunk-source.js';
import { explainDiskError, isNoSpace, readAt, writeAll } from './durable-files.js';
import { hashOfFile } from './verified-files.js';

const ATTEMPTS = 3;
const BATCH_BYTES = 256 * 1024;

export interface FetcherOptions {
  readonly remote: ChunkRemote;
  readonly cache: ChunkCache;
  /** Downloads that run at once; the others wait their turn. */
  readonly downloadParallel: number;
  /** Called before a download, to have room for it on disk; does not fail. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
}

/** The bytes came whole but are not the chunk's. */
class WrongBytes extends Error {}

interface Prefix {
  readonly lengthBytes: number;
  readonly sha256: string;
}

/** Downloads of one bucket, one per chunk at a time. */
export class ChunkFetcher {
  readonly #running = new Map<Oid, Download>();
  readonly #ending = new Set<Promise<void>>();
  readonly #slots: Semaphore;
  #closed = false;

  constructor(private readonly options: FetcherOptions) {
    this.#slots = new Semaphore(options.downloadParallel);
  }

  get running(): number {
    return this.#running.size;
  }

  /** Joins the running download of this chunk, if there is one. */
  join(chunk: Chunk): ChunkSource | undefined {
    return this.#running.get(chunk.oid)?.attach();
  }

  /** Joins or starts a download. It ends when nobody waits for it any more. @throws ChunkError when closed */
  start(chunk: Chunk): ChunkSource {
    const running = this.join(chunk);
    if (running) return running;
    if (this.#closed) throw new ChunkError('aborted', 'the chunk store is closed');
    this.options.observer.count('gateway_cache_reads_total', { result: 'miss' });
    const download = new Download(chunk, this.options, this.#slots, () => {
      if (this.#running.get(chunk.oid) === download) this.#running.delete(chunk.oid);
    });
    this.#running.set(chunk.oid, download);
    const source = download.attach();
    const end = download.run().finally(() => this.#ending.delete(end));
    this.#ending.add(end);
    return source;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const download of [...this.#running.values()])
      download.stop(new ChunkError('aborted', 'the chunk store is closed'));
    await Promise.all(this.#ending);
  }
}

class Download {
  readonly #stopped = new AbortController();
  readonly #changed = new Bell();
  readonly #handles: FileHandle[] = [];
  #view: { handle: FileHandle; visibleBytes: number } | undefined;
  #handedOutBytes = 0;
  #reads = 0;
  #users = 0;
  #ended = false;
  #error: ChunkError | undefined;

  constructor(
    private readonly chunk: Chunk,
    private readonly options: FetcherOptions,
    private readonly slots: Semaphore,
    private readonly leaveMap: () => void,
  ) {}

  get isVerified(): boolean {
    return this.#ended && this.#error === undefined;
  }

  attach(): ChunkSource {
    this.#users += 1;
    return new DownloadReader(this);
  }

  async detach(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    if (this.#ended) await this.#closeFiles();
    else this.stop(new ChunkError('aborted', `nobody waits for chunk ${this.chunk.oid} any more`));
  }

  /** Ends the download; whoever asks from now on starts a new one. */
  stop(reason: ChunkError): void {
    this.leaveMap();
    this.#stopped.abort(reason);
  }

  async read(positionBytes: number, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
    for (;;) {
      if (this.#error) throw this.#error;
      const view = this.#view;
      if (view && view.visibleBytes > positionBytes) {
        const lengthBytes = Math.min(maxBytes, view.visibleBytes - positionBytes);
        this.#handedOutBytes = Math.max(this.#handedOutBytes, positionBytes + lengthBytes);
        this.#reads += 1;
        try {
          const bytes = await readAt(view.handle, positionBytes, lengthBytes);
          if (bytes.length < lengthBytes)
            throw new ChunkError(
              'corrupt',
              `the file of chunk ${this.chunk.oid} was cut while it was written`,
            );
          return bytes;
        } finally {
          this.#reads -= 1;
          if (this.#users === 0 && this.#ended) await this.#closeFiles();
        }
      }
      await this.#changed.next(signal);
    }
  }

  async verified(signal?: AbortSignal): Promise<void> {
    while (!this.#ended) await this.#changed.next(signal);
    if (this.#error) throw this.#error;
  }

  /** Never rejects: readers learn of a failure by their next call. */
  async run(): Promise<void> {
    let prefix: Prefix | undefined;
    try {
      await retry(
        async () => {
          try {
            await this.slots.run(() => this.#attempt(prefix), this.#stopped.signal);
          } catch (error) {
            prefix = await this.#freeze(error);
            throw error;
          }
        },
        {
          attempts: ATTEMPTS,
          baseMs: 200,
          maxMs: 2_000,
          clock: this.options.clock,
          signal: this.#stopped.signal,
          isRetryable: isWorthAnotherAttempt,
          retryAfterMs: (e) => (e instanceof RemoteError ? Math.min(e.retryAfterMs ?? 0, 5_000) : 0),
        },
      );
    } catch (error) {
      this.#error = this.#stopped.signal.aborted ? abortedBy(this.#stopped.signal) : this.#explain(error);
    } finally {
      this.#ended = true;
      this.leaveMap();
      this.#changed.ring();
      if (this.#users === 0) await this.#closeFiles();
    }
  }

  /** One attempt into a file of its own; on success the cache has it. */
  async #attempt(prefix: Prefix | undefined): Promise<void> {
    const { cache, makeRoom, remote } = this.options;
    const signal = this.#stopped.signal;
    signal.throwIfAborted();
    await makeRoom(this.chunk.sizeBytes);
    const path = join(cache.paths.temporary, randomUUID());
    try {
      const handle = await open(path, 'wx+', 0o600);
      this.#handles.push(handle);
      const body = await remote.get(this.chunk, signal);
      const cut = () => body.destroy(abortedBy(signal));
      signal.addEventListener('abort', cut, { once: true });
      try {
        if (signal.aborted) cut();
        await this.#receive(body as AsyncIterable<Uint8Array>, handle, prefix);
      } finally {
        signal.removeEventListener('abort', cut);
        body.destroy();
      }
      await cache.adopt(path, this.chunk.oid, this.chunk.sizeBytes);
    } catch (error) {
      await unlink(path).catch(() => {
        // It never came to be, or was renamed before the failure.
      });
      throw error;
    }
  }

  async #receive(
    body: AsyncIterable<Uint8Array>,
    handle: FileHandle,
    prefix: Prefix | undefined,
  ): Promise<void> {
    const hash = createHash('sha256');
    let receivedBytes = 0;
    let compared = prefix === undefined;
    const take = async (block: Uint8Array) => {
      if (receivedBytes + block.length > this.chunk.sizeBytes)
        throw new WrongBytes('more bytes than the chunk has');
      if (!compared && prefix && receivedBytes + block.length >= prefix.lengthBytes) {
        const split = prefix.lengthBytes - receivedBytes;
        hash.update(block.subarray(0, split));
        if (hash.copy().digest('hex') !== prefix.sha256)
          throw new WrongBytes('two attempts brought different bytes');
        hash.update(block.subarray(split));
        compared = true;
      } else hash.update(block);
      await writeAll(handle, block);
      receivedBytes += block.length;
      if (!compared) return;
      this.#view = { handle, visibleBytes: receivedBytes };
      this.#changed.ring();
    };
    let batch: Uint8Array[] = [];
    let batchBytes = 0;
    for await (const piece of body) {
      batch.push(piece);
      batchBytes += piece.length;
      if (batchBytes < BATCH_BYTES) continue;
      await take(batch.length === 1 ? batch[0]! : Buffer.concat(batch));
      batch = [];
      batchBytes = 0;
    }
    await take(Buffer.concat(batch));
    if (receivedBytes !== this.chunk.sizeBytes)
      throw new WrongBytes(`${receivedBytes} bytes instead of ${this.chunk.sizeBytes}`);
    if (hash.digest('hex') !== this.chunk.oid) throw new WrongBytes('the bytes do not hash to the oid');
  }

  /** After a failed attempt: readers get no further than they are until the next one has caught up. */
  async #freeze(error: unknown): Promise<Prefix | undefined> {
    const { log, observer } = this.options;
    if (error instanceof WrongBytes)
      observer.count('gateway_chunk_hash_failures_total', { where: 'download' });
    if (!this.#stopped.signal.aborted) log.warn('a chunk download failed', { oid: this.chunk.oid, error });
    if (isNoSpace(error)) await this.options.cache.shrink(2 * this.chunk.sizeBytes);
    const view = this.#view;
    if (!view || this.#handedOutBytes === 0) {
      this.#view = undefined;
      return undefined;
    }
    view.visibleBytes = this.#handedOutBytes;
    try {
      return { lengthBytes: view.visibleBytes, sha256: await hashOfFile(view.handle, view.visibleBytes) };
    } catch (cause) {
      // Without it nobody can tell whether another attempt brings the same bytes: not repeated.
      throw new ChunkError('corrupt', `what was given out of chunk ${this.chunk.oid} cannot be read again`, {
        cause,
      });
    }
  }

  #explain(error: unknown): ChunkError {
    const { oid } = this.chunk;
    const explained = explainDiskError(error);
    if (explained instanceof ChunkError) return explained;
    if (error instanceof WrongBytes)
      return new ChunkError('corrupt', `what came for chunk ${oid} is not it: ${error.message}`, {
        cause: error,
      });
    if (error instanceof RemoteError && error.code === 'chunk-missing')
      return new ChunkError('missing', `chunk ${oid} is not on Gitee`, { cause: error });
    if (error instanceof RemoteError && error.code === 'chunk-corrupt')
      return new ChunkError('corrupt', `chunk ${oid} is damaged on Gitee`, { cause: error });
    const retryAfterMs = error instanceof RemoteError ? error.retryAfterMs : undefined;
    return new ChunkError('remote-unavailable', `chunk ${oid} could not be fetched`, {
      cause: error,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }

  async #closeFiles(): Promise<void> {
    if (this.#reads > 0) return;
    const handles = this.#handles.splice(0);
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

function isWorthAnotherAttempt(error: unknown): boolean {
  if (error instanceof RemoteError) return error.isTransient || error.code === 'chunk-corrupt';
  // A cut body, wrong bytes, a full disk (the cache was shrunk): the next attempt may bring it.
  return !(error instanceof ChunkError);
}

/** One reader's hold on a download. */
class DownloadReader implements ChunkSource {
  #closed = false;

  constructor(private readonly download: Download) {}

  get isVerified(): boolean {
    return this.download.isVerified;
  }

  read(positionBytes: number, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.download.read(positionBytes, maxBytes, signal);
  }

  verified(signal?: AbortSignal): Promise<void> {
    return this.download.verified(signal);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.download.detach();
  }
}
