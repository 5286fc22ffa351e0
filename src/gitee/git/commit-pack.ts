/**
 * What a commit adds, as one pack from the first byte on: nothing of a push ever becomes a loose object. The pack is
 * indexed and put beside the others before it is sent, so that git itself can check the commit (exact-change.ts). On
 * the line trees go as the difference to what they were (a thin pack, as `git push` sends it); here they lie whole,
 * since a pack must stand on its own.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, unlink, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { deflate, deflateSync } from 'node:zlib';
import { isNotFound } from '../../disk/failures.js';
import { ownBytes } from '../../async/byte-cache.js';
import {
  crcOf,
  entryHeader,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
  packHeader,
  packIndex,
  type IndexedObject,
} from '../../git-wire/pack-format.js';
import { treeDelta } from '../../git-wire/tree-delta.js';
import { objectId, type ObjectType } from './git-object.js';

const deflateAsync = promisify(deflate);

/** Below this, compressing at once costs less than the way through the thread pool. */
const COMPRESS_INLINE_MAX_BYTES = 16 << 10;
/** Entries wait in memory until they are so many bytes, then they go to the file; most packs never get there. */
const HELD_MAX_BYTES = 4 << 20;
/** Smaller trees gain nothing that is worth another object in the way of the server. */
const DELTA_FROM_BYTES = 256;

/** Marks a pack whose commit has not landed (yet); git's own packing leaves packs with this file alone. */
export const PENDING_SUFFIX = '.keep';

/** One piece of what is sent: bytes, or a range of the pack here. */
type Piece = Buffer | { readonly startBytes: number; readonly endBytes: number };

/** A pack that is in its place, with a mark that its commit is not on the server yet. */
export interface StoredPack {
  /** `.../objects/pack/pack-<sum>`, without a suffix. */
  readonly stem: string;
  readonly sizeBytes: number;
  /** The pack as it is sent; each call begins anew. `thin`: with trees as differences. */
  wire(thin: boolean): { readonly sizeBytes: number; open(): Readable };
}

/** Collects the objects of one commit. `store` or `abandon` must be called at the end. */
export class CommitPack {
  readonly #objects = new Map<string, IndexedObject>();
  readonly #ids = new Set<string>();
  /** Offset of an entry to what is sent instead of it. */
  readonly #deltas = new Map<number, { readonly bytes: Buffer; readonly endBytes: number }>();
  readonly #path: string;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #sizeBytes = PACK_HEADER_BYTES;
  #file: FileHandle | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param directory of the bare repository */
  constructor(directory: string) {
    // git knows this name for something that may be removed once it is old.
    this.#path = join(directory, 'objects', 'pack', `tmp_pack_${randomBytes(6).toString('hex')}`);
  }

  get objects(): number {
    return this.#objects.size;
  }

  /** Adds an object and returns its id. `base`: a tree that the server has and that this one came from. */
  async add(
    type: ObjectType,
    body: Uint8Array,
    base?: { readonly id: string; readonly body: Buffer },
  ): Promise<string> {
    const id = objectId(type, body);
    if (this.#ids.has(id)) return id;
    this.#ids.add(id);
    const entry = [entryHeader(type, body.length), await compressed(body)];
    const offsetBytes = this.#sizeBytes;
    // Without a wait in between: entries lie one after the other.
    for (const piece of entry) this.#append(piece);
    this.#objects.set(id, { offsetBytes, crc32: crcOf(entry) });
    if (type === 'tree' && base && base.id !== id && body.length >= DELTA_FROM_BYTES) {
      const delta = treeDelta(base.body, Buffer.from(body.buffer, body.byteOffset, body.byteLength));
      const packed = deflateSync(delta, { level: 1 });
      const sent = Buffer.concat([
        entryHeader('ref-delta', delta.length),
        Buffer.from(base.id, 'hex'),
        packed,
      ]);
      const endBytes = this.#sizeBytes;
      if (sent.length < endBytes - offsetBytes)
        this.#deltas.set(offsetBytes, { bytes: ownBytes(sent), endBytes });
    }
    if (this.#heldBytes >= HELD_MAX_BYTES) await this.#spill();
    return id;
  }

  /**
   * Puts the pack and its index in place, with the mark that it is pending: `pending` is written into it.
   * @throws the file system's error; nothing is left then.
   */
  async store(pending: string): Promise<StoredPack> {
    try {
      const { sum, memory } = await this.#finish();
      const stem = join(this.#path, '..', `pack-${sum.toString('hex')}`);
      await writeFile(`${this.#path}.idx`, packIndex(this.#objects, sum), { mode: 0o444 });
      // The mark first and the index last: the pack is git's from its index on.
      await writeFile(`${stem}${PENDING_SUFFIX}`, pending);
      await rename(this.#path, `${stem}.pack`);
      await rename(`${this.#path}.idx`, `${stem}.idx`);
      const sizeBytes = this.#sizeBytes + PACK_TRAILER_BYTES;
      return { stem, sizeBytes, wire: (thin) => this.#wire(`${stem}.pack`, memory, thin) };
    } catch (e) {
      await this.abandon();
      throw e;
    }
  }

  /** Removes what was written so far. */
  async abandon(): Promise<void> {
    await this.#writing.catch(() => {});
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
    this.#held = [];
    for (const path of [this.#path, `${this.#path}.idx`]) await unlink(path).catch(() => {});
  }

  #append(piece: Buffer): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    this.#sizeBytes += piece.length;
  }

  /** Writes what is held, one after the other however many ask. */
  async #spill(): Promise<void> {
    const bytes = this.#held;
    const at = this.#sizeBytes - this.#heldBytes;
    this.#held = [];
    this.#heldBytes = 0;
    this.#writing = this.#writing.then(async () => {
      this.#file ??= await openNew(this.#path);
      await writeAt(this.#file, Buffer.concat(bytes), at);
    });
    await this.#writing;
  }

  async #finish(): Promise<{ sum: Buffer; memory: Buffer | undefined }> {
    const header = packHeader(this.#objects.size);
    if (!this.#file) {
      await this.#writing;
      const memory = Buffer.allocUnsafeSlow(this.#sizeBytes + PACK_TRAILER_BYTES);
      let at = 0;
      for (const piece of [header, ...this.#held]) at += piece.copy(memory, at);
      this.#held = [];
      const sum = createHash('sha1').update(memory.subarray(0, at)).digest();
      sum.copy(memory, at);
      const file = await openNew(this.#path);
      try {
        await writeAt(file, memory, 0);
      } finally {
        await file.close();
      }
      return { sum, memory };
    }
    await this.#spill();
    await writeAt(this.#file, header, 0);
    const hash = createHash('sha1');
    for await (const bytes of createReadStream(this.#path)) hash.update(bytes as Buffer);
    const sum = hash.digest();
    await writeAt(this.#file, sum, this.#sizeBytes);
    await this.#file.close();
    this.#file = undefined;
    return { sum, memory: undefined };
  }

  #wire(path: string, memory: Buffer | undefined, thin: boolean): { sizeBytes: number; open(): Readable } {
    const pieces = this.#pieces(thin);
    const sizeBytes = pieces.reduce(
      (sum, piece) => sum + (Buffer.isBuffer(piece) ? piece.length : piece.endBytes - piece.startBytes),
      PACK_HEADER_BYTES + PACK_TRAILER_BYTES,
    );
    const header = packHeader(this.#objects.size);
    async function* bytes(): AsyncGenerator<Buffer> {
      const hash = createHash('sha1').update(header);
      yield header;
      for (const piece of pieces) {
        if (Buffer.isBuffer(piece) || memory) {
          const run = Buffer.isBuffer(piece) ? piece : memory!.subarray(piece.startBytes, piece.endBytes);
          hash.update(run);
          yield run;
          continue;
        }
        const { startBytes: start, endBytes } = piece;
        for await (const run of createReadStream(path, { start, end: endBytes - 1 })) {
          hash.update(run as Buffer);
          yield run as Buffer;
        }
      }
      yield hash.digest();
    }
    return { sizeBytes, open: () => Readable.from(bytes(), { objectMode: false }) };
  }

  /** Everything between header and trailer, neighbours joined. */
  #pieces(thin: boolean): Piece[] {
    const pieces: Piece[] = [];
    let startBytes = PACK_HEADER_BYTES;
    if (thin)
      for (const [offsetBytes, { bytes, endBytes }] of [...this.#deltas].sort(([a], [b]) => a - b)) {
        if (startBytes < offsetBytes) pieces.push({ startBytes, endBytes: offsetBytes });
        pieces.push(bytes);
        startBytes = endBytes;
      }
    if (startBytes < this.#sizeBytes) pieces.push({ startBytes, endBytes: this.#sizeBytes });
    return pieces;
  }
}

/** The commit has landed: the pack is like any other now. A mark that stays is maintenance's to find. */
export async function landedPack(pack: Pick<StoredPack, 'stem'>): Promise<void> {
  await unlink(`${pack.stem}${PENDING_SUFFIX}`).catch(() => {});
}

/** The commit has not landed and never will. The index first: without it git does not see the pack. */
export async function discardPack(stem: string): Promise<void> {
  for (const suffix of ['.idx', '.pack', PENDING_SUFFIX]) await unlinkIfThere(`${stem}${suffix}`);
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (e) {
    // Packed away, or the whole repository was dropped meanwhile.
    if (!isNotFound(e)) throw e;
  }
}

async function compressed(body: Uint8Array): Promise<Buffer> {
  if (body.length <= COMPRESS_INLINE_MAX_BYTES) return deflateSync(body, { level: 1 });
  return deflateAsync(body, { level: 1 });
}

async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o444);
  } catch (e) {
    // git makes the folder with its first pack, and removes nothing but empty folders of loose objects.
    if (!isNotFound(e)) throw e;
    await mkdir(join(path, '..'), { recursive: true });
    return open(path, 'wx', 0o444);
  }
}

/** A write may take less than it was given. */
async function writeAt(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}
