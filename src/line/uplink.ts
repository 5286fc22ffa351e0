import type { Clock } from '../async/clock.js';

const SLOT_MS = 500;
/** The mean is taken over so much busy time. */
const LONG_MS = 10_000;
/** A line that became slow must show within seconds: this mean is the ceiling, with some slack for bursts. */
const SHORT_MS = 3_000;
const SHORT_SLACK = 1.25;
const NOW_MS = 1_000;
const BEST_FOR_MS = 60_000;
/** Less than that is too little to lower the estimate by, or to raise it. */
const LOWER_AFTER_MS = 1_500;
const RAISE_AFTER_MS = 500;
/** A connection to a distant Gitee has found its pace by then. */
const MEASURED_AFTER_MS = 3_000;
/**
 * Before that buffers of the other side, or of a proxy near by, may have swallowed megabytes in no time: the first
 * figure is believed to be too low by so much a second.
 */
const FIRST_GROWTH = 2;
/** The kernel's send buffer takes megabytes at once: nobody is believed to send faster than so many times the estimate. */
const BURST_FACTOR = 2;
const BURST_BYTES = 128 * 1024;
/** What a connection may send at once when it begins (RFC 6928, ten packets); a call of the API is less. */
const CALL_MAX_BYTES = 14 * 1024;
/** How often the kernel is asked what it still has. */
const SAMPLE_MS = 125;
/** The mean of how late looks at the kernel are follows the newest one by this share. */
const LATE_SHARE = 0.1;
const LATE_MAX_MS = 500;
/** Slower than this a transfer counts as dead anyway. */
const FLOOR_BYTES_PER_SECOND = 8 * 1024;

interface Slot {
  readonly number: number;
  busyMs: number;
  /** Of these, the time in which more stood ready than the line took. */
  fullMs: number;
  bytes: number;
}

/** What the kernel has of the bytes handed to one connection. */
export interface KernelQueue {
  readonly bytes: number;
  /** Of these, what is on its way; the others wait until some of it has arrived. Undefined where it isn't known. */
  readonly onItsWayBytes: number | undefined;
}

/** Undefined where the system doesn't say. */
export type KernelQueues = () => Promise<readonly KernelQueue[] | undefined>;

/** One body on its way out. */
export interface UplinkRun {
  /** So many more bytes were handed to the connection. */
  sent(bytes: number): void;
  /** The answer is here, a good one where `arrived`. */
  end(arrived: boolean): void;
}

interface Run {
  readonly startMs: number;
  creditedMs: number;
  handedBytes: number;
  creditedBytes: number;
}

/**
 * The line to Gitee in bytes per second, measured while bytes leave: over the last seconds in which at least
 * one body was under way. Idle time says nothing; a time in which the line was not full may raise the figure
 * but not lower it. What the kernel has swallowed but not sent is not counted, where the system says how much that
 * is; elsewhere it is credited as time passes.
 */
export class UplinkMeter {
  readonly #runs = new Set<Run>();
  #slots: Slot[] = [];
  #estimate: number;
  readonly #firstEstimate: number;
  #lastMs: number;
  #best = 0;
  #bestBefore = 0;
  #bestSinceMs = Number.NEGATIVE_INFINITY;
  #isFull = false;
  #isMeasured: boolean;
  #isGuess: boolean;
  #progressMs: number;
  /** Of all runs. */
  #handedBytes = 0;
  /** Of these, what had left the kernel at the last sample; undefined while it isn't known how much it has. */
  #leftBytes: number | undefined;
  #sampledMs = 0;
  /** Of each connection at the last sample. */
  #queues: readonly KernelQueue[] = [];
  #isSampling = false;
  #lateMs = 0;

  /**
   * @param kernelQueues what the kernel still has of the bytes handed to each connection; undefined where it doesn't say
   * @param wasMeasured the first figure is of an earlier run, and no guess
   */
  constructor(
    initialBytesPerSecond: number,
    private readonly clock: Clock,
    private readonly kernelQueues?: KernelQueues,
    wasMeasured = false,
  ) {
    this.#isMeasured = wasMeasured;
    this.#isGuess = !wasMeasured;
    this.#estimate = this.#firstEstimate = initialBytesPerSecond;
    this.#lastMs = this.#progressMs = clock.steadyMs();
  }

  get bytesPerSecond(): number {
    this.#advance();
    return this.#estimate;
  }

  /** The most that the line was found to do in the last minute or two. */
  get bestBytesPerSecond(): number {
    const nowMs = this.clock.steadyMs();
    if (nowMs - this.#bestSinceMs >= BEST_FOR_MS) {
      this.#bestBefore = nowMs - this.#bestSinceMs < 2 * BEST_FOR_MS ? this.#best : 0;
      this.#best = 0;
      this.#bestSinceMs = nowMs;
    }
    this.#best = Math.max(this.#best, this.bytesPerSecond);
    return Math.max(this.#best, this.#bestBefore);
  }

  /** What crosses now, over the last second in which something was under way. */
  get currentBytesPerSecond(): number {
    this.#advance();
    return rate(this.#slots, NOW_MS);
  }

  /** Whether enough has crossed since this began to say anything of the line. */
  get isMeasured(): boolean {
    return this.#isMeasured;
  }

  /** Whether the figure is still the first one, which nobody has measured. */
  get isGuess(): boolean {
    return this.#isGuess;
  }

  /** Bytes that were handed over and stand in the kernel, as far as it says; else 0. */
  get inKernelBytes(): number {
    const bytes = this.#handedBytes - (this.#leftBytes ?? this.#handedBytes);
    // After a broken connection nobody knows, until the next sample.
    return Number.isNaN(bytes) ? 0 : Math.max(0, bytes);
  }

  /**
   * As `inKernelBytes`, with no more than so much of each connection: one that has lost its pace holds megabytes
   * for long, and they hold up nothing else.
   */
  inKernelBytesUpTo(connectionBytes: number): number {
    const beyondBytes = sum(this.#queues.map(({ bytes }) => Math.max(0, bytes - connectionBytes)));
    return Math.max(0, this.inKernelBytes - beyondBytes);
  }

  /**
   * Of `inKernelBytes`, what is on its way to Gitee, or in a router before it; of a connection of which that isn't known
   * all of it up to `connectionBytes`.
   */
  onItsWayBytes(connectionBytes: number): number {
    const waitingBytes = ({ bytes, onItsWayBytes }: KernelQueue) =>
      Math.max(0, bytes - (onItsWayBytes ?? connectionBytes));
    return Math.max(0, this.inKernelBytes - sum(this.#queues.map(waitingBytes)));
  }

  /** Whether `onItsWayBytes` is what the system says, of some connection at least. */
  get isOnItsWayKnown(): boolean {
    return this.#queues.some(({ onItsWayBytes }) => onItsWayBytes !== undefined);
  }

  /**
   * Connections that had bytes of a body in the kernel at the last sample: more than a call of the API, or its last
   * packets.
   */
  get busyConnections(): number {
    return this.#queues.filter(({ bytes }) => bytes > CALL_MAX_BYTES).length;
  }

  /** Whether `inKernelBytes` is what the system says. */
  get isKernelKnown(): boolean {
    return this.#leftBytes !== undefined && !Number.isNaN(this.#leftBytes);
  }

  /**
   * So much later than meant we come to look at the kernel, of late: on a busy machine what it has must last for that
   * as well.
   */
  get lateMs(): number {
    return this.#lateMs;
  }

  /** When bytes crossed the line last, or this began; steady milliseconds. */
  get progressMs(): number {
    return this.#progressMs;
  }

  /** Whether more stands ready than the line takes. */
  setFull(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#advance();
    this.#isFull = isFull;
  }

  /** A body begins: from now on the line is busy. */
  begin(): UplinkRun {
    this.#advance();
    const nowMs = this.clock.steadyMs();
    const run: Run = { startMs: nowMs, creditedMs: nowMs, handedBytes: 0, creditedBytes: 0 };
    // Nothing was under way, so the kernel has nothing.
    if (this.kernelQueues && this.#runs.size === 0 && !this.#isSampling) {
      this.#leftBytes = this.#handedBytes;
      this.#sampledMs = nowMs;
    }
    this.#runs.add(run);
    if (this.kernelQueues && !this.#isSampling) void this.#sample(this.kernelQueues);
    return {
      sent: (bytes) => {
        run.handedBytes += bytes;
        this.#handedBytes += bytes;
        this.#advance();
      },
      end: (arrived) => {
        if (!this.#runs.has(run)) return;
        this.#advance();
        if (arrived && this.#leftBytes === undefined)
          this.#credit(run, run.handedBytes, this.clock.steadyMs());
        this.#runs.delete(run);
        // The last one's answer says that the kernel has nothing more.
        if (this.#leftBytes !== undefined && this.#runs.size === 0 && arrived)
          this.#creditLeft(this.#handedBytes);
        // What a broken connection still had never left.
        if (this.#leftBytes !== undefined && !arrived) this.#leftBytes = Number.NaN;
        this.#estimateAnew();
      },
    };
  }

  #advance(): void {
    const nowMs = this.clock.steadyMs();
    const elapsedMs = nowMs - this.#lastMs;
    if (elapsedMs > 0 && this.#runs.size > 0) this.#addTime(this.#lastMs, nowMs);
    this.#lastMs = nowMs;
    if (this.#leftBytes === undefined)
      for (const run of this.#runs) {
        const believed =
          BURST_BYTES + (BURST_FACTOR * this.#estimate * Math.max(0, nowMs - run.startMs)) / 1_000;
        this.#credit(run, Math.min(run.handedBytes, believed), nowMs);
      }
    if (elapsedMs > 0 && this.#runs.size > 0) this.#estimateAnew();
  }

  #credit(run: Run, uptoBytes: number, nowMs: number): void {
    const bytes = uptoBytes - run.creditedBytes;
    if (bytes <= 0) return;
    run.creditedBytes = uptoBytes;
    this.#spread(bytes, run.creditedMs, nowMs);
    run.creditedMs = nowMs;
    this.#progressMs = nowMs;
  }

  /** While bodies are under way. */
  async #sample(kernelQueues: KernelQueues): Promise<void> {
    this.#isSampling = true;
    while (this.#runs.size > 0) {
      const sinceMs = this.clock.steadyMs();
      await this.clock.sleep(SAMPLE_MS);
      const queues = await kernelQueues().catch(() => undefined);
      this.#noteLate(this.clock.steadyMs() - sinceMs - SAMPLE_MS);
      if (this.#runs.size === 0) break;
      this.#advance();
      this.#queues = queues ?? [];
      if (queues) this.#creditLeft(this.#handedBytes - sum(queues.map(({ bytes }) => bytes)));
      else if (this.#leftBytes !== undefined) {
        this.#leftBytes = undefined;
        for (const run of this.#runs) run.creditedBytes = run.handedBytes;
      }
      this.#estimateAnew();
    }
    this.#isSampling = false;
    // From here on nothing is in the kernel.
    if (this.#leftBytes !== undefined) this.#leftBytes = this.#handedBytes;
    this.#queues = [];
  }

  #noteLate(lateMs: number): void {
    const ms = Math.min(LATE_MAX_MS, Math.max(0, lateMs));
    this.#lateMs += LATE_SHARE * (ms - this.#lateMs);
  }

  #creditLeft(leftBytes: number): void {
    const nowMs = this.clock.steadyMs();
    const bytes = leftBytes - (this.#leftBytes ?? Number.NaN);
    if (bytes > 0) {
      this.#spread(bytes, this.#sampledMs, nowMs);
      this.#progressMs = nowMs;
    }
    // At the first sample, and after a broken connection, there is nothing to compare with.
    if (!(bytes < 0)) this.#leftBytes = leftBytes;
    this.#sampledMs = nowMs;
  }

  #addTime(fromMs: number, toMs: number): void {
    const beginMs = Math.max(fromMs, toMs - LONG_MS);
    for (let atMs = beginMs; atMs < toMs;) {
      const slot = this.#slotAt(atMs);
      const endMs = Math.min(toMs, (slot.number + 1) * SLOT_MS);
      slot.busyMs += endMs - atMs;
      if (this.#isFull) slot.fullMs += endMs - atMs;
      atMs = endMs;
    }
    let keptMs = 0;
    let from = this.#slots.length;
    while (from > 0 && keptMs < LONG_MS) keptMs += this.#slots[--from]!.busyMs;
    if (from > 0) this.#slots = this.#slots.slice(from);
  }

  #slotAt(ms: number): Slot {
    const number = Math.floor(ms / SLOT_MS);
    const last = this.#slots.at(-1);
    if (last && last.number >= number) return last;
    const slot: Slot = { number, busyMs: 0, fullMs: 0, bytes: 0 };
    this.#slots.push(slot);
    return slot;
  }

  /** The bytes left some time between the two moments. */
  #spread(bytes: number, fromMs: number, toMs: number): void {
    const among = this.#slots.filter((slot) => (slot.number + 1) * SLOT_MS > fromMs);
    const shareOf = (slot: Slot) =>
      Math.max(0, Math.min(toMs, (slot.number + 1) * SLOT_MS) - Math.max(fromMs, slot.number * SLOT_MS));
    const total = among.reduce((sum, slot) => sum + shareOf(slot), 0);
    if (total <= 0) {
      this.#slotAt(toMs).bytes += bytes;
      return;
    }
    for (const slot of among) slot.bytes += (bytes * shareOf(slot)) / total;
  }

  #estimateAnew(): void {
    const all = Math.min(rate(this.#slots, LONG_MS), SHORT_SLACK * rate(this.#slots, SHORT_MS));
    const busyMs = this.#slots.reduce((sum, slot) => sum + slot.busyMs, 0);
    this.#isMeasured ||= busyMs >= MEASURED_AFTER_MS;
    const most =
      busyMs < MEASURED_AFTER_MS ? this.#firstEstimate * FIRST_GROWTH ** (busyMs / 1_000) : Infinity;
    if (busyMs >= RAISE_AFTER_MS && all > this.#estimate)
      this.#set(Math.max(this.#estimate, Math.min(all, most)));
    const full = this.#slots.filter((slot) => slot.fullMs * 2 > slot.busyMs);
    const fullMs = full.reduce((sum, slot) => sum + slot.busyMs, 0);
    const newest = this.#slots.at(-1);
    if (fullMs < LOWER_AFTER_MS || newest === undefined || newest.fullMs * 2 <= newest.busyMs) return;
    const low = Math.min(rate(full, LONG_MS), SHORT_SLACK * rate(full, SHORT_MS));
    if (low < this.#estimate) this.#set(Math.max(low, Math.min(FLOOR_BYTES_PER_SECOND, this.#estimate)));
  }

  #set(bytesPerSecond: number): void {
    this.#estimate = bytesPerSecond;
    this.#isGuess = false;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Bytes per second over the newest slots that have so much busy time. */
function rate(slots: readonly Slot[], windowMs: number): number {
  let bytes = 0;
  let busyMs = 0;
  for (let i = slots.length - 1; i >= 0 && busyMs < windowMs; i -= 1) {
    bytes += slots[i]!.bytes;
    busyMs += slots[i]!.busyMs;
  }
  return busyMs > 0 ? (bytes * 1_000) / busyMs : 0;
}
