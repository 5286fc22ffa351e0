/**
 * Whether Gitee answers, since when not, and what it says instead: one memory per line (host and account), fed by
 * whoever talks to Gitee, asked by whoever must decide whether waiting is worth it.
 *
 * A refusal is an answer: the line is well, and what the refusal means is for whoever was refused. A fault of the
 * server (5xx) makes a use count as down, but not the line: something answers there. Only where nothing comes at all
 * is a failure of one use one of all. Memory: one row per use.
 */
import { wallTime, type Clock } from '../async/clock.js';
import type { RemoteCause } from '../gitee/errors.js';

/** What the line is used for. `batch`: questions of the LFS protocol, before uploads and downloads. */
const LINE_USES = ['upload', 'download', 'commit', 'fetch', 'batch'] as const;
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
  /** When the failures began that nothing good has ended yet, for people; undefined where there are none. */
  readonly sinceMs: number | undefined;
  /** The last of these failures. */
  readonly failure: LineFailure | undefined;
  /** For people. */
  readonly lastSuccessMs: number | undefined;
}

export interface LineState {
  /** Nothing at all comes through: some use gets no answer, and no use has had one since that began. */
  readonly isDown: boolean;
  /** The earliest begin of what fails now, for people; undefined where nothing does. */
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

/** Failures of one use, one after the other. Moments in here are steady ones. */
interface Run {
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly failure: LineFailure;
  readonly isDown: boolean;
  /** Of these the last ones, where they had no answer at all. */
  readonly silence: Silence | undefined;
}

interface Silence {
  readonly sinceMs: number;
  /** It has lasted so long that the line may be to blame. */
  readonly isLong: boolean;
}

interface Row {
  /** Last success, progress, or refusal. */
  heardMs: number | undefined;
  /** Last answer of any kind. */
  answeredMs: number | undefined;
  succeededMs: number | undefined;
  run: Run | undefined;
}

export class LineHealth {
  readonly #rows = new Map<LineUse, Row>(
    LINE_USES.map((use) => [
      use,
      { heardMs: undefined, answeredMs: undefined, succeededMs: undefined, run: undefined },
    ]),
  );
  readonly #listeners = new Set<() => void>();

  constructor(private readonly clock: Pick<Clock, 'nowMs' | 'steadyMs'>) {}

  /** A call of this use did what it should. */
  succeeded(use: LineUse): void {
    this.#row(use).succeededMs = this.clock.steadyMs();
    this.progressed(use);
  }

  /** Bytes of this use came, or were taken by the other side (not only by a buffer of ours). Cheap: per piece. */
  progressed(use: LineUse): void {
    const row = this.#row(use);
    row.heardMs = row.answeredMs = this.clock.steadyMs();
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
    const nowMs = this.clock.steadyMs();
    const sinceMs = row.run?.sinceMs ?? nowMs;
    // A call that timed out has seen the silence itself, from its begin on.
    const isLong = (begunMs: number, heardMs: number | undefined) =>
      nowMs - (code === 'timeout' ? (heardMs ?? Number.NEGATIVE_INFINITY) : begunMs) >= DOWN_AFTER_MS;
    if (code === 'server-fault') row.answeredMs = nowMs;
    const silentMs = row.run?.silence?.sinceMs ?? nowMs;
    row.run = {
      sinceMs,
      lastMs: nowMs,
      failure: { code, message },
      isDown: row.run?.isDown === true || isLong(sinceMs, row.heardMs),
      silence:
        code === 'server-fault'
          ? undefined
          : {
              sinceMs: silentMs,
              isLong: row.run?.silence?.isLong === true || isLong(silentMs, row.answeredMs),
            },
    };
  }

  /** An operator says that the cause is gone: nothing counts as down until it fails anew, and whoever waits tries. */
  forget(): void {
    for (const row of this.#rows.values()) row.run = undefined;
    for (const listener of [...this.#listeners]) listener();
  }

  /**
   * Whether a new call of this use would very likely get no answer: it is down itself, or nothing at all comes
   * through the line. False where that isn't known (any more).
   */
  isDown(use: LineUse): boolean {
    return this.downSinceMs(use) !== undefined;
  }

  /** When that began which makes isDown() true, steady milliseconds; undefined where it is false. */
  downSinceMs(use: LineUse): number | undefined {
    const row = this.#row(use);
    if (this.#isDown(row, KNOWN_FOR_MS)) return row.run!.sinceMs;
    return this.#dead(KNOWN_FOR_MS)?.silence!.sinceMs;
  }

  /** When something of these uses last came through, a refusal included, steady milliseconds; undefined: never. */
  heardMs(...uses: readonly LineUse[]): number | undefined {
    const heard = uses.flatMap((use) => this.#row(use).heardMs ?? []);
    return heard.length === 0 ? undefined : Math.max(...heard);
  }

  get state(): LineState {
    const uses = LINE_USES.map((use) => this.#stateOf(use));
    const failing = uses.flatMap(({ sinceMs }) => (sinceMs === undefined ? [] : [sinceMs]));
    const dead = this.#dead(TOLD_FOR_MS);
    return {
      isDown: dead !== undefined,
      sinceMs: failing.length === 0 ? undefined : Math.min(...failing),
      uses,
      words: this.#words(dead, uses),
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
    return run !== undefined && run.isDown && this.clock.steadyMs() - run.lastMs < freshMs;
  }

  /** The failures that show the whole line to be down: since their silence began nobody has had any answer. */
  #dead(freshMs: number): Run | undefined {
    for (const row of this.#rows.values()) {
      const { run } = row;
      if (!run?.silence?.isLong || !this.#isDown(row, freshMs)) continue;
      const { sinceMs } = run.silence;
      if (LINE_USES.every((other) => !this.#answeredSince(other, sinceMs))) return run;
    }
    return undefined;
  }

  #answeredSince(use: LineUse, sinceMs: number): boolean {
    const { answeredMs } = this.#row(use);
    return answeredMs !== undefined && answeredMs >= sinceMs;
  }

  #stateOf(use: LineUse): UseState {
    const row = this.#row(use);
    return {
      use,
      isDown: this.#isDown(row, TOLD_FOR_MS),
      sinceMs: row.run && wallTime(this.clock, row.run.sinceMs),
      failure: row.run?.failure,
      lastSuccessMs: row.succeededMs === undefined ? undefined : wallTime(this.clock, row.succeededMs),
    };
  }

  #words(dead: Run | undefined, uses: readonly UseState[]): string[] {
    const down = uses.filter((use) => use.isDown);
    if (dead) {
      const tried = down.filter(({ failure }) => failure!.code !== 'server-fault');
      const names = tried.map(({ use }) => NAMES[use]).join(', ');
      return [`no answer at all ${this.#since(dead.silence!.sinceMs, dead.failure)} (tried: ${names})`];
    }
    return down.map(({ use }) => {
      const { sinceMs, failure } = this.#row(use).run!;
      const what = failure.code === 'server-fault' ? 'are answered with errors' : 'get no answer';
      return `${NAMES[use]} ${what} ${this.#since(sinceMs, failure)}`;
    });
  }

  #since(sinceMs: number, { code, message }: LineFailure): string {
    const seconds = Math.round((this.clock.steadyMs() - sinceMs) / 1000);
    const at = `${new Date(wallTime(this.clock, sinceMs)).toISOString().slice(0, 19)}Z`;
    return `since ${at}, ${seconds} s ago: ${code}: ${message}`;
  }
}
