import { RemoteError } from '../errors.js';
import type { BodySource, UploadFlow } from '../remote.js';

const ended = new WeakSet<BodySource>();

/** Lets go of it; nobody is interested in what it still reports. Not waited for: it may be in the middle of a read. */
export function endBody(source: BodySource): void {
  ended.add(source);
  if ('destroy' in source) source.on('error', () => {}).destroy();
  else source.return(undefined).catch(() => {});
}

/** Told what a body does, for the deadlines of its call. */
export interface BodyWatch {
  /** Before each piece. */
  readonly onPiece: () => void;
  /** After the last one. */
  readonly onEnd: () => void;
  /** We hold the body up ourselves. */
  readonly onHold: () => void;
  readonly onRelease: () => void;
}

/**
 * Counts a body on its way out and checks that it has exactly the announced size: a file that changed under us
 * must not reach Gitee, where the name of the object promises its content.
 */
export class BodyMeter {
  /** Bytes handed to the connection by all tries with this meter. */
  sentBytes = 0;
  /** Why the body could not be read, where it is its source's fault and not the line's. */
  sourceError: Error | undefined;
  #whole = false;

  constructor(
    readonly sizeBytes: number,
    /** Names the body in an error. */
    private readonly name: string,
    private readonly flow?: UploadFlow,
  ) {}

  /** True where the last try handed over every byte. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** The source's bytes, at the pace of the flow. */
  async *through(source: BodySource, watched: BodyWatch): AsyncGenerator<Uint8Array> {
    this.#whole = false;
    let seenBytes = 0;
    // No for-await: what breaks the connection is thrown in at the yield, and is no error of the source.
    const pieces = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    try {
      for (;;) {
        const piece = await this.#next(pieces);
        if (piece === undefined) break;
        if (piece.length === 0) continue;
        seenBytes += piece.length;
        if (seenBytes > this.sizeBytes) throw this.#wrongSize('more');
        await this.#turn(piece.length, watched);
        this.sentBytes += piece.length;
        watched.onPiece();
        // Before the last piece goes out: its answer may be here before we are asked for more.
        if (seenBytes === this.sizeBytes) {
          this.#whole = true;
          watched.onEnd();
        }
        yield piece;
        // Asked for more: the connection has taken it.
        this.flow?.sent(piece.length);
      }
      // Closed by us, after an answer that came early: not the source's fault.
      if (seenBytes < this.sizeBytes && ended.has(source)) throw new Error('the body was ended');
      if (seenBytes < this.sizeBytes) throw this.#wrongSize('fewer');
      this.#whole = true;
    } finally {
      endBody(source);
    }
  }

  async #turn(pieceBytes: number, { onHold, onRelease }: BodyWatch): Promise<void> {
    const turn = this.flow?.turn(pieceBytes);
    if (!turn) return;
    onHold();
    await turn;
    onRelease();
  }

  async #next(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
    try {
      const next = await pieces.next();
      return next.done ? undefined : next.value;
    } catch (error) {
      // Closed by us, after an answer that came early: not the source's fault either.
      if ((error as { code?: unknown }).code !== 'ERR_STREAM_PREMATURE_CLOSE')
        this.sourceError = error as Error;
      throw error;
    }
  }

  #wrongSize(relation: string): RemoteError {
    this.#whole = false;
    const error = new RemoteError(
      'chunk-corrupt',
      `${this.name} gave ${relation} than its ${this.sizeBytes} bytes: it was not sent`,
      { oids: [this.name] },
    );
    this.sourceError = error;
    return error;
  }
}
