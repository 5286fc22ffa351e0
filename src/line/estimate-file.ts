import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { steadyTime, type Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';

const KEEP_EVERY_MS = 30_000;
/** A restart after a longer time finds another line. */
const GOOD_FOR_MS = 7 * 24 * 3_600_000;

/**
 * A figure outside of that is no line that anybody has: a file that was damaged or written by hand must not let in a
 * backlog that no line sends, nor begin with so little that a push crawls. 0.5 Mbit/s to 1 Gbit/s, in bytes per
 * second; a line that is slower or faster than that is measured within two seconds of its first upload.
 */
export const KEPT_MIN = 64 * 1024;
export const KEPT_MAX = 125_000_000;

/** Keeps the line's estimate over a restart. It is a hint: what cannot be read or written changes nothing else. */
export class EstimateFile {
  #kept = 0;
  #running: Promise<void> = Promise.resolve();
  readonly #closed = new AbortController();

  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Bytes per second as last kept, no less than KEPT_MIN and no more than KEPT_MAX; undefined where there is none, or
   * it is old.
   */
  async read(): Promise<number | undefined> {
    try {
      const { bytesPerSecond, atMs } = JSON.parse(await readFile(this.path, 'utf8')) as Record<
        string,
        unknown
      >;
      if (typeof bytesPerSecond !== 'number' || typeof atMs !== 'number' || !(bytesPerSecond > 0))
        return undefined;
      const ageMs = this.clock.steadyMs() - steadyTime(this.clock, atMs);
      if (!(ageMs < GOOD_FOR_MS)) return undefined;
      this.#kept = Math.min(KEPT_MAX, Math.max(KEPT_MIN, bytesPerSecond));
      return this.#kept;
    } catch {
      return undefined;
    }
  }

  /** Keeps it from time to time while it changes, until `close`. */
  start(estimate: () => number): void {
    const { signal } = this.#closed;
    this.#running = (async () => {
      while (!signal.aborted) {
        await this.clock.sleep(KEEP_EVERY_MS, signal).catch(() => {});
        await this.#keep(estimate());
      }
    })();
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('closed'));
    await this.#running;
  }

  async #keep(bytesPerSecond: number): Promise<void> {
    if (Math.abs(bytesPerSecond - this.#kept) < 0.05 * this.#kept) return;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      const temporary = `${this.path}.new`;
      await writeFile(
        temporary,
        JSON.stringify({ bytesPerSecond: Math.round(bytesPerSecond), atMs: this.clock.nowMs() }),
      );
      await rename(temporary, this.path);
      this.#kept = bytesPerSecond;
    } catch (error) {
      this.log.info('the speed of the line cannot be kept over a restart', { error });
    }
  }
}
