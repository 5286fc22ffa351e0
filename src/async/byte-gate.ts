import { WaitLine } from './wait-line.js';

/**
 * Bounds the bytes that are held at once (invariant 5). First come, first served: a large request at the front
 * is not overtaken by small ones behind it, or it would never get in.
 */
export class ByteGate {
  #heldBytes = 0;
  #holders = 0;
  readonly #line = new WaitLine<number>();

  constructor(readonly maxBytes: number) {
    if (!(maxBytes > 0)) throw new RangeError(`a byte gate needs more than 0 bytes, not ${maxBytes}`);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Resolves with the function that gives the bytes back (calling it twice gives back once). A request larger
   * than the maximum is admitted when nobody holds anything. Rejects with the signal's reason.
   */
  async acquire(bytes: number, signal?: AbortSignal): Promise<() => void> {
    if (!(bytes >= 0)) throw new RangeError(`cannot hold ${bytes} bytes`);
    signal?.throwIfAborted();
    if (this.#line.length === 0 && this.#fits(bytes)) this.#take(bytes);
    else await this.#line.wait(bytes, signal, () => this.#admit());
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#heldBytes -= bytes;
      this.#holders -= 1;
      this.#admit();
    };
  }

  #fits(bytes: number): boolean {
    return this.#holders === 0 || this.#heldBytes + bytes <= this.maxBytes;
  }

  // Taken in the name of the waiter, before its promise resolves: whoever asks in between must not get in first.
  #take(bytes: number): void {
    this.#heldBytes += bytes;
    this.#holders += 1;
  }

  #admit(): void {
    for (
      let bytes = this.#line.first();
      bytes !== undefined && this.#fits(bytes);
      bytes = this.#line.first()
    ) {
      this.#take(bytes);
      this.#line.admitFirst();
    }
  }
}
