/**
 * When to look at the branch while the server still works on a push. The report of a push and the look afterwards are a
 * way there and back each; over a distant line the look may be on its way before the report is. What it finds counts:
 * a commit that is on the branch has landed, whatever is said of it. Where it comes too soon the branch is looked at
 * after the report, as ever; so a wrong guess costs a request, and hardly any time.
 */

/** Pushes and looks that are remembered: a server has slow moments, and the line may change. */
const REMEMBERED = 5;
/** The server may need so much longer than it mostly did. */
const MARGIN_SHARE = 0.25;
const MARGIN_MIN_MS = 20;
/** What must be gained: near by the report is there as soon. */
const GAIN_MIN_MS = 100;

export class EarlyLook {
  #pushesMs: readonly number[] = [];
  #looksMs: readonly number[] = [];

  /** A push took so long until its report. */
  pushed(ms: number): void {
    this.#pushesMs = [...this.#pushesMs, ms].slice(-REMEMBERED);
  }

  /** Reading the branch took so long. */
  looked(ms: number): void {
    this.#looksMs = [...this.#looksMs, ms].slice(-REMEMBERED);
  }

  /** Milliseconds after the begin of a push; undefined: not before its report. */
  get afterMs(): number | undefined {
    if (this.#pushesMs.length === 0 || this.#looksMs.length === 0) return undefined;
    const pushMs = [...this.#pushesMs].sort((a, b) => a - b)[this.#pushesMs.length >> 1]!;
    // Reading the branch takes the server next to no time: this is the way there and back.
    const workMs = Math.max(0, pushMs - Math.min(...this.#looksMs));
    const afterMs = workMs + Math.max(MARGIN_MIN_MS, MARGIN_SHARE * workMs);
    return pushMs - afterMs >= GAIN_MIN_MS ? afterMs : undefined;
  }
}
