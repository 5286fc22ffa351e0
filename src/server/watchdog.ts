/**
 * Ends the process where it can't end, or answer, by itself: a supervisor restarts what has ended and nothing that
 * stands still (Docker's health checks restart nothing). Nothing acknowledged depends on how a process ends.
 *
 * A thread of its own looks whether the event loop still turns, and whether a stop has come to its end: a library that
 * waits for a lock in the main thread, or whose threads keep the process from exiting, stops neither it nor SIGKILL.
 */
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

/** Requests wait so long for an event loop that will never turn again. Nothing of ours holds it for a second. */
const FROZEN_AFTER_MS = 30_000;
const TICK_MS = 1_000;
/** Of the thread: some times what Node 24 takes to begin one, which is between 6 and 8. */
const HEAP_MB = 32;

/** What the thread and the process share: a counter that the event loop moves, and the ticks that are left. */
export const BEAT = 0;
export const TICKS_LEFT = 1;

export interface WatchdogThreadData {
  readonly shared: SharedArrayBuffer;
  readonly tickMs: number;
  readonly frozenTicks: number;
}

export class Watchdog {
  readonly #shared = new SharedArrayBuffer(8);
  readonly #words = new Int32Array(this.#shared);
  readonly #beat: NodeJS.Timeout;
  readonly #thread: Worker;

  private constructor(
    frozenAfterMs: number,
    private readonly tickMs: number,
    heapMb: number,
  ) {
    this.#beat = setInterval(() => Atomics.add(this.#words, BEAT, 1), tickMs / 2);
    this.#beat.unref();
    const workerData: WatchdogThreadData = {
      ...{ shared: this.#shared, tickMs },
      frozenTicks: Math.ceil(frozenAfterMs / tickMs),
    };
    this.#thread = new Worker(new URL('./watchdog-thread.js', import.meta.url), {
      workerData,
      // Those of the process are about its own program.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 2 },
    });
    // A profiler that is asked for by NODE_OPTIONS takes more. It must not end the process that it watches.
    this.#thread.on('error', (error) => sayEnded(error));
    this.#thread.unref();
  }

  /**
   * From now on the process is killed (SIGKILL, with a line in the log) where its event loop has not turned for so
   * long. Counted in ticks of the thread: a process that was suspended as a whole is not frozen.
   */
  static start(frozenAfterMs = FROZEN_AFTER_MS, tickMs = TICK_MS, heapMb = HEAP_MB): Watchdog {
    return new Watchdog(frozenAfterMs, tickMs, heapMb);
  }

  /** The process has to have ended by then; else it is killed. The first call counts. */
  endWithin(milliseconds: number): void {
    Atomics.compareExchange(this.#words, TICKS_LEFT, 0, Math.max(1, Math.ceil(milliseconds / this.tickMs)));
  }

  async stop(): Promise<void> {
    clearInterval(this.#beat);
    await this.#thread.terminate();
  }
}

/** As the thread itself says things: there is a watchdog before there is a log. */
function sayEnded(error: Error): void {
  const message = 'the watchdog has ended: until the next start nothing ends this process should it freeze';
  const line = { time: new Date().toISOString(), level: 'error', message, error: error.message };
  try {
    writeSync(2, `${JSON.stringify(line)}\n`);
  } catch {
    // Nobody reads it.
  }
}
