import { Readable } from 'node:stream';
import { RemoteError } from '../errors.js';
import type { Watch } from './watch.js';

/** Bodies of errors are read so far and no further. */
export const ERROR_BODY_MAX_BYTES = 64 * 1024;

/** The answer to one request. Its body must be read to the end or destroyed. */
export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names; repeated headers joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AnswerBody;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
}

interface AnswerBodyOptions {
  /** Length that must come, where it is known; more or less is an error. */
  readonly exactBytes: number | undefined;
  readonly what: string;
  readonly onClose: () => void;
}

/** A body under the watch of its call: it ends whole or with a RemoteError, never early. */
export class AnswerBody extends Readable {
  receivedBytes = 0;
  #whole = false;
  #toSkipBytes = 0;

  constructor(
    private readonly source: Readable,
    private readonly watch: Watch,
    private readonly options: AnswerBodyOptions,
  ) {
    super({ highWaterMark: 256 * 1024 });
    source.on('data', (piece: Buffer) => this.#take(piece));
    source.on('end', () => this.#end());
    source.on('error', (error) => this.destroy(watch.failure(error)));
    source.on('close', () => {
      if (!this.#whole) this.destroy(watch.failure(new Error('closed')));
    });
    source.pause();
  }

  /** Drops so many bytes from the beginning. Before the first read. */
  skip(bytes: number): void {
    this.#toSkipBytes = bytes;
  }

  override _read(): void {
    this.watch.touch();
    this.source.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.watch.dispose();
    this.options.onClose();
    this.source.on('error', ignore);
    this.source.destroy();
    done(error);
  }

  #take(piece: Buffer): void {
    this.receivedBytes += piece.length;
    const { exactBytes } = this.options;
    if (exactBytes !== undefined && this.receivedBytes > exactBytes) {
      this.destroy(this.#wrongLength());
      return;
    }
    const rest = piece.subarray(Math.min(this.#toSkipBytes, piece.length));
    this.#toSkipBytes -= piece.length - rest.length;
    if (rest.length === 0 || this.push(rest)) this.watch.touch();
    else {
      this.source.pause();
      this.watch.pause();
    }
  }

  #end(): void {
    this.#whole = true;
    this.watch.pause();
    const { exactBytes } = this.options;
    if (exactBytes !== undefined && this.receivedBytes !== exactBytes) this.destroy(this.#wrongLength());
    else this.push(null);
  }

  #wrongLength(): RemoteError {
    const relation = this.receivedBytes > (this.options.exactBytes ?? 0) ? 'more' : 'fewer';
    return new RemoteError(
      'unreachable',
      `${this.options.what} brought ${relation} bytes than were announced`,
    );
  }
}

// A source that is already given up may still report its end as an error; nobody is interested.
const ignore = () => {};

/** The first bytes of a body, at most so many; `truncated` where there were more. */
export async function readBytes(
  answer: HttpAnswer,
  maxBytes: number,
): Promise<{ bytes: Buffer; truncated: boolean }> {
  const pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    lengthBytes += piece.length;
    if (lengthBytes > maxBytes) break;
  }
  return { bytes: Buffer.concat(pieces).subarray(0, maxBytes), truncated: lengthBytes > maxBytes };
}

/** As readBytes, as text. */
export async function readText(
  answer: HttpAnswer,
  maxBytes: number,
): Promise<{ text: string; truncated: boolean }> {
  const { bytes, truncated } = await readBytes(answer, maxBytes);
  return { text: bytes.toString('utf8'), truncated };
}

/**
 * The body of an error. A connection that breaks in the middle of it does not hide the status: what came until
 * then is returned.
 */
export async function readErrorText(answer: HttpAnswer): Promise<string> {
  try {
    return (await readText(answer, ERROR_BODY_MAX_BYTES)).text;
  } catch {
    return '';
  }
}

/** Ends an answer whose body nobody wants. */
export function discard(answer: HttpAnswer): void {
  answer.body.on('error', ignore);
  answer.body.destroy();
}
