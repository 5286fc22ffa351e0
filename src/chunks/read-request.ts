/** One answer that reads chunks: who waits for what, and how long that makes sense, hangs on how far it is. */
export class ReadRequest {
  /** Bytes of it are out: an error can only cut it now, so it is waited for far longer. */
  hasBegun = false;

  constructor(readonly startedMs: number) {}
}
