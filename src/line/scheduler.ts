/**
 * One scheduler for all uploads over one line. Somebody waits for some of them, an open push wants others soon,
 * nobody waits for the rest: a body that goes out yields while one of a higher class has anything to send, and
 * then lets through a trickle, which is its share and keeps the server from giving it up. Within a class buckets
 * share alike, within a bucket the groups (one call that waits, one push) share alike, and small ones go first.
 *
 * Invariant 5. Memory is bounded: an entry per queued upload, no bytes.
 */
import type { Clock } from '../async/clock.js';
import { InFlight, type Body } from './in-flight.js';
import { LineQueue, SMALL_BYTES, type LineSource, type QueuedJob } from './line-queue.js';
import type { UplinkMeter } from './uplink.js';

export type { LineSource };

/** From the one that goes first to the one that goes last. `early`: too small to begin before its commit, if the line has other work. */
export const LINE_CLASSES = ['waited', 'push', 'early', 'background'] as const;
export type LineClass = (typeof LINE_CLASSES)[number];

/**
 * So much of the line's time may stand in bodies that are under way, with the time in which they still wait for
 * their link: what comes next waits that long at most.
 */
const IN_FLIGHT_SECONDS = 2;
const IN_FLIGHT_MIN_BYTES = 1024 * 1024;
/** So many bodies at least where Gitee is far away. */
const FAR_BODIES_MIN = 5;
/** Small bodies are bound by round trips and not by bytes. */
const BODIES_PER_PARALLEL = 8;
/** The share of the line that bodies which yield get together. */
const TRICKLE_SHARE = 0.1;
const TRICKLE_MIN_MS = 200;
/** Storage servers cut a body that stands still for a minute. */
const TRICKLE_MAX_MS = 20_000;
/** So much of the line's time may stand in the kernel's send buffers, which are larger; more where Gitee is far away. */
const KERNEL_SECONDS = 1;
const KERNEL_MIN_BYTES = 512 * 1024;
const KERNEL_WAIT_MS = 100;
/** Four seconds at most: a trickle. */
const KERNEL_WAITS_MAX = 40;
/** A class of which nothing is under way begins one, to trickle, after so long. */
const STARVED_MS = 5_000;
/** How often it is looked at who has stalled or starved, while anything is under way. */
const LOOK_MS = 300;
/** More stands before the line than it takes from so much of its time on. */
const FULL_SECONDS = 0.5;
const FULL_MIN_BYTES = 128 * 1024;

/** Asked by whoever sends one body. */
export interface LineTurn {
  /** To be waited for before each piece of the body is handed over; undefined: at once. */
  turn(pieceBytes: number): Promise<void> | undefined;
  /** So many more bytes were handed to the connection. */
  sent(bytes: number): void;
  /** Somebody waits for it now: it goes on in this class, if that is a higher one. */
  raise(cls: LineClass): void;
  /** Exactly once, after the answer or the failure; `arrived`: all bytes handed over have crossed. */
  end(arrived: boolean): void;
}

export interface LineJob extends QueuedJob {
  start(turn: LineTurn): void;
}

/** A place in the queue. */
export interface Ticket {
  /** Leaves the queue; nothing once it was started. */
  cancel(): void;
}

export interface LineSchedulerOptions {
  readonly uplink: UplinkMeter;
  /** Largest bodies at once where the line is fast; small ones go by as many bytes. */
  readonly parallel: number;
  readonly chunkSizeBytes: number;
  readonly clock: Clock;
}

export class LineScheduler {
  readonly #classes = LINE_CLASSES.map(() => new LineQueue<LineJob>());
  readonly #flight: InFlight;
  readonly #closed = new AbortController();
  #isLooking = false;
  #pumping = false;

  constructor(private readonly options: LineSchedulerOptions) {
    this.#flight = new InFlight(options.uplink, options.clock);
  }

  /** Bodies under way. */
  get running(): number {
    return this.#flight.size;
  }

  /** Of a bucket's bodies under way, the bytes that have crossed the line for sure. */
  crossedBytes(source: LineSource): number {
    return this.#flight.crossedBytes(source);
  }

  /** Takes its place in line; `start` is called when its turn has come, never before this returns. */
  add(source: LineSource, cls: LineClass, group: string, job: LineJob): Ticket {
    const leave = this.#classes[LINE_CLASSES.indexOf(cls)]!.add(
      ...([source, group, job, this.options.clock.steadyMs()] as const),
    );
    queueMicrotask(() => this.pump());
    return {
      cancel: () => {
        // Those that yielded to it need not any more.
        if (leave()) queueMicrotask(() => this.pump());
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
    if (!this.#isLooking && this.#flight.size > 0) this.#lookAgain();
  }

  /** Nothing is started any more; what waits for its turn goes on, to be ended by its owner. */
  close(): void {
    this.#closed.abort(new Error('the line is closed'));
    for (const body of this.#flight) body.resume?.();
  }

  /** Seconds of line, with the time in which a body has begun and cannot send yet. */
  #secondsWith(seconds: number): number {
    return seconds + this.#flight.askingMs / 1_000;
  }

  /** Bytes that may be under way before the next body begins. */
  #limitBytes(): number {
    const { chunkSizeBytes, parallel, uplink } = this.options;
    const floorBytes = Math.min(IN_FLIGHT_MIN_BYTES, chunkSizeBytes);
    return Math.min(
      parallel * chunkSizeBytes,
      Math.max(floorBytes, this.#secondsWith(IN_FLIGHT_SECONDS) * uplink.bytesPerSecond),
    );
  }

  /** So many bodies may have bytes to send, however large they are. */
  #bodiesMin(): number {
    return this.#flight.isFar ? FAR_BODIES_MIN : 1;
  }

  #startNext(): boolean {
    for (const [level, queue] of this.#classes.entries()) {
      const next = queue.next((source) => source.isReady() && this.#hasRoom(source, level));
      if (next) {
        this.#start(level, next.source, next.job);
        return true;
      }
      // Those below yield to what waits for room here, and to what is under way.
      if (this.#isWanted(level) || this.#flight.isBusy(level)) return this.#startStarved(level + 1);
    }
    return false;
  }

  /** What has stalled fills the room of its own bucket only. */
  #hasRoom(source: LineSource, level: number): boolean {
    let restBytes = 0;
    let active = 0;
    let bodies = 0;
    for (const body of this.#flight) {
      if (body.source !== source && this.#flight.isStalled(body)) continue;
      if (!body.isPaused) bodies += 1;
      if (body.level > level || body.restBytes === 0) continue;
      restBytes += body.restBytes;
      active += 1;
    }
    if (active === 0) return true;
    const hasRoom = restBytes < this.#limitBytes() || active < this.#bodiesMin();
    return hasRoom && bodies < this.options.parallel * BODIES_PER_PARALLEL;
  }

  /** One of a class that has stood still for long begins, to trickle. */
  #startStarved(fromLevel: number): boolean {
    for (let level = fromLevel; level < LINE_CLASSES.length; level += 1) {
      if (!this.#isStarved(level)) continue;
      const next = this.#classes[level]!.next((source) => this.#moves(source));
      if (next) this.#start(level, next.source, next.job);
      return next !== undefined;
    }
    return false;
  }

  #isStarved(level: number): boolean {
    for (const body of this.#flight) if (body.level === level && !this.#flight.isStalled(body)) return false;
    const sinceMs = this.#classes[level]!.oldestMs((source) => this.#moves(source));
    return sinceMs !== undefined && this.options.clock.steadyMs() - sinceMs >= STARVED_MS;
  }

  /** Something would go out here if it had room. */
  #isWanted(level: number): boolean {
    return this.#classes[level]!.has((source) => this.#moves(source));
  }

  /** What it has under way makes progress, or nothing is. */
  #moves(source: LineSource): boolean {
    return source.isReady() && !this.#flight.isStuck(source);
  }

  #start(level: number, source: LineSource, job: LineJob): void {
    const body = this.#flight.begin(source, level, job);
    job.start({
      turn: (pieceBytes) => {
        this.#flight.sends(body);
        return this.#turn(body, pieceBytes);
      },
      sent: (bytes) => {
        this.#flight.sent(body, bytes);
        this.pump();
      },
      raise: (cls) => {
        const raised = LINE_CLASSES.indexOf(cls);
        if (raised >= body.level) return;
        body.level = raised;
        this.pump();
      },
      end: (arrived) => {
        this.#flight.end(body, arrived);
        queueMicrotask(() => this.pump());
      },
    });
  }

  #turn(body: Body, pieceBytes: number): Promise<void> | undefined {
    if (body.isPaused) return this.#waitTurn(body, pieceBytes);
    return this.#isKernelFull(body) ? this.#waitKernel(body) : undefined;
  }

  /** What the kernel has cannot yield any more: seconds of it would stand before what somebody waits for. */
  #isKernelFull({ level }: Body): boolean {
    if (level === 0) return false;
    const limitBytes = this.#secondsWith(KERNEL_SECONDS) * this.options.uplink.bytesPerSecond;
    return this.#flight.isKernelFull(Math.max(KERNEL_MIN_BYTES, limitBytes));
  }

  async #waitKernel(body: Body): Promise<void> {
    for (let waits = 0; waits < KERNEL_WAITS_MAX && this.#isKernelFull(body); waits += 1) {
      if (this.#closed.signal.aborted) return;
      await this.options.clock.sleep(KERNEL_WAIT_MS);
    }
  }

  /** Until nobody above has anything to send, or its trickle is due. */
  #waitTurn(body: Body, pieceBytes: number): Promise<void> {
    const over = new AbortController();
    return new Promise<void>((resolve) => {
      body.resume = () => {
        body.resume = undefined;
        over.abort(new Error('the turn has come'));
        resolve();
      };
      const go = () => body.resume?.();
      this.options.clock.sleep(this.#trickleMs(pieceBytes), over.signal).then(go, () => {});
    });
  }

  #trickleMs(pieceBytes: number): number {
    const paused = [...this.#flight].filter(({ isPaused }) => isPaused).length;
    const ms = (paused * pieceBytes * 1_000) / (TRICKLE_SHARE * this.options.uplink.bytesPerSecond);
    return Math.min(TRICKLE_MAX_MS, Math.max(TRICKLE_MIN_MS, ms));
  }

  /**
   * Who is below the highest class that has something to send stands back. So does, within it, what was begun
   * when the line was faster: side by side over a line that fell, none of them would end for long.
   */
  #letYield(): void {
    let top: number = LINE_CLASSES.length;
    for (let level = LINE_CLASSES.length - 1; level >= 0; level -= 1) if (this.#isWanted(level)) top = level;
    for (const body of this.#flight) if (body.level < top && this.#flight.takesLine(body)) top = body.level;
    const limitBytes = this.#limitBytes();
    const bodiesMin = this.#bodiesMin();
    let restBytes = 0;
    let active = 0;
    for (const body of this.#flight) {
      const isBeyond = restBytes >= limitBytes && active >= bodiesMin;
      if (body.level > top || isBeyond) {
        this.#flight.pause(body);
        continue;
      }
      if (!this.#flight.isStalled(body) && body.restBytes > 0) {
        restBytes += body.restBytes;
        active += 1;
      }
      this.#flight.unpause(body);
    }
  }

  /** More stands ready than the line takes: what is measured now is the line and not us. */
  #isFull(): boolean {
    const { chunkSizeBytes, uplink } = this.options;
    const bytes = Math.max(FULL_MIN_BYTES, FULL_SECONDS * uplink.bytesPerSecond);
    // No more than a small body's bytes, or an estimate that is far too high would never be lowered.
    return this.#flight.standingBytes() >= Math.min(SMALL_BYTES, chunkSizeBytes, bytes);
  }

  /** Who stalls or starves does nothing that would tell us. */
  #lookAgain(): void {
    this.#isLooking = true;
    const over = () => {
      this.#isLooking = false;
      this.pump();
    };
    this.options.clock.sleep(LOOK_MS, this.#closed.signal).then(over, () => {});
  }
}
