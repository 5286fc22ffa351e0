/**
 * S3 orders keys by their UTF-8 bytes, which is the order of code points and not that of JavaScript strings
 * (UTF-16 units): these helpers keep the difference in one place.
 */
import { compareText } from '../index/key-bytes.js';

const encoder = new TextEncoder();

/** UTF-8 bytes of a key or prefix. */
export function keyBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Negative, zero or positive as a stands before, at or after b in UTF-8 byte order. */
export const compareKeys = compareText;

/** The first string after a key: nothing stands between them. */
export function afterKey(key: string): string {
  return `${key}\0`;
}

/**
 * The first string after all that begin with the prefix: its last code point plus one (surrogates left out).
 * undefined where there is none, as for the empty prefix.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (c) => c.codePointAt(0)!);
  while (points.length > 0) {
    const last = points.pop()!;
    if (last < 0x10ffff) {
      const next = last === 0xd7ff ? 0xe000 : last + 1;
      return String.fromCodePoint(...points, next);
    }
  }
  return undefined;
}
