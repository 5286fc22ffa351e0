/**
 * The way into a bucket that may be deleted. Keeps the promise of DeleteBucket: a write is either acknowledged
 * before the bucket is looked at for the last time, or refused with no-such-bucket; never acknowledged and lost.
 */
import type { Readable } from 'node:stream';
import type { ChunkHold, ChunksApi, Ingested, Reservation } from '../chunks/api.js';
import type { Chunk, Extent } from '../format/extent.js';
import type { ObjectKey, Oid } from '../format/ids.js';
import type { ExtentList, ObjectBody, ObjectRecord } from '../index/object-record.js';
import type {
  AppendOptions,
  BucketState,
  BucketStatus,
  Change,
  ChangeState,
  Look,
  SetAside,
} from '../journal/bucket-state.js';
import type {
  CompletedUpload,
  OpenUpload,
  Upload,
  UploadCompletion,
  UploadedPart,
  UploadStore,
} from '../journal/upload-store.js';
import { ObjectError } from '../objects/errors.js';

export class BucketGate {
  #isClosed = false;
  #deciding: Promise<unknown> | undefined;
  #writers = 0;
  #readers = 0;
  readonly #waiters = new Set<() => void>();

  constructor(private readonly bucket: string) {}

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Waits while it is being decided whether the bucket goes. @throws ObjectError no-such-bucket. */
  async write<T>(run: () => Promise<T>): Promise<T> {
    while (this.#deciding) await this.#deciding;
    this.check();
    this.#writers += 1;
    try {
      return await run();
    } finally {
      this.#writers -= 1;
      this.#ring();
    }
  }

  /** Never waits: a write reads too, while close() waits for that write. @throws ObjectError no-such-bucket. */
  async read<T>(run: () => Promise<T>): Promise<T> {
    this.check();
    this.#readers += 1;
    try {
      return await run();
    } finally {
      this.#readers -= 1;
      this.#ring();
    }
  }

  /** @throws ObjectError no-such-bucket. */
  check(): void {
    if (this.#isClosed) throw new ObjectError('no-such-bucket', `bucket ${this.bucket} was deleted`);
  }

  /**
   * Lets the writes under way end and nothing new begin, and asks. True: closed for ever. One call at a time.
   * `decide` must not go through the gate.
   */
  async close(decide: () => Promise<boolean>): Promise<boolean> {
    let decided = () => {};
    this.#deciding = new Promise<void>((resolve) => {
      decided = resolve;
    });
    try {
      await this.#until(() => this.#writers === 0);
      this.#isClosed = await decide();
      return this.#isClosed;
    } finally {
      this.#deciding = undefined;
      decided();
    }
  }

  /** After close(): nobody reads any more, so that the stores may be closed. */
  drained(): Promise<void> {
    return this.#until(() => this.#readers === 0);
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
      });
    }
  }

  #ring(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }
}

/** The state of a bucket behind its gate. */
export class GatedState implements BucketState {
  readonly uploads: UploadStore;

  constructor(
    private readonly state: BucketState,
    private readonly gate: BucketGate,
  ) {
    this.uploads = new GatedUploads(state.uploads, gate);
  }

  get(key: ObjectKey): Promise<ObjectRecord | undefined> {
    return this.gate.read(() => this.state.get(key));
  }

  openBody(record: ObjectRecord): Promise<ObjectBody> {
    return this.gate.read(() => this.state.openBody(record));
  }

  page(
    start: string,
    end: Uint8Array | undefined,
    limit: number,
  ): Promise<{ key: ObjectKey; record: ObjectRecord }[]> {
    return this.gate.read(() => this.state.page(start, end, limit));
  }

  append(changes: readonly Change[], options?: AppendOptions): Promise<number | undefined> {
    return this.gate.write(() => this.state.append(changes, options));
  }

  changeState(key: ObjectKey): Promise<ChangeState | undefined> {
    return this.gate.read(() => this.state.changeState(key));
  }

  lookAtBranch(options: { timeoutMs: number; followMs: number; signal: AbortSignal }): Promise<Look> {
    return this.state.lookAtBranch(options);
  }

  /** Touches no store and may wait long: only asked whether the bucket is there. */
  async waitLanded(seq: number, options: { timeoutMs: number; signal: AbortSignal }): Promise<boolean> {
    this.gate.check();
    return this.state.waitLanded(seq, options);
  }

  setAsideAs(seq: number): SetAside | undefined {
    return this.state.setAsideAs(seq);
  }

  localKeysSince(sinceMs: number): AsyncIterable<ObjectKey> {
    this.gate.check();
    return this.state.localKeysSince(sinceMs);
  }

  expireLocalKeys(beforeMs: number, isKept: (key: ObjectKey) => boolean): Promise<number> {
    return this.gate.write(() => this.state.expireLocalKeys(beforeMs, isKept));
  }

  overlayExtents(): AsyncIterable<Extent> {
    this.gate.check();
    return this.state.overlayExtents();
  }

  namedOnBranch(oids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    return this.gate.read(() => this.state.namedOnBranch(oids));
  }

  retrySetAside(key: ObjectKey): Promise<number | undefined> {
    return this.gate.write(() => this.state.retrySetAside(key));
  }

  status(): BucketStatus {
    return this.state.status();
  }
}

export class GatedUploads implements UploadStore {
  constructor(
    private readonly uploads: UploadStore,
    private readonly gate: BucketGate,
  ) {}

  create(upload: Upload): Promise<void> {
    return this.gate.write(() => this.uploads.create(upload));
  }

  find(key: ObjectKey, uploadId: string): Promise<OpenUpload | undefined> {
    return this.gate.read(() => this.uploads.find(key, uploadId));
  }

  page(start: string, end: Uint8Array | undefined, limit: number): Promise<OpenUpload[]> {
    return this.gate.read(() => this.uploads.page(start, end, limit));
  }

  all(): AsyncIterable<OpenUpload> {
    this.gate.check();
    return this.uploads.all();
  }

  putPart(upload: Upload, part: UploadedPart, nowMs: number): Promise<boolean> {
    return this.gate.write(() => this.uploads.putPart(upload, part, nowMs));
  }

  part(uploadId: string, partNumber: number): Promise<UploadedPart | undefined> {
    return this.gate.read(() => this.uploads.part(uploadId, partNumber));
  }

  parts(uploadId: string, afterPartNumber: number, limit: number): Promise<UploadedPart[]> {
    return this.gate.read(() => this.uploads.parts(uploadId, afterPartNumber, limit));
  }

  allParts(): AsyncIterable<UploadedPart> {
    this.gate.check();
    return this.uploads.allParts();
  }

  complete(completion: UploadCompletion): Promise<boolean> {
    return this.gate.write(() => this.uploads.complete(completion));
  }

  completed(uploadId: string): Promise<CompletedUpload | undefined> {
    return this.gate.read(() => this.uploads.completed(uploadId));
  }

  expireCompleted(beforeMs: number): Promise<void> {
    return this.gate.write(() => this.uploads.expireCompleted(beforeMs));
  }

  remove(upload: Upload): Promise<void> {
    return this.gate.write(() => this.uploads.remove(upload));
  }
}

/** The chunks of a bucket behind its gate. A body may take minutes, so none holds up a deletion. */
export class GatedChunks implements ChunksApi {
  constructor(
    private readonly chunks: ChunksApi,
    private readonly gate: BucketGate,
  ) {}

  demandSpace(bytes: number): void {
    this.chunks.demandSpace(bytes);
  }

  reserve(...args: Parameters<ChunksApi['reserve']>): Promise<Reservation> {
    return this.#explained(() => this.chunks.reserve(...args));
  }

  ingest(...args: Parameters<ChunksApi['ingest']>): Promise<Ingested> {
    return this.#explained(() => this.chunks.ingest(...args));
  }

  store(bytes: Uint8Array, hold?: ChunkHold): Promise<Chunk> {
    return this.#explained(() => this.chunks.store(bytes, hold));
  }

  hold(): ChunkHold {
    return this.chunks.hold();
  }

  landed(oid: Oid): Promise<void> {
    return this.chunks.landed(oid);
  }

  read(list: ExtentList, startBytes: number, endBytes: number, signal?: AbortSignal): Readable {
    return this.chunks.read(list, startBytes, endBytes, signal);
  }

  giveBack(bytes: Uint8Array): void {
    this.chunks.giveBack(bytes);
  }

  normalise(list: ExtentList, hold?: ChunkHold, signal?: AbortSignal): AsyncIterable<Chunk> {
    return this.chunks.normalise(list, hold, signal);
  }

  isUnsent(oid: Oid): boolean {
    return this.chunks.isUnsent(oid);
  }

  upload(...args: Parameters<ChunksApi['upload']>): Promise<void> {
    return this.chunks.upload(...args);
  }

  ensureRemote(chunks: readonly Chunk[], signal?: AbortSignal): Promise<void> {
    return this.chunks.ensureRemote(chunks, signal);
  }

  hasCopy(chunk: Chunk): boolean {
    return this.chunks.hasCopy(chunk);
  }

  ensureKept(chunks: readonly Chunk[], signal?: AbortSignal): ReturnType<ChunksApi['ensureKept']> {
    return this.chunks.ensureKept(chunks, signal);
  }

  collect(
    namedHere: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
    namedOnBranch: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
  ): Promise<{ removedChunks: number; removedBytes: number }> {
    return this.#explained(() => this.chunks.collect(namedHere, namedOnBranch));
  }

  verifyLocal(signal?: AbortSignal): AsyncIterable<{ oid: string; problem: string }> {
    return this.chunks.verifyLocal(signal);
  }

  stats(): ReturnType<ChunksApi['stats']> {
    return this.chunks.stats();
  }

  close(): Promise<void> {
    return this.chunks.close();
  }

  /** Whatever goes wrong because the files are gone: the bucket is gone, and that is what the client is told. */
  async #explained<T>(run: () => Promise<T>): Promise<T> {
    this.gate.check();
    try {
      return await run();
    } catch (error) {
      this.gate.check();
      throw error;
    }
  }
}
