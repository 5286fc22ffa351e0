/**
 * Writes answers. Invariant 3 (no reader gets a complete answer whose bytes do not hash to what the index
 * says) ends here: a body whose source fails, or gives fewer or more bytes than announced, breaks the
 * connection and never ends cleanly.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { cutStalledReader, endWhileSending, mustClose, type DrainLimits } from './connection.js';
import { errorDocument, type ErrorSubject, type RequestId } from './error-document.js';
import type { S3Error } from './errors.js';
import type { AnswerBytes, OperationAnswer } from './operation.js';

export interface AnswerContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: RequestId;
  readonly signal: AbortSignal;
  readonly drain: DrainLimits;
  /** A client that takes nothing of its answer for longer is cut off. */
  readonly answerIdleTimeoutMs: number;
  /** Called with the size of every piece of a streamed body. */
  onBytes(sizeBytes: number): void;
}

/** Rejects where the source of the body fails before its first byte: the error can then still be answered. */
export async function writeAnswer(answer: OperationAnswer, context: AnswerContext): Promise<void> {
  const { body } = answer;
  if (body === undefined || typeof body === 'string') {
    writeWhole(answer.status, answer.headers ?? {}, body ?? '', context);
    return;
  }
  if (body.bytes) {
    writeAtOnce(body.bytes, answer, body.lengthBytes, context);
    return;
  }
  const source = body.open();
  // Whoever waits below is told of its errors. But a client that goes away ends the waiting and the source in one
  // step, and the source's error comes a tick later, when nobody listens: that would end the process.
  source.on('error', () => {});
  try {
    // Also fires at the end of an empty body; rejects with the source's own error.
    if (!source.readableEnded) await once(source, 'readable', { signal: context.signal });
  } catch (error) {
    source.destroy();
    throw error;
  }
  const { res } = context;
  closeIfUnread(context);
  cutStalledReader(res, context.answerIdleTimeoutMs);
  res.writeHead(answer.status, answer.headers as Record<string, string>);
  // A failure from here on destroys the response and so its socket; pipeline sees to that.
  await pipeline(source, (bytes: AsyncIterable<Uint8Array>) => exactly(bytes, body, context), res);
}

/** What is at hand needs no stream, which costs more than a small body. @throws where it has another length */
function writeAtOnce(
  bytes: Uint8Array,
  { status, headers = {} }: OperationAnswer,
  lengthBytes: number,
  context: AnswerContext,
): void {
  if (bytes.length !== lengthBytes) throw wrongLength(bytes.length, lengthBytes);
  context.onBytes(bytes.length);
  writeWhole(status, headers, bytes, context);
}

function wrongLength(bytes: number, lengthBytes: number): Error {
  return new Error(`the body has ${bytes} bytes, ${lengthBytes} were announced`);
}

async function* exactly(
  bytes: AsyncIterable<Uint8Array>,
  { lengthBytes, giveBack }: AnswerBytes,
  context: AnswerContext,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { res } = context;
  let sentBytes = 0;
  let onTheirWay: Uint8Array[] = [];
  for await (const piece of bytes) {
    sentBytes += piece.length;
    if (sentBytes > lengthBytes) throw new Error(`the body has more than the ${lengthBytes} bytes announced`);
    context.onBytes(piece.length);
    yield piece;
    // pipeline() has written it, and waited for the drain where that is asked for. Of an answer that was broken off
    // nothing is given back: the system may still have it.
    if (!giveBack) continue;
    onTheirWay.push(piece);
    if (!hasAll(res)) continue;
    for (const sent of onTheirWay) giveBack(sent);
    onTheirWay = [];
  }
  if (sentBytes !== lengthBytes) throw wrongLength(sentBytes, lengthBytes);
}

/** Whether the system has taken every byte that was written so far, and is done with our buffers. */
function hasAll(res: ServerResponse): boolean {
  return !res.destroyed && res.socket?.destroyed === false && res.writableLength === 0;
}

/** The error as a document, or, where bytes are under way already, as a broken connection. */
export function writeError(error: S3Error, subject: ErrorSubject, context: AnswerContext): void {
  const { res, requestId } = context;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  // RFC 9110 §15.4.5: a 304 has no body; an answer to HEAD has none either, but says how long it would be.
  const body = error.status === 304 ? '' : errorDocument(error, requestId, subject);
  writeWhole(error.status, error.headers, body, context);
}

function writeWhole(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
  context: AnswerContext,
): void {
  const { req, res } = context;
  const all: Record<string, string> = { ...headers };
  if (body !== '') all['Content-Type'] ??= 'application/xml';
  // 204 and 304 carry no Content-Length (RFC 9110 §8.6); what an answer says of itself goes first (HEAD).
  if (status !== 204 && status !== 304) all['Content-Length'] ??= String(Buffer.byteLength(body));
  const closes = closeIfUnread(context);
  cutStalledReader(res, context.answerIdleTimeoutMs);
  res.writeHead(status, all);
  if (closes) {
    endWhileSending(req, res, body, context.drain);
    return;
  }
  // What is left of a small body is read and dropped, so that the connection can serve the next request.
  req.resume();
  if (body.length === 0 || req.method === 'HEAD') res.end();
  else res.end(body);
}

function closeIfUnread({ req, res, drain }: AnswerContext): boolean {
  const closes = mustClose(req, drain);
  if (closes) res.setHeader('Connection', 'close');
  return closes;
}
