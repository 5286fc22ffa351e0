/** Looks at the branch: at the start, after every poll interval, and when somebody says that it moved. */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Semaphore } from '../async/semaphore.js';
import { RemoteError } from '../gitee/errors.js';
import type { HeadRemote } from '../gitee/remote.js';
import { UnknownRefusals } from '../gitee/unknown-refusals.js';
import { StorageError } from '../index/errors.js';
import type { Condition } from './condition.js';
import type { HeadSync } from './head-sync.js';
import type { InStep } from './in-step.js';
import { AutoResetEvent } from './auto-reset-event.js';

export interface FollowerDeps {
  readonly bucket: string;
  readonly sync: HeadSync;
  readonly remote: Pick<HeadRemote, 'readHead'>;
  /** One at a time works on the head: the committer or the follower. */
  readonly headLock: Semaphore;
  readonly condition: Condition;
  readonly clock: Clock;
  readonly log: Log;
  readonly pollMs: number;
  /** As pollMs, while the bucket is frozen: a branch that is as it was, or a copy of it that lagged, ends that. */
  readonly frozenPollMs: number;
  readonly retryMaxMs: number;
  /** Of all followers of the branch. */
  readonly step: InStep;
  /** What must be known before the first fetch (the repository's id, the binding of the state). */
  readonly prepare: () => Promise<void>;
  readonly onFollowed: () => void;
  /** Housekeeping between two looks. */
  readonly onIdle: () => Promise<void>;
  readonly onFatal: (error: unknown) => void;
}

export class HeadFollower {
  readonly #wake: AutoResetEvent;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Looks that somebody waits for. */
  readonly #looks = new Set<Promise<unknown>>();
  /** Of what is asked before the first look. */
  readonly #refusals = new UnknownRefusals();

  constructor(private readonly deps: FollowerDeps) {
    this.#wake = new AutoResetEvent(deps.clock);
  }

  start(): void {
    this.#running ??= this.#loop(this.#stop.signal);
  }

  /** The branch may have moved (webhook, operator), or what failed may work again. */
  hint(): void {
    this.#wake.set();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the follower stops'));
    await Promise.allSettled([this.#running, ...this.#looks]);
  }

  /** One look at the branch. */
  async followOnce(signal: AbortSignal): Promise<void> {
    await this.deps.headLock.run(async () => {
      await this.#refusals.of(this.deps.prepare);
      await this.deps.sync.fetch(signal);
    }, signal);
    this.deps.condition.resume('fetch');
    this.deps.onFollowed();
  }

  /** As followOnce, for somebody who waits; ended by stop(). */
  look(): Promise<void> {
    return this.#looking((signal) => this.followOnce(signal));
  }

  /**
   * Where the branch stands, for somebody who waits: `here` where readers see what it has, `behind` where that is older,
   * as a copy of the repository has it that lags. Waits for nobody who works on the head; ended by stop().
   */
  whereIsIt(): Promise<'here' | 'behind' | 'elsewhere'> {
    const { remote, sync } = this.deps;
    return this.#looking(async (signal) => {
      const head = await remote.readHead(signal);
      if (sync.isAt(head)) return 'here';
      return (await sync.isBehind(head)) ? 'behind' : 'elsewhere';
    });
  }

  async #looking<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const look = run(this.#stop.signal);
    this.#looks.add(look);
    try {
      return await look;
    } catch (error) {
      if (isBroken(error)) this.deps.onFatal(error);
      throw error;
    } finally {
      this.#looks.delete(look);
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.followOnce(signal);
        failures = 0;
        await this.deps.onIdle();
        const { condition, frozenPollMs, pollMs, step } = this.deps;
        const waitMs = condition.frozen ? Math.min(frozenPollMs, pollMs) : pollMs;
        await step.wait(this.#wake, waitMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isBroken(error)) {
          this.deps.onFatal(error);
          return;
        }
        failures += 1;
        this.#report(error);
        const ceilingMs = Math.min(this.deps.retryMaxMs, 1000 * 2 ** Math.min(failures - 1, 10));
        const waitMs = ceilingMs * (0.5 + Math.random() / 2);
        await this.deps.step.wait(this.#wake, waitMs, signal).catch(() => {}); // the only reason is the stop, seen above
      }
    }
  }

  #report(error: unknown): void {
    const { bucket, condition, log } = this.deps;
    if (error instanceof RemoteError && error.pauses) condition.pause('fetch', error);
    log.warn('could not read the branch; reads go on from what is known', { bucket, error });
  }
}

function isBroken(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'broken-invariant';
}
