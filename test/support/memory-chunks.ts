/** A chunk store in memory, with a remote of its own, for tests of the journal and of objects. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  ChunkError,
  type ChunkHold,
  type ChunksApi,
  type ChunkStats,
  type Ingested,
  type IngestOptions,
  type KeptState,
  type WaitedClass,
} from '../../src/chunks/api.js';
import { abortable } from '../../src/async/abort.js';
import { abortedBy } from '../../src/chunks/aborted.js';
import { BodyDigests } from '../../src/chunks/digests.js';
import { ChunkHolds } from '../../src/chunks/holds.js';
import { isWholeChunk, wholeExtent, type Chunk, type Extent } from '../../src/format/extent.js';
import { toOid, type Oid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { ExtentList } from '../../src/index/object-record.js';
import { Reservation, type AskedBody } from '../../src/space/reservation.js';

export class MemoryChunks implements ChunksApi {
  readonly local = new Map<Oid, Uint8Array>();
  readonly remote = new Set<Oid>();
  /** Bytes that only Gitee has. */
  readonly elsewhere = new Map<Oid, Uint8Array>();
  /** Gitee answers nothing. */
  isAway = false;
  /** Unsent chunks that were not touched within the grace time. */
  readonly #aged = new Set<Oid>();
  /** Called before chunks are confirmed; throws what the remote would. */
  beforeEnsure: (chunks: readonly Chunk[]) => Promise<void> = async () => {};

  constructor(readonly chunkSizeBytes: number) {}

  /** Throws what a full quota would. */
  demandSpace: (bytes: number) => void = () => {};

  async reserve({ lengthBytes, keepUpToBytes }: AskedBody): Promise<Reservation> {
    if (lengthBytes === undefined || lengthBytes > keepUpToBytes) this.demandSpace(lengthBytes ?? 1);
    return Reservation.granted({ lengthBytes, keepUpToBytes });
  }

  async ingest(
    body: AsyncIterable<Uint8Array>,
    room: Reservation,
    options?: Partial<IngestOptions>,
  ): Promise<Ingested> {
    const { keepUpToBytes } = room.take();
    const bytes = await readBody(body, options?.signal);
    const digests = new BodyDigests(options?.digests ?? []);
    digests.update(bytes);
    const sizeBytes = bytes.length;
    if (sizeBytes <= keepUpToBytes) return { sizeBytes, bytes, extents: [], digests: digests.finish() };
    const extents = this.cut(bytes).map(wholeExtent);
    for (const { oid } of extents) options?.hold?.add(oid);
    return { sizeBytes, bytes: undefined, extents, digests: digests.finish() };
  }

  /** Whole chunks of these bytes. */
  cut(bytes: Uint8Array): Chunk[] {
    const chunks: Chunk[] = [];
    for (let at = 0; at < bytes.length; at += this.chunkSizeBytes)
      chunks.push(this.keep(bytes.subarray(at, at + this.chunkSizeBytes)));
    return chunks;
  }

  /** Puts bytes there as if another gateway had sent them. */
  seedRemote(bytes: Uint8Array): Chunk {
    const oid = toOid(createHash('sha256').update(bytes).digest('hex'));
    this.elsewhere.set(oid, Buffer.from(bytes));
    this.remote.add(oid);
    return { oid, sizeBytes: bytes.length, volume: 0 };
  }

  /** The grace time of all that is unsent now passes. */
  age(): void {
    for (const oid of this.local.keys()) if (this.isUnsent(oid)) this.#aged.add(oid);
  }

  keep(bytes: Uint8Array): Chunk {
    const oid = toOid(createHash('sha256').update(bytes).digest('hex'));
    this.local.set(oid, Buffer.from(bytes));
    this.#aged.delete(oid);
    return { oid, sizeBytes: bytes.length, volume: 0 };
  }

  async store(bytes: Uint8Array, hold?: ChunkHold): Promise<Chunk> {
    if (bytes.length === 0 || bytes.length > this.chunkSizeBytes)
      throw new RangeError(`a chunk has 1 to ${this.chunkSizeBytes} bytes, not ${bytes.length}`);
    const chunk = this.keep(bytes);
    hold?.add(chunk.oid);
    return chunk;
  }

  readonly holds = new ChunkHolds(() => {});

  hold(): ChunkHold {
    return this.holds.begin();
  }

  /** Oids whose commit has landed, in order. */
  readonly landedOids: Oid[] = [];

  async landed(oid: Oid): Promise<void> {
    this.landedOids.push(oid);
  }

  giveBack(): void {}

  read(list: ExtentList, startBytes: number, endBytes: number, signal?: AbortSignal): Readable {
    if (!(startBytes >= 0 && startBytes <= endBytes && endBytes <= list.sizeBytes))
      throw new RangeError(`bytes ${startBytes} to ${endBytes} of an object of ${list.sizeBytes}`);
    const bytesOf = (extent: Extent) => this.#bytes(extent);
    return Readable.from(
      (async function* () {
        let restBytes = endBytes - startBytes;
        for await (const extent of list.range(startBytes, endBytes)) {
          if (signal?.aborted) throw abortedBy(signal);
          yield bytesOf(extent);
          restBytes -= extent.lengthBytes;
        }
        if (restBytes !== 0) throw new ChunkError('corrupt', `the extents lack ${restBytes} bytes`);
      })(),
      { objectMode: false },
    );
  }

  async *normalise(list: ExtentList, _hold?: ChunkHold, _signal?: AbortSignal): AsyncIterable<Chunk> {
    const extents: Extent[] = [];
    for await (const extent of list.range(0, list.sizeBytes)) extents.push(extent);
    const isGood =
      extents.every(isWholeChunk) && (list.sizeBytes > this.chunkSizeBytes || extents.length === 1);
    if (!isGood) yield* this.cut(Buffer.concat(extents.map((extent) => this.#bytes(extent))));
    else
      for (const { oid, chunkLengthBytes, volume } of extents)
        yield { oid, sizeBytes: chunkLengthBytes, volume };
  }

  isUnsent(oid: Oid): boolean {
    return this.local.has(oid) && !this.remote.has(oid);
  }

  /** Called before chunks are sent; throws what the remote would. */
  beforeUpload: (chunks: readonly Chunk[], signal?: AbortSignal) => Promise<void> = async () => {};

  /** In which classes chunks were asked for, by oid. */
  readonly askedIn = new Map<string, Set<WaitedClass>>();

  async upload(chunks: readonly Chunk[], cls: WaitedClass, signal?: AbortSignal): Promise<void> {
    for (const { oid } of chunks) this.askedIn.set(oid, (this.askedIn.get(oid) ?? new Set()).add(cls));
    const unsent = chunks.filter(({ oid }) => this.isUnsent(oid));
    // Side by side, as on a line: one that fails or hangs stops no other.
    const results = await Promise.allSettled(
      unsent.map(async (chunk) => {
        this.#demandRemote();
        await this.beforeUpload([chunk], signal);
        this.remote.add(chunk.oid);
      }),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async ensureRemote(chunks: readonly Chunk[]): Promise<void> {
    if (chunks.length > 0) this.#demandRemote();
    await this.beforeEnsure(chunks);
    const gone = chunks.filter(({ oid }) => !this.local.has(oid) && !this.remote.has(oid));
    if (gone.length > 0)
      throw new RemoteError('chunk-missing', `${gone.length} chunks are nowhere`, {
        oids: gone.map(({ oid }) => oid),
      });
    for (const { oid } of chunks) this.remote.add(oid);
  }

  hasCopy({ oid }: Chunk): boolean {
    return this.local.has(oid);
  }

  async ensureKept(chunks: readonly Chunk[]): Promise<KeptState> {
    try {
      await this.ensureRemote(chunks);
      return { kind: 'kept' };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      const { code, message, retryAfterMs = 0 } = error;
      if (['chunk-missing', 'chunk-refused', 'chunk-corrupt', 'file-too-large'].includes(code))
        return { kind: 'lost', message };
      if (code === 'chunk-unkept') return { kind: 'unkept', message, retryAfterMs };
      return { kind: error.pauses ? 'paused' : 'unknown', message };
    }
  }

  /** As ChunkRemote.missing of the remote behind. */
  async missing(chunks: readonly Chunk[]): Promise<Chunk[]> {
    return chunks.filter(({ oid }) => !this.remote.has(oid));
  }

  async collect(...asked: Parameters<ChunksApi['collect']>): ReturnType<ChunksApi['collect']> {
    const unnamed = new Set([...this.#aged].filter((oid) => this.isUnsent(oid) && !this.holds.has(oid)));
    for (const named of asked) {
      if (unnamed.size === 0) break;
      for (const oid of await named(new Set(unnamed))) unnamed.delete(oid as Oid);
    }
    let removedBytes = 0;
    for (const oid of unnamed) {
      removedBytes += this.local.get(oid)!.length;
      this.local.delete(oid);
      this.#aged.delete(oid);
    }
    return { removedChunks: unnamed.size, removedBytes };
  }

  async *verifyLocal(): AsyncIterable<{ oid: string; problem: string }> {
    for (const [oid, bytes] of this.local)
      if (createHash('sha256').update(bytes).digest('hex') !== oid) yield { oid, problem: 'wrong bytes' };
  }

  stats(): ChunkStats {
    const unsent = [...this.local].filter(([oid]) => this.isUnsent(oid));
    return {
      unsentBytes: unsent.reduce((sum, [, bytes]) => sum + bytes.length, 0),
      unsentChunks: unsent.length,
      ...{ graceBytes: 0, cacheBytes: 0, uplinkBytesPerSecond: 1 },
    };
  }

  async close(): Promise<void> {}

  #demandRemote(): void {
    if (this.isAway) throw new RemoteError('unreachable', 'Gitee is away');
  }

  #bytes({ oid, offsetBytes, lengthBytes }: Extent): Uint8Array {
    const bytes = this.local.get(oid) ?? (this.isAway ? undefined : this.elsewhere.get(oid));
    if (!bytes && this.isAway)
      throw new ChunkError('remote-unavailable', `chunk ${oid} is not here, and Gitee is away`);
    if (!bytes) throw new ChunkError('missing', `chunk ${oid} is gone`);
    return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }
}

/** Reads it to its end, or until the signal fires, even while it stalls. */
async function readBody(body: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const read = async () => {
    for await (const piece of body) pieces.push(Buffer.from(piece));
  };
  await abortable<void>(signal, (resolve, reject) => void read().then(resolve, reject), abortedBy);
  return Buffer.concat(pieces);
}
