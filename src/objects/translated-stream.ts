import { Readable } from 'node:stream';
import { toObjectError } from './translate-error.js';

/**
 * A stream of the storage layer whose errors are those of objects: it is read when the operation that opened it has
 * long returned. Holds no block of its own: one is handed on when it is asked for.
 */
export class TranslatedStream extends Readable {
  #isWanted = false;

  constructor(private readonly source: Readable) {
    super({ highWaterMark: 1 });
    source.on('readable', () => this.#handOn());
    source.on('end', () => this.push(null));
    source.on('error', (error) => this.destroy(toObjectError(error) as Error));
    source.on('close', () => {
      if (!source.readableEnded) this.destroy();
    });
  }

  override _read(): void {
    this.#isWanted = true;
    this.#handOn();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.source.destroy();
    done(error);
  }

  #handOn(): void {
    // Also where nobody asked yet: only a read from an ended source makes it say so.
    const block: unknown = this.#isWanted || this.source.readableLength === 0 ? this.source.read() : null;
    if (block === null) return;
    this.#isWanted = false;
    this.push(block);
  }
}
