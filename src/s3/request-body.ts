/**
 * The body of a request: read once, at the pace of its reader, never held whole (but for small documents).
 * `100 Continue` is sent when the first byte is asked for, so that a refused request costs no upload.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { freeBuffer } from '../async/free-buffer.js';
import type { ChecksumAlgorithm, RequestBody } from '../objects/api.js';
import { checkDocument } from '../objects/document-check.js';
import { announcedChecksum, checksumHeader, contentMd5, isChecksumValue } from './checksums.js';
import { isAwaitingContinue, markContinued } from './connection.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { decodeAwsChunked } from './sigv4/aws-chunked.js';
import type { PayloadMode } from './sigv4/payload-mode.js';
import type { Identity } from './sigv4/verify.js';

export interface BodySource {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly headers: RequestHeaders;
  readonly identity: Identity;
  /** False where the checksum headers are of an object, and not of this body. */
  readonly hasOwnChecksum: boolean;
  /** A body that stands still for longer is given up with RequestTimeout. */
  readonly idleTimeoutMs: number;
  /** Called with the size of every piece as it comes from the socket. */
  onBytes(sizeBytes: number): void;
}

/**
 * The decoded body with all that the client promised of it.
 * @throws S3Error MissingContentLength, InvalidDigest, InvalidRequest
 */
export function openBody(source: BodySource): RequestBody {
  const { headers, identity } = source;
  const { payload } = identity;
  const lengthBytes = decodedLength(headers, payload);
  const announced = source.hasOwnChecksum
    ? announcedChecksum(headers, payload.kind === 'chunked' && payload.hasTrailer)
    : undefined;
  const md5 = contentMd5(headers);
  let trailerValue: string | undefined;
  const raw = rawBytes(source);
  const bytes =
    payload.kind !== 'chunked'
      ? raw
      : decodeAwsChunked(raw, {
          ...(payload.isSigned ? { signed: { seed: identity.signature, context: identity.signing } } : {}),
          hasTrailer: payload.hasTrailer,
          ...(announced?.isInTrailer === true ? { announced: checksumHeader(announced.algorithm) } : {}),
          decodedLengthBytes: lengthBytes,
          onTrailer: (trailer) => {
            if (announced?.isInTrailer === true) trailerValue = trailerChecksum(announced.algorithm, trailer);
          },
        });
  return {
    bytes,
    promise: {
      lengthBytes,
      ...(md5 ? { md5 } : {}),
      ...(payload.kind === 'sha256' ? { sha256Hex: payload.sha256Hex } : {}),
      ...(announced
        ? { checksumAlgorithm: announced.algorithm, checksumValue: () => announced.value ?? trailerValue }
        : {}),
    },
  };
}

function trailerChecksum(algorithm: ChecksumAlgorithm, trailer: ReadonlyMap<string, string>): string {
  const name = checksumHeader(algorithm);
  const value = trailer.get(name);
  if (value === undefined || !isChecksumValue(algorithm, value))
    throw new S3Error('InvalidRequest', `Value for ${name} trailing header is invalid.`);
  return value;
}

function decodedLength(headers: RequestHeaders, payload: PayloadMode): number {
  const isChunked = payload.kind === 'chunked';
  const text = headers.get(isChunked ? 'x-amz-decoded-content-length' : 'content-length');
  // Proxies leave the zero of an empty body out; a hash of the body tells that it was meant so.
  if (text === undefined && !headers.has('transfer-encoding') && payload.kind === 'sha256') return 0;
  // A body without a length could not be told from one that broke off, nor from none.
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw new S3Error('MissingContentLength');
  return Number(text);
}

/** Bytes as they come from the socket. Ends without destroying it, so that an error can still be answered. */
async function* rawBytes(source: BodySource): AsyncGenerator<Uint8Array, void, undefined> {
  const { req, res } = source;
  if (isAwaitingContinue(req)) {
    markContinued(req);
    res.writeContinue();
  }
  const pieces = req.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  let stall: (error: Error) => void = () => {};
  const timer = setTimeout(() => stall(new S3Error('RequestTimeout')), source.idleTimeoutMs);
  try {
    for (;;) {
      timer.refresh();
      const next = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        stall = reject;
        pieces.next().then(resolve, reject);
      });
      if (next.done === true) return;
      source.onBytes(next.value.length);
      yield next.value;
      // Asked for more: whoever reads is done with this one.
      freeBuffer(next.value);
    }
  } catch (error) {
    if (error instanceof S3Error) throw error;
    // The socket broke: Node says "aborted", S3 says IncompleteBody. Nothing of the body is used.
    throw new S3Error('IncompleteBody', 'The request body terminated unexpectedly.', { cause: error });
  } finally {
    clearTimeout(timer);
    // Not awaited: after a stall the pending read ends only with the connection.
    void pieces.return?.()?.catch(() => {});
  }
}

/**
 * Reads a small document whole and checks it against everything that was promised.
 * @throws S3Error MalformedXML where it is longer than `maxBytes`; ObjectError where it is not what was promised.
 */
export async function readDocument(body: RequestBody, maxBytes: number): Promise<Buffer> {
  const tooLong = () => new S3Error('MalformedXML', `The document is longer than ${maxBytes} bytes.`);
  const { promise } = body;
  if ((promise.lengthBytes ?? 0) > maxBytes) throw tooLong();
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body.bytes) {
    sizeBytes += piece.length;
    if (sizeBytes > maxBytes) throw tooLong();
    pieces.push(Buffer.from(piece));
  }
  const document = Buffer.concat(pieces);
  checkDocument(document, promise);
  return document;
}
