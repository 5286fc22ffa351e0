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
  readonly #body: AskedBody;

  private constructor(body: AskedBody) {
    this.#body = body;
  }

  static granted(body: AskedBody): Reservation {
    return new Reservation(body);
  }

  get lengthBytes(): number | undefined {
    return this.#body.lengthBytes;
  }

  get keepUpToBytes(): number {
    return this.#body.keepUpToBytes;
  }
}
