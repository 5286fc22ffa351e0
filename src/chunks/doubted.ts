/**
 * Chunks that Gitee had and lost, and that were sent again. Whoever found it out may have gone before he could ask
 * whether it has them this time: so it is asked here.
 *
 * Invariant 1 (this file's share). What a store has forgotten once is not believed to be there for its word alone.
 * Invariant 5. Memory is bounded: an entry per chunk that was sent again, no bytes, and one question at a time.
 */
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Chunk } from '../format/extent.js';
import type { Oid } from '../format/ids.js';
import { RemoteError } from '../gitee/errors.js';

const ASKED_AT_ONCE = 500;
/** Others that were sent meanwhile are asked for with them; and whoever waits for them asks himself. */
const GATHER_MS = 2_000;
/** Where it gives no answer. */
const NO_ANSWER_MS = 60_000;

export interface DoubtedChunksDeps {
  /** Makes those that Gitee lacks unsent again, and queues them. */
  readonly ask: (chunks: readonly Chunk[], signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export class DoubtedChunks {
  readonly #chunks = new Map<Oid, Chunk>();
  readonly #closed = new AbortController();
  #running: Promise<void> | undefined;

  constructor(private readonly deps: DoubtedChunksDeps) {}

  /** It was sent again. */
  add(chunk: Chunk): void {
    if (this.#closed.signal.aborted) return;
    this.#chunks.set(chunk.oid, chunk);
    this.#running ??= this.#run();
  }

  /** Gitee was asked for them, and has them. */
  delete(chunks: readonly Chunk[]): void {
    if (this.#chunks.size > 0) for (const { oid } of chunks) this.#chunks.delete(oid);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the chunk store is closed'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { ask, clock, log } = this.deps;
    const { signal } = this.#closed;
    let waitMs = GATHER_MS;
    while (this.#chunks.size > 0 && !signal.aborted) {
      await clock.sleep(waitMs, signal).catch(() => {});
      waitMs = GATHER_MS;
      const group = [...this.#chunks.values()].slice(0, ASKED_AT_ONCE);
      this.delete(group);
      if (group.length === 0 || signal.aborted) continue;
      try {
        await ask(group, signal);
      } catch (error) {
        // What it lacks is unsent again.
        if (isNoAnswer(error)) {
          waitMs = NO_ANSWER_MS;
          for (const chunk of group) this.#chunks.set(chunk.oid, chunk);
        }
        log.info('chunks that Gitee had lost and got again are not known to be there', {
          chunks: group.length,
          error,
        });
      }
    }
    // In the same turn as the last look: what is added from now on begins anew.
    this.#running = undefined;
  }
}

function isNoAnswer(error: unknown): boolean {
  if (!(error instanceof RemoteError)) return false;
  return error.code !== 'chunk-unkept' && (error.isTransient || error.pauses);
}
