import type { Clock } from '../async/clock.js';
import { linkedDeadline } from '../async/deadline.js';
import { retry } from '../async/retry.js';
import type { CommitId } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';
import type { Bucket } from '../objects/bucket.js';
import { ObjectError } from '../objects/errors.js';
import type { CatalogueRow } from './catalogue.js';
import { BucketGate } from './gate.js';
import type { BucketOpener, BucketParts } from './parts.js';
import type { BucketPlace } from './place.js';

/** CreateBucket and DeleteBucket wait no longer: tools that make buckets are less patient than those that push. */
const HOLD_MAX_MS = 20_000;

/** Looks at the branch before a bucket comes or goes, where what is seen contradicts itself. */
const LOOKS_MAX = 8;
const LOOK_AGAIN: ReadonlySet<string> = new Set(['head-moved', 'server-fault']);

/** Whether anything would be lost with the bucket. */
type Contents = 'none' | 'some' | 'unknown';

export interface RunTimeBucketDeps {
  readonly opener: BucketOpener;
  readonly clock: Clock;
}

/** One bucket made at run time, with its state on this disk. */
export class RunTimeBucket {
  #bucket: Bucket;
  #row: CatalogueRow | undefined;
  /** How long a request waits for Gitee. */
  readonly #holdMs: number;

  private constructor(
    readonly stateName: string,
    readonly parts: BucketParts,
    private readonly gate: BucketGate,
    private readonly clock: Clock,
  ) {
    this.#bucket = parts.bucket;
    this.#holdMs = Math.min(parts.place.concern.holdMs, HOLD_MAX_MS);
  }

  /** Opens the state of that name; asks Gitee nothing. */
  static async open(deps: RunTimeBucketDeps, place: BucketPlace, stateName: string): Promise<RunTimeBucket> {
    const gate = new BucketGate(place.name);
    const parts = await deps.opener.open(place, { stateName, gate });
    return new RunTimeBucket(stateName, parts, gate, deps.clock);
  }

  get name(): string {
    return this.parts.place.name;
  }

  /** As the objects layer works on it. */
  get bucket(): Bucket {
    return this.#bucket;
  }

  /** undefined: not to be shown to anybody. */
  get row(): CatalogueRow | undefined {
    return this.#row;
  }

  show(row: CatalogueRow): void {
    if (row.createdMs !== this.#bucket.createdMs)
      this.#bucket = { ...this.#bucket, createdMs: row.createdMs };
    this.#row = row;
  }

  /** What this gateway alone has, and Gitee not, or not any more. */
  get hasUnsettled(): boolean {
    const { pendingChanges, quarantinedChanges } = this.parts.open.state.status();
    return pendingChanges + quarantinedChanges > 0;
  }

  /**
   * Not through the gate: asked while that is shut.
   * @param seen where the branch was seen to stand: what the bucket had before that may have been deleted by others
   */
  async contents(seen: CommitId | null): Promise<Contents> {
    const { state } = this.parts.open;
    const { ready, frozen } = state.status();
    if (this.hasUnsettled) return 'some';
    if (!ready || frozen) return 'unknown';
    if ((await state.page('', undefined, 1)).length === 0) return 'none';
    return (await this.#hasFollowed(seen)) ? 'some' : 'unknown';
  }

  /**
   * Looks at the branch, so that the bucket can be used from now on.
   * @throws ObjectError remote-unavailable, read-only
   */
  async follow(signal: AbortSignal): Promise<void> {
    const deadline = linkedDeadline(this.#holdMs, signal);
    try {
      await this.#look(deadline.signal);
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      throw new ObjectError(
        'remote-unavailable',
        `Gitee must be asked what lies at the place of the new bucket: ${why}`,
        { cause: error, retryAfterMs: 5000 },
      );
    } finally {
      deadline.dispose();
    }
    const { frozen } = this.parts.open.state.status();
    if (frozen) throw new ObjectError('read-only', `the place of the new bucket: ${frozen.reason}`);
  }

  /**
   * Closes the gate once the bucket is empty here and on Gitee, and `remove` has made that durable. Until then the
   * bucket goes on as it is.
   * @throws ObjectError bucket-not-empty, not-yet-remote, read-only
   */
  async closeEmpty(remove: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const deadline = linkedDeadline(this.#holdMs, signal);
    try {
      for (;;) {
        await this.#refuseContents();
        await this.#settle(deadline.signal);
        // Once more and for good: somebody may have written meanwhile.
        const isClosed = await this.gate.close(async () => {
          await this.#refuseContents();
          if (this.hasUnsettled) return false;
          deadline.signal.throwIfAborted();
          await remove();
          return true;
        });
        if (isClosed) return;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!deadline.signal.aborted || error instanceof ObjectError) throw error;
      throw notYetOnGitee(this.parts);
    } finally {
      deadline.dispose();
    }
  }

  /** Closes the gate where `decide` says so; see BucketGate.close. */
  closeIf(decide: () => Promise<boolean>): Promise<boolean> {
    return this.gate.close(decide);
  }

  start(): void {
    this.parts.open.start();
  }

  /** After the gate was closed: stops and lets go of everything, so that the state can be removed. */
  async close(): Promise<void> {
    await this.parts.open.stop(0);
    if (this.gate.isClosed) await this.gate.drained();
    await this.parts.close();
  }

  /** A branch that moves meanwhile, and a copy of the repository that lags, are seen as they are a moment later. */
  #look(signal: AbortSignal): Promise<void> {
    return retry(() => this.parts.open.follower.followOnce(signal), {
      ...{ attempts: LOOKS_MAX, baseMs: 250, maxMs: 2_000, clock: this.clock, signal },
      isRetryable: (error) => error instanceof RemoteError && LOOK_AGAIN.has(error.code),
    });
  }

  async #hasFollowed(seen: CommitId | null): Promise<boolean> {
    const { head, open } = this.parts;
    const own = open.state.status().head;
    if (own === seen || seen === null) return true;
    return own !== null && head.isAncestor(seen, own);
  }

  async #refuseContents(): Promise<void> {
    const { state } = this.parts.open;
    const { frozen } = state.status();
    if (frozen) throw new ObjectError('read-only', `bucket ${this.name} is read-only: ${frozen.reason}`);
    if ((await state.page('', undefined, 1)).length > 0)
      throw new ObjectError('bucket-not-empty', `bucket ${this.name} has objects`);
  }

  /** All deletions on Gitee, and all that others have landed there seen here. */
  async #settle(signal: AbortSignal): Promise<void> {
    const { open } = this.parts;
    const isLanded = await open.settle({ timeoutMs: this.#holdMs, signal });
    const { quarantinedChanges } = open.state.status();
    // A deletion that Gitee refuses would let the object come back with the next bucket of this name.
    if (!isLanded || quarantinedChanges > 0) throw notYetOnGitee(this.parts);
    try {
      await this.#look(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw notYetOnGitee(this.parts, error);
    }
  }
}

function notYetOnGitee({ bucket, open }: BucketParts, cause?: unknown): ObjectError {
  const { paused, quarantinedChanges } = open.state.status();
  const refused = quarantinedChanges > 0 ? ' Gitee refuses some of them: see gitee-s3 status.' : '';
  return new ObjectError(
    'not-yet-remote',
    `The deletions of the objects of ${bucket.name} are not yet on Gitee, so the bucket stays for now.${refused}${paused ? ` ${paused.message}` : ''} Please try again later.`,
    cause === undefined ? {} : { cause },
  );
}
