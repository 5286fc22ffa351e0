/**
 * Decodes Content-Encoding aws-chunked. AWS: "Signature Calculations for the Authorization Header:
 * Transferring Payload in Multiple Chunks" and "… Including Trailing Headers".
 *
 *   <hex size>[;chunk-signature=<64 hex>]\r\n<bytes>\r\n … 0[;chunk-signature=…]\r\n [trailer lines] \r\n
 *
 * Of trailers AWS takes more than it describes, and so does this: a line that ends with LF CRLF (minio-go, and so mc
 * and MinIO's tiers), a trailer without its last empty line (aws-sdk-java, and the tests that OpenStack Swift runs
 * against AWS), and bytes after that line.
 *
 * Bytes are handed on as they come, before their chunk's signature is known; the iteration rejects before it
 * ends if a signature, a length or the form is wrong, so a caller must use nothing before the end.
 */
import { createHash, type Hash } from 'node:crypto';
import { S3Error } from '../errors.js';
import { chunkSignature, sameSignature, trailerSignature, type SigningContext } from './signing.js';

export interface ChunkedRules {
  /** Seed signature and key; absent for STREAMING-UNSIGNED-PAYLOAD-TRAILER. */
  readonly signed?: { readonly seed: string; readonly context: SigningContext };
  readonly hasTrailer: boolean;
  /** Name of the one trailer that x-amz-trailer announces, lower case. It must come, and no other may. */
  readonly announced?: string;
  /** x-amz-decoded-content-length */
  readonly decodedLengthBytes: number;
  /** Called once, before the iteration ends, with lower-case names. */
  onTrailer(trailer: ReadonlyMap<string, string>): void;
}

const LINE_MAX_BYTES = 8 * 1024;
/** What is read past after the last line. */
const REST_MAX_BYTES = 8 * 1024;
const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

/** @throws S3Error IncompleteBody (malformed, too), SignatureDoesNotMatch, MalformedTrailerError from the iteration. */
export async function* decodeAwsChunked(
  source: AsyncIterable<Uint8Array>,
  rules: ChunkedRules,
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = new ByteReader(source);
  try {
    yield* decode(input, rules);
  } finally {
    await input.close();
  }
}

async function* decode(input: ByteReader, rules: ChunkedRules): AsyncGenerator<Uint8Array, void, undefined> {
  let previous = rules.signed?.seed ?? '';
  let decodedBytes = 0;
  for (;;) {
    const header = parseChunkHeader(await input.line(), rules.signed !== undefined);
    decodedBytes += header.sizeBytes;
    if (decodedBytes > rules.decodedLengthBytes)
      throw new S3Error('IncompleteBody', 'The body is longer than x-amz-decoded-content-length.');
    const hash: Hash | undefined = rules.signed && createHash('sha256');
    let leftBytes = header.sizeBytes;
    while (leftBytes > 0) {
      const piece = await input.atMost(leftBytes);
      leftBytes -= piece.length;
      hash?.update(piece);
      yield piece;
    }
    if (rules.signed && hash) {
      const expected = chunkSignature(rules.signed.context, previous, hash.digest('hex'));
      if (!sameSignature(expected, header.signature))
        throw new S3Error('SignatureDoesNotMatch', 'The signature of a chunk does not match its bytes.');
      previous = expected;
    }
    if (header.sizeBytes === 0) break;
    if ((await input.line()) !== '') throw malformed('a chunk is longer than its header says');
  }
  if (decodedBytes !== rules.decodedLengthBytes)
    throw new S3Error('IncompleteBody', 'The body is shorter than x-amz-decoded-content-length.');
  const trailer = await readTrailer(input, rules, previous);
  await input.end(rules.hasTrailer ? REST_MAX_BYTES : 0);
  rules.onTrailer(trailer);
}

/** @throws S3Error MalformedTrailerError where it is not the one that was announced. */
async function readTrailer(
  input: ByteReader,
  rules: ChunkedRules,
  previous: string,
): Promise<ReadonlyMap<string, string>> {
  const { announced, hasTrailer, signed } = rules;
  const fields = new Map<string, string>();
  let signature: string | undefined;
  let canonical = '';
  for (;;) {
    const line = await input.trailerLine(fields.size > 0 || signature !== undefined);
    if (line === '') break;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    // What signs a trailer that was not announced signs nothing.
    if (name === TRAILER_SIGNATURE && announced === undefined)
      throw malformed('the trailer is not announced');
    if (name === TRAILER_SIGNATURE && signature === undefined) {
      signature = value;
      continue;
    }
    const isWanted = hasTrailer && signature === undefined && name === announced && !fields.has(name);
    if (!isWanted || value.includes('\n')) throw new S3Error('MalformedTrailerError');
    fields.set(name, value);
    canonical += `${name}:${value}\n`;
  }
  if (announced !== undefined && fields.size === 0) throw new S3Error('MalformedTrailerError');
  if (signed && announced !== undefined) {
    const hash = createHash('sha256').update(canonical, 'latin1').digest('hex');
    const expected = trailerSignature(signed.context, previous, hash);
    if (signature === undefined || !sameSignature(expected, signature))
      throw new S3Error('SignatureDoesNotMatch', 'The signature of the trailer does not match.');
  }
  return fields;
}

function parseChunkHeader(line: string, isSigned: boolean): { sizeBytes: number; signature: string } {
  const m = /^([0-9a-fA-F]{1,12})(?:;([^\r\n]*))?$/.exec(line);
  if (!m) throw malformed('a chunk header is not valid');
  const sizeBytes = Number.parseInt(m[1]!, 16);
  const signature = /(?:^|;)chunk-signature=([0-9a-f]{64})(?:;|$)/.exec(m[2] ?? '')?.[1];
  if (isSigned && signature === undefined) throw malformed('a chunk has no chunk-signature');
  return { sizeBytes, signature: signature ?? '' };
}

/** AWS answers every fault of the form so. */
const malformed = (what: string): S3Error =>
  new S3Error('IncompleteBody', `The request body terminated unexpectedly: it is malformed, ${what}.`);

/** Reads lines and runs of bytes from pieces of any size, holding at most one piece and one line. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** At least one byte, at most `limitBytes`. */
  async atMost(limitBytes: number): Promise<Uint8Array> {
    if (!(await this.#fill())) throw cutShort();
    const run = this.#piece.subarray(0, limitBytes);
    this.#piece = this.#piece.subarray(run.length);
    return run;
  }

  /** A line without its CRLF. */
  async line(): Promise<string> {
    const line = await this.#untilCrlf(false);
    if (line.includes('\n')) throw malformed('a line does not end with CRLF');
    return line;
  }

  /** A line without its CRLF, or without its LF CRLF. `orEnd`: the end of input counts as an empty line. */
  async trailerLine(orEnd: boolean): Promise<string> {
    const line = await this.#untilCrlf(orEnd);
    return line.endsWith('\n') ? line.slice(0, -1) : line;
  }

  async #untilCrlf(orEnd: boolean): Promise<string> {
    let text = '';
    for (;;) {
      if (!(await this.#fill())) {
        if (orEnd && text === '') return '';
        throw cutShort();
      }
      const newline = this.#piece.indexOf(10);
      const end = newline < 0 ? this.#piece.length : newline + 1;
      text += Buffer.from(this.#piece.subarray(0, end)).toString('latin1');
      this.#piece = this.#piece.subarray(end);
      if (text.length > LINE_MAX_BYTES) throw malformed('a line is too long');
      if (text.endsWith('\r\n')) return text.slice(0, -2);
    }
  }

  /** Makes sure that no more than so many bytes follow. */
  async end(maxBytes: number): Promise<void> {
    for (let restBytes = 0; await this.#fill();) {
      restBytes += this.#piece.length;
      this.#piece = new Uint8Array(0);
      if (restBytes > maxBytes) throw malformed('bytes follow the last chunk');
    }
  }

  /** Lets go of the source, wherever it stands. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return false;
      this.#piece = next.value;
    }
    return true;
  }
}

const cutShort = (): S3Error => new S3Error('IncompleteBody', 'The request body terminated unexpectedly.');
