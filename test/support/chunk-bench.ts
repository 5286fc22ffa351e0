/** A chunk store of one bucket in a temporary directory, with a clock, a disk and a remote that the test owns. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../src/async/clock.js';
import { noFailpoints, type Failpoints } from '../../src/async/failpoint.js';
import { silentLog } from '../../src/async/log.js';
import type { Metrics } from '../../src/async/metrics.js';
import type { IngestOptions } from '../../src/chunks/api.js';
import { BucketChunks, type BucketChunksDeps, type ChunkLimits } from '../../src/chunks/bucket-chunks.js';
import { ChunkCache } from '../../src/chunks/cache.js';
import type { Chunk, Extent } from '../../src/format/extent.js';
import { wholeExtent } from '../../src/format/extent.js';
import { UploadLine } from '../../src/line/upload-line.js';
import type { ExtentList } from '../../src/index/object-record.js';
import { Reservation, type AskedBody } from '../../src/space/reservation.js';
import { Downlink } from '../../src/line/downlink.js';
import { LineHealth } from '../../src/line/health.js';
import { seededBytes } from './bytes.js';
import { MemoryChunkRemote } from './memory-chunk-remote.js';
import { CONDITION_LIMIT_MS } from './time-limits.js';

/** A clock that stands still until the test moves it. */
export class ManualClock implements Clock {
  /** Far from the wall clock's figures, so that mixing them shows. */
  #steadyMs = 5_000;
  #wallAheadMs = Date.UTC(2026, 0, 1) - this.#steadyMs;
  readonly #sleepers = new Set<{ untilMs: number; wake: () => void }>();

  nowMs(): number {
    return this.#steadyMs + this.#wallAheadMs;
  }

  steadyMs(): number {
    return this.#steadyMs;
  }

  /** Somebody sets the wall clock; no time passes. */
  stepWall(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper = {
        untilMs: this.#steadyMs + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal!.reason as Error);
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  advance(ms: number): void {
    this.#steadyMs += ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.untilMs <= this.#steadyMs) sleeper.wake();
  }
}

/** An metrics that keeps what it is told. */
export class RecordingMetrics implements Metrics {
  readonly counters = new Map<string, number>();
  readonly gauges = new Map<string, number>();
  sets = 0;

  count(name: string, labels?: Record<string, string>, n = 1): void {
    const key = [name, ...Object.values(labels ?? {})].join(' ');
    this.counters.set(key, (this.counters.get(key) ?? 0) + n);
  }

  observe(): void {}

  set(name: string, value: number): void {
    this.sets += 1;
    this.gauges.set(name, value);
  }
}

/** An extent list over an array, as the index gives one. */
export function listOf(extents: readonly Extent[]): ExtentList {
  const sizeBytes = extents.reduce((sum, e) => sum + e.lengthBytes, 0);
  return {
    sizeBytes,
    count: extents.length,
    range: async function* (startBytes: number, endBytes: number): AsyncGenerator<Extent> {
      let at = 0;
      for (const extent of extents) {
        const from = Math.max(startBytes, at);
        const to = Math.min(endBytes, at + extent.lengthBytes);
        if (from < to)
          yield { ...extent, offsetBytes: extent.offsetBytes + from - at, lengthBytes: to - from };
        at += extent.lengthBytes;
      }
    },
  };
}

export function listOfChunks(...chunks: readonly Chunk[]): ExtentList {
  return listOf(chunks.map(wholeExtent));
}

export { seededBytes as bytesOf };

export async function* pieces(...runs: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* runs;
}

export async function collectBytes(stream: Readable): Promise<Buffer> {
  const out: Buffer[] = [];
  for await (const block of stream) out.push(block as Buffer);
  return Buffer.concat(out);
}

/** What follows an operation on a file is begun within so many turns of the event loop. */
const QUIET_TURNS = 5;

/** No operation on a file is under way in this process. (Node 20 and 24 name the end of a handle `CloseReq`.) */
export function filesAreQuiet(): boolean {
  return !process.getActiveResourcesInfo().some((name) => /^(FSReq|(FileHandle)?CloseReq)/.test(name));
}

/** Lets everything that is ready run, files included, until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + CONDITION_LIMIT_MS;
  while (!condition()) {
    if (Date.now() > deadlineMs) throw new Error(`never came true: ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const smallLimits: ChunkLimits = {
  chunkSizeBytes: 1024,
  eagerFromBytes: 640,
  spoolSoftBytes: 64 * 1024,
  spoolHardBytes: 128 * 1024,
  diskReserveBytes: 1024,
  graceMs: 24 * 3_600_000,
};

export interface BenchOptions {
  readonly limits?: Partial<ChunkLimits>;
  readonly cacheBytes?: number;
  readonly graceMaxBytes?: number;
  readonly failpoints?: Failpoints;
  readonly ledger?: NonNullable<BucketChunksDeps['ledger']>;
  readonly space?: NonNullable<BucketChunksDeps['space']>;
  readonly isBackground?: boolean;
  /** The line's estimate to begin with, 1 KiB/s. */
  readonly uplinkBytesPerSecond?: number;
}

export class ChunkBench {
  readonly remote = new MemoryChunkRemote();
  readonly metrics = new RecordingMetrics();
  readonly health: LineHealth;
  readonly downlink: Downlink;
  /** Oids that pending changes name. */
  readonly named = new Set<string>();
  /** How the rows are read that name them. */
  readNamed: () => Promise<ReadonlySet<string>> = async () => new Set(this.named);
  /** Called when the store is open and nobody has said yet what must stay. */
  onOpened: (chunks: BucketChunks) => void = () => {};
  freeBytes = 1024 * 1024 * 1024;
  /** Called whenever the disk is asked. */
  measureFree = (): void => {};
  cache!: ChunkCache;
  chunks!: BucketChunks;
  line!: UploadLine;

  private constructor(
    readonly directory: string,
    private readonly options: BenchOptions,
    readonly clock: ManualClock,
  ) {
    this.health = new LineHealth(clock);
    this.downlink = new Downlink({ clock, health: this.health });
  }

  static async start(options: BenchOptions = {}, clock = new ManualClock()): Promise<ChunkBench> {
    const bench = new ChunkBench(await mkdtemp(join(tmpdir(), 'chunks-')), options, clock);
    await bench.open();
    return bench;
  }

  async open(): Promise<void> {
    this.cache = new ChunkCache({
      directory: this.directory,
      maxBytes: this.options.cacheBytes ?? 256 * 1024 * 1024,
      ...(this.options.graceMaxBytes === undefined ? {} : { graceMaxBytes: this.options.graceMaxBytes }),
      clock: this.clock,
      log: silentLog,
      metrics: this.metrics,
    });
    await this.cache.open();
    this.line = new UploadLine({
      ...{ chunkSizeBytes: this.options.limits?.chunkSizeBytes ?? smallLimits.chunkSizeBytes, parallel: 4 },
      ...{
        uplinkInitialBytesPerSecond: this.options.uplinkBytesPerSecond ?? 1024,
        clock: this.clock,
        log: silentLog,
        metrics: this.metrics,
      },
    });
    this.chunks = new BucketChunks({
      bucket: 'images',
      directory: this.directory,
      cache: this.cache,
      remote: this.remote,
      downlink: this.downlink,
      line: this.line,
      isBackground: this.options.isBackground ?? false,
      limits: { ...smallLimits, ...this.options.limits },
      clock: this.clock,
      log: silentLog,
      metrics: this.metrics,
      failpoints: this.options.failpoints ?? noFailpoints,
      freeBytes: async () => {
        this.measureFree();
        return this.freeBytes;
      },
      random: () => 0.5,
      ...(this.options.ledger ? { ledger: this.options.ledger } : {}),
      ...(this.options.space ? { space: this.options.space } : {}),
    });
    await this.chunks.open();
    this.onOpened(this.chunks);
    this.chunks.keepNamed(() => this.readNamed());
  }

  async close(): Promise<void> {
    await this.chunks.close();
    await this.line.close();
    await this.cache.close();
  }

  /** Another process starts on the same directory. */
  async restart(): Promise<void> {
    await this.close();
    await this.open();
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Until nothing is left to do at this moment. */
  async quiet(): Promise<void> {
    let quietTurns = 0;
    await until(() => (quietTurns = filesAreQuiet() ? quietTurns + 1 : 0) >= QUIET_TURNS);
  }

  /** Moves the clock until the promise settles: retries wait between attempts. */
  async stepped<T>(promise: Promise<T>, atEachStep: () => void = () => {}): Promise<T> {
    let settled = false;
    const done = () => (settled = true);
    promise.then(done, done);
    let quietTurns = 0;
    await until(() => {
      atEachStep();
      // Time passes only where nothing is left to do at this moment: a busy machine's disk takes none of it.
      quietTurns = filesAreQuiet() ? quietTurns + 1 : 0;
      if (settled || quietTurns < QUIET_TURNS) return settled;
      quietTurns = 0;
      this.clock.advance(1_000);
      return settled;
    });
    return promise;
  }

  path(home: 'unsent' | 'grace' | 'cache', oid: string): string {
    const below = home === 'cache' ? [home] : [home, 'images'];
    return join(this.directory, ...below, oid.slice(0, 2), oid);
  }

  /** The body's chunks, durable. */
  put(...runs: readonly Uint8Array[]): Promise<readonly Extent[]> {
    const lengthBytes = runs.reduce((sum, run) => sum + run.length, 0);
    return this.ingest(pieces(...runs), { lengthBytes });
  }

  async ingest(
    body: AsyncIterable<Uint8Array>,
    options: Partial<IngestOptions & AskedBody> = {},
  ): Promise<readonly Extent[]> {
    const { lengthBytes, keepUpToBytes = 0 } = options;
    const { extents } = await this.chunks.ingest(body, Reservation.granted({ lengthBytes, keepUpToBytes }), {
      digests: [],
      signal: new AbortController().signal,
      ...options,
    });
    return extents;
  }

  read(list: ExtentList, startBytes = 0, endBytes = list.sizeBytes): Promise<Buffer> {
    return collectBytes(this.chunks.read(list, startBytes, endBytes));
  }
}
