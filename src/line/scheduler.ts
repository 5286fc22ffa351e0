/**
 * One scheduler for all uploads over one line. Somebody waits for some of them, an open push wants others soon,
 * nobody waits for the rest: a body that goes out yields while one of a higher class has anything to send, and
 * then lets through a trickle, which is its share and keeps the server from giving it up. Within a class buckets
 * share alike, within a bucket the groups (one call that waits, one push) share alike, and small ones go first.
 *
 * Invariant 5. Memory is bounded: an entry per queued upload, no bytes.
 */
import type { Clock } from '../async/clock.js';
import { FairShare, type Claim } from './fair-queue.js';
import type { UplinkMeter, UplinkRun } from './uplink.js';

/** From the one that goes first to the one that goes last. `early`: too small to begin before its commit, if the line has other work. */
export const LINE_CLASSES = ['waited', 'push', 'early', 'background'] as const;
export type LineClass = (typeof LINE_CLASSES)[number];

/** So much of the line's time may stand in bodies that are under way: what comes next waits that long at most. */
const IN_FLIGHT_SECONDS = 2;
const IN_FLIGHT_MIN_BYTES = 1024 * 1024;
/** Small bodies are bound by round trips and not by bytes. */
const BODIES_PER_PARALLEL = 8;
/** Bodies up to this size count as small. */
const SMALL_BYTES = 1024 * 1024;
/** The share of the line that bodies which yield get together. */
const TRICKLE_SHARE = 0.1;
const TRICKLE_MIN_MS = 200;
/** Storage servers cut a body that stands still for a minute. */
const TRICKLE_MAX_MS = 20_000;
/** So much of the line's time may stand in the kernel's send buffers, which are larger. */
const KERNEL_SECONDS = 1;
const KERNEL_MIN_BYTES = 512 * 1024;
const KERNEL_WAIT_MS = 100;
/** Four seconds at most: a trickle. */
const KERNEL_WAITS_MAX = 40;
/** A class of which nothing is under way begins one, to trickle, after so long. */
const STARVED_MS = 5_000;

/** Asked by whoever sends one body. */
export interface LineTurn {
  /** To be waited for before each piece of the body is handed over; undefined: at once. */
  turn(pieceBytes: number): Promise<void> | undefined;
  /** So many more bytes were handed to the connection. */
  sent(bytes: number): void;
  /** Exactly once, after the answer or the failure; `arrived`: all bytes handed over have crossed. */
  end(arrived: boolean): void;
}

export interface LineJob {
  readonly bytes: number;
  /** What stands behind its like of any size: it has failed before. */
  readonly isSuspect: boolean;
  start(turn: LineTurn): void;
}

/** One bucket's uploads. */
export interface LineSource {
  readonly name: string;
  /** False while it rests after a failure, or is paused. */
  isReady(): boolean;
}

/** A place in the queue. */
export interface Ticket {
  /** Leaves the queue; nothing once it was started. */
  cancel(): void;
}

interface Queued {
  readonly job: LineJob;
  readonly sinceMs: number;
}

interface Group extends Claim {
  readonly small: Set<Queued>;
  readonly large: Set<Queued>;
  /** Small ones since the last large one: endless small ones starve no large one. */
  smallBytes: number;
}

interface SourceQueue extends Claim {
  readonly source: LineSource;
  readonly groups: Map<string, Group>;
  readonly share: FairShare;
}

interface ClassQueue {
  readonly share: FairShare;
  readonly sources: Map<LineSource, SourceQueue>;
}

interface Run {
  readonly level: number;
  restBytes: number;
  isPaused: boolean;
  /** Resolves the turn that is waited for. */
  resume: (() => void) | undefined;
}

export interface LineSchedulerOptions {
  readonly uplink: UplinkMeter;
  /** Largest bodies at once where the line is fast; small ones go by as many bytes. */
  readonly parallel: number;
  readonly chunkSizeBytes: number;
  readonly clock: Clock;
}

export class LineScheduler {
  readonly #classes: ClassQueue[] = LINE_CLASSES.map(() => ({
    share: new FairShare(),
    sources: new Map(),
  }));
  readonly #runs = new Set<Run>();
  readonly #closed = new AbortController();
  #starvation: AbortController | undefined;
  #pumping = false;

  constructor(private readonly options: LineSchedulerOptions) {}

  /** Bodies under way. */
  get running(): number {
    return this.#runs.size;
  }

  /** Takes its place in line; `start` is called when its turn has come, never before this returns. */
  add(source: LineSource, cls: LineClass, group: string, job: LineJob): Ticket {
    const { share, sources } = this.#classes[LINE_CLASSES.indexOf(cls)]!;
    let queue = sources.get(source);
    if (!queue) {
      queue = { tag: share.begin(), source, groups: new Map(), share: new FairShare() };
      sources.set(source, queue);
    }
    const inQueue = queue;
    let lane = inQueue.groups.get(group);
    if (!lane) {
      lane = { tag: inQueue.share.begin(), small: new Set(), large: new Set(), smallBytes: 0 };
      inQueue.groups.set(group, lane);
    }
    const inGroup = lane;
    const queued: Queued = { job, sinceMs: this.options.clock.nowMs() };
    const set = job.bytes <= SMALL_BYTES && !job.isSuspect ? inGroup.small : inGroup.large;
    set.add(queued);
    queueMicrotask(() => this.pump());
    return {
      cancel: () => {
        if (!set.delete(queued)) return;
        this.#tidy(sources, inQueue, group, inGroup);
        // Those that yielded to it need not any more.
        queueMicrotask(() => this.pump());
      },
    };
  }

  /** To be called when a source that was not ready may be so. */
  pump(): void {
    if (this.#closed.signal.aborted || this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#startNext());
      this.#letYield();
      this.options.uplink.setFull(this.#isFull());
    } finally {
      this.#pumping = false;
    }
    this.#watchStarvation();
  }

  /** Nothing is started any more; what waits for its turn goes on, to be ended by its owner. */
  close(): void {
    this.#closed.abort(new Error('the line is closed'));
    for (const run of this.#runs) run.resume?.();
  }

  /** Bytes that may be under way before the next body begins. */
  #limitBytes(): number {
    const { chunkSizeBytes, parallel, uplink } = this.options;
    const floorBytes = Math.min(IN_FLIGHT_MIN_BYTES, chunkSizeBytes);
    return Math.min(
      parallel * chunkSizeBytes,
      Math.max(floorBytes, IN_FLIGHT_SECONDS * uplink.bytesPerSecond),
    );
  }

  #startNext(): boolean {
    const { parallel } = this.options;
    for (let level = 0; level < LINE_CLASSES.length; level += 1) {
      if (!this.#hasReady(level)) {
        // Those below yield to what is under way here.
        if (this.#isBusy(level)) return this.#startStarved(level + 1);
        continue;
      }
      const active = [...this.#runs].filter((run) => run.level <= level && run.restBytes > 0);
      const restBytes = active.reduce((sum, run) => sum + run.restBytes, 0);
      const bodies = [...this.#runs].filter((run) => !run.isPaused).length;
      const hasRoom = restBytes < this.#limitBytes() && bodies < parallel * BODIES_PER_PARALLEL;
      if (hasRoom || active.length === 0) {
        this.#start(level);
        return true;
      }
      return this.#startStarved(level + 1);
    }
    return false;
  }

  /** One of a class that has stood still for long begins, to trickle. */
  #startStarved(fromLevel: number): boolean {
    for (let level = fromLevel; level < LINE_CLASSES.length; level += 1) {
      if (!this.#isStarved(level)) continue;
      this.#start(level);
      return true;
    }
    return false;
  }

  #isStarved(level: number): boolean {
    if (level >= LINE_CLASSES.length || [...this.#runs].some((run) => run.level === level)) return false;
    const sinceMs = this.#oldestReadyMs(level);
    return sinceMs !== undefined && this.options.clock.nowMs() - sinceMs >= STARVED_MS;
  }

  #oldestReadyMs(level: number): number | undefined {
    let oldest: number | undefined;
    for (const queue of this.#classes[level]!.sources.values()) {
      if (!queue.source.isReady()) continue;
      for (const { small, large } of queue.groups.values())
        for (const set of [small, large]) {
          const { value } = set.values().next();
          if (value && (oldest === undefined || value.sinceMs < oldest)) oldest = value.sinceMs;
        }
    }
    return oldest;
  }

  #hasReady(level: number): boolean {
    for (const queue of this.#classes[level]!.sources.values()) if (queue.source.isReady()) return true;
    return false;
  }

  /** Something of this class or a higher one is under way. */
  #isBusy(level: number): boolean {
    for (const run of this.#runs) if (run.level <= level) return true;
    return false;
  }

  #start(level: number): void {
    const { share, sources } = this.#classes[level]!;
    const queue = share.next(sources.values(), (one) => one.source.isReady());
    if (!queue) return;
    const group = queue.share.next(queue.groups.values(), () => true)!;
    const name = [...queue.groups].find(([, one]) => one === group)![0];
    const queued = take(group);
    share.serve(queue, queued.job.bytes);
    queue.share.serve(group, queued.job.bytes);
    this.#tidy(sources, queue, name, group);
    this.#run(level, queued.job);
  }

  #tidy(sources: Map<LineSource, SourceQueue>, queue: SourceQueue, name: string, group: Group): void {
    if (group.small.size + group.large.size > 0) return;
    if (queue.groups.get(name) === group) queue.groups.delete(name);
    if (queue.groups.size === 0 && sources.get(queue.source) === queue) sources.delete(queue.source);
  }

  #run(level: number, job: LineJob): void {
    const run: Run = { level, restBytes: job.bytes, isPaused: false, resume: undefined };
    this.#runs.add(run);
    let meter: UplinkRun | undefined;
    job.start({
      turn: (pieceBytes) => this.#turn(run, pieceBytes),
      sent: (bytes) => {
        meter ??= this.options.uplink.begin();
        meter.sent(bytes);
        run.restBytes = Math.max(0, run.restBytes - bytes);
        this.pump();
      },
      end: (arrived) => {
        meter?.end(arrived);
        this.#runs.delete(run);
        run.resume?.();
        queueMicrotask(() => this.pump());
      },
    });
  }

  #turn(run: Run, pieceBytes: number): Promise<void> | undefined {
    if (run.isPaused) return this.#waitTurn(run, pieceBytes);
    return run.level > 0 && this.#isKernelFull() ? this.#waitKernel() : undefined;
  }

  /** What the kernel has cannot yield any more: seconds of it would stand before what somebody waits for. */
  #isKernelFull(): boolean {
    const { uplink } = this.options;
    return uplink.inKernelBytes >= Math.max(KERNEL_MIN_BYTES, KERNEL_SECONDS * uplink.bytesPerSecond);
  }

  async #waitKernel(): Promise<void> {
    for (let waits = 0; waits < KERNEL_WAITS_MAX && this.#isKernelFull(); waits += 1) {
      if (this.#closed.signal.aborted) return;
      await this.options.clock.sleep(KERNEL_WAIT_MS);
    }
  }

  /** Until nobody above has anything to send, or its trickle is due. */
  #waitTurn(run: Run, pieceBytes: number): Promise<void> {
    const over = new AbortController();
    return new Promise<void>((resolve) => {
      run.resume = () => {
        run.resume = undefined;
        over.abort(new Error('the turn has come'));
        resolve();
      };
      const go = () => run.resume?.();
      this.options.clock.sleep(this.#trickleMs(pieceBytes), over.signal).then(go, () => {});
    });
  }

  #trickleMs(pieceBytes: number): number {
    const paused = [...this.#runs].filter((run) => run.isPaused).length;
    const ms = (paused * pieceBytes * 1_000) / (TRICKLE_SHARE * this.options.uplink.bytesPerSecond);
    return Math.min(TRICKLE_MAX_MS, Math.max(TRICKLE_MIN_MS, ms));
  }

  /**
   * Who is below the highest class that has something to send stands back. So does, within it, what was begun
   * when the line was faster: side by side over a line that fell, none of them would end for long.
   */
  #letYield(): void {
    let top: number = LINE_CLASSES.length;
    for (let level = LINE_CLASSES.length - 1; level >= 0; level -= 1) if (this.#hasReady(level)) top = level;
    // Until its answer: what it handed over last may stand in the kernel for seconds yet.
    for (const run of this.#runs) top = Math.min(top, run.level);
    const limitBytes = this.#limitBytes();
    let restBytes = 0;
    for (const run of this.#runs) {
      run.isPaused = run.level > top || restBytes >= limitBytes;
      if (!run.isPaused) {
        restBytes += run.restBytes;
        run.resume?.();
      }
    }
  }

  /** More stands ready than the line takes: what is measured now is the line and not us. */
  #isFull(): boolean {
    for (let level = 0; level < LINE_CLASSES.length; level += 1) if (this.#hasReady(level)) return true;
    // Not measured by the estimate: one that is far too high would then never be lowered.
    let restBytes = 0;
    for (const run of this.#runs) restBytes += run.restBytes;
    return restBytes >= Math.min(SMALL_BYTES, this.options.chunkSizeBytes);
  }

  /** While something waits behind a higher class, looks again when it counts as starved. */
  #watchStarvation(): void {
    if (this.#starvation || this.#runs.size === 0) return;
    if (!LINE_CLASSES.some((_, level) => this.#hasReady(level))) return;
    const watch = new AbortController();
    this.#starvation = watch;
    const stop = AbortSignal.any([watch.signal, this.#closed.signal]);
    const over = () => {
      this.#starvation = undefined;
      this.pump();
    };
    this.options.clock.sleep(STARVED_MS, stop).then(over, () => {});
  }
}

function take(group: Group): Queued {
  const large = first(group.large);
  const small = first(group.small);
  const isSmall = small && (!large || group.smallBytes < large.job.bytes);
  if (isSmall) {
    group.small.delete(small);
    group.smallBytes += small.job.bytes;
    return small;
  }
  group.large.delete(large!);
  group.smallBytes = 0;
  return large!;
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}
