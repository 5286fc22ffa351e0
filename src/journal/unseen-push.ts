/**
 * A push that Gitee accepted and the branch does not show: a copy of the repository lags, or the branch is in review
 * mode. Sending it again would make another pull request in the one case and be refused in the other, so for a while
 * the branch is only looked at, less often each time. Then it is sent again, and what Gitee says to that tells the one
 * from the other (gitee/git/branch-push.ts). Nothing else could land before it is decided.
 */
import type { Clock } from '../async/clock.js';
import { RemoteError } from '../gitee/errors.js';

/** With the looks of the push itself, before and after, about a minute. */
const LOOKED_AT_MS = 45_000;
const FIRST_PAUSE_MS = 1_000;
/** So much later than the branch shows it, at most, everything goes on. */
const PAUSE_MAX_MS = 5_000;

/** What people are told meanwhile. */
export interface UnseenStatus {
  readonly code: string;
  readonly message: string;
  /** Steady. */
  readonly sinceMs: number;
}

export class UnseenPush {
  #claim: number | undefined;
  #status: UnseenStatus | undefined;
  #untilMs = 0;
  #looks = 0;

  constructor(private readonly clock: Clock) {}

  /** The push of this claim failed, for this or for another reason. */
  failed(claim: number, error: unknown): void {
    if (!(error instanceof RemoteError)) return;
    if (error.code !== 'push-not-seen') {
      // What keeps it off the branch is known now.
      if (error.pauses) this.#forget();
      return;
    }
    const nowMs = this.clock.steadyMs();
    const sinceMs = this.#claim === claim ? this.#status!.sinceMs : nowMs;
    this.#claim = claim;
    this.#status = { code: error.code, message: error.message, sinceMs };
    this.#untilMs = nowMs + LOOKED_AT_MS;
    this.#looks = 0;
  }

  /** How long to wait for the next look; undefined: nothing is waited for, or it is sent again. */
  pauseMs(undecided: readonly { readonly number: number }[]): number | undefined {
    if (!this.#isUndecided(undecided) || this.clock.steadyMs() >= this.#untilMs) return undefined;
    const pauseMs = Math.min(PAUSE_MAX_MS, FIRST_PAUSE_MS * 1.5 ** Math.min(this.#looks, 16));
    this.#looks += 1;
    return pauseMs;
  }

  /** While one is looked for, a look that fails, or meets a copy that lags even more, says nothing new. */
  forgives(error: unknown): boolean {
    return (
      this.#claim !== undefined &&
      this.clock.steadyMs() < this.#untilMs &&
      error instanceof RemoteError &&
      error.isTransient
    );
  }

  status(undecided: readonly { readonly number: number }[]): UnseenStatus | undefined {
    return this.#isUndecided(undecided) ? this.#status : undefined;
  }

  #isUndecided(undecided: readonly { readonly number: number }[]): boolean {
    if (this.#claim === undefined) return false;
    if (undecided.some(({ number }) => number === this.#claim)) return true;
    this.#forget();
    return false;
  }

  #forget(): void {
    this.#claim = undefined;
    this.#status = undefined;
  }
}
