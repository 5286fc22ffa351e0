/**
 * Keys as paths of a git tree: docs/storage-format.md, "Escaping". Total for any key of 1 to 1,024 UTF-8 bytes,
 * injective, and the result passes `receive.fsckObjects`. Vectors: test/fixtures/format/escaping.json.
 *
 * `%` introduces everything that is ours: `%XX` (two upper-case hex digits) is a byte of the key, everything else
 * after `%` is a mark that no byte can produce.
 */
import type { ObjectKey, TreePath } from './ids.js';

/** AWS: "The name for a key is a sequence of Unicode characters whose UTF-8 encoding is at most 1,024 bytes." */
const KEY_BYTES_MAX = 1024;

/** Longest piece of one component, so that piece, marks and suffix stay far below a file name's 255 bytes. */
const PIECE_BYTES_MAX = 200;

/** An empty component (`a//b`, a leading or a trailing `/`). */
const EMPTY = '%-';
/** At the end of a piece that goes on, and at the start of the piece that carries on. */
const SPLIT = '%+';

/** Names that git, git-lfs or we give a meaning to. A longer name with such a beginning is escaped as well. */
const RESERVED_ANYWHERE = /^\.(?:git|lfsconfig|mailmap)/i;
const RESERVED_AT_TOP = /^\.gateway/i;

/**
 * Never as they are: `%` itself; control characters; backslash (git treats `.git\x` as `.git`); the code points
 * that HFS+ ignores in names (git: utf8.c, next_hfs_char), or `.g<zero width>it` is `.git` on a Mac; `~` before a
 * digit, since NTFS answers to `GIT~1` and `GITATT~1` as short names.
 */
const ESCAPED_CHARACTERS =
  /[%\\\u0000-\u001f\u007f-\u009f\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]|~(?=[0-9])/g;

/**
 * Keys and paths that are the same, as nearly all are: no name is reserved, escaped, empty or cut. The length is that of
 * keys, and one byte each.
 */
const ORDINARY = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199})*$/;

/** What may not be cut when a component is split: a whole character, or all of one `%XX`. */
const TOKEN = /%[0-9A-F]{2}|[\s\S]/gu;

/**
 * Returns the text as a key.
 * @throws RangeError where it is empty, over 1,024 UTF-8 bytes, or has a lone surrogate (no UTF-8 for it).
 */
export function toObjectKey(text: string): ObjectKey {
  if (text === '') throw new RangeError('a key has at least one byte');
  if (/\p{Surrogate}/u.test(text)) throw new RangeError('a key must be well-formed Unicode: lone surrogate');
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > KEY_BYTES_MAX)
    throw new RangeError(`a key has at most ${KEY_BYTES_MAX} bytes in UTF-8, this one has ${sizeBytes}`);
  return text as ObjectKey;
}

/** The path of a key below `path_prefix`. What it is a path of (file, directory of chunks) is tree-layout's. */
export function escapeKey(key: ObjectKey): TreePath {
  if (isOrdinary(key)) return key as string as TreePath;
  return key
    .split('/')
    .map((component, i) => escapeComponent(component, i === 0))
    .join('/') as TreePath;
}

/** The key of a path, or undefined where the path is not exactly what escapeKey makes of some key. */
export function unescapePath(path: TreePath): ObjectKey | undefined {
  if (isOrdinary(path)) return path as string as ObjectKey;
  const components: string[] = [];
  let open: string | undefined;
  for (const piece of path.split('/')) {
    const carriesOn = piece.startsWith(SPLIT);
    if (carriesOn !== (open !== undefined)) return undefined;
    const goesOn = piece.length > SPLIT.length && piece.endsWith(SPLIT);
    const text = piece.slice(carriesOn ? SPLIT.length : 0, goesOn ? -SPLIT.length : undefined);
    const joined: string = (open ?? '') + text;
    if (goesOn) open = joined;
    else {
      components.push(joined);
      open = undefined;
    }
  }
  if (open !== undefined) return undefined;
  const decoded = components.map(unescapeComponent);
  if (!decoded.every((component) => component !== undefined)) return undefined;
  const text = decoded.join('/');
  try {
    const key = toObjectKey(text);
    // One spelling per key: `%41` for `A` is somebody else's file, or two paths would be one key.
    return escapeKey(key) === path ? key : undefined;
  } catch (e) {
    if (e instanceof RangeError) return undefined; // too long or empty: no key has this path
    throw e;
  }
}

function isOrdinary(text: string): boolean {
  return text.length <= KEY_BYTES_MAX && ORDINARY.test(text);
}

function escapeComponent(component: string, atTop: boolean): string {
  if (component === '') return EMPTY;
  const escaped = component.replace(ESCAPED_CHARACTERS, escapeBytes);
  const reserved =
    component === '.' ||
    component === '..' ||
    RESERVED_ANYWHERE.test(component) ||
    (atTop && RESERVED_AT_TOP.test(component));
  return split(reserved ? `%2E${escaped.slice(1)}` : escaped);
}

function escapeBytes(characters: string): string {
  let escaped = '';
  for (const byte of Buffer.from(characters))
    escaped += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return escaped;
}

function split(escaped: string): string {
  // Most names are short, and UTF-8 has at most three bytes for one UTF-16 unit.
  if (escaped.length * 3 <= PIECE_BYTES_MAX || Buffer.byteLength(escaped) <= PIECE_BYTES_MAX) return escaped;
  const pieces: string[] = [];
  let piece = '';
  let pieceBytes = 0;
  for (const [token] of escaped.matchAll(TOKEN)) {
    const tokenBytes = Buffer.byteLength(token);
    if (pieceBytes + tokenBytes > PIECE_BYTES_MAX) {
      pieces.push(piece);
      piece = '';
      pieceBytes = 0;
    }
    piece += token;
    pieceBytes += tokenBytes;
  }
  pieces.push(piece);
  return pieces.join(`${SPLIT}/${SPLIT}`);
}

function unescapeComponent(escaped: string): string | undefined {
  if (escaped === EMPTY) return '';
  if (escaped === '') return undefined;
  if (!escaped.includes('%')) return escaped;
  const bytes: Buffer[] = [];
  let at = 0;
  for (const match of escaped.matchAll(/%([0-9A-F]{2})?/g)) {
    const hex = match[1];
    if (hex === undefined) return undefined;
    bytes.push(Buffer.from(escaped.slice(at, match.index)), Buffer.from(hex, 'hex'));
    at = match.index + 3;
  }
  bytes.push(Buffer.from(escaped.slice(at)));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return undefined; // bytes that are no UTF-8: no key has them
  }
}
