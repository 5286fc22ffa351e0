/**
 * Which chunks the branch names, told to whoever counts the space that they take on Gitee. The base has no rows by
 * oid, so they are told while they pass by: in a rebuild, and in every change by somebody else.
 */
import type { Chunk, Extent } from '../format/extent.js';
import type { BaseChange, KeyIndex } from './key-index.js';

/** Counts the chunks of one bucket. */
export interface ChunkCensus {
  /** The whole branch was told once, on this disk. */
  readonly isComplete: boolean;
  /** Telling twice is telling once. */
  add(chunk: Chunk): Promise<void>;
  /** The whole branch has been told. */
  complete(): Promise<void>;
}

/** The changes, unchanged; their chunks are told as they are read. */
export async function* told(
  changes: AsyncIterable<BaseChange>,
  census: ChunkCensus,
): AsyncGenerator<BaseChange> {
  for await (const change of changes) yield toldChange(change, census);
}

function toldChange(change: BaseChange, census: ChunkCensus): BaseChange {
  if (!('onDouble' in change) || !change.onDouble) return toldPut(change, census);
  const { onDouble } = change;
  return {
    ...toldPut(change, census),
    onDouble: async (key) => toldPut(await onDouble(key), census),
  } as BaseChange;
}

function toldPut(change: BaseChange, census: ChunkCensus): BaseChange {
  if (change.kind !== 'put' || change.object.body.kind !== 'extents') return change;
  const extents = tellExtents(change.object.body.extents, census);
  return { ...change, object: { ...change.object, body: { kind: 'extents', extents } } };
}

/** For a base that was filled before anybody counted. */
export async function tellBase(index: KeyIndex, census: ChunkCensus): Promise<void> {
  for await (const { record } of index.all()) {
    if (record.body.kind === 'plain') continue;
    const body = await index.openBody(record);
    if (body.kind !== 'extents') continue;
    for await (const extent of body.list.range(0, record.sizeBytes)) await census.add(chunkOf(extent));
  }
  await census.complete();
}

async function* tellExtents(
  extents: AsyncIterable<Extent> | Iterable<Extent>,
  census: ChunkCensus,
): AsyncGenerator<Extent> {
  for await (const extent of extents) {
    await census.add(chunkOf(extent));
    yield extent;
  }
}

function chunkOf({ oid, chunkLengthBytes, volume }: Extent): Chunk {
  return { oid, sizeBytes: chunkLengthBytes, volume };
}
