/**
 * Invariant 5. Memory is bounded: the queue holds oids and sizes of unsent chunks, no bytes.
 *
 * What is unsent and large goes to Gitee while the client still sends; what a commit needs goes first. A chunk
 * is uploaded once however many ask. After a transient failure the whole line waits, with jitter, and longer
 * each time; after a refusal that only an operator can lift it tries one chunk every 30 s, or when kicked.
 */
import { createReadStream } from 'node:fs';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote } from '../gitee/remote.js';
import { ChunkError } from './api.js';
import { abortedBy } from './bell.js';
import type { PinnedChunks } from './pinned.js';
import type { UplinkMeter } from './uplink.js';
import type { VerifiedFiles } from './verified-files.js';

const PROBE_INTERVAL_MS = 30_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Somebody waits, and has a bound of his own: he is told after so many attempts, soon after one another. */
const URGENT_ATTEMPTS = 4;
const URGENT_BACKOFF_MAX_MS = 4_000;
/** So many rounds of failures in a row, and the line counts as down. */
const DOWN_AFTER_ROUNDS = 3;
const READ_BYTES = 1024 * 1024;

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

interface Task {
  readonly chunk: Chunk;
  /** Stays in the queue until it is sent; others leave with the last who waits for them. */
  eager: boolean;
  running: boolean;
  attempts: number;
  readonly waiters: Set<Waiter>;
}

export interface UploadQueueOptions {
  readonly remote: ChunkRemote;
  readonly pinned: PinnedChunks;
  readonly files: VerifiedFiles;
  readonly uplink: UplinkMeter;
  readonly uploadParallel: number;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random?: () => number;
  readonly onChange: () => void;
  /** Gitee has the chunk: it was sent now, or was there. Must not reject. */
  readonly onStored: (chunk: Chunk) => Promise<void>;
}

export class UploadQueue {
  readonly #tasks = new Map<Oid, Task>();
  readonly #urgent = new Set<Task>();
  readonly #eager = new Set<Task>();
  readonly #runs = new Set<Promise<void>>();
  /** One per upload under way: a remote may leave listeners behind, which must not pile up on one signal. */
  readonly #uploads = new Set<AbortController>();
  readonly #closed = new AbortController();
  #queuedBytes = 0;
  #pausedBy: RemoteError | undefined;
  #probing = false;
  #failedRounds = 0;
  #resting: AbortController | undefined;
  #restBegunMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: UploadQueueOptions) {}

  /** Bytes that wait for the line or cross it. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Why nothing is sent until an operator acts, if that is so. */
  get pausedBy(): RemoteError | undefined {
    return this.#pausedBy;
  }

  /** Uploads do not get through at the moment. */
  get isStalled(): boolean {
    return this.#pausedBy !== undefined || this.#failedRounds >= DOWN_AFTER_ROUNDS;
  }

  has(oid: Oid): boolean {
    return this.#tasks.has(oid);
  }

  /** Uploads when the line is free. Asking twice is asking once. */
  enqueue(chunk: Chunk): void {
    if (this.#closed.signal.aborted) return;
    const task = this.#taskFor(chunk);
    task.eager = true;
    if (!task.running && !this.#urgent.has(task)) this.#eager.add(task);
    this.#pump();
  }

  /**
   * Uploads before everything that nobody waits for; resolves when Gitee has confirmed it. A paused queue
   * tries at once: whoever waits here decides how often.
   * @throws RemoteError, or ChunkError `aborted`; the chunk stays where it is
   */
  ensure(chunk: Chunk, signal?: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const stop = signal?.aborted ? signal : this.#closed.signal;
      if (stop.aborted) {
        reject(abortedBy(stop));
        return;
      }
      const task = this.#taskFor(chunk);
      const done = () => {
        signal?.removeEventListener('abort', onAbort);
        task.waiters.delete(waiter);
      };
      const waiter: Waiter = {
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      const onAbort = () => {
        waiter.reject(abortedBy(signal!));
        this.#dropIfIdle(task);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      task.waiters.add(waiter);
      if (!task.running) {
        this.#eager.delete(task);
        this.#urgent.add(task);
      }
      this.#pausedBy = undefined;
      this.#pump();
    });
  }

  /** Tries again now: a secret was read anew, an operator says that the cause is gone. */
  kick(): void {
    this.#pausedBy = undefined;
    this.#failedRounds = 0;
    this.#resting?.abort(new Error('kicked'));
    this.#pump();
  }

  /** Stops uploads under way; what was not sent stays unsent. */
  async close(): Promise<void> {
    const reason = new ChunkError('aborted', 'the chunk store is closed');
    this.#closed.abort(reason);
    for (const upload of this.#uploads) upload.abort(reason);
    for (const task of [...this.#tasks.values()]) this.#rejectAll(task, reason);
    await Promise.all(this.#runs);
  }

  #taskFor(chunk: Chunk): Task {
    const known = this.#tasks.get(chunk.oid);
    if (known) return known;
    const task: Task = { chunk, eager: false, running: false, attempts: 0, waiters: new Set() };
    this.#tasks.set(chunk.oid, task);
    this.#queuedBytes += chunk.sizeBytes;
    return task;
  }

  #drop(task: Task): void {
    if (!this.#tasks.delete(task.chunk.oid)) return;
    this.#queuedBytes -= task.chunk.sizeBytes;
    this.#urgent.delete(task);
    this.#eager.delete(task);
    this.options.onChange();
  }

  #dropIfIdle(task: Task): void {
    if (task.running || task.waiters.size > 0) return;
    this.#urgent.delete(task);
    if (task.eager) this.#eager.add(task);
    else this.#drop(task);
  }

  #pump(): void {
    const paused = this.#pausedBy !== undefined;
    if (this.#closed.signal.aborted || this.#resting !== undefined || (paused && !this.#probing)) return;
    const parallel = paused ? 1 : this.options.uploadParallel;
    while (this.#runs.size < parallel) {
      const task = first(this.#urgent) ?? first(this.#eager);
      if (!task) return;
      this.#probing = false;
      this.#urgent.delete(task);
      this.#eager.delete(task);
      task.running = true;
      const run = this.#run(task).finally(() => {
        this.#runs.delete(run);
        this.#pump();
      });
      this.#runs.add(run);
      if (paused) return;
    }
  }

  async #run(task: Task): Promise<void> {
    const { clock, pinned, remote, uplink } = this.options;
    const { chunk } = task;
    const startedMs = clock.nowMs();
    let sentBytes = 0;
    const upload = new AbortController();
    this.#uploads.add(upload);
    uplink.begin();
    try {
      if (pinned.isUnsent(chunk.oid)) {
        await this.#checkFile(chunk);
        const path = pinned.pathOf(chunk.oid, 'unsent');
        const open = () => createReadStream(path, { highWaterMark: READ_BYTES });
        ({ sentBytes } = await remote.put(chunk, open, upload.signal));
        await this.options.onStored(chunk);
        await pinned.markSent(chunk.oid);
        this.#pausedBy = undefined;
        this.#failedRounds = 0;
      }
      task.running = false;
      for (const waiter of [...task.waiters]) waiter.resolve();
      this.#drop(task);
    } catch (error) {
      task.running = false;
      this.#failed(task, error as Error, startedMs);
    } finally {
      this.#uploads.delete(upload);
      uplink.end(sentBytes);
      this.options.onChange();
    }
  }

  /** Bytes that rotted on our disk must not go out under this name: not every server checks. */
  async #checkFile(chunk: Chunk): Promise<void> {
    const file = await this.options.pinned.openFile(chunk.oid);
    if (!file) throw lost('chunk-missing', `chunk ${chunk.oid} is gone from this disk`, chunk.oid);
    try {
      const { good } = await this.options.files.check(file.handle, chunk.oid);
      if (!good) throw lost('chunk-corrupt', `the only copy of chunk ${chunk.oid} is damaged`, chunk.oid);
    } finally {
      await file.handle.close();
    }
  }

  #failed(task: Task, error: Error, startedMs: number): void {
    const { log } = this.options;
    if (this.#closed.signal.aborted) {
      this.#rejectAll(task, abortedBy(this.#closed.signal));
      return;
    }
    task.attempts += 1;
    // Any other answer than a refusal ends the pause: no probe is planned any more.
    this.#pausedBy = undefined;
    if (error instanceof RemoteError && error.pauses) {
      log.warn('uploads are paused', { oid: task.chunk.oid, code: error.code, error });
      this.#pause(task, error);
    } else if (error instanceof RemoteError && error.isTransient) {
      log.info('an upload failed and will be tried again', { oid: task.chunk.oid, code: error.code });
      this.#retryLater(task, error, startedMs);
    } else {
      log.error('a chunk cannot be uploaded', { oid: task.chunk.oid, error });
      this.#rejectAll(task, error);
      this.#drop(task);
    }
  }

  #pause(task: Task, error: RemoteError): void {
    this.#pausedBy = error;
    // Whoever waits for something that stands still should know at once.
    for (const waiting of [task, ...this.#urgent]) {
      this.#rejectAll(waiting, error);
      this.#dropIfIdle(waiting);
    }
    this.options.clock.sleep(PROBE_INTERVAL_MS, this.#closed.signal).then(
      () => {
        if (this.#pausedBy !== error) return;
        this.#probing = true;
        this.#pump();
      },
      () => {
        // Closed.
      },
    );
  }

  #retryLater(task: Task, error: RemoteError, startedMs: number): void {
    if (task.waiters.size > 0 && task.attempts >= URGENT_ATTEMPTS) {
      task.attempts = 0;
      this.#rejectAll(task, error);
    }
    if (task.waiters.size > 0) this.#urgent.add(task);
    else this.#dropIfIdle(task);
    // Uploads that ran side by side and failed together are one round.
    if (startedMs >= this.#restBegunMs) this.#failedRounds += 1;
    this.#rest(error);
  }

  /** Nothing new is started for a while. */
  #rest(error: RemoteError): void {
    if (this.#resting) return;
    const { clock, random = Math.random } = this.options;
    const maxMs = this.#urgent.size > 0 ? URGENT_BACKOFF_MAX_MS : BACKOFF_MAX_MS;
    const ceilingMs = Math.min(maxMs, BACKOFF_BASE_MS * 2 ** Math.min(this.#failedRounds, 10));
    const waitMs = Math.min(error.retryAfterMs ?? 0, BACKOFF_MAX_MS) + random() * ceilingMs;
    const resting = new AbortController();
    const onClose = () => resting.abort(this.#closed.signal.reason);
    this.#closed.signal.addEventListener('abort', onClose, { once: true });
    this.#resting = resting;
    this.#restBegunMs = clock.nowMs();
    const over = () => {
      this.#closed.signal.removeEventListener('abort', onClose);
      this.#resting = undefined;
      this.#pump();
    };
    clock.sleep(waitMs, resting.signal).then(over, over);
  }

  #rejectAll(task: Task, error: Error): void {
    for (const waiter of [...task.waiters]) waiter.reject(error);
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}

function lost(code: 'chunk-missing' | 'chunk-corrupt', message: string, oid: Oid): RemoteError {
  return new RemoteError(code, message, { oids: [oid] });
}
