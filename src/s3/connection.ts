/**
 * What happens on the socket around a request: `Expect: 100-continue`, answers to what Node refuses to parse,
 * and getting an error to a client that is still sending.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { S3Error, type S3ErrorCode } from './errors.js';
import { errorDocument, newRequestId, NO_SUBJECT } from './error-document.js';

const AWAITING = Symbol('awaiting 100 Continue');
interface Awaiting {
  [AWAITING]?: boolean;
}

/** True while the client waits for `100 Continue` before it sends its body. */
export function isAwaitingContinue(req: IncomingMessage): boolean {
  return (req as Awaiting)[AWAITING] === true;
}

/** To be called when `100 Continue` is sent. */
export function markContinued(req: IncomingMessage): void {
  (req as Awaiting)[AWAITING] = false;
}

/**
 * Sends `100 Continue` only when an operation begins to read: a request that its headers condemn is refused
 * before its body is sent. Without this Node says 100 to everybody.
 */
function attachExpectHandler(server: Server): void {
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
    (req as Awaiting)[AWAITING] = true;
    server.emit('request', req, res);
  });
  // RFC 9110 §10.1.1: a server may pass over an expectation that it does not know. Node would say 417 without a
  // document, before it is known whether the request is signed.
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => {
    server.emit('request', req, res);
  });
}

/** How long a refused connection is read to its end, so that the answer is not lost to a TCP reset. */
const REFUSED_LINGER_MS = 2000;

/** Answers what Node's parser refuses (headers too large, garbage, a time-out) with an S3 document. */
function attachClientErrorHandler(server: Server): void {
  const answered = new WeakSet<Duplex>();
  const busy = new WeakSet<Duplex>();
  server.prependListener('request', (req: IncomingMessage, res: ServerResponse) => {
    busy.add(req.socket);
    res.once('close', () => busy.delete(req.socket));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (answered.has(socket)) return;
    answered.add(socket);
    // In the middle of a request (its client hung up, or its body is garbage) there is an answer under way
    // already, and a second one would be read as part of it. HPE_INVALID_EOF_STATE is a hang-up.
    if (
      !socket.writable ||
      busy.has(socket) ||
      error.code === 'ECONNRESET' ||
      error.code === 'HPE_INVALID_EOF_STATE'
    ) {
      socket.destroy();
      return;
    }
    const s3Error = new S3Error(codeOf(error));
    const requestId = newRequestId();
    const body = errorDocument(s3Error, requestId, NO_SUBJECT);
    // The parser still feeds on the socket; what it says of the rest is not answered again (see `answered`).
    socket.on('error', () => socket.destroy());
    socket.write(
      `HTTP/1.1 ${s3Error.status} Bad Request\r\nContent-Type: application/xml\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
        `x-amz-request-id: ${requestId.id}\r\nx-amz-id-2: ${requestId.hostId}\r\nConnection: close\r\n\r\n${body}`,
    );
    const timer = setTimeout(() => socket.destroy(), REFUSED_LINGER_MS);
    socket.once('end', () => socket.end());
    socket.once('close', () => clearTimeout(timer));
    socket.resume();
  });
}

function codeOf(error: NodeJS.ErrnoException): S3ErrorCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'RequestHeaderSectionTooLarge';
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'RequestTimeout';
  return 'BadRequest';
}

/**
 * Sets an http.Server up for S3 traffic: both handlers, and times that fit. A whole request may take as long
 * as it moves (the body has its own idle time-out), and an idle connection outlives the 90 s for which Go's
 * transport keeps it, so that the driver never writes into a connection that is just being closed.
 */
export function prepareS3Server(server: Server): void {
  attachExpectHandler(server);
  attachClientErrorHandler(server);
  server.requestTimeout = 0;
  server.headersTimeout = 60_000;
  server.keepAliveTimeout = 120_000;
}

/**
 * Cuts the connection where its client takes no byte of the answer for so long; until then it would hold what is
 * read ahead and the chunks that are open. To be called before the answer is begun; Node ends it with the answer.
 */
export function cutStalledReader(res: ServerResponse, idleTimeoutMs: number): void {
  res.setTimeout(idleTimeoutMs, () => {
    const { socket } = res;
    // Nothing waits for the client: it is Gitee that is slow, and that has its own limits.
    if (socket && socket.writableLength === 0 && res.writableLength === 0) socket.setTimeout(idleTimeoutMs);
    else res.destroy();
  });
}

export interface DrainLimits {
  /** A rest of this size is read and the connection kept. */
  readonly keepAliveBytes: number;
  /** More than this is not read: the connection is closed on a client that goes on sending. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** True where the body was not read and the connection cannot go on after the answer. */
export function mustClose(req: IncomingMessage, limits: DrainLimits): boolean {
  if (isAwaitingContinue(req)) return true;
  if (req.complete) return false;
  const length = req.headers['content-length'];
  if (length === undefined) return req.headers['transfer-encoding'] !== undefined;
  return Number(length) > limits.keepAliveBytes;
}

/**
 * Ends an answer to a client that may still be sending. The answer is written whole (it has a Content-Length)
 * and the socket is closed only after the rest of the body is read, or the limits are reached: closing with
 * unread bytes makes the kernel send a reset, which takes the answer away from the client.
 */
export function endWhileSending(
  req: IncomingMessage,
  res: ServerResponse,
  body: string | Uint8Array,
  limits: DrainLimits,
): void {
  const written = req.method === 'HEAD' ? '' : body;
  // Who still waits for 100 Continue sends nothing once this answer is there: no reset, and no need to linger.
  if (isAwaitingContinue(req) && req.readableLength === 0) {
    res.end(written);
    return;
  }
  if (written.length > 0) res.write(written);
  else res.flushHeaders();
  let drainedBytes = 0;
  const finish = () => {
    clearTimeout(timer);
    if (!res.writableEnded) res.end();
  };
  const timer = setTimeout(finish, limits.timeoutMs);
  req.on('data', (piece: Buffer) => {
    drainedBytes += piece.length;
    if (drainedBytes > limits.maxBytes) finish();
  });
  req.once('end', finish);
  req.once('close', finish);
  req.resume();
}
