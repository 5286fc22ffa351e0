/**
 * Git LFS pointers (git-lfs: docs/spec.md, "The Pointer"). Written in the one valid encoding; read as leniently
 * as git-lfs itself reads (lfs/pointer.go), since `git lfs pull` replaces whatever *it* takes for a pointer.
 */
import { OBJECT_BYTES_MAX } from './bounds.js';
import type { Chunk } from './extent.js';
import { toOid, type Oid } from './ids.js';

const VERSION = 'https://git-lfs.github.com/spec/v1';
/** lfs/pointer.go, v1Aliases: names that the specification had before. */
const VERSIONS = new Set([VERSION, 'http://git-media.io/v/2', 'https://hawser.github.com/spec/v1']);
/** git-lfs looks at no more than this (lfs.blobSizeCutoff); a larger blob is never a pointer. */
export const POINTER_BYTES_MAX = 1024;

const INT64_MAX = 2n ** 63n - 1n;

const KEYS = ['version', 'oid', 'size'] as const;
/** Go's unicode.IsSpace, which bytes.TrimSpace uses. JavaScript's trim() differs in U+0085 and U+FEFF. */
const SPACE = '[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const OUTER_SPACE = new RegExp(`^${SPACE}+|${SPACE}+$`, 'g');

/**
 * The pointer file of a chunk.
 * @throws RangeError for an empty chunk: the specification has no pointer to an empty file.
 */
export function formatPointer(chunk: Chunk): Uint8Array {
  if (!Number.isSafeInteger(chunk.sizeBytes) || chunk.sizeBytes < 1)
    throw new RangeError(`no pointer can name a chunk of ${chunk.sizeBytes} bytes`);
  return Buffer.from(`version ${VERSION}\noid sha256:${chunk.oid}\nsize ${chunk.sizeBytes}\n`);
}

/**
 * The chunk (volume 0) that a file of the tree points to, or undefined where it is no pointer. One with `ext-`
 * lines is none to us: its oid names what an extension made of the bytes, not the bytes.
 */
export function parsePointer(bytes: Uint8Array): Chunk | undefined {
  const pointer = readPointer(bytes);
  return pointer === 'out-of-bounds' ? undefined : pointer;
}

/** As parsePointer; `out-of-bounds` for a pointer to git-lfs whose size no object can have. */
export function readPointer(bytes: Uint8Array): Chunk | 'out-of-bounds' | undefined {
  if (bytes.length > POINTER_BYTES_MAX) return undefined;
  const pointer = decode(bytes);
  // Go's strconv.ParseInt refuses what int64 does not hold: to git-lfs that is no pointer.
  if (!pointer || pointer.extended || pointer.size > INT64_MAX) return undefined;
  if (pointer.size > OBJECT_BYTES_MAX) return 'out-of-bounds';
  return { oid: pointer.oid, sizeBytes: Number(pointer.size), volume: 0 };
}

/**
 * True where some command of git-lfs would take these bytes for a pointer: such an object must not stand as a
 * plain file. Wider than parsePointer, since the smudge filter looks at the first 1,024 bytes of a longer file.
 */
export function looksLikePointer(bytes: Uint8Array): boolean {
  return decode(bytes.subarray(0, POINTER_BYTES_MAX)) !== undefined;
}

/**
 * True where a pointer may begin with this byte, so that most files are looked at no further: the first line is `version`
 * or `ext-`, and only space stands before it, of which the rest of Unicode's is not ASCII.
 */
function mayBegin(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return byte === 0x76 || byte === 0x65 || byte >= 0x80 || byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** lfs/pointer.go, decodeKV and decodeKVData. */
function decode(bytes: Uint8Array): { oid: Oid; size: bigint; extended: boolean } | undefined {
  if (!mayBegin(bytes[0])) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Nearly every file ends here, and these names are the same in Latin-1, which is read faster.
  if (!/git-media|hawser|git-lfs/.test(buffer.toString('latin1'))) return undefined;
  const text = buffer.toString('utf8');
  const values: string[] = [];
  let extended = false;
  for (const line of text.replace(OUTER_SPACE, '').split(/\r?\n/)) {
    if (line === '') continue;
    const blank = line.indexOf(' ');
    if (blank < 0 || values.length === KEYS.length) return undefined;
    const key = line.slice(0, blank);
    if (key === KEYS[values.length]) values.push(line.slice(blank + 1));
    else if (/^ext-[0-9]-\w+/.test(key)) extended = true;
    else return undefined;
  }
  const [version, oid, size] = values;
  if (version === undefined || oid === undefined || size === undefined) return undefined;
  if (!VERSIONS.has(version) || !/^sha256:[0-9a-f]{64}$/.test(oid) || !/^(?:\+?[0-9]+|-0+)$/.test(size))
    return undefined;
  return { oid: toOid(oid.slice('sha256:'.length)), size: BigInt(size.replace(/^[+-]/, '')), extended };
}
