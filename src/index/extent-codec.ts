/** Extents as packed rows of 52 bytes: oid, chunk length, offset, length (48 bits each), volume (16 bits). */
import type { Extent } from '../format/extent.js';
import type { Oid } from '../format/ids.js';

const EXTENT_BYTES = 52;

export function packExtents(extents: readonly Extent[]): Uint8Array {
  const bytes = Buffer.alloc(extents.length * EXTENT_BYTES);
  extents.forEach((extent, i) => {
    const at = i * EXTENT_BYTES;
    bytes.write(extent.oid, at, 'hex');
    bytes.writeUIntBE(extent.chunkLengthBytes, at + 32, 6);
    bytes.writeUIntBE(extent.offsetBytes, at + 38, 6);
    bytes.writeUIntBE(extent.lengthBytes, at + 44, 6);
    bytes.writeUInt16BE(extent.volume, at + 50);
  });
  return bytes;
}

/** @throws RangeError where the length is no multiple of a row. */
export function unpackExtents(packed: Uint8Array): Extent[] {
  if (packed.length % EXTENT_BYTES !== 0)
    throw new RangeError(`${packed.length} bytes of extents are no multiple of ${EXTENT_BYTES}`);
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const extents: Extent[] = [];
  for (let at = 0; at < bytes.length; at += EXTENT_BYTES)
    extents.push({
      oid: bytes.toString('hex', at, at + 32) as Oid,
      chunkLengthBytes: bytes.readUIntBE(at + 32, 6),
      offsetBytes: bytes.readUIntBE(at + 38, 6),
      lengthBytes: bytes.readUIntBE(at + 44, 6),
      volume: bytes.readUInt16BE(at + 50),
    });
  return extents;
}
