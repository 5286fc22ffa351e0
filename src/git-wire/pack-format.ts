/** Packs and their indexes as bytes (gitformat-pack(5)); pure. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type PackedType = 'commit' | 'tree' | 'blob' | 'ref-delta';

const TYPE_NUMBERS: Readonly<Record<PackedType, number>> = { commit: 1, tree: 2, blob: 3, 'ref-delta': 7 };

export const PACK_HEADER_BYTES = 12;
export const PACK_TRAILER_BYTES = 20;

export function packHeader(objects: number): Buffer {
  const header = Buffer.alloc(PACK_HEADER_BYTES);
  header.write('PACK', 0, 'latin1');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(objects, 8);
  return header;
}

/** What stands before an object's deflated bytes: its type and its size as it is inflated. */
export function entryHeader(type: PackedType, sizeBytes: number): Buffer {
  const bytes: number[] = [];
  let rest = Math.floor(sizeBytes / 16);
  let byte = (TYPE_NUMBERS[type] << 4) | (sizeBytes % 16);
  while (rest > 0) {
    bytes.push(byte | 0x80);
    byte = rest % 128;
    rest = Math.floor(rest / 128);
  }
  bytes.push(byte);
  return Buffer.from(bytes);
}

export interface IndexedObject {
  /** Where its entry begins in the pack. */
  readonly offsetBytes: number;
  /** CRC-32 of the entry as it lies in the pack, header included. */
  readonly crc32: number;
}

/** CRC-32 of an entry in several pieces. */
export function crcOf(pieces: readonly Uint8Array[]): number {
  let crc = 0;
  for (const piece of pieces) crc = crc32(piece, crc);
  return crc;
}

/**
 * Version 2 of a pack's index.
 * @param objects id to where it is; @param packSum the last 20 bytes of the pack.
 * @throws RangeError for a pack above 2 GiB, whose offsets need another table.
 */
export function packIndex(objects: ReadonlyMap<string, IndexedObject>, packSum: Uint8Array): Buffer {
  const ids = [...objects.keys()].sort();
  const count = ids.length;
  const index = Buffer.alloc(8 + 256 * 4 + count * (20 + 4 + 4) + 40);
  index.write('\xfftOc', 0, 'latin1');
  index.writeUInt32BE(2, 4);
  const idsAt = 8 + 256 * 4;
  const crcsAt = idsAt + count * 20;
  const offsetsAt = crcsAt + count * 4;
  const fanout = new Uint32Array(256);
  ids.forEach((id, i) => {
    const { offsetBytes, crc32: crc } = objects.get(id)!;
    if (offsetBytes >= 2 ** 31) throw new RangeError('a pack above 2 GiB');
    index.write(id, idsAt + i * 20, 'hex');
    index.writeUInt32BE(crc, crcsAt + i * 4);
    index.writeUInt32BE(offsetBytes, offsetsAt + i * 4);
    fanout[index[idsAt + i * 20]!]! += 1;
  });
  let sum = 0;
  fanout.forEach((n, i) => {
    sum += n;
    index.writeUInt32BE(sum, 8 + i * 4);
  });
  index.set(packSum, index.length - 40);
  index.set(createHash('sha1').update(index.subarray(0, -20)).digest(), index.length - 20);
  return index;
}
