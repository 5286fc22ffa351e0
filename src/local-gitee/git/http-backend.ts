import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gitEnvironment } from './git-process.js';
import type { Exchange } from '../exchange.js';

export interface BackendRequest {
  readonly projectRoot: string;
  /** `/owner/name.git/info/refs` and so on: the real place below the root, not the client's spelling. */
  readonly pathInfo: string;
  readonly remoteUser: string | undefined;
  readonly settings: readonly (readonly [string, string])[];
  readonly env: NodeJS.ProcessEnv;
  readonly bodyMaxBytes: number;
  /** Runs when git has ended and the client does not know it yet: what it counts is there when the client goes on. */
  readonly onEnded?: () => Promise<void>;
  /** The request is held up on its way for so long: its sender has lost the connection by then, and hears nothing. */
  readonly lateMs?: number;
  /** What becomes of the answer. */
  readonly answer:
    | { readonly kind: 'send' }
    /** Git does its work, the client never hears of it. */
    | { readonly kind: 'drop' }
    /** Cut after so many bytes of the body. */
    | { readonly kind: 'cut'; readonly afterBytes: number };
}

/**
 * Runs `git http-backend` for one request, as a web server runs a CGI program (RFC 3875): the request
 * streams in, the answer streams out, nothing is kept. gzip bodies are the backend's own affair
 * (HTTP_CONTENT_ENCODING). Resolves when the backend has ended.
 */
export async function runBackend(exchange: Exchange, options: BackendRequest): Promise<void> {
  const { request, response } = exchange;
  const held = options.lateMs === undefined ? undefined : await heldUp(exchange, options, options.lateMs);
  const child = spawn('git', ['http-backend'], {
    env: { ...gitEnvironment(options.settings), ...cgiVariables(exchange, options), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.on('error', () => exchange.text(500, 'git http-backend does not start'));
  child.stderr.resume();
  // The backend may end before it has read everything: it then has its reason, and says it in the answer.
  child.stdin.on('error', () => request.resume());
  let receivedBytes = 0;
  if (held) child.stdin.end(held);
  request.on('data', (data: Buffer) => {
    receivedBytes += data.length;
    if (receivedBytes <= options.bodyMaxBytes) return;
    exchange.text(413, '413 Request Entity Too Large');
    child.kill();
  });
  if (!held) request.pipe(child.stdin);
  response.once('close', () => {
    // A request that is whole is worked on to its end though the client has gone, as on a real server. An
    // incomplete one must not look like a complete one that is short.
    if (!request.complete || exchange.url.pathname.endsWith('/git-upload-pack')) child.kill();
  });
  await relay(child.stdout, exchange, options);
  await ended;
  await options.onEnded?.();
  if (options.answer.kind !== 'send') exchange.cut();
  else if (!response.headersSent) exchange.text(500, 'git http-backend gave no answer');
  else response.end();
}

/** The whole request, as it is on its way while whoever sent it has lost the connection. */
async function heldUp(exchange: Exchange, { bodyMaxBytes }: BackendRequest, lateMs: number): Promise<Buffer> {
  const body = await exchange.body(bodyMaxBytes);
  exchange.cut();
  // Nobody waits for it at the end of the process.
  await sleep(lateMs, undefined, { ref: false });
  return body;
}

function cgiVariables(exchange: Exchange, options: BackendRequest): NodeJS.ProcessEnv {
  const { request } = exchange;
  const optional = (name: string, value: string | undefined) =>
    value === undefined ? {} : { [name]: value };
  return {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_PROTOCOL: `HTTP/${request.httpVersion}`,
    REQUEST_METHOD: exchange.method,
    GIT_PROJECT_ROOT: options.projectRoot,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: options.pathInfo,
    QUERY_STRING: exchange.url.search.slice(1),
    REMOTE_ADDR: request.socket.remoteAddress ?? '127.0.0.1',
    ...optional('REMOTE_USER', options.remoteUser),
    ...optional('CONTENT_TYPE', exchange.header('content-type')),
    ...optional('CONTENT_LENGTH', exchange.header('content-length')),
    ...optional('HTTP_CONTENT_ENCODING', exchange.header('content-encoding')),
    ...optional('GIT_PROTOCOL', exchange.header('git-protocol')),
  };
}

/** Reads the CGI header, then passes the body on with the client's own pace. */
async function relay(stdout: Readable, exchange: Exchange, options: BackendRequest): Promise<void> {
  const { response } = exchange;
  const { answer } = options;
  let head: Buffer | undefined = Buffer.alloc(0);
  let sentBytes = 0;
  try {
    for await (const part of stdout as AsyncIterable<Buffer>) {
      let body = part;
      if (head) {
        head = Buffer.concat([head, part]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) continue;
        if (answer.kind !== 'drop' && !response.headersSent)
          writeHead(exchange, head.toString('latin1', 0, end));
        body = head.subarray(end + 4);
        head = undefined;
      }
      if (answer.kind === 'drop' || response.destroyed || response.writableEnded) continue;
      if (answer.kind === 'cut') {
        body = body.subarray(0, Math.max(0, answer.afterBytes - sentBytes));
        sentBytes += body.length;
      }
      if (body.length > 0 && !response.write(body)) await drained(exchange);
      if (answer.kind === 'cut' && sentBytes >= answer.afterBytes) {
        await flushed(exchange);
        exchange.cut();
      }
    }
  } catch {
    // The backend was killed under our hands; whoever did that has seen to the client.
  }
}

function writeHead(exchange: Exchange, head: string): void {
  let status = 200;
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    if (name.toLowerCase() === 'status') status = parseInt(value, 10);
    else exchange.response.setHeader(name, value);
  }
  exchange.response.writeHead(status);
}

function drained(exchange: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      exchange.response.off('drain', done);
      exchange.response.off('close', done);
      resolve();
    };
    exchange.response.on('drain', done);
    exchange.response.on('close', done);
  });
}

function flushed(exchange: Exchange): Promise<void> {
  return new Promise((resolve) => {
    if (exchange.response.destroyed) return resolve();
    exchange.response.write('', () => resolve());
  });
}
