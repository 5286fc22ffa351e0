/**
 * One scheduler for all uploads over one line. Somebody waits for some of them, an open push wants others soon,
 * nobody waits for the rest: a body that goes out yields while one of a higher class has anything to send, and
 * then lets through a trickle, which is its share and keeps the server from giving it up. Within a class buckets
 * share alike, within a bucket the groups (one call that waits, one push) share alike, and small ones go first.
 *
 * Invariant 5. Memory is bounded: an entry per queued upload, no bytes.
 */
import type { Clock } from '../async/clock.js';
import { InFlight, KERNEL_AGE_MS, type Body } from './in-flight.js';
import { LineQueue, SMALL_BYTES, type LineSource, type Next, type QueuedJob } from './line-queue.js';
import type { UplinkMeter } from './uplink.js';

export type { LineSource };

/** From the one that goes first to the one that goes last. `early`: too small to begin before its commit, if the line has other work. */
const LINE_CLASSES = ['waited', 'push', 'early', 'background'] as const;
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
/** So much of the line's time may stand in the kernel's send buffers, which are larger. */
const KERNEL_SECONDS = 1;
const KERNEL_MIN_BYTES = 512 * 1024;
/**
 * Where Gitee is far away, beside what is on its way for a round trip: connections that share the line are slow there
 * to give it to another one. Until the line was measured it may be one on which the figure above is seconds.
 */
const KERNEL_FAR_SECONDS = 0.8;
const KERNEL_FAR_MIN_BYTES = 256 * 1024;
/** While small ones that somebody waits for come now and then: it stands before their first packets. */
const KERNEL_CLEAR_SECONDS = 0.5;
const CLEAR_FOR_MS = 15_000;
const KERNEL_WAIT_MS = 100;
/** Four seconds at most: a trickle. */
const KERNEL_WAITS_MAX = 40;
/** A line that carries less of what it could do of late may be dead for one connection only. */
const DEAD_SHARE = 0.25;
const DEAD_BODIES_MIN = 3;
/** A distant line of which more is used than this has no air. */
const AIR_RATE_SHARE = 0.9;
/** So much more of its time may stand in the kernel once all of what goes first has been handed over. */
const AIR_HANDED_MS = 500;
/** Where a small one goes first: what is more stands in a router, and its packets are lost there. */
const AIR_CLEAR_MS = 150;
/** Of the bytes that fill a distant line, so much may be of one connection. */
const AIR_CONNECTION_SHARE = 1 / 3;
/** A class of which nothing is under way begins one, to trickle, after so long. */
const STARVED_MS = 5_000;
/** How often it is looked at who has stalled or starved, while anything is under way. */
const LOOK_MS = 300;
/** More stands before the line than it takes from so much of its time on. */
const FULL_SECONDS = 0.5;
/** Beside what is on its way for a round trip. */
const FULL_FAR_SECONDS = 0.2;
const FULL_MIN_BYTES = 128 * 1024;

/** A source of its own: it has no share of any bucket's. */
const COMMIT: LineSource = { name: '', isReady: () => true };

/** Asked by whoever sends one body. */
export interface LineTurn {
  /** To be waited for before each piece of the body is handed over; undefined: at once. */
  turn(pieceBytes: number): Promise<void> | undefined;
  /** So many more bytes were handed to the connection. */
  sent(bytes: number): void;
  /** The chunk is small and Gitee far away: round trips are what it costs (UploadFlow). */
  readonly asksAtOnce: boolean;
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

export interface LineSchedulerDeps {
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
  /** The class that the others yield to. */
  #top: number = LINE_CLASSES.length;
  /** Of what they yield to something is small. */
  #isSmallFirst = false;
  /** When that was so last. */
  #smallFirstMs = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #pumping = false;

  constructor(private readonly deps: LineSchedulerDeps) {
    this.#flight = new InFlight(deps.uplink, deps.clock);
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
      ...([source, group, job, this.deps.clock.steadyMs()] as const),
    );
    queueMicrotask(() => this.pump());
    return {
      cancel: () => {
        // Those that yielded to it need not any more.
        if (leave()) queueMicrotask(() => this.pump());
      },
    };
  }

  /**
   * Where Gitee is far away large bodies make way until what this returns is called, as for a small one that somebody
   * waits for: what goes out is small and none of ours, the push of a commit. When its three packets meet those that all
   * of them send at once, they are lost, and the kernel tries again after a second, then after two.
   */
  clear(): () => void {
    if (!this.#flight.isFar) return () => {};
    const place = { source: COMMIT, group: '', level: 0 };
    const body = this.#flight.begin(place, { bytes: 0, isSuspect: true });
    this.#flight.sends(body);
    this.pump();
    return () => {
      this.#flight.end(body, true);
      queueMicrotask(() => this.pump());
    };
  }

  /** To be called when a source that was not ready may be so. */
  pump(): void {
    if (this.#closed.signal.aborted || this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#startNext());
      this.#letYield();
      this.deps.uplink.setFull(this.#isFull());
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
    const { chunkSizeBytes, parallel, uplink } = this.deps;
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
      const next =
        queue.next((source) => source.isReady() && this.#hasRoom(source, level)) ??
        queue.nextSmall((source, group) => source.isReady() && this.#hasRoom(source, level, group));
      if (next) {
        this.#start(level, next);
        return true;
      }
      // Those below yield to what waits for room here, and to what is under way.
      if (this.#isWanted(level) || this.#flight.isBusy(level))
        return this.#startStarved(level + 1) || this.#startForAir(level + 1);
    }
    return false;
  }

  /**
   * What has stalled fills the room of its own bucket only. For a small one, of `smallOf`, there is room beside a large
   * one of another group in its class, which yields to it: over a slow line that one may take half a minute.
   */
  #hasRoom(source: LineSource, level: number, smallOf?: string): boolean {
    let restBytes = 0;
    let active = 0;
    let bodies = 0;
    for (const body of this.#flight) {
      if (body.source !== source && this.#flight.isStalled(body)) continue;
      if (!body.isPaused) bodies += 1;
      if (body.level > level || body.restBytes === 0) continue;
      if (smallOf !== undefined && body.level === level && this.#yields(body, { source, group: smallOf }))
        continue;
      restBytes += body.restBytes;
      active += 1;
    }
    if (active === 0 && smallOf === undefined) return true;
    const activeMin = Math.max(this.#bodiesMin(), this.#hasAir() ? DEAD_BODIES_MIN : 1);
    const hasRoom = restBytes < this.#limitBytes() || active < activeMin;
    return hasRoom && bodies < this.deps.parallel * BODIES_PER_PARALLEL;
  }

  /** One of a class that has stood still for long begins, to trickle. */
  #startStarved(fromLevel: number): boolean {
    for (let level = fromLevel; level < LINE_CLASSES.length; level += 1) {
      if (!this.#isStarved(level)) continue;
      const next = this.#classes[level]!.next((source) => this.#moves(source));
      if (next) this.#start(level, next);
      return next !== undefined;
    }
    return false;
  }

  /** One of a lower class begins where the line would stand still otherwise, and no other one can send meanwhile. */
  #startForAir(fromLevel: number): boolean {
    if (!this.#hasAir()) return false;
    for (const body of this.#flight)
      if (body.level >= fromLevel && body.restBytes > 0 && !this.#flight.isStalled(body)) return false;
    for (let level = fromLevel; level < LINE_CLASSES.length; level += 1) {
      const next = this.#classes[level]!.next((source) => this.#moves(source));
      if (next) this.#start(level, next);
      if (next) return true;
    }
    return false;
  }

  #isStarved(level: number): boolean {
    for (const body of this.#flight) if (body.level === level && !this.#flight.isStalled(body)) return false;
    const sinceMs = this.#classes[level]!.oldestMs((source) => this.#moves(source));
    return sinceMs !== undefined && this.deps.clock.steadyMs() - sinceMs >= STARVED_MS;
  }

  /** Something would go out here if it had room. */
  #isWanted(level: number): boolean {
    return this.#classes[level]!.has((source) => this.#moves(source));
  }

  /** What it has under way makes progress, or nothing is. */
  #moves(source: LineSource): boolean {
    return source.isReady() && !this.#flight.isStuck(source);
  }

  #start(level: number, { group, job, source }: Next<LineJob>): void {
    const body = this.#flight.begin({ source, group, level }, job);
    if (body.isSmall) {
      const yielding = [...this.#flight].filter(
        (other) => other.level === level && this.#yields(other, body),
      );
      // The line is given up once, however many would share it.
      for (const other of yielding) other.yieldedBytes += body.bytes / yielding.length;
    }
    const flight = this.#flight;
    job.start({
      get asksAtOnce() {
        return body.isSmall && flight.isFar;
      },
      turn: (pieceBytes) => {
        this.#flight.sends(body);
        const grant = () => this.#flight.grant(body, pieceBytes);
        const held = this.#turn(body, pieceBytes)?.then(grant);
        if (!held) grant();
        return held;
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
    if (body.isPaused) return this.#hasAir() ? undefined : this.#waitTurn(body, pieceBytes);
    return this.#isKernelFull(body) ? this.#waitKernel(body) : undefined;
  }

  /** What the kernel has cannot yield any more: seconds of it would stand before what somebody waits for. */
  #isKernelFull({ isSmall, level }: Body): boolean {
    const { isFar, leastMs } = this.#flight;
    // Of a large one that is waited for as well, where Gitee is far away: a small push may come at any time.
    if (level === 0 && (isSmall || !isFar)) return false;
    const { bytesPerSecond, isMeasured, lateMs } = this.deps.uplink;
    if (!isFar) return this.#flight.isKernelFull(Math.max(KERNEL_MIN_BYTES, KERNEL_SECONDS * bytesPerSecond));
    const isClear = this.deps.clock.steadyMs() - this.#smallFirstMs < CLEAR_FOR_MS;
    const seconds = isClear ? KERNEL_CLEAR_SECONDS : KERNEL_FAR_SECONDS;
    const limitBytes = (seconds + (leastMs + lateMs) / 1_000) * bytesPerSecond;
    return this.#flight.isKernelFull(
      isMeasured ? Math.max(KERNEL_FAR_MIN_BYTES, limitBytes) : KERNEL_MIN_BYTES,
    );
  }

  async #waitKernel(body: Body): Promise<void> {
    body.isHeld = true;
    for (let waits = 0; waits < KERNEL_WAITS_MAX && this.#isKernelFull(body); waits += 1) {
      if (this.#closed.signal.aborted) break;
      await this.deps.clock.sleep(KERNEL_WAIT_MS);
    }
    body.isHeld = false;
  }

  /** Until nobody above has anything to send, its trickle is due, or the line would stand still otherwise. */
  #waitTurn(body: Body, pieceBytes: number): Promise<void> {
    const over = new AbortController();
    return new Promise<void>((resolve) => {
      body.resume = () => {
        body.resume = undefined;
        over.abort(new Error('the turn has come'));
        resolve();
      };
      const go = () => body.resume?.();
      void this.#untilAir(this.#trickleMs(pieceBytes), over.signal).then(go, () => {});
    });
  }

  async #untilAir(timeoutMs: number, signal: AbortSignal): Promise<void> {
    for (let leftMs = timeoutMs; leftMs > 0 && !this.#hasAir(); leftMs -= KERNEL_WAIT_MS)
      await this.deps.clock.sleep(Math.min(KERNEL_WAIT_MS, leftMs), signal);
  }

  /**
   * Where Gitee is far away whoever goes first is often between two of his round trips, or his connection has lost its
   * pace. The line need not stand still meanwhile: less crosses than it takes, and what is known to be on its way is
   * less than what crosses in a round trip, of which one connection counts for a part only.
   */
  #hasAir(): boolean {
    const { uplink } = this.deps;
    const { isFar, leastMs } = this.#flight;
    if (!uplink.isKernelKnown) return false;
    if (!isFar) return this.#isDead() && uplink.inKernelBytesUpTo(KERNEL_MIN_BYTES / 2) < KERNEL_MIN_BYTES;
    // What goes first is on its way, and only waited for: nothing that follows can come in between.
    const isHandedOver = !this.#isSmallFirst && !this.#flight.hasBytes(this.#top);
    // Where it isn't known what is on its way, what has crossed of late must do. A small one that has just begun finds its
    // pace in a line that nobody else fills the moment it is free.
    const isUsed = () => uplink.currentBytesPerSecond > AIR_RATE_SHARE * uplink.bytesPerSecond;
    if (!isHandedOver && (this.#isSmallFirst || !uplink.isOnItsWayKnown) && isUsed()) return false;
    const clearMs = this.#isSmallFirst ? AIR_CLEAR_MS : KERNEL_AGE_MS;
    const ms = leastMs + clearMs + (isHandedOver ? AIR_HANDED_MS : 0);
    const limitBytes = (ms * uplink.bytesPerSecond) / 1_000;
    const kernelBytes = uplink.onItsWayBytes(limitBytes * AIR_CONNECTION_SHARE);
    return kernelBytes + this.#flight.grantedBytes < limitBytes;
  }

  /**
   * Next to nothing crosses of what the line could do of late: it has become slow, or what has the line is a connection
   * that carries nothing more. Nobody knows which; another one finds out.
   */
  #isDead(): boolean {
    const { bestBytesPerSecond, currentBytesPerSecond } = this.deps.uplink;
    return currentBytesPerSecond < DEAD_SHARE * bestBytesPerSecond;
  }

  #trickleMs(pieceBytes: number): number {
    const paused = [...this.#flight].filter(({ isPaused }) => isPaused).length;
    const ms = (paused * pieceBytes * 1_000) / (TRICKLE_SHARE * this.deps.uplink.bytesPerSecond);
    return Math.min(TRICKLE_MAX_MS, Math.max(TRICKLE_MIN_MS, ms));
  }

  /**
   * Who is below the highest class that has something to send stands back. So does, within it, who is large where a
   * small one has, and what was begun when the line was faster: side by side over a line that fell, none of them
   * would end for long.
   */
  #letYield(): void {
    const top = this.#topLevel();
    this.#top = top;
    const limitBytes = this.#limitBytes();
    const bodiesMin = this.#bodiesMin();
    let restBytes = 0;
    let active = 0;
    const small: Body[] = [];
    // Raised ones and small ones may have begun later than those that yield to them.
    const bodies = [...this.#flight].sort(
      (a, b) => a.level - b.level || Number(b.isSmall) - Number(a.isSmall),
    );
    for (const body of bodies) {
      const isBeyond = restBytes >= limitBytes && active >= bodiesMin;
      if (body.isSmall && body.level === top && this.#flight.takesLine(body)) small.push(body);
      const yields = small.some((one) => this.#yields(body, one));
      if (body.level > top || isBeyond || yields) {
        this.#flight.pause(body);
        continue;
      }
      if (!this.#flight.isStalled(body) && body.restBytes > 0) {
        restBytes += body.restBytes;
        active += 1;
      }
      this.#flight.unpause(body);
    }
    this.#isSmallFirst = small.length > 0;
    if (this.#isSmallFirst && top === 0) this.#smallFirstMs = this.deps.clock.steadyMs();
  }

  #yields(body: Body, small: { readonly source: LineSource; readonly group: string }): boolean {
    return body.yieldsTo(small, this.deps.uplink.bytesPerSecond);
  }

  /** The highest class that has something to send, or to wait for. */
  #topLevel(): number {
    let top: number = LINE_CLASSES.length;
    for (let level = LINE_CLASSES.length - 1; level >= 0; level -= 1) if (this.#isWanted(level)) top = level;
    for (const body of this.#flight) if (body.level < top && this.#flight.takesLine(body)) top = body.level;
    return top;
  }

  /** More stands ready than the line takes: what is measured now is the line and not us. */
  #isFull(): boolean {
    const { chunkSizeBytes, uplink } = this.deps;
    const { isFar, leastMs } = this.#flight;
    const seconds = isFar ? FULL_FAR_SECONDS + leastMs / 1_000 : FULL_SECONDS;
    const bytes = Math.max(FULL_MIN_BYTES, seconds * uplink.bytesPerSecond);
    // No more than a small body's bytes, or an estimate that is far too high would never be lowered.
    const limitBytes = Math.min(SMALL_BYTES, chunkSizeBytes, bytes);
    const connectionShare = Math.max(AIR_CONNECTION_SHARE, 1 / Math.max(1, uplink.busyConnections));
    return this.#flight.standingBytes(limitBytes * connectionShare) >= limitBytes;
  }

  /** Who stalls or starves does nothing that would tell us. */
  #lookAgain(): void {
    this.#isLooking = true;
    const over = () => {
      this.#isLooking = false;
      this.pump();
    };
    this.deps.clock.sleep(LOOK_MS, this.#closed.signal).then(over, () => {});
  }
}
