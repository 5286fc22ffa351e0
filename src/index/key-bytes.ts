/** Keys of the stores as bytes: numbers are big-endian, so that their order is the order of the bytes. */

/** UTF-8 bytes; their order is the order of S3 keys. */
export function utf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

/** Negative, zero or positive as the UTF-8 bytes of a stand before, at or after those of b; makes none of them. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointOrder(x) - codePointOrder(y);
  }
  return a.length - b.length;
}

/** UTF-8 has the order of code points: surrogates, which stand for the highest ones, go behind all other units. */
function codePointOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** The same bytes, not a copy. lmdb-js takes any other Uint8Array for a value to be encoded. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One key of several parts. */
export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

/** Eight bytes, for numbers up to 2^53 - 1. */
export function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** Reads what u64 wrote at this place. */
export function readU64(bytes: Uint8Array, at: number): number {
  return Number(asBuffer(bytes).readBigUInt64BE(at));
}

/** The first key after this one: nothing stands between them. */
export function nextKey(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)]);
}

/** The first key after all that begin with the prefix. @throws RangeError where no key stands after them. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i -= 1) {
    if (prefix[i]! < 0xff) {
      const end = Buffer.from(prefix.subarray(0, i + 1));
      end[i]! += 1;
      return end;
    }
  }
  throw new RangeError('nothing stands after this prefix');
}

export function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
