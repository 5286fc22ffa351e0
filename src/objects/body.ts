import type { ChunkHold, ChunksApi } from '../chunks/api.js';
import type { Extent } from '../format/extent.js';
import { wholeExtent } from '../format/extent.js';
import type { ObjectKey } from '../format/ids.js';
import { plainBytes, plainUpToBytes } from '../format/object-form.js';
import { isLocalKey, type LayoutRules } from '../format/tree-layout.js';
import type { NewBody, ObjectBody } from '../index/object-record.js';

/** Local keys up to this size are kept in the index itself: startedat and hash states are 20 and 108 bytes. */
const LOCAL_INLINE_MAX_BYTES = 4096;

/** Up to which size a body for this key is to come back from ingest as bytes rather than as a chunk. */
export function keepUpToBytes(rules: LayoutRules, key: ObjectKey): number {
  return isLocalKey(rules, key) ? LOCAL_INLINE_MAX_BYTES : plainUpToBytes(rules, key);
}

/**
 * Who shares the line alike with others of its bucket: a repository of the registry, in which one push writes
 * several layers at once; of all other keys the bucket itself.
 */
export function pushOf(rules: LayoutRules, key: ObjectKey): string {
  return isLocalKey(rules, key) ? key.slice(0, key.indexOf('/_uploads/')) : '';
}

/**
 * Brings a body into the form that the storage format has for this key and size: plain bytes become a chunk
 * where a pointer or `%chunks` must stand, short extents become bytes where a plain file must stand.
 */
export async function fitBody(
  rules: LayoutRules,
  key: ObjectKey,
  sizeBytes: number,
  body: NewBody,
  chunks: ChunksApi,
  read: () => Promise<Uint8Array>,
  hold: ChunkHold,
): Promise<NewBody> {
  if (isLocalKey(rules, key)) return body;
  const plain = await plainBytes(rules, key, sizeBytes, async () =>
    body.kind === 'plain' ? body.bytes : read(),
  );
  if (plain) return { kind: 'plain', bytes: plain };
  if (body.kind === 'extents') return body;
  return { kind: 'extents', extents: [wholeExtent(await chunks.store(body.bytes, hold))] };
}

/** All bytes of a body that is known to be small. @throws RangeError where it has more than maxBytes. */
export async function readSmall(
  body: ObjectBody,
  sizeBytes: number,
  maxBytes: number,
  chunks: ChunksApi,
): Promise<Uint8Array> {
  if (body.kind === 'plain') return body.bytes;
  if (sizeBytes > maxBytes) throw new RangeError(`body of ${sizeBytes} bytes is over ${maxBytes}`);
  const pieces: Buffer[] = [];
  for await (const piece of chunks.read(body.list, 0, sizeBytes)) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Joins neighbours that are neighbours in the same chunk too: a copy of copied parts stays short. */
export async function* meltExtents(
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): AsyncGenerator<Extent> {
  let held: Extent | undefined;
  for await (const extent of extents) {
    if (held && held.oid === extent.oid && held.offsetBytes + held.lengthBytes === extent.offsetBytes) {
      held = { ...held, lengthBytes: held.lengthBytes + extent.lengthBytes };
      continue;
    }
    if (held) yield held;
    held = extent;
  }
  if (held) yield held;
}

/** Runs what stores chunks and then writes the row that names them. */
export async function holding<T>(chunks: ChunksApi, run: (hold: ChunkHold) => Promise<T>): Promise<T> {
  const hold = chunks.hold();
  try {
    return await run(hold);
  } finally {
    hold.end();
  }
}
