/**
 * Reads a multipart/form-data body as S3 does: fields in order, then one file, whose bytes are handed on as they
 * come; what follows the file is ignored. Multer is the engine, this is its storage. What is held at any time are
 * the fields (20 KiB in all, as AWS has it) and the buffers of the streams.
 *
 * The promise: the bytes of the file end without an error only after the whole form was found well-formed. So
 * whoever stores them stores nothing of a form that breaks off.
 */
import { Readable, type Writable } from 'node:stream';
import type { Request, Response } from 'express';
import multer from 'multer';
import { onAbort } from '../../async/abort.js';
import { S3Error } from '../errors.js';
import { FIELDS_BYTES_MAX, fieldsTooLong, FormFields } from './fields.js';

/** Fields after the file are read past, but not for ever. */
const REST_BYTES_MAX = 64 * 1024;

/** Stores the file; may begin to read `bytes` when the fields are found right, and may stop at any time. */
export type TakeFile<T> = (fields: FormFields, bytes: AsyncIterable<Uint8Array>) => Promise<T>;

/**
 * What `take` made of the form. The fields before the file must come within `fieldsWithinMs`, all of them: who sends
 * them is not known yet, and a body that never stands still would hold its connection for ever. So must what follows
 * the file.
 * @throws S3Error RequestTimeout, MalformedPOSTRequest, MaxPostPreDataLengthExceeded, InvalidArgument where there is not exactly
 *   one file, and what `body` or `take` throws. It does not wait for the rest of a refused body.
 */
export function readForm<T>(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
  take: TakeFile<T>,
  fieldsWithinMs: number,
): Promise<T> {
  return new FormReading(contentType, body, take, fieldsWithinMs).run();
}

class FormReading<T> {
  readonly #entries: (readonly [name: string, value: string | Promise<string>])[] = [];
  /** Settles when the form is read to its end, or refused. */
  readonly #formEnd = new Outcome<void>();
  readonly #outcome = new Outcome<T>();
  readonly #over = new AbortController();
  #parser: Writable | undefined;
  #isFileSeen = false;
  #isFileRead = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly contentType: string,
    private readonly body: AsyncIterable<Uint8Array>,
    private readonly take: TakeFile<T>,
    private readonly fieldsWithinMs: number,
  ) {}

  async run(): Promise<T> {
    // Multer gets only what it asks of a request: the bytes go to its parser from #feed, which can stop.
    const request = Object.assign(new Readable({ read() {} }), {
      headers: { 'content-type': this.contentType, 'content-length': '1' },
    });
    this.#hurry();
    try {
      multer(this.#options()).any()(request as unknown as Request, {} as Response, (error: unknown) => {
        if (error !== undefined) this.#refuse(malformed(error));
        else if (!this.#parser) this.#refuse(malformed());
      });
      return await this.#outcome.promise;
    } finally {
      clearTimeout(this.#timer);
      this.#over.abort();
      this.#parser?.destroy();
      request.destroy();
    }
  }

  #options() {
    const storage: multer.StorageEngine = {
      _handleFile: (_request, file, done) => {
        this.#part(file.fieldname, file.originalname, file.stream).then(() => done(null, {}), done);
      },
      // What was not whole was never stored.
      _removeFile: (_request, _file, done) => done(null),
    };
    return {
      storage,
      defParamCharset: 'utf8',
      limits: { fieldSize: FIELDS_BYTES_MAX },
      streamHandler: (_request: unknown, parser: Writable) => this.#attach(parser),
    };
  }

  #attach(parser: Writable): void {
    this.#parser = parser;
    // S3's fields are flat and ordered; multer would make nested objects of names with brackets.
    parser.removeAllListeners('field');
    parser.on('field', (name: string | undefined, value: string) => this.#field(name, value));
    // Multer passes over a part without a file name; to S3 the name of the field says what is the file.
    parser.on('file', (name: string | undefined, stream: Readable, info: { filename?: string }) => {
      if (name === undefined) this.#refuse(malformed());
      else if (!info.filename) void this.#part(name, info.filename, stream);
    });
    parser.on('finish', () => {
      if (this.#isFileSeen) this.#formEnd.resolve();
      else this.#refuse(notOneFile(0));
    });
    parser.on('error', (error: unknown) => this.#refuse(malformed(error)));
    void this.#feed(parser);
  }

  /** Never rejects. */
  async #feed(parser: Writable): Promise<void> {
    const pieces = this.body[Symbol.asyncIterator]();
    const over = new Promise<undefined>((resolve) => {
      onAbort(this.#over.signal, () => resolve(undefined));
    });
    let fedBytes = 0;
    let restBytes = 0;
    try {
      for (;;) {
        const next = await Promise.race([pieces.next(), over]);
        if (next === undefined) break;
        if (next.done === true) {
          parser.end();
          break;
        }
        // The parser hands on parts of it, which may be read after the next piece is asked for.
        let rest: Uint8Array = Buffer.from(next.value);
        if (this.#isFileRead) restBytes += rest.length;
        if (restBytes > REST_BYTES_MAX) throw malformed();
        while (rest.length > 0) {
          // The file must have begun within the first so many bytes, so the pieces are cut there.
          const cut = this.#isFileSeen ? rest.length : Math.min(rest.length, FIELDS_BYTES_MAX - fedBytes);
          if (cut === 0) throw fieldsTooLong();
          fedBytes += cut;
          await this.#write(parser, rest.subarray(0, cut));
          if (this.#over.signal.aborted) return;
          rest = rest.subarray(cut);
        }
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      // Not awaited: a read that is under way ends only with the next bytes.
      void pieces.return?.()?.catch(() => {});
    }
  }

  /** Resolves when the parser wants more, or is not asked any more. */
  #write(parser: Writable, piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const release = onAbort(this.#over.signal, () => resolve());
      parser.write(piece, () => {
        release();
        resolve();
      });
    });
  }

  #field(name: string | undefined, value: string): void {
    if (name === undefined) this.#refuse(malformed());
    else if (this.#isFileSeen) return;
    else if (name.toLowerCase() === 'file') {
      // A text area as the file. The parser has decoded it, so bytes that are not UTF-8 are lost already.
      if (value.includes('\ufffd')) this.#refuse(malformed());
      else void this.#file(undefined, Readable.from([Buffer.from(value, 'utf8')]));
    } else this.#entries.push([name, value]);
  }

  /** One part that came as a stream. Never rejects. */
  async #part(name: string, filename: string | undefined, stream: Readable): Promise<void> {
    if (name.toLowerCase() === 'file') {
      if (this.#isFileSeen) this.#refuse(notOneFile(2));
      else await this.#file(filename, stream);
      return;
    }
    if (this.#isFileSeen) {
      stream.resume();
      return;
    }
    // Some libraries give every field a file name.
    const value = textOf(stream);
    this.#entries.push([name, value]);
    await value.catch((error: unknown) => this.#refuse(malformed(error)));
  }

  async #file(filename: string | undefined, stream: Readable): Promise<void> {
    this.#isFileSeen = true;
    // From here on the parser skips fields without keeping them.
    this.#parser?.removeAllListeners('field');
    try {
      const entries = await Promise.all(
        this.#entries.map(async ([name, value]) => [name, await value] as const),
      );
      // What is asked for first is the signature.
      clearTimeout(this.#timer);
      this.#outcome.resolve(await this.take(new FormFields(entries, filename), this.#bytes(stream)));
    } catch (error) {
      this.#refuse(error);
    }
  }

  async *#bytes(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of stream) yield piece as Buffer;
    this.#isFileRead = true;
    this.#hurry();
    await this.#formEnd.promise;
    // Nothing is missing any more: how long the store takes, and Gitee behind it, is not the client's doing.
    clearTimeout(this.#timer);
  }

  #hurry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refuse(new S3Error('RequestTimeout')), this.fieldsWithinMs);
  }

  /** The first reason counts. */
  #refuse(error: unknown): void {
    const reason = error instanceof Error ? error : new Error('the form was refused', { cause: error });
    this.#outcome.reject(reason);
    this.#formEnd.reject(reason);
    this.#over.abort();
    this.#parser?.destroy();
  }
}

/** A promise settled from outside, once; nobody has to look at it. */
class Outcome<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (reason: Error) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}

/** The text of a small part. @throws S3Error MaxPostPreDataLengthExceeded */
async function textOf(stream: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of stream) {
    sizeBytes += (piece as Buffer).length;
    if (sizeBytes > FIELDS_BYTES_MAX) throw fieldsTooLong();
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString('utf8');
}

const malformed = (cause?: unknown): S3Error =>
  cause instanceof S3Error ? cause : new S3Error('MalformedPOSTRequest', undefined, { cause });

const notOneFile = (count: number): S3Error =>
  new S3Error('InvalidArgument', 'POST requires exactly one file upload per request.', {
    fields: { ArgumentName: 'file', ArgumentValue: String(count) },
  });
