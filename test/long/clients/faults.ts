import type { IncomingMessage, ServerResponse } from 'node:http';
import type * as http2 from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientImage } from './images.js';

/**
 * Where a fault meets a client. `layer` is the request that carries a blob's bytes: a PATCH, and containerd's PUT;
 * `finish` the PUT that ends an upload.
 */
export const PLACES = ['start', 'layer', 'finish', 'tag', 'manifest', 'blob'] as const;
export type Place = (typeof PLACES)[number];

export type Fault =
  /** The request is taken whole and not answered. */
  | { readonly kind: 'hold' }
  /** No byte of the body is read, or sent after the first half. */
  | { readonly kind: 'still' }
  /** So many bytes a second. */
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** The connection is reset, in the middle of the body where there is one. */
  | { readonly kind: 'reset' };

export interface Plan {
  readonly place: Place;
  readonly fault: Fault;
  /** After so many seconds of hold, still or trickle the request is served as if nothing had been. */
  readonly limitSeconds: number;
  /** What is there to pull. */
  readonly image?: ClientImage;
  /** The fault meets so many requests, then no more. */
  readonly times?: number;
}

/** One request at the place of the plan. */
export interface Attempt {
  readonly beganMs: number;
  readonly protocol: string;
  readonly digest: string | undefined;
  endedMs?: number;
  bodyBytes: number;
  /** Of a manifest that was held. */
  body?: Buffer;
  /** Who ended it. */
  outcome?: 'answered' | 'client closed' | 'limit';
}

export const MESSAGE = 'stored here, not yet on Gitee: try again in a moment';

export type Request = IncomingMessage | http2.Http2ServerRequest;
export type Answer = ServerResponse | http2.Http2ServerResponse;

/** @returns whether nothing is left to be answered */
export async function meet(
  { fault, limitSeconds, place }: Plan,
  request: Request,
  answer: Answer,
  attempt: Attempt,
  finished: (outcome: 'limit') => void,
  blob: Buffer | undefined,
): Promise<boolean> {
  const gone = new AbortController();
  answer.once('close', () => gone.abort());
  const limitMs = limitSeconds * 1000;
  const isDownload = request.method === 'GET';
  if (isDownload && blob && fault.kind !== 'hold' && fault.kind !== 'status') {
    answer.setHeader('Content-Length', blob.length);
    answer.setHeader('Content-Type', 'application/octet-stream');
    answer.writeHead(200);
    const half = blob.length >> 1;
    (answer as ServerResponse).write(blob.subarray(0, half));
    if (fault.kind === 'reset') {
      await delay(500);
      reset(request);
      return true;
    }
    await pause(limitMs, gone.signal);
    if (gone.signal.aborted) return true;
    finished('limit');
    answer.end(blob.subarray(half));
    return true;
  }
  switch (fault.kind) {
    case 'status': {
      if (!isDownload)
        for await (const chunk of request as AsyncIterable<Buffer>) attempt.bodyBytes += chunk.length;
      if (fault.retryAfterSeconds !== undefined) answer.setHeader('Retry-After', fault.retryAfterSeconds);
      const code =
        fault.status === 429 ? 'TOOMANYREQUESTS' : fault.status === 503 ? 'UNAVAILABLE' : 'UNKNOWN';
      refuse(answer, fault.status, code, MESSAGE);
      return true;
    }
    case 'reset':
      if (!hasBody(request)) reset(request);
      else
        request.on('data', (chunk: Buffer) => {
          attempt.bodyBytes += chunk.length;
          if (attempt.bodyBytes >= Math.min(256 * 1024, (contentLength(request) ?? Infinity) / 2))
            reset(request);
        });
      return true;
    case 'hold': {
      const kept: Buffer[] = [];
      if (!isDownload)
        for await (const chunk of request as AsyncIterable<Buffer>) {
          attempt.bodyBytes += chunk.length;
          if (place === 'tag') kept.push(chunk);
        }
      attempt.body = Buffer.concat(kept);
      await pause(limitMs, gone.signal);
      break;
    }
    case 'still':
      await pause(limitMs, gone.signal);
      break;
    case 'trickle': {
      const until = performance.now() + limitMs;
      const body = (request as IncomingMessage)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      while (performance.now() < until && !gone.signal.aborted) {
        const { done, value } = await body.next();
        if (done) break;
        attempt.bodyBytes += value.length;
        await pause((value.length / fault.bytesPerSecond) * 1000, gone.signal);
      }
      for (let next = await body.next(); !next.done; next = await body.next())
        attempt.bodyBytes += next.value.length;
    }
  }
  if (gone.signal.aborted) return true;
  finished('limit');
  return false;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}

/** A TCP reset; to a client of HTTP/2 the whole connection, as when a server is killed. */
function reset(request: Request): void {
  const session = (request as Partial<http2.Http2ServerRequest>).stream?.session;
  if (session) session.destroy();
  else request.socket.destroy();
}

function contentLength({ headers }: Request): number | undefined {
  return headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
}

export function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

export function refuse(answer: Answer, status: number, code: string, message: string): void {
  answer.setHeader('Content-Type', 'application/json');
  answer.statusCode = status;
  answer.end(JSON.stringify({ errors: [{ code, message }] }));
}

export function end(answer: Answer, status: number): void {
  answer.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  answer.statusCode = status;
  answer.end();
}
