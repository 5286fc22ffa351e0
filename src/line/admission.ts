/**
 * The one owner of the question how much may lie unsent. Bodies that somebody will wait for at a barrier are
 * read at the pace of the line: a piece is read when what is unsent, with all pieces that were granted and are
 * not whole yet, stays below what the line sends in some seconds. So a tag that comes now is on Gitee within
 * the barrier's hold.
 *
 * Invariant 5. Memory is bounded: an entry per body under way.
 * Invariant 6. A body that waits is read at a trickle, so that no connection is silent for long; where the line
 * makes no progress for minutes the wait ends with an error.
 */
import { abortable } from '../async/abort.js';
import type { Clock } from '../async/clock.js';
import type { Metrics } from '../async/metrics.js';
import { FairShare, type Claim } from './fair-queue.js';
import { SenderPace } from './sender-pace.js';

/** Seconds of line that may lie unsent: well below the 20 s for which a barrier holds. */
const BUDGET_SECONDS = 8;
/** Seconds of line in one piece: bytes begin to cross early, and the last piece takes not long. */
const PIECE_SECONDS = 1.5;
const MIB = 1024 * 1024;
/** The smallest piece, where a chunk is not smaller. */
const PIECE_MIN_BYTES = MIB;
/** So much is always let in, or an estimate that fell too low would see too little to rise again. */
const BUDGET_PIECES_MIN = 4;
/**
 * Beyond the budget pieces that are less than one of a large object get so much of what the line sends: else what
 * came before, seconds of line of it, stands before each blob of a small push, which goes first on the line.
 */
const SMALL_SHARE = 0.5;
/** As much of it as may come at once. */
const SMALL_SECONDS = 1;
const SMALL_MIN_BYTES = MIB;
/** A line that made no progress for so long sends nothing that small pieces could take a share of. */
const SMALL_PROGRESS_MS = 2_000;
/** Until the line was measured the estimate says nothing: so many chunks, or each would wait for the one before. */
const UNMEASURED_CHUNKS = 2;
/** A run of bytes of a body, as Node reads it. */
const RUN_BYTES = 64 * 1024;
/** What waits gets together so much of the line, a run at a time. */
const TRICKLE_SHARE = 0.1;
const TRICKLE_MIN_MS = 5_000;
/** Far below every idle time-out on the way: 300 s and more with the shipped Nginx. */
const TRICKLE_MAX_MS = 60_000;
/** One that sends nothing for so long holds no room at all, and asks again. */
const STALLED_AFTER_MS = 20_000;
/** So long without any progress of the line is without hope. */
const HOPELESS_AFTER_MS = 10 * 60_000;
/** Where only an operator can help, clients need not wait for him. */
const REFUSED_AFTER_MS = 30_000;
const RETRY_AFTER_MS = 30_000;
/** A restart takes a few seconds. */
const RETRY_AFTER_STOP_MS = 2_000;
/** How often the figures are looked at while somebody waits. */
const LOOK_MS = 500;

/** One bucket, as admission sees it. */
export interface AdmissionSource {
  readonly name: string;
  /** Bytes that have not crossed the line. What only waits for Gitee's word is not among them. */
  unsentBytes(): number;
  /** Its uploads do not get through at the moment: it holds up nobody else. */
  isStalled(): boolean;
  /** Why nothing is sent until an operator acts, if that is so. */
  pausedBy(): Error | undefined;
  /** When one of its uploads succeeded last, steady milliseconds; undefined: none yet. */
  progressMs(): number | undefined;
}

export interface PacedBodyOptions {
  /** Who shares alike with others of the same bucket: a repository of the registry, an upload. */
  readonly push: string;
  /** The client has sent all that it has, and waits for the answer. */
  readonly isTail: boolean;
  readonly signal: AbortSignal;
}

/** One body that is read at the pace of the line. */
export interface PacedBody {
  /**
   * To be waited for before a run is read; `needBytes` are those that complete the piece.
   * @throws StandstillError; the signal's reason
   */
  turn(needBytes: number): Promise<void>;
  /** So many bytes were read. */
  took(bytes: number): void;
  /** A piece of so many bytes is whole: from now on it counts as unsent, or needs no sending. */
  whole(bytes: number): void;
  /** Exactly once, whatever happened. */
  end(): void;
}

/** Nothing more is taken for now. */
export class StandstillError extends Error {
  override readonly name = 'StandstillError';

  constructor(
    message: string,
    readonly retryAfterMs: number = RETRY_AFTER_MS,
  ) {
    super(message);
  }
}

export interface AdmissionStatus {
  /** Unsent bytes that count, of all buckets. */
  readonly unsentBytes: number;
  /** Of pieces that are being read. */
  readonly grantedBytes: number;
  readonly budgetBytes: number;
  /** Bodies that wait for their next piece. */
  readonly waiting: number;
  /** Since when the one that has waited longest does; steady milliseconds. */
  readonly waitingSinceMs: number | undefined;
}

interface Push extends Claim {
  readonly source: AdmissionSource;
  readonly name: string;
  readonly bodies: Set<Body>;
}

interface Body {
  readonly push: Push;
  readonly isTail: boolean;
  /** Granted and not read yet. */
  grantedBytes: number;
  grantedMs: number;
  /** Read of pieces that are not whole. */
  heldBytes: number;
  /** What its piece lacks, as far as that is known. */
  restBytes: number;
  /** Of its client. */
  readonly pace: SenderPace;
  lastByteMs: number;
  /** It sent nothing for long: what it holds counts no more. */
  isStalled: boolean;
  /** Since when it waits for its piece, by trickle or not. */
  waitsSinceMs: number | undefined;
  hasWaited: boolean;
  isCounted: boolean;
  wait: Wait | undefined;
}

interface Wait {
  readonly needBytes: number;
  readonly sinceMs: number;
  readonly beginMs: number;
  readonly done: (error?: Error) => void;
}

export interface LineAdmissionDeps {
  readonly chunkSizeBytes: number;
  readonly uplink: {
    readonly bytesPerSecond: number;
    readonly progressMs: number;
    readonly isMeasured: boolean;
  };
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export class LineAdmission {
  readonly #sources = new Set<AdmissionSource>();
  readonly #pushes = new Map<string, Push>();
  readonly #bodies = new Set<Body>();
  readonly #share = new FairShare();
  readonly #small: SmallRoom;
  readonly #closed = new AbortController();
  #isLooking = false;

  constructor(private readonly deps: LineAdmissionDeps) {
    this.#small = new SmallRoom(deps.uplink, deps.clock);
  }

  /** Counts the unsent bytes of a bucket; returns what removes it. */
  addSource(source: AdmissionSource): () => void {
    this.#sources.add(source);
    return () => {
      this.#sources.delete(source);
      this.look();
    };
  }

  /** Size of the pieces that objects of more than one chunk are cut into now. */
  pieceBytes(): number {
    const { chunkSizeBytes, uplink } = this.deps;
    const wanted = Math.round((PIECE_SECONDS * uplink.bytesPerSecond) / MIB) * MIB;
    return Math.min(chunkSizeBytes, Math.max(PIECE_MIN_BYTES, wanted));
  }

  /** Bytes that may lie unsent, with those that were granted. */
  budgetBytes(): number {
    const { chunkSizeBytes, uplink } = this.deps;
    const floorBytes = uplink.isMeasured
      ? BUDGET_PIECES_MIN * Math.min(PIECE_MIN_BYTES, chunkSizeBytes)
      : UNMEASURED_CHUNKS * chunkSizeBytes;
    return Math.max(floorBytes, BUDGET_SECONDS * uplink.bytesPerSecond);
  }

  /** A body begins; `end` must be called. */
  body(source: AdmissionSource, { push: name, isTail, signal }: PacedBodyOptions): PacedBody {
    const key = `${source.name}\0${name}`;
    let push = this.#pushes.get(key);
    if (!push) {
      push = { tag: this.#share.begin(), source, name: key, bodies: new Set() };
      this.#pushes.set(key, push);
    }
    const body: Body = {
      ...{ push, isTail, grantedBytes: 0, grantedMs: 0, heldBytes: 0, restBytes: 0, isStalled: false },
      ...{
        hasWaited: false,
        isCounted: false,
        wait: undefined,
        waitsSinceMs: undefined,
        pace: new SenderPace(this.deps.clock),
        lastByteMs: this.deps.clock.steadyMs(),
      },
    };
    push.bodies.add(body);
    this.#bodies.add(body);
    return {
      turn: (needBytes) => this.#turn(body, needBytes, signal),
      took: (bytes) => {
        body.grantedBytes = Math.max(0, body.grantedBytes - bytes);
        body.heldBytes += bytes;
        body.restBytes = Math.max(0, body.restBytes - bytes);
        body.pace.sent(bytes);
        body.lastByteMs = this.deps.clock.steadyMs();
        body.isStalled = false;
      },
      whole: (bytes) => {
        body.heldBytes = Math.max(0, body.heldBytes - bytes);
      },
      end: () => this.#end(body),
    };
  }

  /** To be called when less may be unsent, or more may be sent. */
  look(): void {
    if (this.#closed.signal.aborted) return;
    this.#noticeStalled();
    while (this.#grantNext());
    this.#endWaits();
    if (!this.#isLooking && this.#waits().length > 0) this.#keepLooking();
  }

  status(): AdmissionStatus {
    let waitingSinceMs: number | undefined;
    const waits = this.#waits();
    for (const { sinceMs } of waits) waitingSinceMs = Math.min(waitingSinceMs ?? sinceMs, sinceMs);
    return {
      unsentBytes: this.#unsentBytes(undefined),
      grantedBytes: this.#grantedBytes(undefined),
      budgetBytes: this.budgetBytes(),
      waiting: waits.length,
      waitingSinceMs,
    };
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    const reason = new StandstillError('the gateway stops', RETRY_AFTER_STOP_MS);
    this.#closed.abort(reason);
    for (const wait of this.#waits()) wait.done(reason);
  }

  async #turn(body: Body, needBytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#closed.signal.throwIfAborted();
    if (body.grantedBytes > 0) return;
    const nowMs = this.deps.clock.steadyMs();
    await abortable<void>(signal, (resolve, reject) => {
      const done = (error?: Error) => {
        body.wait = undefined;
        body.pace.release();
        if (error) reject(error);
        else resolve();
      };
      // What came by trickle does not end the wait: the wait for one piece is one wait.
      const sinceMs = (body.waitsSinceMs ??= nowMs);
      body.restBytes = Math.max(1, needBytes);
      body.pace.hold();
      body.wait = { needBytes: body.restBytes, sinceMs, beginMs: nowMs, done };
      this.look();
      body.hasWaited ||= body.wait !== undefined;
      return () => done();
    });
  }

  #end(body: Body): void {
    if (!this.#bodies.delete(body)) return;
    body.push.bodies.delete(body);
    if (body.push.bodies.size === 0) this.#pushes.delete(body.push.name);
    this.look();
  }

  #waits(): Wait[] {
    return [...this.#bodies].flatMap(({ wait }) => wait ?? []);
  }

  /** Of the buckets that count for this one: those whose uploads get through, and itself. */
  #unsentBytes(own: AdmissionSource | undefined): number {
    let sum = 0;
    for (const source of this.#sources)
      if (source === own || !source.isStalled()) sum += source.unsentBytes();
    return sum;
  }

  #grantedBytes(own: AdmissionSource | undefined): number {
    let sum = 0;
    for (const body of this.#bodies) {
      const { push, isStalled, wait } = body;
      // What came by trickle waits with its body: it must not keep all of them from going on.
      if (isStalled || wait || (push.source !== own && push.source.isStalled())) continue;
      sum += roomOf(body);
    }
    return sum;
  }

  #noticeStalled(): void {
    const nowMs = this.deps.clock.steadyMs();
    for (const body of this.#bodies) {
      if (body.wait || nowMs - body.lastByteMs < STALLED_AFTER_MS) continue;
      if (nowMs - body.grantedMs < STALLED_AFTER_MS) continue;
      body.isStalled = true;
      body.grantedBytes = 0;
    }
  }

  /** True where one got its piece. */
  #grantNext(): boolean {
    const passed = new Set<AdmissionSource>();
    for (;;) {
      const push = this.#share.next(
        this.#pushes.values(),
        (claim) => !passed.has(claim.source) && waits(claim),
      );
      if (!push) return false;
      const body = nextOf(push)!;
      if (this.#fits(body)) {
        this.#grant(push, body);
        return true;
      }
      // Nobody is passed by because his piece is large: he would never get it. What small ones get beyond the
      // budget is less than what the line sends meanwhile. A bucket whose uploads do not get through has only
      // itself in its way.
      if (!push.source.isStalled()) return this.#grantSmall();
      passed.add(push.source);
    }
  }

  /** Gives the next small piece its room beyond the budget. */
  #grantSmall(): boolean {
    const push = this.#share.next(
      this.#pushes.values(),
      (claim) => !claim.source.isStalled() && this.#smallOf(claim) !== undefined,
    );
    const body = push && this.#smallOf(push)!;
    if (!body || !this.#small.take(body.heldBytes + body.wait!.needBytes)) return false;
    this.#grant(push, body);
    return true;
  }

  #smallOf({ bodies }: Push): Body | undefined {
    const pieceMinBytes = Math.min(PIECE_MIN_BYTES, this.deps.chunkSizeBytes);
    const isSmall = ({ heldBytes, wait }: Body) => wait && heldBytes + wait.needBytes < pieceMinBytes;
    return nextOf({ bodies: [...bodies].filter(isSmall) });
  }

  #fits({ heldBytes, push: { source }, wait }: Body): boolean {
    const pendingBytes = this.#unsentBytes(source) + this.#grantedBytes(source);
    const budgetBytes = this.budgetBytes();
    // A piece of a small object is one chunk, which may be larger than what a slow line has room for.
    return pendingBytes + heldBytes + wait!.needBytes <= budgetBytes || pendingBytes < budgetBytes / 2;
  }

  #grant(push: Push, body: Body): void {
    const { needBytes, done } = body.wait!;
    const nowMs = this.deps.clock.steadyMs();
    this.#share.serve(push, needBytes, [...this.#pushes.values()].filter(waits));
    body.grantedBytes = needBytes;
    body.grantedMs = body.lastByteMs = nowMs;
    body.isStalled = false;
    body.waitsSinceMs = undefined;
    if (body.hasWaited && !body.isCounted) {
      body.isCounted = true;
      this.deps.metrics.count('gateway_admission_waits_total', { result: 'admitted' });
    }
    done();
  }

  /** A run for each that has been silent for long, and an end for those without hope. */
  #endWaits(): void {
    const { clock, uplink } = this.deps;
    const nowMs = clock.steadyMs();
    const waiting = [...this.#bodies].filter(({ wait }) => wait !== undefined);
    const shareMs = (waiting.length * RUN_BYTES * 1_000) / (TRICKLE_SHARE * uplink.bytesPerSecond);
    const trickleMs = Math.min(TRICKLE_MAX_MS, Math.max(TRICKLE_MIN_MS, shareMs));
    for (const body of waiting) {
      const { beginMs, sinceMs, done } = body.wait!;
      const error = this.#hopeless(body.push.source, sinceMs, nowMs);
      if (error) {
        this.deps.metrics.count('gateway_admission_waits_total', { result: 'refused' });
        done(error);
      } else if (nowMs - beginMs >= trickleMs) done();
    }
  }

  #hopeless(source: AdmissionSource, sinceMs: number, nowMs: number): StandstillError | undefined {
    const paused = source.pausedBy();
    if (paused && nowMs - sinceMs >= REFUSED_AFTER_MS)
      return new StandstillError(
        `nothing more is taken for Gitee until its refusal is mended: ${paused.message}`,
      );
    // Others may move the line while this bucket's repository is down.
    const progressMs = source.isStalled() ? source.progressMs() : this.deps.uplink.progressMs;
    if (nowMs - Math.max(sinceMs, progressMs ?? 0) < HOPELESS_AFTER_MS) return undefined;
    return new StandstillError(
      `the line to Gitee has made no progress for ${HOPELESS_AFTER_MS / 60_000} minutes: nothing more is taken`,
    );
  }

  #keepLooking(): void {
    this.#isLooking = true;
    this.deps.clock.sleep(LOOK_MS, this.#closed.signal).then(
      () => {
        this.#isLooking = false;
        this.look();
      },
      () => {},
    );
  }
}

/** What small pieces may have beyond the budget: it fills as the line sends, up to a burst. */
class SmallRoom {
  #bytes: number | undefined;
  #filledMs = 0;

  constructor(
    private readonly uplink: LineAdmissionDeps['uplink'],
    private readonly clock: Clock,
  ) {}

  /** False, and nothing is taken, where there is less. */
  take(bytes: number): boolean {
    const { bytesPerSecond, progressMs } = this.uplink;
    const nowMs = this.clock.steadyMs();
    const burstBytes = Math.max(SMALL_MIN_BYTES, SMALL_SECONDS * bytesPerSecond);
    const filledMs = Math.min(nowMs, progressMs + SMALL_PROGRESS_MS) - this.#filledMs;
    const sentBytes = (Math.max(0, filledMs) * bytesPerSecond) / 1_000;
    const roomBytes = Math.min(burstBytes, (this.#bytes ?? burstBytes) + SMALL_SHARE * sentBytes);
    this.#filledMs = nowMs;
    this.#bytes = roomBytes >= bytes ? roomBytes - bytes : roomBytes;
    return roomBytes >= bytes;
  }
}

function waits({ bodies }: Push): boolean {
  for (const { wait } of bodies) if (wait) return true;
  return false;
}

/** First whose client waits for the answer, then whoever has waited longest. */
function nextOf({ bodies }: { readonly bodies: Iterable<Body> }): Body | undefined {
  let best: Body | undefined;
  for (const body of bodies) {
    if (!body.wait) continue;
    if (!best || (body.isTail && !best.isTail)) best = body;
    else if (body.isTail === best.isTail && body.wait.sinceMs < best.wait!.sinceMs) best = body;
  }
  return best;
}

/**
 * What a body under way takes of the budget. A piece that its client will not complete in these seconds will not be
 * unsent in them either: of it counts what comes. So whoever drips holds up nobody, however much he has sent before.
 */
function roomOf({ grantedBytes, heldBytes, pace, restBytes }: Body): number {
  const { bytesPerSecond } = pace;
  if (bytesPerSecond === undefined) return heldBytes + grantedBytes;
  const comingBytes = BUDGET_SECONDS * bytesPerSecond;
  // The first runs of a body come before it asks: how much is still to come is not known.
  const isSoonWhole = (restBytes > 0 ? restBytes : RUN_BYTES) <= comingBytes;
  return isSoonWhole ? heldBytes + grantedBytes : Math.min(grantedBytes, comingBytes);
}
