import type { Clock } from '../async/clock.js';
import { SMALL_BYTES, type LineSource, type QueuedJob } from './line-queue.js';
import type { UplinkMeter, UplinkRun } from './uplink.js';

/** A body without any progress for so long counts for its own bucket only, and not for others. */
const STALLED_MS = 5_000;
/** Longer, by what the kernel still has: on a slow line it may be this body's. */
const STALLED_KERNEL_MS_MAX = 10_000;
/** The mean of how long bodies wait for their link follows the newest one by this share. */
const ASKING_SHARE = 0.25;
const ASKING_MS_MAX = 1_500;
const LEAST_FOR_MS = 5 * 60_000;
/** From so long a wait for a link on Gitee counts as far away. */
const FAR_MS = 150;
/** Answer and verification of a body, a few round trips away. */
const CROSSED_SECONDS = 2;
/** How old what the kernel says may be. */
export const KERNEL_AGE_MS = 300;
/** A connection has found its pace after so many round trips, and says nothing of the line before. */
const RAMP_ROUND_TRIPS = 5;
const RAMP_MS_MAX = 2_000;

/** A large body that has crossed within this time is in nobody's way. */
const YIELDS_SECONDS = 1;

/** Where a body comes from, and in which class it is. */
export interface BodyPlace {
  readonly source: LineSource;
  readonly group: string;
  readonly level: number;
}

/** One body that was started and has no answer yet. */
export class Body {
  restBytes: number;
  handedBytes = 0;
  /** Of the piece that may go out now and was not taken by the connection yet. */
  grantedBytes = 0;
  isPaused = false;
  /** Its next piece waits until the kernel has less. */
  isHeld = false;
  /** Resolves the turn that is waited for. */
  resume: (() => void) | undefined;
  /** When its first byte could go out: it has its link and its connection. */
  sendsSinceMs: number | undefined;
  meter: UplinkRun | undefined;
  /** When it made progress last, later by the time for which it was held up. */
  movedMs: number;
  pausedMs = 0;
  /** Its part of the small bodies of its own class that were begun since, and to which it yields with others. */
  yieldedBytes = 0;

  constructor(
    readonly source: LineSource,
    readonly group: string,
    public level: number,
    readonly bytes: number,
    /** Tried before: it may have its link already. */
    readonly isSuspect: boolean,
    readonly startedMs: number,
  ) {
    this.restBytes = bytes;
    this.movedMs = startedMs;
  }

  get isSmall(): boolean {
    return this.bytes < SMALL_BYTES;
  }

  /**
   * It stands back for small ones of other groups in its class, where it would keep them waiting for long, and while
   * they are fewer bytes than it is: no row of them starves it.
   */
  yieldsTo({ group, source }: Pick<BodyPlace, 'group' | 'source'>, bytesPerSecond: number): boolean {
    if (this.isSmall || this.yieldedBytes >= this.bytes) return false;
    if (this.bytes < YIELDS_SECONDS * bytesPerSecond) return false;
    return this.group !== group || this.source !== source;
  }
}

/** All bodies that are under way over one line, with what they say of it. Memory: an entry per body. */
export class InFlight {
  readonly #bodies = new Set<Body>();
  #askingMs: number | undefined;
  /** The shortest wait for a link of this while, and of the one before. */
  #least = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  #leastSinceMs = 0;

  constructor(
    private readonly uplink: UplinkMeter,
    private readonly clock: Clock,
  ) {}

  get size(): number {
    return this.#bodies.size;
  }

  [Symbol.iterator](): Iterator<Body> {
    return this.#bodies.values();
  }

  /**
   * How long bodies stand before their first byte goes out (a batch call, often a handshake) where Gitee is far away;
   * else 0: on a full line it is the time behind our own bytes, and more of these would make it longer.
   */
  get askingMs(): number {
    return this.isFar ? (this.#askingMs ?? 0) : 0;
  }

  /**
   * Gitee is far away: a connection needs seconds there to find its pace again after a loss, and one alone does not
   * fill the line. Said by the shortest wait of the last minutes, since a line that is full makes all others long.
   */
  get isFar(): boolean {
    const { leastMs } = this;
    return Number.isFinite(leastMs) && leastMs >= FAR_MS;
  }

  /** The shortest wait for a link of the last minutes: a round trip or a few. Infinite where there was none. */
  get leastMs(): number {
    return Math.min(this.#least, this.#leastBefore);
  }

  /** Pieces that are on their way to the kernel: those of a connection that takes nothing do not come there. */
  get grantedBytes(): number {
    let bytes = 0;
    for (const body of this.#bodies) if (!this.isStalled(body)) bytes += body.grantedBytes;
    return bytes;
  }

  begin({ group, level, source }: BodyPlace, { bytes, isSuspect }: QueuedJob): Body {
    const body = new Body(source, group, level, bytes, isSuspect, this.clock.steadyMs());
    // Until something of its bucket moves again nobody has to make room for one more.
    if (this.isStuck(source)) body.movedMs = Number.NEGATIVE_INFINITY;
    this.#bodies.add(body);
    return body;
  }

  /** Its first byte may go out now. */
  sends(body: Body): void {
    if (body.sendsSinceMs !== undefined) return;
    const nowMs = this.clock.steadyMs();
    body.sendsSinceMs = nowMs;
    if (body.isSuspect) return;
    const askingMs = Math.max(0, Math.min(ASKING_MS_MAX, body.sendsSinceMs - body.startedMs));
    this.#askingMs ??= askingMs;
    this.#askingMs += ASKING_SHARE * (askingMs - this.#askingMs);
    if (nowMs - this.#leastSinceMs >= LEAST_FOR_MS) {
      this.#leastBefore = this.#least;
      this.#least = Number.POSITIVE_INFINITY;
      this.#leastSinceMs = nowMs;
    }
    this.#least = Math.min(this.#least, askingMs);
  }

  /** Its next piece may go out: it counts from now on, and not when the connection has taken it. */
  grant(body: Body, pieceBytes: number): void {
    body.grantedBytes = pieceBytes;
  }

  sent(body: Body, bytes: number): void {
    this.sends(body);
    body.grantedBytes = 0;
    body.meter ??= this.uplink.begin();
    body.meter.sent(bytes);
    body.handedBytes += bytes;
    body.restBytes = Math.max(0, body.restBytes - bytes);
    body.movedMs = this.clock.steadyMs();
    body.pausedMs = body.movedMs;
  }

  end(body: Body, arrived: boolean): void {
    body.meter?.end(arrived);
    this.#bodies.delete(body);
    body.resume?.();
  }

  pause(body: Body): void {
    if (body.isPaused) return;
    body.isPaused = true;
    body.pausedMs = this.clock.steadyMs();
  }

  unpause(body: Body): void {
    if (body.isPaused) {
      body.isPaused = false;
      body.movedMs += Math.max(0, this.clock.steadyMs() - body.pausedMs);
    }
    body.resume?.();
  }

  /** No byte of it went on for long though nobody held it up, and no answer came. */
  isStalled(body: Body): boolean {
    const idleMs = (body.isPaused ? body.pausedMs : this.clock.steadyMs()) - body.movedMs;
    if (idleMs < STALLED_MS) return false;
    const { bytesPerSecond, inKernelBytes } = this.uplink;
    return idleMs >= STALLED_MS + Math.min(STALLED_KERNEL_MS_MAX, (inKernelBytes * 1_000) / bytesPerSecond);
  }

  /** Everything that this bucket has under way has stalled: its storage takes nothing. */
  isStuck(source: LineSource): boolean {
    let isStuck = false;
    for (const body of this.#bodies) {
      if (body.source !== source) continue;
      if (!this.isStalled(body)) return false;
      isStuck = true;
    }
    return isStuck;
  }

  /**
   * It takes the line: those of a lower class yield. Until its answer, since what it handed over last may stand in
   * the kernel for seconds; where Gitee is far away not while it only waits for its link, or the line would stand
   * still for a second at each. But a small one begins on a connection that has no pace yet, and where it meets a full
   * line it loses its first packets, and finds none: the line must be clear by then. Whether somebody waits for it is
   * often known when it has its link only: the tag comes last.
   */
  takesLine(body: Body): boolean {
    if (this.isStalled(body)) return false;
    return !this.isFar || body.sendsSinceMs !== undefined || body.isSmall;
  }

  /** Something of this class or a higher one has bytes that were not handed over. */
  hasBytes(level: number): boolean {
    for (const body of this.#bodies)
      if (body.level <= level && body.restBytes > 0 && !body.isPaused && !this.isStalled(body)) return true;
    return false;
  }

  /** Something of this class or a higher one takes the line. */
  isBusy(level: number): boolean {
    for (const body of this.#bodies) if (body.level <= level && this.takesLine(body)) return true;
    return false;
  }

  /**
   * Whether the kernel has so much that more would stand behind it. A connection counts up to its share of that
   * among the bodies that send, or where Gitee is far away among all that have bytes there; what has stalled counts
   * not at all: it may stand there for ever.
   */
  isKernelFull(limitBytes: number): boolean {
    const { grantedBytes } = this;
    if (this.uplink.inKernelBytes + grantedBytes < limitBytes) return false;
    let sending = 0;
    let stalledBytes = 0;
    for (const body of this.#bodies) {
      if (this.isStalled(body)) stalledBytes += body.handedBytes;
      else if (body.sendsSinceMs !== undefined && body.restBytes > 0 && !body.isPaused) sending += 1;
    }
    const connections = Math.max(1, sending, this.isFar ? this.uplink.busyConnections : 0);
    const kernelBytes = this.uplink.inKernelBytesUpTo(limitBytes / connections);
    return kernelBytes + grantedBytes - stalledBytes >= limitBytes;
  }

  /**
   * Of a bucket's bodies under way, the bytes that have crossed the line for sure and only wait for Gitee's word: where
   * it is far away, and no more than what crosses in the time that its word takes. What else seems to have crossed
   * stands in buffers of a server that reads slowly.
   */
  crossedBytes(source: LineSource): number {
    if (!this.uplink.isKernelKnown || !this.isFar) return 0;
    let bytes = -this.uplink.inKernelBytes;
    for (const body of this.#bodies)
      if (body.source === source) bytes += Math.min(body.handedBytes, body.bytes);
    return Math.min(Math.max(0, bytes), CROSSED_SECONDS * this.uplink.bytesPerSecond);
  }

  /**
   * Bytes that stand before the line and could cross it now. Not those of a body that still waits for its link,
   * or whose connection is too young to have found its pace: then it is us who are slow, and not the line; nor what
   * waits until the kernel has less, which counts by what the kernel has: it may have run dry before we came to look.
   * Where Gitee is far away the kernel's count up to so much of each connection: one that has lost its pace is not the
   * line either.
   */
  standingBytes(connectionBytes: number): number {
    const nowMs = this.clock.steadyMs();
    const rampMs = Math.min(RAMP_MS_MAX, RAMP_ROUND_TRIPS * this.askingMs);
    let restBytes = 0;
    let handedBytes = 0;
    const { inKernelBytes, isGuess, isKernelKnown } = this.uplink;
    for (const body of this.#bodies) {
      if (body.sendsSinceMs === undefined || nowMs - body.sendsSinceMs < rampMs) continue;
      if (this.isStalled(body)) continue;
      // What one that yields has handed over stands there all the same. But its connection may be slow, and not the
      // line: it counts only until anything is known of that.
      if (!body.isPaused || (isKernelKnown && isGuess)) handedBytes += body.handedBytes;
      if (!body.isPaused && !body.isHeld) restBytes += body.restBytes;
    }
    if (!isKernelKnown) return restBytes + handedBytes;
    const kernelBytes = this.isFar ? this.uplink.inKernelBytesUpTo(connectionBytes) : inKernelBytes;
    return restBytes + Math.min(handedBytes, kernelBytes);
  }
}
