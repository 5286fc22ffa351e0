/**
 * Invariant 6 (this file's share). Every remote call ends: a watch ends its call when no byte moved for the idle
 * time, when the total time is over, or with the caller's signal, whichever comes first.
 */
import { onAbort } from '../../async/abort.js';
import { RemoteError } from '../errors.js';
import { networkFailure } from './network-failure.js';

export interface CallTimeouts {
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** Until the head of the answer, where the request has no body that streams; idleMs where it isn't set. */
  readonly answerMs?: number;
  /** The whole call, redirects and body included. */
  readonly totalMs: number;
}

/** Watches one call from the first byte sent to the last one read. `dispose` must be called once. */
export class Watch {
  readonly #controller = new AbortController();
  #total: NodeJS.Timeout | undefined;
  /** What is left of the total time, and since when. */
  #leftMs: number;
  #leftSinceMs = performance.now();
  #isHeld = false;
  #idle: NodeJS.Timeout | undefined;
  #ended = false;
  readonly #leaveParent: () => void;
  #deadline: RemoteError | undefined;

  constructor(
    private readonly what: string,
    private readonly timeouts: CallTimeouts,
    private readonly parent: AbortSignal | undefined,
  ) {
    this.#leftMs = timeouts.totalMs;
    this.#countTotal();
    this.#leaveParent = onAbort(parent, (reason) => this.#controller.abort(asError(reason)));
    this.touch();
  }

  /** Aborts the call; pass it to whatever does the work. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** A byte moved: the idle time begins anew. `factor` lengthens it for a stage that is allowed to be quiet. */
  touch(factor = 1): void {
    this.#quietFor(this.timeouts.idleMs * factor);
  }

  /** A whole request is on its way: the answer's head is next. */
  awaitAnswer(): void {
    this.#quietFor(this.timeouts.answerMs ?? this.timeouts.idleMs);
  }

  /** The other side is not to blame for what comes now: our own reader is slow. The total time goes on. */
  pause(): void {
    clearTimeout(this.#idle);
  }

  /** We hold the call up ourselves: until `release` no time is counted. */
  hold(): void {
    if (this.#ended || this.#isHeld) return;
    this.#isHeld = true;
    clearTimeout(this.#total);
    this.#leftMs -= performance.now() - this.#leftSinceMs;
    this.pause();
  }

  release(): void {
    if (this.#ended || !this.#isHeld) return;
    this.#isHeld = false;
    this.#countTotal();
    this.touch();
  }

  /** What the caller gets for this error: the signal's reason, the deadline that fired, or a RemoteError. */
  failure(error: unknown): Error {
    if (this.#deadline) return this.#deadline;
    if (this.parent?.aborted) return asError(this.parent.reason);
    return error instanceof RemoteError ? error : networkFailure(error, this.what);
  }

  dispose(): void {
    this.#ended = true;
    clearTimeout(this.#total);
    clearTimeout(this.#idle);
    this.#leaveParent();
  }

  #quietFor(idleMs: number): void {
    clearTimeout(this.#idle);
    if (this.#ended) return;
    this.#idle = setTimeout(() => this.#expire(`moved no byte for ${seconds(idleMs)}`), idleMs);
  }

  #countTotal(): void {
    this.#leftSinceMs = performance.now();
    const { totalMs } = this.timeouts;
    this.#total = setTimeout(
      () => this.#expire(`did not end within ${seconds(totalMs)}`),
      Math.max(1, this.#leftMs),
    );
  }

  #expire(how: string): void {
    this.#deadline = new RemoteError('timeout', `${this.what} ${how}`);
    this.#controller.abort(this.#deadline);
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

function asError(reason: unknown): Error {
  const isError = typeof reason === 'object' && reason !== null && 'message' in reason;
  return isError ? (reason as Error) : new Error('the call was stopped', { cause: reason });
}
