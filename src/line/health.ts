/**
 * Whether Gitee answers, since when not, and what it says instead: one memory per line (host and account), fed by
 * whoever talks to Gitee, asked by whoever must decide whether waiting is worth it.
 *
 * Only the lack of an answer counts here (nothing came, or a fault of the server). A refusal is an answer: the
 * line is well, and what the refusal means is for whoever was refused. Memory: one row per use.
 */
import type { Clock } from '../async/clock.js';
import type { RemoteCause } from '../gitee/errors.js';

/** What the line is used for. `batch`: questions of the LFS protocol, before uploads and downloads. */
export const LINE_USES = ['upload', 'download', 'commit', 'fetch', 'batch'] as const;
export type LineUse = (typeof LINE_USES)[number];

/** What is kept of a RemoteError. */
export interface LineFailure {
  readonly code: RemoteCause;
  readonly message: string;
}

/** How one use of the line fares. */
export interface UseState {
  readonly use: LineUse;
  /** It has failed for some seconds, and nothing good has come since. */
  readonly isDown: boolean;
  /** When the failures began that nothing good has ended yet; undefined where there are none. */
  readonly sinceMs: number | undefined;
  /** The last of these failures. */
  readonly failure: LineFailure | undefined;
  readonly lastSuccessMs: number | undefined;
}

export interface LineState {
  /** Some use is down, and no use has had a sign of life since that began. */
  readonly isDown: boolean;
  /** The earliest begin of what fails now; undefined where nothing does. */
  readonly sinceMs: number | undefined;
  /** In LINE_USES's order. */
  readonly uses: readonly UseState[];
  /** For an operator, one sentence per thing that is down; empty where nothing is. */
  readonly words: readonly string[];
}

/** What components are given that only report. */
export type LineReports = Pick<LineHealth, 'succeeded' | 'failed' | 'progressed'>;

/** Failures over so long a time, with nothing good between, mean "down". */
export const DOWN_AFTER_MS = 3_000;
/** After so long without a further failure nobody knows any more: the next call is let through to find out. */
export const KNOWN_FOR_MS = 30_000;
/** So long the last failure is told to an operator: the branch is asked for at least once in five minutes. */
export const TOLD_FOR_MS = 600_000;

const NO_ANSWER: ReadonlySet<RemoteCause> = new Set([
  'unreachable',
  'timeout',
  'server-fault',
  'outcome-unknown',
]);

const NAMES: Readonly<Record<LineUse, string>> = {
  upload: 'uploads to LFS',
  download: 'downloads from LFS',
  commit: 'commits',
  fetch: 'fetches of the branch',
  batch: 'questions to LFS',
};

/** Failures of one use, one after the other. */
interface Run {
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly failure: LineFailure;
  readonly isDown: boolean;
}

interface Row {
  /** Last success, progress, or refusal. */
  heardMs: number | undefined;
  succeededMs: number | undefined;
  run: Run | undefined;
}

export class LineHealth {
  readonly #rows = new Map<LineUse, Row>(
    LINE_USES.map((use) => [use, { heardMs: undefined, succeededMs: undefined, run: undefined }]),
  );
  readonly #listeners = new Set<() => void>();

  constructor(private readonly clock: Pick<Clock, 'nowMs'>) {}

  /** A call of this use did what it should. */
  succeeded(use: LineUse): void {
    this.#row(use).succeededMs = this.clock.nowMs();
    this.progressed(use);
  }

  /** Bytes of this use came, or were taken by the other side (not only by a buffer of ours). Cheap: per piece. */
  progressed(use: LineUse): void {
    const row = this.#row(use);
    row.heardMs = this.clock.nowMs();
    if (!row.run) return;
    const wasDown = row.run.isDown;
    row.run = undefined;
    if (wasDown) for (const listener of [...this.#listeners]) listener();
  }

  /** A call of this use failed, with a RemoteError. What we ended ourselves is no failure. */
  failed(use: LineUse, { code, message }: LineFailure): void {
    if (!NO_ANSWER.has(code)) {
      this.progressed(use);
      return;
    }
    const row = this.#row(use);
    const nowMs = this.clock.nowMs();
    const sinceMs = row.run?.sinceMs ?? nowMs;
    // A call that timed out has seen the silence itself, from its begin on.
    const silentSinceMs = code === 'timeout' ? (row.heardMs ?? Number.NEGATIVE_INFINITY) : sinceMs;
    row.run = {
      sinceMs,
      lastMs: nowMs,
      failure: { code, message },
      isDown: row.run?.isDown === true || nowMs - silentSinceMs >= DOWN_AFTER_MS,
    };
  }

  /**
   * Whether a new call of this use would very likely get no answer: it is down itself, or nothing at all comes
   * through the line. False where that isn't known (any more).
   */
  isDown(use: LineUse): boolean {
    return this.downSinceMs(use) !== undefined;
  }

  /** When that began which makes isDown() true; undefined where it is false. */
  downSinceMs(use: LineUse): number | undefined {
    const row = this.#row(use);
    if (this.#isDown(row, KNOWN_FOR_MS)) return row.run!.sinceMs;
    const dead = this.#dead(KNOWN_FOR_MS);
    const isForAll = dead && dead.failure.code !== 'server-fault' && !this.#heardSince(use, dead.sinceMs);
    return isForAll ? dead.sinceMs : undefined;
  }

  /** When something of these uses last came through, a refusal included; undefined: never. */
  heardMs(...uses: readonly LineUse[]): number | undefined {
    const heard = uses.flatMap((use) => this.#row(use).heardMs ?? []);
    return heard.length === 0 ? undefined : Math.max(...heard);
  }

  get state(): LineState {
    const uses = LINE_USES.map((use) => this.#stateOf(use));
    const failing = uses.flatMap(({ sinceMs }) => (sinceMs === undefined ? [] : [sinceMs]));
    const isDown = this.#dead(TOLD_FOR_MS) !== undefined;
    return {
      isDown,
      sinceMs: failing.length === 0 ? undefined : Math.min(...failing),
      uses,
      words: this.#words(isDown, uses),
    };
  }

  /** Called when something that was down has had a sign of life. Returns what ends it. */
  onUp(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #row(use: LineUse): Row {
    return this.#rows.get(use)!;
  }

  #isDown({ run }: Row, freshMs: number): boolean {
    return run !== undefined && run.isDown && this.clock.nowMs() - run.lastMs < freshMs;
  }

  /** The failures that show the whole line to be down: since they began nobody has heard anything. */
  #dead(freshMs: number): Run | undefined {
    for (const row of this.#rows.values()) {
      const { run } = row;
      if (!run || !this.#isDown(row, freshMs)) continue;
      if (LINE_USES.every((other) => !this.#heardSince(other, run.sinceMs))) return run;
    }
    return undefined;
  }

  #heardSince(use: LineUse, sinceMs: number): boolean {
    const { heardMs } = this.#row(use);
    return heardMs !== undefined && heardMs >= sinceMs;
  }

  #stateOf(use: LineUse): UseState {
    const row = this.#row(use);
    return {
      use,
      isDown: this.#isDown(row, TOLD_FOR_MS),
      sinceMs: row.run?.sinceMs,
      failure: row.run?.failure,
      lastSuccessMs: row.succeededMs,
    };
  }

  #words(isDown: boolean, uses: readonly UseState[]): string[] {
    const down = uses.filter((use) => use.isDown);
    if (down.length === 0) return [];
    if (!isDown) return down.map((use) => `${NAMES[use.use]} get no answer ${this.#since([use])}`);
    const names = down.map(({ use }) => NAMES[use]).join(', ');
    return [`no answer at all ${this.#since(down)} (tried: ${names})`];
  }

  #since(uses: readonly UseState[]): string {
    const sinceMs = Math.min(...uses.map((use) => use.sinceMs!));
    const seconds = Math.round((this.clock.nowMs() - sinceMs) / 1000);
    const { code, message } = uses.at(-1)!.failure!;
    const at = `${new Date(sinceMs).toISOString().slice(0, 19)}Z`;
    return `since ${at}, ${seconds} s ago: ${code}: ${message}`;
  }
}
