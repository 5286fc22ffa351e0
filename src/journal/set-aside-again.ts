/**
 * Tries again what was set aside: once after every start, and when an operator says that a cause may be gone (SIGHUP).
 * A start waits until the branch was read: only then it is known that this state is no older than that.
 */
import type { Log } from '../async/log.js';
import type { ObjectKey } from '../format/ids.js';
import { WRITING_STEPS, writingStep } from '../format/registry-keys.js';
import type { Condition } from './condition.js';
import type { Journal } from './journal.js';
import type { JournaledBucket } from './journaled-bucket.js';

/** Rows that are in memory at a time. */
const GROUP = 10_000;

interface SetAsideAgainDeps {
  readonly journal: Pick<Journal, 'quarantinedCount' | 'quarantinedRows'>;
  readonly state: Pick<JournaledBucket, 'retrySetAside'>;
  readonly condition: Pick<Condition, 'frozen'>;
  readonly log: Log;
  readonly registryRoot: string;
}

export class SetAsideAgain {
  #running: Promise<void> | undefined;
  /** Somebody asked, and no run has begun since. */
  #isAsked = false;
  /** The last run did not come to its end. */
  #hasFailed = false;
  #isStarted = false;
  #isStopped = false;

  constructor(private readonly deps: SetAsideAgainDeps) {}

  /** The branch was read: the first time everything is tried again, and the next time where that could not be done. */
  atStart(): void {
    if ((this.#isStarted && !this.#hasFailed) || this.deps.condition.frozen) return;
    this.#isStarted = true;
    this.now();
  }

  /**
   * Everything is tried again, after what is being tried now; nothing where the branch was not read yet, or is frozen.
   * Does not fail.
   */
  now(): void {
    const { condition, journal } = this.deps;
    if (!this.#isStarted || this.#isStopped || condition.frozen || journal.quarantinedCount === 0) return;
    this.#isAsked = true;
    this.#running ??= this.#runWhileAsked();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #runWhileAsked(): Promise<void> {
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false;
      this.#hasFailed = false;
      try {
        await this.#run();
      } catch (error) {
        this.#hasFailed = true;
        this.deps.log.warn('what was set aside could not be tried again', { error });
      }
    }
    // Not a moment later than it was last seen that nobody asks.
    this.#running = undefined;
  }

  async #run(): Promise<void> {
    const { log } = this.deps;
    let tried = 0;
    // What others rest on first, however many rows there are and in whichever order they were written.
    for (let step = 0; step < WRITING_STEPS; step += 1) tried += await this.#runStep(step);
    if (tried > 0) log.info('what was set aside is tried again', { changes: tried });
  }

  async #runStep(step: number): Promise<number> {
    const { journal, registryRoot } = this.deps;
    let tried = 0;
    let group: { key: ObjectKey; seq: number }[] = [];
    for await (const { key, seq, shown } of journal.quarantinedRows()) {
      if (!shown || writingStep(registryRoot, key) !== step) continue;
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
