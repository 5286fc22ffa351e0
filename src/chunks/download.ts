/**
 * Invariant 3. No reader gets a complete answer whose bytes do not hash to what the index says.
 * Invariant 5. Memory is bounded: a download holds one batch of bytes; readers take theirs from the file.
 * Invariant 6 (this file's share). A download is tried again for a bounded time, with jitter (patience.ts).
 *
 * One download per chunk, however many ask for it: it goes into a file, and every reader reads the part of the
 * file that is there already. After a failure the next try goes on from the byte that was reached, in the same
 * file. Where the whole doesn't hash to the oid, the file is dropped and another begun: what readers were given
 * of the first must be what the second one brings, so the handed-out prefix is hashed and compared before they
 * go on. The end of it is withheld by the reader until the whole hash is right.
 */
import type { FileHandle } from 'node:fs/promises';
import { onAbort } from '../async/abort.js';
import { readInto } from '../disk/durable.js';
import { isNoSpace } from '../disk/failures.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import type { Downlink, DownloadClaim, DownloadTurn, Urgency } from '../line/downlink.js';
import { ChunkError } from './api.js';
import { abortedBy } from './aborted.js';
import { ConditionVariable } from './condition-variable.js';
import type { ChunkCache } from './cache.js';
import type { ChunkSource } from './chunk-source.js';
import { explainDownload, refusalWhileDown } from './download-errors.js';
import { PartialFile, WrongBytes, type Prefix } from './partial-file.js';
import { Patience, type Waiting } from './patience.js';
import type { ReadRequest } from './read-request.js';
import { hashOfFile } from './verified-files.js';

const BATCH_BYTES = 256 * 1024;
/** On a slow line readers need not wait for a whole batch. */
const BATCH_MS = 500;
/** How often one who waits for a first byte looks whether the line is down. */
const LOOK_MS = 1_000;

export interface DownloadDeps {
  readonly remote: ChunkRemote;
  readonly cache: ChunkCache;
  /** Whose turn it is, over all buckets of the line. */
  readonly downlink: Downlink;
  /** Called before a download, to have room for it on disk; does not fail. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  /** Gitee says that it does not have the chunk. */
  readonly onMissing: (oid: Oid) => void;
}

export class Download implements DownloadClaim {
  readonly #stopped = new AbortController();
  readonly #changed = new ConditionVariable();
  readonly #handles: FileHandle[] = [];
  readonly #readers = new Set<DownloadReader>();
  #part: PartialFile | undefined;
  #prefix: Prefix | undefined;
  #view: { handle: FileHandle; visibleBytes: number } | undefined;
  #handedOutBytes = 0;
  #reads = 0;
  #ended = false;
  #error: ChunkError | undefined;

  constructor(
    private readonly chunk: Chunk,
    private readonly deps: DownloadDeps,
    private readonly leaveMap: () => void,
  ) {}

  get isVerified(): boolean {
    return this.#ended && this.#error === undefined;
  }

  get restBytes(): number {
    return this.chunk.sizeBytes - (this.#part?.receivedBytes ?? 0);
  }

  get urgency(): Urgency {
    let urgency: Urgency = 'ahead';
    for (const { isWaiting, request } of this.#readers) {
      if (!isWaiting) continue;
      if (!request.hasBegun) return 'first';
      urgency = 'next';
    }
    return urgency;
  }

  /** Of the first who asked; it is shared with the others. */
  get request(): object {
    for (const { request } of this.#readers) return request;
    return this;
  }

  attach(request: ReadRequest): ChunkSource {
    const reader = new DownloadReader(this, request);
    this.#readers.add(reader);
    return reader;
  }

  async detach(reader: DownloadReader): Promise<void> {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    if (this.#ended) await this.#closeFiles();
    // Refused, since the line is down: somebody must find out when it is up again.
    else if (!this.deps.downlink.keepAsProbe(this))
      this.stop(new ChunkError('aborted', `nobody waits for chunk ${this.chunk.oid} any more`));
  }

  /** Ends the download; whoever asks from now on starts a new one. */
  stop(reason: ChunkError): void {
    this.leaveMap();
    this.#stopped.abort(reason);
  }

  async read(
    reader: DownloadReader,
    positionBytes: number,
    maxBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    for (;;) {
      if (this.#error) throw this.#error;
      const view = this.#view;
      if (view && view.visibleBytes > positionBytes) {
        const lengthBytes = Math.min(maxBytes, view.visibleBytes - positionBytes);
        this.#handedOutBytes = Math.max(this.#handedOutBytes, positionBytes + lengthBytes);
        return this.#readView(view.handle, positionBytes, lengthBytes);
      }
      await this.#wait(reader, signal);
    }
  }

  async verified(reader: DownloadReader, signal?: AbortSignal): Promise<void> {
    while (!this.#ended) await this.#wait(reader, signal);
    if (this.#error) throw this.#error;
  }

  /** Never rejects: readers learn of a failure by their next call. */
  async run(): Promise<void> {
    try {
      await this.#fetch();
    } catch (error) {
      this.#error = this.#stopped.signal.aborted
        ? abortedBy(this.#stopped.signal)
        : explainDownload(error, this.chunk.oid);
      if (this.#error.code === 'missing') this.deps.onMissing(this.chunk.oid);
      await this.#part?.unlink();
    } finally {
      this.#ended = true;
      this.deps.downlink.leave(this);
      this.leaveMap();
      this.#changed.notifyAll();
      if (this.#readers.size === 0) await this.#closeFiles();
    }
  }

  async #fetch(): Promise<void> {
    const { clock, downlink, random } = this.deps;
    const { signal } = this.#stopped;
    const patience = new Patience(random);
    for (;;) {
      try {
        await downlink.run(this, (turn) => this.#attempt(turn), signal);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        if (error instanceof RemoteError) downlink.health.failed('download', error);
        const reachedBytes = this.#part?.receivedBytes ?? 0;
        const waitMs = patience.after(error, reachedBytes, this.#waiting, clock.steadyMs());
        // Once per outage: ten minutes of it would fill the log.
        if (patience.failuresInARow === 1 || waitMs === undefined)
          this.deps.log.warn('a chunk download failed', {
            ...{ oid: this.chunk.oid, reachedBytes, willBeTriedAgain: waitMs !== undefined, error },
          });
        await this.#afterFailure(error);
        if (waitMs === undefined) throw error;
        this.#changed.notifyAll();
        await downlink.rest(waitMs, signal);
      }
    }
  }

  /** One try, from the byte that was reached on; on success the cache has the file. */
  async #attempt(turn: DownloadTurn): Promise<void> {
    const { cache, makeRoom, remote } = this.deps;
    const { signal } = this.#stopped;
    const { oid, sizeBytes } = this.chunk;
    signal.throwIfAborted();
    await makeRoom(this.restBytes);
    this.#part ??= await this.#begin();
    const part = this.#part;
    if (part.receivedBytes < sizeBytes) {
      const body = await remote.get(this.chunk, { offsetBytes: part.receivedBytes }, signal);
      const release = onAbort(signal, () => body.destroy(abortedBy(signal)));
      try {
        await this.#receive(body as AsyncIterable<Uint8Array>, part, turn);
      } finally {
        release();
        body.destroy();
      }
    }
    part.check();
    await cache.adopt(part.path, oid, sizeBytes);
    this.#part = undefined;
  }

  async #begin(): Promise<PartialFile> {
    const part = await PartialFile.create(this.chunk, this.deps.cache.paths.temporary, this.#prefix);
    this.#handles.push(part.handle);
    return part;
  }

  /** Keeps what came, also where the body breaks: the next try goes on from there. */
  async #receive(body: AsyncIterable<Uint8Array>, part: PartialFile, turn: DownloadTurn): Promise<void> {
    const { clock } = this.deps;
    let batch: Uint8Array[] = [];
    let batchBytes = 0;
    let flushedMs = Number.NEGATIVE_INFINITY;
    const flush = async () => {
      await part.append(batch.length === 1 ? batch[0]! : Buffer.concat(batch));
      batch = [];
      batchBytes = 0;
      flushedMs = clock.steadyMs();
      if (part.visibleBytes === 0) return;
      this.#view = { handle: part.handle, visibleBytes: part.visibleBytes };
      this.#changed.notifyAll();
    };
    try {
      for await (const piece of body) {
        turn.received(piece.length);
        batch.push(piece);
        batchBytes += piece.length;
        if (batchBytes >= BATCH_BYTES || clock.steadyMs() - flushedMs >= BATCH_MS) await flush();
      }
    } catch (error) {
      if (error instanceof RemoteError) await flush();
      throw error;
    }
    await flush();
  }

  /** A file that is in doubt is dropped: readers get no further than they are until the next has caught up. */
  async #afterFailure(error: unknown): Promise<void> {
    if (error instanceof RemoteError && error.code !== 'chunk-corrupt') return;
    const { cache, metrics } = this.deps;
    if (error instanceof WrongBytes)
      metrics.count('gateway_chunk_hash_failures_total', { where: 'download' });
    if (isNoSpace(error)) await cache.shrink(2 * this.chunk.sizeBytes);
    await this.#part?.unlink();
    this.#part = undefined;
    const view = this.#view;
    if (!view || this.#handedOutBytes === 0) {
      this.#view = undefined;
      return;
    }
    view.visibleBytes = this.#handedOutBytes;
    try {
      this.#prefix = {
        lengthBytes: view.visibleBytes,
        sha256: await hashOfFile(view.handle, view.visibleBytes),
      };
    } catch (cause) {
      // Without it nobody can tell whether another attempt brings the same bytes: not repeated.
      throw new ChunkError('corrupt', `what was given out of chunk ${this.chunk.oid} cannot be read again`, {
        cause,
      });
    }
  }

  get #waiting(): Waiting {
    if (this.#readers.size === 0) return 'nobody';
    for (const { request } of this.#readers) if (request.hasBegun) return 'under-way';
    return 'for-the-first-byte';
  }

  /** Until something has changed. @throws ChunkError for a new answer while the line is known to be down */
  async #wait(reader: DownloadReader, signal: AbortSignal | undefined): Promise<void> {
    const { clock, downlink } = this.deps;
    if (!reader.isWaiting) {
      reader.isWaiting = true;
      downlink.changed();
    }
    if (reader.request.hasBegun) {
      await this.#changed.wait(signal);
      return;
    }
    const refusal = refusalWhileDown(downlink, reader.request, clock.steadyMs());
    if (refusal) throw refusal;
    const over = new AbortController();
    const either = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
    try {
      await Promise.race([this.#changed.wait(either), clock.sleep(LOOK_MS, either)]);
    } catch (error) {
      throw signal?.aborted ? abortedBy(signal) : error;
    } finally {
      over.abort(new ChunkError('aborted', 'the wait is over'));
    }
  }

  async #readView(handle: FileHandle, positionBytes: number, lengthBytes: number): Promise<Uint8Array> {
    this.#reads += 1;
    try {
      const bytes = await readInto(this.deps.cache.blocks.borrow(lengthBytes), handle, positionBytes);
      if (bytes.length < lengthBytes)
        throw new ChunkError('corrupt', `the file of chunk ${this.chunk.oid} was cut while it was written`);
      return bytes;
    } finally {
      this.#reads -= 1;
      if (this.#readers.size === 0 && this.#ended) await this.#closeFiles();
    }
  }

  async #closeFiles(): Promise<void> {
    if (this.#reads > 0) return;
    const handles = this.#handles.splice(0);
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

/** One reader's hold on a download. */
class DownloadReader implements ChunkSource {
  /** It has come to this chunk and found it lacking. */
  isWaiting = false;
  #closed = false;

  constructor(
    private readonly download: Download,
    readonly request: ReadRequest,
  ) {}

  get isVerified(): boolean {
    return this.download.isVerified;
  }

  read(positionBytes: number, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.download.read(this, positionBytes, maxBytes, signal);
  }

  verified(signal?: AbortSignal): Promise<void> {
    return this.download.verified(this, signal);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.download.detach(this);
  }
}
