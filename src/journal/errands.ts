/**
 * Uploads beside the committer: for each change that somebody waits for, the chunks that it rests on, as one group
 * of the line's. They run in the background, so that a commit that is ready never stands behind another one's bytes.
 */
import type { ChunksApi } from '../chunks/api.js';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import { RemoteError } from '../gitee/errors.js';

/**
 * What an errand is for: a change's seq; all changes, in order, while somebody waits for all of them; or the oldest
 * ones, since it is time for them: nobody waits for these.
 */
export type ErrandId = number | 'all' | 'oldest';

export interface FailedErrand {
  readonly error: unknown;
  /** The changes whose chunks were to be sent. */
  readonly seqs: readonly number[];
}

export interface ErrandsDeps {
  readonly bucket: string;
  readonly chunks: Pick<ChunksApi, 'upload' | 'isUnsent'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly retryMaxMs: number;
  readonly pausedRetryMs: number;
  /** An errand has ended, or failed for a reason that the committer must judge. */
  readonly onNews: (id: ErrandId) => void;
  readonly onPause: (error: RemoteError) => void;
}

/** So many run at once; the others begin when one of these has ended. */
const ERRANDS_MAX = 100;
const RETRY_BASE_MS = 500;

export class Errands {
  readonly #running = new Map<
    ErrandId,
    { readonly chunks: readonly Chunk[]; readonly stop: AbortController }
  >();
  readonly #failed: FailedErrand[] = [];
  /** How often in a row Gitee or the line failed each errand. */
  readonly #failures = new Map<ErrandId, number>();
  readonly #runs = new Set<Promise<void>>();
  #isStopped = false;

  constructor(private readonly deps: ErrandsDeps) {}

  has(id: ErrandId): boolean {
    return this.#running.has(id);
  }

  get isFull(): boolean {
    return this.#running.size >= ERRANDS_MAX;
  }

  /** Sends the chunks, in the background; nothing where one runs under this id, or too many do. */
  run(id: ErrandId, seqs: readonly number[], chunks: readonly Chunk[]): void {
    if (this.#isStopped || this.has(id) || this.isFull) return;
    const stop = new AbortController();
    this.#running.set(id, { chunks, stop });
    const run = this.#send(id, seqs, chunks, stop.signal)
      .catch((error: unknown) => {
        if (!stop.signal.aborted) this.#failed.push({ error, seqs });
      })
      .finally(() => {
        if (this.#running.get(id)?.stop === stop) this.#running.delete(id);
        this.#runs.delete(run);
        this.deps.onNews(id);
      });
    this.#runs.add(run);
  }

  /**
   * What is not Gitee's doing, like a disk that fails, is met by all that run at that time: it is told once, after what
   * Gitee says of single objects. Whose it is begins anew, and fails anew where it stays.
   */
  takeFailure(): FailedErrand | undefined {
    const at = this.#failed.findIndex(({ error }) => error instanceof RemoteError);
    return at >= 0 ? this.#failed.splice(at, 1)[0] : this.#failed.splice(0)[0];
  }

  /** Those that are not wanted any more. */
  keepOnly(isWanted: (id: ErrandId) => boolean): void {
    for (const [id, { stop }] of this.#running)
      if (!isWanted(id)) stop.abort(new Error('nobody waits for these chunks any more'));
    for (const id of this.#failures.keys()) if (!isWanted(id)) this.#failures.delete(id);
  }

  /** Begins all of them anew: what failed may work again. */
  kick(): void {
    const ids = [...this.#running.keys()];
    this.keepOnly(() => false);
    this.#running.clear();
    for (const id of ids) this.deps.onNews(id);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.keepOnly(() => false);
    await Promise.all(this.#runs);
  }

  /**
   * Where all of it failed for a while, it ends after a pause that grows: the next look begins it anew, with what has
   * come since. The same chunks again and again would keep all younger ones from being sent.
   */
  async #send(
    id: ErrandId,
    seqs: readonly number[],
    chunks: readonly Chunk[],
    signal: AbortSignal,
  ): Promise<void> {
    const { bucket, clock, log, onPause, pausedRetryMs, retryMaxMs } = this.deps;
    try {
      await this.deps.chunks.upload(chunks, id === 'oldest' ? 'push' : 'waited', signal);
      this.#failures.delete(id);
    } catch (error) {
      signal.throwIfAborted();
      const isOfAll = error instanceof RemoteError && error.oids.length === 0;
      // What some of them fail by holds up no others: their changes stand aside.
      if (!isOfAll || (!error.pauses && !error.isTransient)) throw error;
      if (error.pauses) onPause(error);
      const failures = (this.#failures.get(id) ?? 0) + 1;
      this.#failures.set(id, failures);
      const ceilingMs = error.pauses
        ? pausedRetryMs
        : Math.min(retryMaxMs, RETRY_BASE_MS * 2 ** Math.min(failures - 1, 16));
      // Full jitter, but never at once.
      const waitMs = Math.min(error.retryAfterMs ?? 0, 10 * 60_000) + ceilingMs * (0.1 + 0.9 * Math.random());
      log.info('chunks that are waited for could not be sent; they are tried again', {
        bucket,
        failures,
        waitMs,
        changes: seqs.length,
        chunks: chunks.length,
        error,
      });
      await clock.sleep(waitMs, signal);
    }
  }
}
