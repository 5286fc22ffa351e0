/**
 * The difference of two trees as git's delta (gitformat-pack(5), "Deltified representation"): a directory of a
 * registry has thousands of entries, of which a push changes a few, and ids do not compress. Trees are sorted, so the
 * two are walked side by side: no search.
 */

const COPY_MAX_BYTES = 0x10000;
const INSERT_MAX_BYTES = 127;
/** Fewer bytes than this cost more as a copy than they bring. */
const COPY_MIN_BYTES = 12;

/** A delta that makes `target` out of `base`. @throws Error where one of them is no tree. */
export function treeDelta(base: Buffer, target: Buffer): Buffer {
  const out: Buffer[] = [size(base.length), size(target.length)];
  const oldEntries = new Entries(base);
  let copyAt = 0;
  let copyBytes = 0;
  let insertAt = 0;
  let insertBytes = 0;
  const flushCopy = () => {
    for (let at = copyAt, left = copyBytes; left > 0;) {
      const bytes = Math.min(left, COPY_MAX_BYTES);
      out.push(copy(at, bytes));
      at += bytes;
      left -= bytes;
    }
    copyBytes = 0;
  };
  const flushInsert = () => {
    for (let at = insertAt, left = insertBytes; left > 0;) {
      const bytes = Math.min(left, INSERT_MAX_BYTES);
      out.push(Buffer.of(bytes), target.subarray(at, at + bytes));
      at += bytes;
      left -= bytes;
    }
    insertBytes = 0;
  };
  for (const entries = new Entries(target); !entries.isAtEnd; entries.next()) {
    while (!oldEntries.isAtEnd && oldEntries.key < entries.key) oldEntries.next();
    const same =
      entries.lengthBytes >= COPY_MIN_BYTES &&
      !oldEntries.isAtEnd &&
      base.compare(target, entries.at, entries.end, oldEntries.at, oldEntries.end) === 0;
    if (same) {
      flushInsert();
      if (copyBytes === 0 || copyAt + copyBytes !== oldEntries.at) {
        flushCopy();
        copyAt = oldEntries.at;
      }
      copyBytes += entries.lengthBytes;
    } else {
      flushCopy();
      if (insertBytes === 0) insertAt = entries.at;
      insertBytes += entries.lengthBytes;
    }
  }
  flushCopy();
  flushInsert();
  return Buffer.concat(out);
}

/** A walk over a tree's bytes. */
class Entries {
  at = 0;
  end = 0;
  /** Git's order: a directory is compared as if its name ended with a slash. One character per byte. */
  key = '';

  constructor(private readonly body: Buffer) {
    this.#read();
  }

  get isAtEnd(): boolean {
    return this.at >= this.body.length;
  }

  get lengthBytes(): number {
    return this.end - this.at;
  }

  next(): void {
    this.at = this.end;
    this.#read();
  }

  #read(): void {
    if (this.isAtEnd) return;
    const space = this.body.indexOf(0x20, this.at);
    const nul = this.body.indexOf(0, space);
    if (space < 0 || nul < 0 || nul + 21 > this.body.length)
      throw new Error(`a tree breaks off at byte ${this.at}`);
    this.end = nul + 21;
    const isTree = this.body[this.at] === 0x34 || this.body.toString('latin1', this.at, space) === '040000';
    this.key = this.body.toString('latin1', space + 1, nul) + (isTree ? '/' : '');
  }
}

/** Seven bits a byte, the lowest first. */
function size(bytes: number): Buffer {
  const out: number[] = [];
  let rest = bytes;
  while (rest >= 128) {
    out.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return Buffer.from(out);
}

/** Only the bytes that are not zero follow, each announced by a bit; a size of 0x10000 is written as none. */
function copy(at: number, bytes: number): Buffer {
  const out = [0x80];
  for (let i = 0; i < 4; i += 1) {
    const byte = Math.floor(at / 256 ** i) % 256;
    if (byte === 0) continue;
    out[0]! |= 1 << i;
    out.push(byte);
  }
  for (let i = 0; i < 2; i += 1) {
    const byte = (bytes >> (8 * i)) & 0xff;
    if (bytes === COPY_MAX_BYTES || byte === 0) continue;
    out[0]! |= 1 << (4 + i);
    out.push(byte);
  }
  return Buffer.from(out);
}
