/**
 * Invariant 5. Memory is bounded: the queue holds oids and sizes of unsent chunks, no bytes.
 *
 * The uploads of one bucket; when each begins is decided for all buckets of the line (src/line/scheduler.ts). A chunk
 * is uploaded once however many ask, and stays in the queue until Gitee has it or has refused it, whoever goes away
 * meanwhile: what is unsent counts for all who would send, so nothing may be unsent and wait for nothing. After a
 * transient failure all of the bucket wait, with jitter, and longer each time, unless others got through meanwhile, or
 * the answer was about this chunk: then it waits alone, and whoever asks for it is told so at once; nor does one that
 * was never tried wait for a single one that has failed. Where one after the other gets such an answer, it is not
 * theirs. After a refusal of all that only an operator can lift one chunk is tried every 30 s, or when kicked.
 */
import { setMaxListeners } from 'node:events';
import { abortable, onAbort } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import { UnknownRefusals } from '../gitee/unknown-refusals.js';
import type { UploadLine } from '../line/upload-line.js';
import type { LineSource, LineTurn } from '../line/scheduler.js';
import { ChunkError, type WaitedClass } from './api.js';
import { abortedBy } from './aborted.js';
import { BLOCK_BYTES, type BlockPool } from './block-pool.js';
import { fileBlocks } from './file-blocks.js';
import type { PinnedChunks } from './pinned.js';
import {
  aloneWaitMs,
  faultOfAll,
  lost,
  ownFault,
  ownWait,
  restMs,
  URGENT_ATTEMPTS,
} from './upload-faults.js';
import { UploadTask, type EagerPlace, type Waiter } from './upload-task.js';
import type { VerifiedFiles } from './verified-files.js';

const PROBE_INTERVAL_MS = 30_000;
/** What is said of one object is no fault of its own where so many have failed since one was taken. */
const OWN_FAULTS_MAX = 5;
/** So many rounds of failures in a row, and the line counts as down. */
const DOWN_AFTER_ROUNDS = 3;
/** Of a file at a time: a body that yields does so between two of them. */
const READ_SECONDS = 0.02;
const READ_MIN_BYTES = 16 * 1024;

export interface UploadQueueDeps {
  readonly remote: ChunkRemote;
  readonly pinned: PinnedChunks;
  readonly files: VerifiedFiles;
  readonly blocks: BlockPool;
  readonly bucket: string;
  readonly line: UploadLine;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random?: () => number;
  /** Of a bucket whose writes are acknowledged before Gitee has them: its commits wait, nobody waits for them. */
  readonly isBackground?: boolean;
  readonly onChange: () => void;
  /** Gitee has the chunk: it was sent now, or was there; `isSeen` as in Stored. Must not reject. */
  readonly onStored: (chunk: Chunk, isSeen: boolean) => Promise<void>;
  /** One that stood in a doubted place was sent. */
  readonly onDoubted: (chunk: Chunk) => void;
}

export class UploadQueue {
  readonly #tasks = new Map<Oid, UploadTask>();
  readonly #source: LineSource;
  readonly #runs = new Set<Promise<void>>();
  /** One per upload under way: a remote may leave listeners behind, which must not pile up on one signal. */
  readonly #uploads = new Set<AbortController>();
  readonly #closed = new AbortController();
  readonly #refusals = new UnknownRefusals();
  #pausedBy: RemoteError | undefined;
  #probing = false;
  #failedRounds = 0;
  #resting: AbortController | undefined;
  /** What has failed since an upload succeeded last. */
  #failing: UploadTask | 'several' | undefined;
  #restBegunMs = Number.NEGATIVE_INFINITY;
  #stored = 0;
  #storedMs: number | undefined;
  /** Chunks that Gitee would not take when they were sent last, with their sizes; an entry per chunk on this disk. */
  readonly #refused = new Map<Oid, number>();
  /** Chunks that failed by what was said of them since an upload succeeded last; OWN_FAULTS_MAX at most. */
  readonly #faulty = new Set<Oid>();
  /** What is not sent before its time. */
  readonly #deferred = new Set<UploadTask>();

  constructor(private readonly deps: UploadQueueDeps) {
    // Whatever waits for its time listens to it.
    setMaxListeners(0, this.#closed.signal);
    this.#source = { name: deps.bucket, isReady: () => this.#isReady() };
  }

  /** Unsent bytes that wait for no line: Gitee does not take them, or has forgotten them, and gets them later. */
  get idleBytes(): number {
    let sum = 0;
    for (const [oid, bytes] of this.#refused) {
      if (this.deps.pinned.isUnsent(oid)) sum += bytes;
      else this.#refused.delete(oid);
    }
    for (const { chunk } of this.#deferred) if (this.deps.pinned.isUnsent(chunk.oid)) sum += chunk.sizeBytes;
    return sum;
  }

  /** Unsent bytes that have crossed the line: they only wait for Gitee's word. */
  get crossedBytes(): number {
    return this.deps.line.scheduler.crossedBytes(this.#source);
  }

  /** When an upload succeeded last, steady milliseconds. */
  get storedMs(): number | undefined {
    return this.#storedMs;
  }

  /** Why nothing is sent until an operator acts, if that is so. */
  get pausedBy(): RemoteError | undefined {
    return this.#pausedBy;
  }

  /** Uploads do not get through at the moment. */
  get isStalled(): boolean {
    return this.#pausedBy !== undefined || this.#failedRounds >= DOWN_AFTER_ROUNDS;
  }

  /** It is on its way, or somebody waits for it. */
  isBusy(oid: Oid): boolean {
    const task = this.#tasks.get(oid);
    return task !== undefined && (task.running || task.waiters.size > 0);
  }

  /**
   * Uploads when its turn comes, and not before `afterMs` have passed unless somebody asks for it. Asking twice is
   * asking once.
   */
  enqueue(chunk: Chunk, place: EagerPlace, afterMs = 0): void {
    if (this.#closed.signal.aborted) return;
    const isKnown = this.#tasks.has(chunk.oid);
    const task = this.#taskFor(chunk, place);
    if (afterMs <= 0 && !task.ticket) this.#queue(task);
    if (afterMs > 0 && !isKnown) this.#defer(task, afterMs);
  }

  /**
   * Uploads before everything that nobody waits for, or as what an open push sends (`push`); resolves when Gitee has confirmed it. A paused queue
   * tries at once: whoever waits here decides how often. Calls with the same group share one share of the line.
   * @throws RemoteError, which names the chunk where the fault is its own, or ChunkError `aborted`; the chunk stays
   * where it is
   */
  ensure(chunk: Chunk, group: string, waitedCls: WaitedClass, signal?: AbortSignal): Promise<void> {
    const begin = (resolve: () => void, reject: (error: Error) => void) => {
      if (this.#closed.signal.aborted) {
        reject(abortedBy(this.#closed.signal));
        return;
      }
      const cls = this.deps.isBackground ? 'background' : 'early';
      const task = this.#taskFor(chunk, { cls, group });
      if (task.fault && this.#deferred.has(task)) {
        reject(ownFault(task.fault, chunk, task.againMs - this.deps.clock.steadyMs()));
        return;
      }
      const waiter: Waiter = {
        cls: waitedCls,
        resolve: () => {
          task.waiters.delete(waiter);
          resolve();
        },
        reject: (error) => {
          task.waiters.delete(waiter);
          reject(error);
        },
      };
      const others = task.waitedClass;
      if (others === undefined || (others === 'push' && waitedCls === 'waited')) task.waitedBy = group;
      task.waiters.add(waiter);
      this.#pausedBy = undefined;
      this.#queue(task);
      this.deps.line.scheduler.pump();
      return () => {
        const before = task.waitedClass;
        task.waiters.delete(waiter);
        if (!task.running && task.waitedClass !== before) this.#queue(task);
      };
    };
    return abortable<void>(signal, begin, abortedBy);
  }

  /** Tries again now: a secret was read anew, an operator says that the cause is gone. */
  kick(): void {
    this.#pausedBy = undefined;
    this.#failedRounds = 0;
    this.#failing = undefined;
    this.#faulty.clear();
    this.#resting?.abort(new Error('kicked'));
    for (const task of [...this.#deferred]) this.#queue(task);
    this.deps.line.scheduler.pump();
  }

  /** Stops uploads under way; what was not sent stays unsent. */
  async close(): Promise<void> {
    const reason = new ChunkError('aborted', 'the chunk store is closed');
    this.#closed.abort(reason);
    for (const upload of this.#uploads) upload.abort(reason);
    for (const task of [...this.#tasks.values()]) {
      task.leaveLine();
      task.rejectAll(reason);
    }
    await Promise.all(this.#runs);
  }

  #taskFor(chunk: Chunk, place: EagerPlace): UploadTask {
    const known = this.#tasks.get(chunk.oid);
    if (known) return known;
    const task = new UploadTask(chunk, place);
    this.#tasks.set(chunk.oid, task);
    this.#refused.delete(chunk.oid);
    return task;
  }

  #drop(task: UploadTask): void {
    task.leaveLine();
    this.#deferred.delete(task);
    // Whoever fails from now on is not the second one.
    if (this.#failing === task) this.#failing = undefined;
    if (!this.#tasks.delete(task.chunk.oid)) return;
    this.deps.onChange();
  }

  /** Stands in line where it belongs by whoever waits for it now; a body that runs already goes on there. */
  #queue(task: UploadTask): void {
    if (this.#closed.signal.aborted) return;
    const cls = task.waitedClass;
    const waitedCls = cls && (this.deps.isBackground ? 'background' : cls);
    if (task.running) {
      if (waitedCls) task.turn?.raise(waitedCls);
      return;
    }
    task.leaveLine();
    this.#deferred.delete(task);
    // One alone has failed, maybe through a fault of its own. This one finds out: should it fail as well, all wait.
    const isFirstTry = task.attempts === 0 && task !== this.#failing;
    if (isFirstTry && this.#failing !== 'several') this.#resting?.abort(new Error('another one is tried'));
    const group = waitedCls ? task.waitedBy : task.place.group;
    task.ticket = this.deps.line.scheduler.add(this.#source, waitedCls ?? task.place.cls, group, {
      bytes: task.chunk.sizeBytes,
      isSuspect: task.attempts > 0,
      start: (turn) => this.#start(task, turn),
    });
  }

  /** The last who waited for it has gone: it goes on among those that nobody waits for. */
  #standBack(task: UploadTask): void {
    if (!task.running && task.waiters.size === 0) this.#queue(task);
  }

  #defer(task: UploadTask, ms: number): void {
    this.#deferred.add(task);
    this.deps.onChange();
    const over = () => {
      if (!this.#deferred.has(task)) return;
      this.#queue(task);
      this.deps.onChange();
    };
    this.deps.clock.sleep(ms, this.#closed.signal).then(over, () => {});
  }

  #isReady(): boolean {
    if (this.#closed.signal.aborted || this.#resting !== undefined) return false;
    // Paused: one at a time, when a probe is due.
    return this.#pausedBy === undefined || (this.#probing && this.#runs.size === 0);
  }

  #start(task: UploadTask, turn: LineTurn): void {
    this.#probing = false;
    task.ticket = undefined;
    task.running = true;
    task.turn = turn;
    if (task.seenStored < 0) task.seenStored = this.#stored;
    const run = this.#run(task, turn).finally(() => {
      this.#runs.delete(run);
      this.deps.line.scheduler.pump();
    });
    this.#runs.add(run);
  }

  async #run(task: UploadTask, turn: LineTurn): Promise<void> {
    const { clock, pinned, remote } = this.deps;
    const { chunk } = task;
    const startedMs = clock.steadyMs();
    let hasArrived = false;
    const upload = new AbortController();
    this.#uploads.add(upload);
    try {
      if (pinned.isUnsent(chunk.oid)) {
        await this.#checkFile(chunk);
        const path = pinned.pathOf(chunk.oid, 'unsent');
        const blockBytes = this.#readBytes();
        const open = () => fileBlocks(path, blockBytes, this.deps.blocks);
        const { isSeen = false } = await this.#refusals.of(() =>
          remote.put(chunk, open, upload.signal, turn),
        );
        hasArrived = true;
        await this.deps.onStored(chunk, isSeen);
        await pinned.markSent(chunk.oid);
        this.#pausedBy = undefined;
        this.#failedRounds = 0;
        this.#failing = undefined;
        this.#faulty.clear();
        this.#stored += 1;
        this.#storedMs = clock.steadyMs();
      } else if (this.#pausedBy !== undefined) {
        // It was deleted meanwhile, so that Gitee was asked nothing: the next one finds out in its place.
        this.#probing = true;
      }
      task.running = false;
      task.turn = undefined;
      if (task.place.isDoubted) this.deps.onDoubted(chunk);
      task.resolveAll();
      this.#drop(task);
    } catch (error) {
      task.running = false;
      task.turn = undefined;
      this.#failed(task, error as Error, startedMs);
    } finally {
      this.#uploads.delete(upload);
      turn.end(hasArrived);
      this.deps.onChange();
    }
  }

  #readBytes(): number {
    const bytes = READ_SECONDS * this.deps.line.uplink.bytesPerSecond;
    return Math.round(Math.min(BLOCK_BYTES, Math.max(READ_MIN_BYTES, bytes)));
  }

  /** Bytes that rotted on our disk must not go out under this name: not every server checks. */
  async #checkFile(chunk: Chunk): Promise<void> {
    const file = await this.deps.pinned.openFile(chunk.oid);
    if (!file) throw lost('chunk-missing', `chunk ${chunk.oid} is gone from this disk`, chunk.oid);
    try {
      const { good } = await this.deps.files.check(file.handle, chunk.oid);
      if (!good) throw lost('chunk-corrupt', `the only copy of chunk ${chunk.oid} is damaged`, chunk.oid);
    } finally {
      await file.handle.close();
    }
  }

  #failed(task: UploadTask, error: Error, startedMs: number): void {
    const { log } = this.deps;
    if (this.#closed.signal.aborted) {
      task.rejectAll(abortedBy(this.#closed.signal));
      return;
    }
    task.attempts += 1;
    // Any other answer than a refusal ends the pause: no probe is planned any more.
    this.#pausedBy = undefined;
    if (error instanceof RemoteError && this.#isItsOwn(task, error)) {
      log.info('an upload failed by a fault of its own and will be tried again', {
        ...{ oid: task.chunk.oid, code: error.code, attempts: task.attempts, error },
      });
      this.#setApart(task, error);
    } else if (error instanceof RemoteError && error.pauses) {
      log.warn('uploads are paused', { oid: task.chunk.oid, code: error.code, error });
      this.#pause(task, error);
    } else if (error instanceof RemoteError && error.isTransient) {
      log.info('an upload failed and will be tried again', { oid: task.chunk.oid, code: error.code });
      this.#retryLater(task, error, startedMs);
    } else {
      log.error('a chunk cannot be uploaded', { oid: task.chunk.oid, error });
      this.#refused.set(task.chunk.oid, task.chunk.sizeBytes);
      task.rejectAll(error);
      this.#drop(task);
    }
  }

  /**
   * Others get through, or it is the only one that fails, and has for a while; or what was said is about this chunk, and
   * not about one after the other.
   */
  #isItsOwn(task: UploadTask, error: RemoteError): boolean {
    if (!(error.isTransient || error.pauses)) return false;
    const { oid } = task.chunk;
    const isNamed = error.oids.includes(oid);
    if (isNamed && this.#faulty.size < OWN_FAULTS_MAX) this.#faulty.add(oid);
    if (isNamed && this.#faulty.size < OWN_FAULTS_MAX) return true;
    if (error.pauses || error.code === 'rate-limited') return false;
    const isOnlyOne = this.#failing === undefined || this.#failing === task;
    return task.seenStored !== this.#stored || (isOnlyOne && task.attempts >= URGENT_ATTEMPTS);
  }

  /** It waits for its own time, longer each time; nothing else does. */
  #setApart(task: UploadTask, error: RemoteError): void {
    const { clock, random = Math.random } = this.deps;
    const { chunk } = task;
    task.seenStored = this.#stored;
    const { waitMs, isOver } = ownWait(task, error, random());
    task.fault = isOver ? error : undefined;
    task.againMs = clock.steadyMs() + waitMs;
    if (isOver) task.rejectAll(ownFault(error, chunk, waitMs));
    this.#defer(task, waitMs);
  }

  #pause(task: UploadTask, cause: RemoteError): void {
    const error = faultOfAll(cause);
    this.#pausedBy = error;
    // Whoever waits for something that stands still should know at once.
    for (const waiting of [...this.#tasks.values()]) {
      if (waiting.running || (waiting !== task && waiting.waiters.size === 0)) continue;
      waiting.rejectAll(error);
      this.#standBack(waiting);
    }
    this.deps.clock.sleep(PROBE_INTERVAL_MS, this.#closed.signal).then(
      () => {
        if (this.#pausedBy !== error) return;
        this.#probing = true;
        this.deps.line.scheduler.pump();
      },
      () => {
        // Closed.
      },
    );
  }

  #retryLater(task: UploadTask, error: RemoteError, startedMs: number): void {
    if (task.waiters.size > 0 && task.attempts >= URGENT_ATTEMPTS) {
      task.attempts = 0;
      task.rejectAll(faultOfAll(error));
    }
    // Others got through since it failed last: whatever it is, they need not wait for it.
    const isAlone = task.seenStored !== this.#stored;
    this.#failing = (this.#failing ?? task) === task ? task : 'several';
    task.seenStored = this.#stored;
    if (!isAlone) {
      // Uploads that ran side by side and failed together are one round.
      if (startedMs >= this.#restBegunMs) this.#failedRounds += 1;
      this.#rest(error);
    }
    this.#comeBack(task, error, isAlone);
  }

  /** Stands in line again, after those that did not fail. */
  #comeBack(task: UploadTask, error: RemoteError, isAlone: boolean): void {
    const { clock, random = Math.random } = this.deps;
    const waitMs = isAlone ? aloneWaitMs(task, error, random()) : 0;
    if (waitMs === 0) {
      this.#queue(task);
      return;
    }
    const back = () => {
      if (this.#tasks.get(task.chunk.oid) === task && !task.ticket) this.#queue(task);
    };
    clock.sleep(waitMs, this.#closed.signal).then(back, () => {});
  }

  /** Nothing new is started for a while. */
  #rest(error: RemoteError): void {
    if (this.#resting) return;
    const { clock, random = Math.random } = this.deps;
    const waitMs = restMs(this.#failedRounds, this.#isWaitedFor(), error, random());
    const resting = new AbortController();
    const release = onAbort(this.#closed.signal, (reason) => resting.abort(reason));
    this.#resting = resting;
    this.#restBegunMs = clock.steadyMs();
    const over = () => {
      release();
      this.#resting = undefined;
      this.deps.line.scheduler.pump();
    };
    clock.sleep(waitMs, resting.signal).then(over, over);
  }

  #isWaitedFor(): boolean {
    for (const task of this.#tasks.values()) if (task.waiters.size > 0) return true;
    return false;
  }
}
