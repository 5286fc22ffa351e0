/**
 * Reads that a look at the whole journal meets on its way. One whose bytes must come from Gitee may stand still for half
 * a minute before anything is known, and for ten in its middle: everything else that could land would stand behind it.
 * So it is waited for briefly, and then goes on by itself; whoever asks again has what it found, or is told `late`.
 *
 * Invariant 5. AT_ONCE reads go on by themselves, and as many results wait to be asked for; a read beyond these is given
 * up where it is not quick, as one from this disk is.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';
import { sleepOr } from './sleep-or.js';

const AT_ONCE = 4;
/** So long the first is waited for; another one, while that goes on; and one more where nothing more may go on. */
const PATIENCE_MS = 2_000;
const SHORT_PATIENCE_MS = 200;
const QUICK_MS = 50;

export class PatientReads<T> {
  readonly #late = new Set<string>();
  readonly #found = new LRUCache<string, { readonly value: T }>({ max: AT_ONCE });
  readonly #stop = new AbortController();

  constructor(private readonly clock: Clock) {}

  /** @param id of what is read. Rejects as the read does, where that fails while it is waited for, and after stop() */
  async read(id: string, read: (signal: AbortSignal) => Promise<T>): Promise<T | 'late'> {
    this.#stop.signal.throwIfAborted();
    const known = this.#found.get(id);
    this.#found.delete(id);
    if (known) return known.value;
    if (this.#late.has(id)) return 'late';
    const mayGoOn = this.#late.size < AT_ONCE;
    const patienceMs = this.#late.size === 0 ? PATIENCE_MS : mayGoOn ? SHORT_PATIENCE_MS : QUICK_MS;
    const over = new AbortController();
    const running = read(AbortSignal.any([over.signal, this.#stop.signal])).then((value) => ({ value }));
    const found = await sleepOr(this.clock, patienceMs, this.#stop.signal, running);
    if (found) return found.value;
    if (mayGoOn) this.#goOn(id, running);
    else {
      running.catch(() => {});
      over.abort(new Error('too many reads go on already'));
    }
    return 'late';
  }

  /** Ends all of them. */
  stop(): void {
    this.#stop.abort(new Error('the committer stops'));
  }

  #goOn(id: string, running: Promise<{ readonly value: T }>): void {
    this.#late.add(id);
    running
      .then((found) => this.#found.set(id, found))
      // What failed is read anew by the next who asks.
      .catch(() => {})
      .finally(() => this.#late.delete(id));
  }
}
