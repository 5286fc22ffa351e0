import { StorageError } from '../index/errors.js';

/** What is known of a body before it is read. */
export interface AskedBody {
  /** undefined: not known. */
  readonly lengthBytes?: number | undefined;
  /** Up to this size it comes back as bytes and writes no chunk; -1: it writes chunks in any case. */
  readonly keepUpToBytes: number;
}

/**
 * Room for one body, which was asked for and is there: nothing takes a body without it, so that no caller forgets to
 * ask. Granted by src/chunks/admission.ts alone; an import rule holds the others to that.
 */
export class Reservation {
  #isTaken = false;

  private constructor(private readonly body: AskedBody) {}

  static granted(body: AskedBody): Reservation {
    return new Reservation(body);
  }

  /**
   * Uses it up, and says what it was asked for.
   * @throws StorageError `broken-invariant` where another body has used it: for the second one nobody asked
   */
  take(): AskedBody {
    if (this.#isTaken)
      throw new StorageError('broken-invariant', 'a second body was about to take the room of one');
    this.#isTaken = true;
    return this.body;
  }
}
