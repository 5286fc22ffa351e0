/** Keys of the stores as bytes: numbers are big-endian, so that their order is the order of the bytes. */

/** UTF-8 bytes; their order is the order of S3 keys. */
export function utf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
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
  return Number(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE(at));
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
