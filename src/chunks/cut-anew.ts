import type { Chunk, Extent } from '../format/extent.js';
import { isWholeChunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { looksLikePointer, POINTER_BYTES_MAX } from '../format/lfs-pointer.js';
import type { ExtentList } from '../index/object-record.js';
import { ChunkError } from './api.js';
import type { ChunkSink } from './ingest.js';
import type { ChunkReader } from './reader.js';

/** Whole chunks of this size stay: a slow line cuts pieces so small (src/line/admission.ts). */
const GOOD_FROM_BYTES = 1024 * 1024;
/** What Gitee has already is not sent a second time for the sake of a few files less. */
const SENT_GOOD_FROM_BYTES = 256 * 1024;

/** Bytes below which no object, however it is made up, has more chunks than so many. */
export function bytesOfChunks(chunks: number, chunkSizeBytes: number): number {
  // Two short ones never stand side by side.
  return (chunks / 2) * Math.min(SENT_GOOD_FROM_BYTES, chunkSizeBytes / 8);
}

/** So many chunks, or fewer, has the object once it is committed; moves no bytes. */
export async function chunksAtMost(
  extents: AsyncIterable<Extent> | Iterable<Extent>,
  chunkSizeBytes: number,
): Promise<number> {
  const goodFromBytes = Math.min(SENT_GOOD_FROM_BYTES, chunkSizeBytes / 8);
  let chunks = 0;
  let runBytes = 0;
  for await (const extent of extents) {
    if (!isWholeChunk(extent) || extent.lengthBytes < goodFromBytes) {
      runBytes += extent.lengthBytes;
      continue;
    }
    chunks += Math.ceil(runBytes / chunkSizeBytes) + 1;
    runBytes = 0;
  }
  return chunks + Math.ceil(runBytes / chunkSizeBytes);
}

export interface NormaliseOptions {
  readonly reader: ChunkReader;
  readonly newSink: () => ChunkSink;
  readonly chunkSizeBytes: number;
  /** Gitee has no copy of it. */
  readonly isUnsent: (oid: Oid) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Extents that stand side by side and are cut anew together. */
interface Run {
  readonly startBytes: number;
  /** The run is just this whole chunk: cutting it anew would give it again. */
  only: Extent | undefined;
}

function chunkOf(extent: Extent): Chunk {
  return { oid: extent.oid, sizeBytes: extent.chunkLengthBytes, volume: extent.volume };
}

/**
 * The whole chunks that a commit may name for an object, in order; their concatenation is the object. Exactly
 * one where the object is no longer than a chunk (two where it would read as an LFS pointer). Whole chunks of a
 * good size stay, as does a short one between them; runs of partial or short ones are cut anew through the
 * writer. What comes out normalises to itself, so a committer that starts over finds the same chunks.
 */
export async function* normalise(list: ExtentList, options: NormaliseOptions): AsyncGenerator<Chunk> {
  const { chunkSizeBytes } = options;
  const isGood = ({ lengthBytes, oid }: Extent) =>
    lengthBytes >= Math.min(GOOD_FROM_BYTES, chunkSizeBytes / 2) ||
    (lengthBytes >= Math.min(SENT_GOOD_FROM_BYTES, chunkSizeBytes / 8) && !options.isUnsent(oid));
  const isSmall = list.sizeBytes <= chunkSizeBytes;
  let run: Run | undefined;
  let atBytes = 0;
  for await (const extent of list.range(0, list.sizeBytes)) {
    if (extent.lengthBytes === 0) continue;
    const whole = isWholeChunk(extent);
    if (whole && isGood(extent) && !isSmall) {
      if (run) yield* endRun(run, atBytes, list, options);
      run = undefined;
      yield chunkOf(extent);
    } else if (run) run.only = undefined;
    else run = { startBytes: atBytes, only: whole ? extent : undefined };
    atBytes += extent.lengthBytes;
  }
  if (run) yield* endRun(run, atBytes, list, options);
  if (atBytes !== list.sizeBytes)
    throw new ChunkError(
      'corrupt',
      `the extents give ${atBytes} bytes where the index says ${list.sizeBytes}`,
    );
}

async function* endRun(
  run: Run,
  endBytes: number,
  list: ExtentList,
  options: NormaliseOptions,
): AsyncGenerator<Chunk> {
  if (endBytes - run.startBytes <= POINTER_BYTES_MAX) {
    const bytes = await readAll(options.reader.read(list, run.startBytes, endBytes, options.signal));
    if (looksLikePointer(bytes)) {
      yield* cutPointer(bytes, options);
      return;
    }
  }
  if (run.only) {
    yield chunkOf(run.only);
    return;
  }
  const sink = options.newSink();
  const bytes = options.reader.read(list, run.startBytes, endBytes, options.signal);
  try {
    for await (const block of bytes as AsyncIterable<Uint8Array>) yield* sink.write(block);
    const last = await sink.end();
    if (last) yield last;
  } finally {
    bytes.destroy();
    await sink.discard();
  }
}

/**
 * A chunk whose bytes are an LFS pointer would be taken for that pointer once it is checked out, and `git lfs
 * fsck` would miss what it names: such bytes stand as two chunks, cut inside the word `version`, so that neither
 * reads as a pointer.
 */
async function* cutPointer(bytes: Buffer, options: NormaliseOptions): AsyncGenerator<Chunk> {
  const cutBytes = bytes.indexOf('version') + 'ver'.length;
  for (const piece of [bytes.subarray(0, cutBytes), bytes.subarray(cutBytes)]) {
    const sink = options.newSink();
    try {
      yield* sink.write(piece);
      const last = await sink.end();
      if (last) yield last;
    } finally {
      await sink.discard();
    }
  }
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}
