import { createHash, type Hash } from 'node:crypto';
import { abortable } from '../async/abort.js';
import type { Chunk, Extent } from '../format/extent.js';
import { wholeExtent } from '../format/extent.js';
import { toOid } from '../format/ids.js';
import type { AskedBody } from '../space/reservation.js';
import type { Ingested, IngestOptions } from './api.js';
import { abortedBy } from './aborted.js';
import { Chunker } from './chunker.js';
import { BodyDigests } from './digests.js';
import type { PacedBody } from '../line/admission.js';
import type { PinnedChunks } from './pinned.js';
import type { UnnamedChunk } from './writer.js';

export interface ChunkSinkOptions {
  readonly pinned: PinnedChunks;
  /** Asked when a chunk begins; at most `chunk_size`. */
  readonly nextChunkBytes: () => number;
  /** Called before a chunk is begun; may refuse it. */
  readonly beforeChunk: () => Promise<void>;
  /** Called when a chunk is durable. `isCut`: it is as large as it was to be, and not the end of the bytes. */
  readonly onChunk: (chunk: Chunk, isCut: boolean) => void;
}

/** Turns a run of bytes into durable chunks, one after the other. Ends with `end`, or with `discard`. */
export class ChunkSink {
  readonly #chunker: Chunker;
  #file: UnnamedChunk | undefined;
  #hash: Hash | undefined;
  #begun = 0;

  /** `digests` of the whole body are kept up here; the first chunk shares their SHA-256. */
  constructor(
    private readonly options: ChunkSinkOptions,
    private readonly digests: BodyDigests = new BodyDigests([]),
  ) {
    this.#chunker = new Chunker(options.nextChunkBytes);
  }

  /** Bytes that complete the chunk that is being filled, or the next one. */
  get restBytes(): number {
    return this.#chunker.restBytes;
  }

  /** Yields each chunk that these bytes complete. Afterwards they are the caller's again. */
  async *write(bytes: Uint8Array): AsyncGenerator<Chunk> {
    for (const piece of this.#chunker.cut(bytes)) {
      this.#file ??= await this.#begin();
      this.digests.update(piece.bytes);
      this.#hash?.update(piece.bytes);
      await this.#file.write(piece.bytes);
      if (piece.endsChunk) yield await this.#publish(this.#file, true);
    }
  }

  /** The last, shorter chunk, if there is one. */
  async end(): Promise<Chunk | undefined> {
    return this.#file && (await this.#publish(this.#file, false));
  }

  /** Removes what has no name yet; nothing after `end`. */
  async discard(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.discard();
  }

  async #begin(): Promise<UnnamedChunk> {
    await this.options.beforeChunk();
    // Where a chunk is a whole part, its SHA-256 is computed anyway: hashing twice would cost a third more.
    this.#hash = this.#begun === 0 && this.digests.hasSha256 ? undefined : createHash('sha256');
    this.#begun += 1;
    return this.options.pinned.begin();
  }

  async #publish(file: UnnamedChunk, isCut: boolean): Promise<Chunk> {
    this.#file = undefined;
    const oid = toOid(this.#hash?.digest('hex') ?? this.digests.sha256SoFarHex() ?? '');
    const chunk = await this.options.pinned.publish(file, oid);
    this.options.onChunk(chunk, isCut);
    return chunk;
  }
}

/**
 * Cuts, hashes and stores one body; see ChunksApi.ingest. What it throws leaves no half-written file. A body
 * that is `paced` is read at the pace of the line, from its second run on.
 */
export async function ingestBody(
  body: AsyncIterable<Uint8Array>,
  { keepUpToBytes, lengthBytes }: AskedBody,
  options: IngestOptions,
  sinkOptions: ChunkSinkOptions,
  paced?: PacedBody,
): Promise<Ingested> {
  const digests = new BodyDigests(options.digests);
  const sink = new ChunkSink(sinkOptions, digests);
  const extents: Extent[] = [];
  const store = async (bytes: Uint8Array) => {
    for await (const chunk of sink.write(bytes)) extents.push(wholeExtent(chunk));
  };
  // Small bodies are kept back until it is known that they end soon.
  let kept: Uint8Array[] | undefined = [];
  let sizeBytes = 0;
  const turn = async () => {
    // Small bodies come at once.
    if (!paced || kept || sizeBytes === 0 || sizeBytes === lengthBytes) return;
    const leftBytes = (lengthBytes ?? Number.POSITIVE_INFINITY) - sizeBytes;
    await paced.turn(Math.max(1, Math.min(sink.restBytes, leftBytes)));
  };
  try {
    for await (const bytes of untilAborted(body, options.signal, turn)) {
      sizeBytes += bytes.length;
      paced?.took(bytes.length);
      if (kept && sizeBytes <= keepUpToBytes) {
        kept.push(Buffer.from(bytes));
        continue;
      }
      for (const earlier of kept ?? []) await store(earlier);
      kept = undefined;
      await store(bytes);
    }
    if (kept && sizeBytes <= keepUpToBytes) {
      const bytes = Buffer.concat(kept);
      digests.update(bytes);
      return { sizeBytes, bytes, extents: [], digests: digests.finish() };
    }
    const last = await sink.end();
    if (last) extents.push(wholeExtent(last));
    return { sizeBytes, bytes: undefined, extents, digests: digests.finish() };
  } finally {
    await sink.discard();
  }
}

/**
 * The body's runs, each read after its `turn`; rejects with ChunkError `aborted` as soon as the signal fires, even while the body stalls.
 * A listener per run and not one race for all: a promise that stays open keeps every value that raced with it.
 */
async function* untilAborted(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  turn: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const runs = body[Symbol.asyncIterator]();
  let over = false;
  try {
    for (;;) {
      await turn();
      const read = (resolve: (run: IteratorResult<Uint8Array>) => void, reject: (error: Error) => void) => {
        runs.next().then(resolve, (error: Error) => {
          over = true;
          reject(error);
        });
      };
      const next = await abortable(signal, read, abortedBy);
      if (next.done) {
        over = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not waited for: a body that stalls answers this only after its next run.
    if (!over) runs.return?.().catch(() => {});
  }
}
