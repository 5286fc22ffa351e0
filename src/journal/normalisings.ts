/**
 * Makes changes ready beside the committer where that takes long. A change whose bytes must be fetched first, or are
 * many, would keep all others from landing meanwhile: a download that was cut goes on being tried for ten minutes. So
 * the committer waits for it for a moment; then the change stands aside until it is ready.
 *
 * Invariant 5. An entry per change that is being made ready, of which a few are at a time.
 */
import type { Clock } from '../async/clock.js';
import { Semaphore } from '../async/semaphore.js';
import { ChunkError } from '../chunks/api.js';
import { ChangeFailed, type Normaliser } from './committed-form.js';
import type { JournalEntry } from './overlay-rows.js';
import { sleepOr } from './sleep-or.js';

/** Nothing has failed: its bytes are being fetched or cut anew. */
export class BeingCutAnew extends ChunkError {
  constructor() {
    super('remote-unavailable', 'its bytes are still being fetched, or cut anew; it lands when they are');
  }
}

/** So long the committer waits for a change; and where others take longer already. */
const PATIENCE_MS = 2_000;
const SHORT_PATIENCE_MS = 200;
const AT_ONCE = 4;

interface Ready {
  /** undefined: it is not pending any more. */
  readonly entry: JournalEntry | undefined;
}

export class Normalisings {
  readonly #running = new Map<number, Promise<Ready>>();
  /** Of these, the ones that nobody waits for any more. */
  readonly #late = new Set<number>();
  readonly #slots = new Semaphore(AT_ONCE);
  readonly #stop = new AbortController();

  /** @param onReady told of a change that is ready now, and had been too late */
  constructor(
    private readonly normaliser: Normaliser,
    private readonly clock: Clock,
    private readonly onReady: (seq: number) => void,
  ) {}

  /** As Normaliser.normalise. @throws ChangeFailed (`isAway`) where it takes longer: it goes on by itself */
  async normalise(entry: JournalEntry, signal: AbortSignal): Promise<JournalEntry | undefined> {
    const { seq } = entry;
    const running = this.#running.get(seq) ?? this.#begin(entry);
    const patienceMs = this.#running.size > 1 ? SHORT_PATIENCE_MS : PATIENCE_MS;
    const ready = await sleepOr(this.clock, patienceMs, signal, running);
    if (ready) return ready.entry;
    this.#late.add(seq);
    throw new ChangeFailed(entry, new BeingCutAnew());
  }

  /** Ends all of them. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the committer stops'));
    await Promise.allSettled(this.#running.values());
  }

  #begin(entry: JournalEntry): Promise<Ready> {
    const { signal } = this.#stop;
    const { seq } = entry;
    const running = this.#slots
      .run(async () => ({ entry: await this.normaliser.normalise(entry, signal) }), signal)
      .finally(() => this.#running.delete(seq));
    this.#running.set(seq, running);
    // What failed late is tried anew when it has stood aside for long enough, and fails then before somebody's eyes.
    running.then(
      () => this.#late.delete(seq) && this.onReady(seq),
      () => this.#late.delete(seq),
    );
    return running;
  }
}
