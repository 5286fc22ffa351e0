/** A chunk store in memory, with a remote of its own, for tests of the journal. */
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
import { ChunkHolds } from '../../src/chunks/holds.js';
import { isWholeChunk, wholeExtent, type Chunk, type Extent } from '../../src/format/extent.js';
import { toOid, type Oid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { ExtentList } from '../../src/index/object-record.js';

export class MemoryChunks implements ChunksApi {
  readonly local = new Map<Oid, Uint8Array>();
  readonly remote = new Set<Oid>();
  /** Called before chunks are confirmed; throws what the remote would. */
  beforeEnsure: (chunks: readonly Chunk[]) => Promise<void> = async () => {};

  constructor(readonly chunkSizeBytes: number) {}

  /** Throws what a full quota would. */
  demandSpace: (bytes: number) => void = () => {};

  async admit(): Promise<void> {}

  async ingest(body: AsyncIterable<Uint8Array>, options?: IngestOptions): Promise<Ingested> {
    const pieces: Uint8Array[] = [];
    for await (const piece of body) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const extents = this.cut(bytes).map(wholeExtent);
    for (const { oid } of extents) options?.hold?.add(oid);
    const digests = new Map(
      (options?.digests ?? []).map((name) => [name, createHash(name).update(bytes).digest()] as const),
    );
    return { sizeBytes: bytes.length, bytes: undefined, extents, digests };
  }

  /** Whole chunks of these bytes. */
  cut(bytes: Uint8Array): Chunk[] {
    const chunks: Chunk[] = [];
    for (let at = 0; at < bytes.length; at += this.chunkSizeBytes)
      chunks.push(this.keep(bytes.subarray(at, at + this.chunkSizeBytes)));
    return chunks;
  }

  keep(bytes: Uint8Array): Chunk {
    const oid = toOid(createHash('sha256').update(bytes).digest('hex'));
    this.local.set(oid, Buffer.from(bytes));
    return { oid, sizeBytes: bytes.length, volume: 0 };
  }

  async store(bytes: Uint8Array, hold?: ChunkHold): Promise<Chunk> {
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

  read(list: ExtentList, startBytes: number, endBytes: number, _signal?: AbortSignal): Readable {
    const bytesOf = (extent: Extent) => this.#bytes(extent);
    return Readable.from(
      (async function* () {
        for await (const extent of list.range(startBytes, endBytes)) yield bytesOf(extent);
      })(),
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
        await this.beforeUpload([chunk], signal);
        this.remote.add(chunk.oid);
      }),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async ensureRemote(chunks: readonly Chunk[]): Promise<void> {
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
      const { code, message, retryAfterMs = 0 } = error as RemoteError;
      if (code === 'chunk-missing') return { kind: 'lost', message };
      if (code === 'chunk-unkept') return { kind: 'unkept', message, retryAfterMs };
      return { kind: (error as RemoteError).pauses ? 'paused' : 'unknown', message };
    }
  }

  /** As ChunkRemote.missing of the remote behind. */
  async missing(chunks: readonly Chunk[]): Promise<Chunk[]> {
    return chunks.filter(({ oid }) => !this.remote.has(oid));
  }

  collect: ChunksApi['collect'] = async () => ({ removedChunks: 0, removedBytes: 0 });

  async *verifyLocal(): AsyncIterable<{ oid: string; problem: string }> {}

  stats(): ChunkStats {
    return { unsentBytes: 0, unsentChunks: 0, graceBytes: 0, cacheBytes: 0, uplinkBytesPerSecond: 1 };
  }

  async close(): Promise<void> {}

  #bytes({ oid, offsetBytes, lengthBytes }: Extent): Uint8Array {
    const bytes = this.local.get(oid);
    if (!bytes) throw new ChunkError('missing', `chunk ${oid} is gone`);
    return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }
}
