/** How long a download is tried again. */
import { RemoteError } from '../gitee/errors.js';
import { ChunkError } from './api.js';
import { WrongBytes } from './partial-file.js';

/** Without a byte, while nobody has one yet: clients and proxies still take a 503 well. */
const NEW_MS = 25_000;
/** Without a byte, of an answer that is under way: nothing is lost by waiting (Nginx gives it 900 s). */
const UNDER_WAY_MS = 600_000;
/** Without a byte and without anybody who waits: only to find out when the line is up again. */
const PROBE_MS = 60_000;
/** Tries of what more time would not mend: wrong bytes, a full disk. */
const ATTEMPTS = 3;
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 5_000;
/** A trickle below that is no progress, so that no server can keep a transfer alive for ever. */
const PROGRESS_BYTES = 64 * 1024;

export type Waiting = 'nobody' | 'for-the-first-byte' | 'under-way';

const LIMITS_MS: Readonly<Record<Waiting, number>> = {
  nobody: PROBE_MS,
  'for-the-first-byte': NEW_MS,
  'under-way': UNDER_WAY_MS,
};

/** The failures of one download. */
export class Patience {
  #sinceMs: number | undefined;
  #inARow = 0;
  #broken = 0;
  #reachedBytes = 0;

  constructor(private readonly random: () => number = Math.random) {}

  /** How many tries in a row brought nothing. */
  get failuresInARow(): number {
    return this.#inARow;
  }

  /**
   * Milliseconds to wait before the next try, or undefined where there is none: full jitter, on top of what the
   * server asks for (Retry-After). `reachedBytes`: where the transfer is.
   */
  after(error: unknown, reachedBytes: number, waiting: Waiting, nowMs: number): number | undefined {
    if (reachedBytes >= this.#reachedBytes + PROGRESS_BYTES) this.#sinceMs = undefined;
    if (reachedBytes > this.#reachedBytes) this.#inARow = 0;
    this.#reachedBytes = reachedBytes;
    this.#sinceMs ??= nowMs;
    this.#inARow += 1;
    const isTransient = error instanceof RemoteError && error.isTransient;
    if (!isTransient) {
      if (!isMendable(error)) return undefined;
      this.#broken += 1;
      if (this.#broken >= ATTEMPTS) return undefined;
    }
    const askedMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
    const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (this.#inARow - 1));
    const waitMs = askedMs + this.random() * ceilingMs;
    return nowMs + waitMs - this.#sinceMs > LIMITS_MS[waiting] ? undefined : waitMs;
  }
}

/** A cut file, wrong bytes, a full disk (the cache was shrunk): the next try may bring it. */
function isMendable(error: unknown): boolean {
  if (error instanceof WrongBytes) return true;
  if (error instanceof RemoteError) return error.code === 'chunk-corrupt';
  return !(error instanceof ChunkError);
}
