/**
 * A ChunkRemote in memory with failures that a test switches on. What it may do: refuse any call with any
 * error, hold calls until released, bring wrong bytes, cut a body with an error event, lose chunks, forget a
 * confirmed upload. What it may not: end a cut body as if it were whole (the interface forbids that).
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Chunk } from '../../src/format/extent.js';
import type { Oid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import type { BodySource, ChunkOffset, ChunkRemote, Stored, UploadFlow } from '../../src/gitee/remote.js';

/** SHA-256 of bytes as an oid. */
export function oidOf(bytes: Uint8Array): Oid {
  return createHash('sha256').update(bytes).digest('hex') as Oid;
}

/** A gate that calls wait at while it is shut. */
class Gate {
  #open = true;
  #waiting: (() => void)[] = [];

  shut(): void {
    this.#open = false;
  }

  open(): void {
    this.#open = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(signal?: AbortSignal): Promise<void> {
    if (this.#open) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}

type Call = 'missing' | 'put' | 'get';

export class MemoryChunkRemote implements ChunkRemote {
  readonly chunks = new Map<string, Uint8Array>();
  /** Every call, in order. */
  readonly calls: { call: Call; oids: string[] }[] = [];
  /** Calls wait here before they do anything. */
  readonly gates = { missing: new Gate(), put: new Gate(), get: new Gate() };
  /** Bodies of get() wait here before each piece after the first. */
  readonly bodyGate = new Gate();
  /** The next so many calls of that kind fail with the error that this makes. */
  readonly #failures: Record<Call, { left: number; make: (oids: string[]) => Error }> = {
    missing: { left: 0, make: () => new Error('unset') },
    put: { left: 0, make: () => new Error('unset') },
    get: { left: 0, make: () => new Error('unset') },
  };
  /** The next so many downloads have one wrong byte, at this share of the chunk (0 first, 1 last byte). */
  corruptGets = 0;
  corruptAt = 1;
  /** The next so many downloads break after this many bytes of theirs. */
  cutGets = 0;
  cutAfterBytes = 0;
  /** The next so many uploads are confirmed and then not there. */
  forgetPuts = 0;
  pieceBytes = 64 * 1024;
  /** Chunks that were asked for with their upload, in order. */
  readonly looks: string[] = [];
  /** Where each get() began. */
  readonly offsets: number[] = [];
  /** Largest number of puts, gets that ran at once. */
  readonly mostAtOnce = { put: 0, get: 0 };
  #running = { put: 0, get: 0 };

  /** Puts bytes there as if somebody had uploaded them; the chunk. */
  seed(bytes: Uint8Array): Chunk {
    const oid = oidOf(bytes);
    this.chunks.set(oid, Buffer.from(bytes));
    return { oid, sizeBytes: bytes.length, volume: 0 };
  }

  /** The next `times` calls fail; Infinity until `heal`. */
  fail(call: Call, make: (oids: string[]) => Error, times = Number.POSITIVE_INFINITY): void {
    this.#failures[call] = { left: times, make };
  }

  heal(): void {
    for (const failure of Object.values(this.#failures)) failure.left = 0;
  }

  count(call: Call): number {
    return this.calls.filter((c) => c.call === call).length;
  }

  async missing(chunks: readonly Chunk[], signal?: AbortSignal): Promise<Chunk[]> {
    await this.#enter(
      'missing',
      chunks.map((c) => c.oid),
      signal,
    );
    return chunks.filter((c) => this.chunks.get(c.oid)?.length !== c.sizeBytes);
  }

  async put(chunk: Chunk, open: () => BodySource, signal?: AbortSignal, flow?: UploadFlow): Promise<Stored> {
    this.#running.put += 1;
    this.mostAtOnce.put = Math.max(this.mostAtOnce.put, this.#running.put);
    try {
      await this.#enter('put', [chunk.oid], signal);
      if (this.chunks.has(chunk.oid)) return { sentBytes: 0 };
      const pieces: Uint8Array[] = [];
      for await (const piece of open() as AsyncIterable<Uint8Array>) {
        await flow?.turn(piece.length);
        pieces.push(Buffer.from(piece));
        flow?.sent(piece.length);
      }
      const bytes = Buffer.concat(pieces);
      if (oidOf(bytes) !== chunk.oid || bytes.length !== chunk.sizeBytes)
        throw new RemoteError('chunk-corrupt', 'uploaded bytes do not hash to the oid', {
          oids: [chunk.oid],
        });
      if (this.forgetPuts > 0) this.forgetPuts -= 1;
      else this.chunks.set(chunk.oid, bytes);
      if (!flow?.asksAtOnce) return { sentBytes: bytes.length };
      this.looks.push(chunk.oid);
      return { sentBytes: bytes.length, isSeen: this.chunks.has(chunk.oid) };
    } finally {
      this.#running.put -= 1;
    }
  }

  async get(chunk: Chunk, from?: ChunkOffset, signal?: AbortSignal): Promise<Readable> {
    const offsetBytes = from?.offsetBytes ?? 0;
    this.offsets.push(offsetBytes);
    await this.#enter('get', [chunk.oid], signal);
    const stored = this.chunks.get(chunk.oid);
    if (!stored)
      throw new RemoteError('chunk-missing', `no chunk ${chunk.oid}`, { oids: [chunk.oid], status: 404 });
    const bytes = Buffer.from(stored);
    if (this.corruptGets > 0) {
      this.corruptGets -= 1;
      const at = Math.floor((bytes.length - 1) * this.corruptAt);
      bytes[at] = bytes[at]! ^ 0xff;
    }
    let cutAtBytes = Number.POSITIVE_INFINITY;
    if (this.cutGets > 0) {
      this.cutGets -= 1;
      cutAtBytes = this.cutAfterBytes;
    }
    this.#running.get += 1;
    this.mostAtOnce.get = Math.max(this.mostAtOnce.get, this.#running.get);
    const body = Readable.from(this.#pieces(bytes.subarray(offsetBytes), cutAtBytes, signal), {
      objectMode: false,
    });
    body.once('close', () => (this.#running.get -= 1));
    return body;
  }

  async *#pieces(bytes: Uint8Array, cutAtBytes: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += this.pieceBytes) {
      if (at > 0) await this.bodyGate.pass(signal);
      const piece = bytes.subarray(at, Math.min(at + this.pieceBytes, cutAtBytes));
      if (piece.length > 0) yield piece;
      if (at + this.pieceBytes >= cutAtBytes) throw new RemoteError('unreachable', 'the body was cut');
    }
  }

  async #enter(call: Call, oids: string[], signal?: AbortSignal): Promise<void> {
    this.calls.push({ call, oids });
    signal?.throwIfAborted();
    await this.gates[call].pass(signal);
    const failure = this.#failures[call];
    if (failure.left > 0) {
      failure.left -= 1;
      throw failure.make(oids);
    }
  }
}
