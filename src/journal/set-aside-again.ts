/**
 * Tries again what was set aside: once after every start, and when an operator says that a cause may be gone (SIGHUP).
 * A start waits until the branch was read: only then it is known that this state is no older than that. What Gitee
 * refuses it may take after somebody has changed a setting there, so that is tried by itself too, about once an hour.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { ObjectKey } from '../format/ids.js';
import { WRITING_STEPS, writingStep } from '../format/registry-keys.js';
import type { Condition } from './condition.js';
import type { ChangeLog } from './change-log.js';
import type { JournaledBucket } from './journaled-bucket.js';

/** From the end of one try of all to the next, with jitter: 45 to 75 minutes. */
const PAUSE_MS = 3_600_000;
const PAUSE_JITTER = 0.25;
/** Nothing that happens at Gitee mends these: the bytes are nowhere, or the fault is our own. */
const OURS: ReadonlySet<string> = new Set(['chunk-missing', 'chunk-corrupt', 'not-committable']);
/** Rows that are in memory at a time. */
const GROUP = 10_000;

interface SetAsideAgainDeps {
  readonly journal: Pick<ChangeLog, 'quarantinedCount' | 'quarantinedRows'>;
  readonly state: Pick<JournaledBucket, 'retrySetAside'>;
  readonly condition: Pick<Condition, 'frozen'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly registryRoot: string;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

export class SetAsideAgain {
  #running: Promise<void> | undefined;
  /** For what somebody asked, and no run has begun since. */
  #asked: 'everything' | 'refused' | undefined;
  /** The last run did not come to its end. */
  #hasFailed = false;
  #isStarted = false;
  readonly #stop = new AbortController();
  #byItself: Promise<void> | undefined;

  constructor(private readonly deps: SetAsideAgainDeps) {}

  /** The branch was read: the first time everything is tried again, and the next time where that could not be done. */
  atStart(): void {
    if ((this.#isStarted && !this.#hasFailed) || this.deps.condition.frozen) return;
    this.#isStarted = true;
    this.now();
    this.#byItself ??= this.#nowAndThen();
  }

  /**
   * Everything is tried again, after what is being tried now; nothing where the branch was not read yet, or is frozen.
   * Does not fail.
   */
  now(): void {
    this.#ask('everything');
  }

  #ask(what: 'everything' | 'refused'): void {
    const { condition, journal } = this.deps;
    if (!this.#isStarted || this.#isStopped || condition.frozen || journal.quarantinedCount === 0) return;
    if (this.#asked !== 'everything') this.#asked = what;
    this.#running ??= this.#runWhileAsked();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the bucket is closed'));
    await Promise.all([this.#running, this.#byItself]);
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #nowAndThen(): Promise<void> {
    const { clock, random = Math.random } = this.deps;
    while (!this.#isStopped) {
      const waitMs = PAUSE_MS * (1 - PAUSE_JITTER + 2 * PAUSE_JITTER * random());
      await clock.sleep(waitMs, this.#stop.signal).catch(() => {}); // the only reason is the stop
      this.#ask('refused');
      await this.#running;
    }
  }

  async #runWhileAsked(): Promise<void> {
    for (let what = this.#asked; what && !this.#isStopped; what = this.#asked) {
      this.#asked = undefined;
      this.#hasFailed = false;
      try {
        await this.#run(what);
      } catch (error) {
        this.#hasFailed = true;
        this.deps.log.warn('what was set aside could not be tried again', { error });
      }
    }
    // Not a moment later than it was last seen that nobody asks.
    this.#running = undefined;
  }

  async #run(what: 'everything' | 'refused'): Promise<void> {
    const { log } = this.deps;
    let tried = 0;
    // What others rest on first, however many rows there are and in whichever order they were written.
    for (let step = 0; step <= WRITING_STEPS; step += 1) tried += await this.#runStep(step, what);
    if (tried > 0) log.info('what was set aside is tried again', { changes: tried });
  }

  async #runStep(step: number, what: 'everything' | 'refused'): Promise<number> {
    const { journal, registryRoot } = this.deps;
    let tried = 0;
    let group: { key: ObjectKey; seq: number }[] = [];
    for await (const { code, key, record, seq, shown } of journal.quarantinedRows()) {
      // What is deleted may be named on Gitee until all else has landed.
      const itsStep = record ? writingStep(registryRoot, key) : WRITING_STEPS;
      if (!shown || itsStep !== step) continue;
      if (what === 'refused' && OURS.has(code)) continue;
      group.push({ key, seq });
      if (group.length < GROUP) continue;
      tried += await this.#retry(group);
      group = [];
    }
    return tried + (await this.#retry(group));
  }

  /** In the order in which they were written: a change comes after what it rests on. */
  async #retry(group: { key: ObjectKey; seq: number }[]): Promise<number> {
    let tried = 0;
    for (const { key } of group.sort((a, b) => a.seq - b.seq)) {
      if (this.#isStopped) break;
      if ((await this.deps.state.retrySetAside(key)) !== undefined) tried += 1;
    }
    return tried;
  }
}
