/**
 * The chunk store of one bucket: puts the parts of this folder together. Each part states the promise that it
 * keeps at its top: writer.ts and pinned.ts that nothing acknowledged is lost, reader.ts, fetch.ts and
 * local-chunks.ts that no wrong byte completes an answer, upload-queue.ts and cache.ts that memory is bounded.
 */
import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';
import type { Clock } from '../async/clock.js';
import type { Failpoints } from '../async/failpoint.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import type { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import { UnknownRefusals } from '../gitee/unknown-refusals.js';
import type { ExtentList } from '../index/object-record.js';
import type { Downlink } from '../line/downlink.js';
import type { AdmissionSource } from '../line/admission.js';
import { StandstillError } from '../line/admission.js';
import type { UploadLine } from '../line/upload-line.js';
import { SpoolAdmission } from './admission.js';
import {
  ChunkError,
  type ChunkHold,
  type ChunksApi,
  type ChunkStats,
  type Ingested,
  type IngestOptions,
  type KeptState,
  type Reservation,
  type WaitedClass,
} from './api.js';
import { ConditionVariable } from './condition-variable.js';
import type { ChunkCache } from './cache.js';
import { DiskReserve, freeBytesOfDisk, type FreeBytes } from './disk-reserve.js';
import { askAgain, ensureKept, ensureRemote, uploadUnsent, type EnsureRemoteDeps } from './ensure-remote.js';
import { collectUnsent } from './evict.js';
import { ConfirmedChunks } from './confirmed.js';
import { DoubtedChunks } from './doubted.js';
import { ChunkFetcher } from './fetch.js';
import { GraceTime, type NamedChunks } from './grace.js';
import { ChunkHolds } from './holds.js';
import { ChunkSink, ingestBody, type ChunkSinkOptions } from './ingest.js';
import type { RepositoryLedger } from '../space/lfs-ledger.js';
import type { LfsSpace } from '../space/lfs-space.js';
import type { AskedBody } from '../space/reservation.js';
import { LocalChunks } from './local-chunks.js';
import { normalise } from './cut-anew.js';
import { PinnedPaths } from './paths.js';
import { PinnedChunks } from './pinned.js';
import { ChunkReader } from './reader.js';
import { UnkeptChunks } from './unkept.js';
import { UploadQueue } from './upload-queue.js';
import { verifyLocal } from './verify.js';

const HOUSEKEEPING_INTERVAL_MS = 60_000;
/** The group of what an earlier run left. */
const EARLIER_RUN = 'an earlier run';
/** The group of what Gitee had, and has no more. */
const LOST_BY_GITEE = 'lost by Gitee';

export interface ChunkLimits {
  /** `chunk_size`, 8 MiB */
  readonly chunkSizeBytes: number;
  /** The end of a body is uploaded at once from this size on, 5 MiB, and else when the line has no other work. */
  readonly eagerFromBytes: number;
  /** `spool_soft`: unsent bytes beyond which nothing is admitted, 4 GiB */
  readonly spoolSoftBytes: number;
  /** `spool_hard`: unsent bytes beyond which admitted parts end too, and the most that is pinned, 16 GiB */
  readonly spoolHardBytes: number;
  /** Kept free on disk, 1 GiB */
  readonly diskReserveBytes: number;
  /** How long chunks stay pinned after their upload, and unreferenced ones before they are collected: 24 h */
  readonly graceMs: number;
}

export interface BucketChunksDeps {
  readonly bucket: string;
  /** The chunk root, `<stateDir>/chunks`; the same as the cache's. */
  readonly directory: string;
  readonly cache: ChunkCache;
  readonly remote: ChunkRemote;
  /** Shared by all buckets of the line. */
  readonly downlink: Downlink;
  /** Shared by all buckets of the gateway. */
  readonly line: UploadLine;
  /** Nobody waits for Gitee (write concern `local`): goes last on the line, and is not read at its pace. */
  readonly isBackground?: boolean;
  readonly limits: ChunkLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly failpoints: Failpoints;
  /** Told every chunk that Gitee has; where its space is counted. */
  readonly ledger?: Pick<RepositoryLedger, 'add'>;
  /** Says whether there is room; without it there always is. */
  readonly space?: Pick<LfsSpace, 'demand' | 'addBucket'>;
  /** Free bytes of the disk; statfs unless a test owns it. */
  readonly freeBytes?: FreeBytes;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

/** Chunks of one bucket. `open()` before use; the cache is opened before and closed after it. */
export class BucketChunks implements ChunksApi {
  readonly #pinned: PinnedChunks;
  readonly #local: LocalChunks;
  readonly #fetcher: ChunkFetcher;
  readonly #reader: ChunkReader;
  readonly #queue: UploadQueue;
  readonly #unkept: UnkeptChunks;
  readonly #confirmed: ConfirmedChunks;
  readonly #towardsRemote: EnsureRemoteDeps;
  readonly #doubted: DoubtedChunks;
  readonly #disk: DiskReserve;
  readonly #admission: SpoolAdmission;
  readonly #source: AdmissionSource;
  readonly #grace: GraceTime;
  readonly #holds = new ChunkHolds((oids) => {
    this.#grace.letGo(oids);
    for (const letGo of this.#letGo) for (const oid of oids) letGo.add(oid);
  });
  /** Of each collect(), what requests have let go of since: rows may name it that were looked at before. */
  readonly #letGo = new Set<Set<string>>();
  readonly #changed = new ConditionVariable();
  readonly #closed = new AbortController();
  readonly #eagerFromBytes: number;
  #housekeeping: Promise<void> = Promise.resolve();
  #leaveGauges: () => void = () => {};
  #leaveSpace: () => void = () => {};
  #leaveLine: () => void = () => {};
  #leaveGrace: () => void = () => {};

  constructor(private readonly deps: BucketChunksDeps) {
    const { cache, clock, limits, line, metrics, remote } = deps;
    // Every store() under way listens to it.
    setMaxListeners(0, this.#closed.signal);
    const log = deps.log.child({ bucket: deps.bucket });
    const onChange = () => {
      this.#grace.changed();
      this.#changed.notifyAll();
      line.admission.look();
      cache.gauges.changed();
    };
    const random = deps.random ? { random: deps.random } : {};
    this.#eagerFromBytes = Math.min(limits.eagerFromBytes, limits.chunkSizeBytes);
    this.#pinned = new PinnedChunks({
      paths: new PinnedPaths(deps.directory, deps.bucket),
      cache,
      clock,
      failpoints: deps.failpoints,
      onChange,
    });
    this.#grace = new GraceTime({
      pinned: this.#pinned,
      cache,
      holds: this.#holds,
      graceMs: limits.graceMs,
      pinnedMaxBytes: limits.spoolHardBytes,
      clock,
      log,
    });
    this.#local = new LocalChunks(this.#pinned, cache, metrics);
    this.#disk = new DiskReserve({
      directory: deps.directory,
      reserveBytes: limits.diskReserveBytes,
      freeBytes: deps.freeBytes ?? freeBytesOfDisk,
      relieve: (bytes) => cache.relieve(bytes),
      clock,
    });
    this.#fetcher = new ChunkFetcher({
      remote,
      cache,
      downlink: deps.downlink,
      makeRoom: (bytes) => this.#disk.makeRoom(bytes),
      clock,
      log,
      metrics,
      ...random,
      onMissing: (oid) => this.#confirmed.forget(oid),
    });
    this.#reader = new ChunkReader(this.#local, this.#fetcher);
    this.#queue = new UploadQueue({
      remote,
      pinned: this.#pinned,
      files: cache.files,
      blocks: cache.blocks,
      bucket: deps.bucket,
      line,
      clock,
      log,
      ...random,
      isBackground: deps.isBackground ?? false,
      onChange,
      onStored: (chunk, isSeen) => {
        // What Gitee has forgotten before is asked for once more, and later again.
        if (isSeen && !this.#unkept.has(chunk.oid)) this.#confirmed.addUploaded(chunk);
        return this.#noteStored(chunk);
      },
      onDoubted: (chunk) => this.#doubted.add(chunk),
    });
    this.#unkept = new UnkeptChunks({ clock, ...random });
    this.#confirmed = new ConfirmedChunks(clock);
    this.#towardsRemote = {
      ...{ remote, pinned: this.#pinned, local: this.#local, queue: this.#queue, clock },
      ...{ unkept: this.#unkept, refusals: new UnknownRefusals() },
      isConfirmed: (oid) => this.#confirmed.isJustUploaded(oid),
      lostPlace: {
        cls: deps.isBackground ? 'background' : 'push',
        group: LOST_BY_GITEE,
        isDoubted: true,
      },
      onConfirmed: (chunks) => {
        this.#confirmed.add(chunks);
        this.#doubted.delete(chunks);
      },
      onLacking: (chunks) => {
        for (const { oid } of chunks) this.#confirmed.forget(oid);
      },
    };
    this.#doubted = new DoubtedChunks({
      ask: (chunks, signal) => askAgain(chunks, this.#towardsRemote, signal),
      ...{ clock, log },
    });
    this.#admission = new SpoolAdmission({
      ...limits,
      disk: this.#disk,
      space: this.deps.space,
      changed: this.#changed,
      figures: () => ({
        unsentBytes: this.#pinned.unsentBytes,
        uplinkBytesPerSecond: line.uplink.bytesPerSecond,
      }),
      clock,
      metrics,
    });
    this.#source = {
      name: deps.bucket,
      unsentBytes: () =>
        Math.max(0, this.#pinned.unsentBytes - this.#queue.idleBytes - this.#queue.crossedBytes),
      isStalled: () => this.#queue.isStalled,
      pausedBy: () => this.#queue.pausedBy,
      progressMs: () => this.#queue.storedMs,
    };
  }

  /** Finds what earlier runs left, and goes on uploading it. Once. */
  async open(): Promise<void> {
    await this.#pinned.open();
    this.#leaveGauges = this.deps.cache.gauges.addBucket(this.deps.bucket, () => this.stats());
    this.#leaveGrace = this.deps.cache.addGrace({
      bytes: () => this.#pinned.graceBytes,
      giveBack: (bytes) => this.#grace.giveBack(bytes),
    });
    this.#leaveSpace = this.deps.space?.addBucket(() => this.#pinned.unsentBytes) ?? (() => {});
    // Whatever a kill took from the ledger: it was written after these had been sent.
    for (const [oid, { sizeBytes }] of this.#pinned.entriesOf('grace'))
      await this.#noteStored({ oid, sizeBytes, volume: 0 });
    for (const [oid, { sizeBytes }] of this.#pinned.entriesOf('unsent'))
      this.#sendEagerly({ oid, sizeBytes, volume: 0 }, { isCut: false, push: EARLIER_RUN });
    if (!this.deps.isBackground) this.#leaveLine = this.deps.line.admission.addSource(this.#source);
    this.#housekeeping = this.#keepHouse();
  }

  demandSpace(bytes: number): void {
    this.#admission.demandSpace(bytes);
  }

  reserve(body: AskedBody, signal: AbortSignal): Promise<Reservation> {
    return this.#admission.reserve(body, signal);
  }

  async ingest(
    body: AsyncIterable<Uint8Array>,
    room: Reservation,
    options: IngestOptions,
  ): Promise<Ingested> {
    const { push = '', signal } = options;
    const asked = room.take();
    const { admission } = this.deps.line;
    const paced = this.deps.isBackground
      ? undefined
      : admission.body(this.#source, { push, isTail: options.isTail ?? false, signal });
    const { chunkSizeBytes } = this.deps.limits;
    const sink = this.#sink({
      beforeChunk: () => this.#admission.demandChunk(),
      push,
      hold: options.hold,
      nextChunkBytes: () => (paced && options.isLarge ? admission.pieceBytes() : chunkSizeBytes),
      onWhole: (bytes) => paced?.whole(bytes),
    });
    try {
      return await ingestBody(body, asked, options, sink, paced);
    } catch (error) {
      if (!(error instanceof StandstillError)) throw error;
      throw new ChunkError('spool-full', error.message, { cause: error, retryAfterMs: error.retryAfterMs });
    } finally {
      paced?.end();
    }
  }

  /** @throws RangeError where the bytes are none or more than a chunk; ChunkError as ingest */
  async store(bytes: Uint8Array, hold?: ChunkHold): Promise<Chunk> {
    const { chunkSizeBytes } = this.deps.limits;
    if (bytes.length === 0 || bytes.length > chunkSizeBytes)
      throw new RangeError(`a chunk has 1 to ${chunkSizeBytes} bytes, not ${bytes.length}`);
    // What is in memory already is not held up: a commit may need it.
    const { extents } = await ingestBody(
      one(bytes),
      { keepUpToBytes: 0 },
      { digests: [], signal: this.#closed.signal },
      this.#sink({ beforeChunk: () => this.#admission.demandChunk(), hold }),
    );
    const { oid, chunkLengthBytes, volume } = extents[0]!;
    return { oid, sizeBytes: chunkLengthBytes, volume };
  }

  hold(): ChunkHold {
    return this.#holds.begin();
  }

  async landed(oid: Oid): Promise<void> {
    try {
      await this.#pinned.markLanded(oid);
    } catch (error) {
      // A restart counts from the upload then.
      this.deps.log.debug('the time of a commit was not kept with a chunk', { oid, error });
    }
  }

  read(list: ExtentList, startBytes: number, endBytes: number, signal?: AbortSignal): Readable {
    return this.#reader.read(list, startBytes, endBytes, signal);
  }

  giveBack(bytes: Uint8Array): void {
    this.deps.cache.blocks.giveBack(bytes);
  }

  normalise(list: ExtentList, hold?: ChunkHold, signal?: AbortSignal): AsyncIterable<Chunk> {
    const { chunkSizeBytes } = this.deps.limits;
    return normalise(list, {
      reader: this.#reader,
      // Not refused by a full spool: the commit that needs these chunks is what empties it.
      newSink: () =>
        new ChunkSink(this.#sink({ beforeChunk: () => this.#disk.makeRoom(chunkSizeBytes), hold })),
      chunkSizeBytes,
      isUnsent: (oid) => this.#pinned.isUnsent(oid),
      signal,
    });
  }

  isUnsent(oid: Oid): boolean {
    return this.#pinned.isUnsent(oid);
  }

  upload(chunks: readonly Chunk[], cls: WaitedClass, signal?: AbortSignal): Promise<void> {
    return uploadUnsent(chunks, this.#towardsRemote, cls, signal);
  }

  ensureRemote(chunks: readonly Chunk[], signal?: AbortSignal): Promise<void> {
    return ensureRemote(chunks, this.#towardsRemote, signal);
  }

  hasCopy(chunk: Chunk): boolean {
    return this.#local.has(chunk);
  }

  ensureKept(chunks: readonly Chunk[], signal?: AbortSignal): Promise<KeptState> {
    return ensureKept(this.#confirmed.without(chunks), this.#towardsRemote, signal);
  }

  collect(
    namedHere: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
    namedOnBranch: (oids: ReadonlySet<string>) => Promise<ReadonlySet<string>>,
  ): Promise<{ removedChunks: number; removedBytes: number }> {
    const letGo = new Set<string>();
    this.#letGo.add(letGo);
    return collectUnsent(this.#pinned, {
      steadyMs: this.deps.clock.steadyMs(),
      graceMs: this.deps.limits.graceMs,
      isBusy: (oid) => this.#queue.isBusy(oid) || this.#holds.has(oid) || letGo.has(oid),
      ...{ namedHere, namedOnBranch },
    }).finally(() => this.#letGo.delete(letGo));
  }

  verifyLocal(signal?: AbortSignal): AsyncIterable<{ oid: string; problem: string }> {
    return verifyLocal(this.#pinned, this.deps.cache, signal);
  }

  stats(): ChunkStats {
    return {
      unsentBytes: this.#pinned.unsentBytes,
      unsentChunks: this.#pinned.unsentChunks,
      graceBytes: this.#pinned.graceBytes,
      cacheBytes: this.deps.cache.sizeBytes,
      uplinkBytesPerSecond: this.deps.line.uplink.bytesPerSecond,
    };
  }

  /** Why nothing is uploaded until an operator acts, if that is so. */
  get uploadsPausedBy(): RemoteError | undefined {
    return this.#queue.pausedBy;
  }

  /** Tries uploads again now: a secret was read anew, or an operator removed the cause of a pause. */
  kick(): void {
    this.#unkept.forgive();
    this.#queue.kick();
  }

  /** Ends the grace time of what has been on Gitee long enough; also done once a minute. */
  async releaseGrace(): Promise<number> {
    return this.#grace.release();
  }

  /** What must stay on this disk until its commit has landed, as far as rows name it; the journal knows. */
  keepNamed(named: NamedChunks): void {
    this.#grace.keepNamed(named);
  }

  /** Stops transfers; what is unsent stays on disk and is sent by the next run. Readers get `aborted`. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('the chunk store is closed'));
    await Promise.all([
      ...[this.#doubted.close(), this.#queue.close(), this.#fetcher.close()],
      ...[this.#housekeeping, this.#grace.close()],
    ]);
    this.#leaveGauges();
    this.#leaveSpace();
    this.#leaveLine();
    this.#leaveGrace();
  }

  async #noteStored(chunk: Chunk): Promise<void> {
    try {
      await this.deps.ledger?.add(chunk);
    } catch (error) {
      // The figure is too small by this chunk until the next start; the upload is none the worse for it.
      this.deps.log.warn('could not note that Gitee has a chunk', { oid: chunk.oid, error });
    }
  }

  #sink(how: {
    beforeChunk: () => Promise<void>;
    push?: string;
    hold?: ChunkHold | undefined;
    nextChunkBytes?: () => number;
    onWhole?: (bytes: number) => void;
  }): ChunkSinkOptions {
    const { beforeChunk, hold, push = '', onWhole } = how;
    return {
      pinned: this.#pinned,
      nextChunkBytes: how.nextChunkBytes ?? (() => this.deps.limits.chunkSizeBytes),
      beforeChunk,
      onChunk: (chunk, isCut) => {
        hold?.add(chunk.oid);
        onWhole?.(chunk.sizeBytes);
        this.#sendEagerly(chunk, { isCut, push });
      },
    };
  }

  /** Short ends of bodies may be cut anew with others yet: they go out when there is nothing better to do. */
  #sendEagerly(chunk: Chunk, { isCut, push }: { isCut: boolean; push: string }): void {
    // Whoever sends bytes again may know that Gitee has lost them.
    this.#confirmed.forget(chunk.oid);
    // Gitee has what is within its grace time.
    if (!this.#pinned.isUnsent(chunk.oid)) return;
    const isSure = isCut || chunk.sizeBytes >= this.#eagerFromBytes;
    const cls = this.deps.isBackground ? 'background' : isSure ? 'push' : 'early';
    this.#queue.enqueue(chunk, { cls, group: push });
  }

  async #keepHouse(): Promise<void> {
    const { clock, log } = this.deps;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        await this.releaseGrace();
        await clock.sleep(HOUSEKEEPING_INTERVAL_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        // The files stay pinned: too much on disk, nothing lost. The next round tries again.
        log.warn('grace time could not be ended', { bucket: this.deps.bucket, error });
        await clock.sleep(HOUSEKEEPING_INTERVAL_MS, signal).catch(() => {});
      }
    }
  }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
