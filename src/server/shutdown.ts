/**
 * Signals: SIGTERM and SIGINT stop gracefully within a bound, a second one ends at once; SIGHUP reloads. Nothing
 * acknowledged depends on a graceful stop: it only spares clients an error and the next start some work.
 */
import type { EventEmitter } from 'node:events';
import type { Log } from '../async/log.js';

export type StopReason = { readonly signal: string } | { readonly fatal: unknown };

export interface SignalHandlers {
  readonly onReload: () => Promise<void>;
  /** The second stop signal. */
  readonly onImpatience: () => void;
}

/** Waits for the reason to stop. One per process; dispose() gives the signals back. */
export class Shutdown {
  readonly #stop: Promise<StopReason>;
  #resolve: (reason: StopReason) => void = () => {};
  #stopping = false;
  #reload: Promise<void> = Promise.resolve();
  readonly #listeners: [string, () => void][] = [];

  /** @param source the process, or an emitter in tests. */
  constructor(
    private readonly source: EventEmitter,
    private readonly log: Log,
    private readonly handlers: SignalHandlers,
  ) {
    this.#stop = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#on('SIGTERM', () => this.#onStop('SIGTERM'));
    this.#on('SIGINT', () => this.#onStop('SIGINT'));
    this.#on('SIGHUP', () => this.#onReload());
  }

  /** Resolves at the first reason to stop. */
  requested(): Promise<StopReason> {
    return this.#stop;
  }

  /** A broken invariant or a lost lease: stop, so that a restart recovers. */
  fatal(error: unknown): void {
    this.#stopping = true;
    this.#resolve({ fatal: error });
  }

  dispose(): void {
    for (const [signal, listener] of this.#listeners) this.source.off(signal, listener);
  }

  #on(signal: string, listener: () => void): void {
    this.#listeners.push([signal, listener]);
    this.source.on(signal, listener);
  }

  #onStop(signal: string): void {
    if (this.#stopping) {
      this.handlers.onImpatience();
      return;
    }
    this.#stopping = true;
    this.#resolve({ signal });
  }

  /** One reload at a time; a failing one is reported and the old secrets stay. */
  #onReload(): void {
    this.#reload = this.#reload.then(async () => {
      try {
        await this.handlers.onReload();
        this.log.info('reloaded: secrets were read again');
      } catch (error) {
        this.log.error('reload failed; everything goes on as before', { error });
      }
    });
  }
}
