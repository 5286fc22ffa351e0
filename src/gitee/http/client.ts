/**
 * One way out to Gitee for API, LFS and probes. Keeps invariant 6 (each call has an idle and a total deadline)
 * and its share of invariant 7: a redirect to another origin loses every credential, and nothing is sent to
 * anything but http(s), nor in clear where the first request was encrypted.
 */
import type { Dispatcher } from 'undici';
import { RemoteError } from '../errors.js';
import { AnswerBody, type HttpAnswer } from './answer.js';
import type { BodySource } from '../remote.js';
import { endBody, type BodyMeter } from './body-meter.js';
import { Watch, type CallTimeouts } from './watch.js';

/** Deadlines of calls whose bodies are small. */
export const API_TIMEOUTS: CallTimeouts = { idleMs: 15_000, totalMs: 30_000 };

const REDIRECTS_MAX = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const CREDENTIALS = ['authorization', 'cookie', 'private-token', 'proxy-authorization'];
/** RFC 9110 §7.6.1: they belong to one connection, which undici manages. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'expect'];
/** After the last byte was handed over, megabytes may still wait in the socket's buffer. */
const QUIET_AFTER_BODY = 2;

interface StreamBody {
  /**
   * Called once per hop; whoever sends again opens again. A piece of at least 128 KiB is done with when the next one is
   * asked for: the system has all its bytes. (undici asks when a connection has drained that had 64 KiB or more.)
   */
  readonly open: () => BodySource;
  readonly meter: BodyMeter;
  /** Without Content-Length, as some LFS servers ask for. */
  readonly chunked: boolean;
}

export interface HttpRequest {
  /** Names the call in errors, without secrets: "LFS batch of acme/images". */
  readonly what: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string | URL;
  /** Names in any case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | StreamBody;
  readonly timeouts?: CallTimeouts;
  /** Length that the answer's body must have if its status is 2xx, by that status. */
  readonly exactBytes?: (status: number) => number;
  /** `stay`: a redirect is the answer. For bodies with a secret in them, which would go along. */
  readonly redirects?: 'follow' | 'stay';
  readonly signal?: AbortSignal | undefined;
}

export interface HttpClientOptions {
  readonly dispatcher: Dispatcher;
  /** Gitee's own clients always send one; what it does with those that don't is not known. */
  readonly userAgent: string;
  /** For calls that bring none of their own. */
  readonly timeouts?: CallTimeouts;
}

export class HttpClient {
  constructor(private readonly options: HttpClientOptions) {}

  /**
   * Sends one request, redirects included; no retries. Resolves with any status that the server gave.
   * @throws RemoteError `unreachable`, `timeout`, `server-fault`, `refused`; the signal's reason where it fired;
   * the error of `open()`'s stream where that broke
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const timeouts = request.timeouts ?? this.options.timeouts ?? API_TIMEOUTS;
    const watch = new Watch(request.what, timeouts, request.signal);
    try {
      return await this.#follow(request, watch);
    } catch (error) {
      watch.dispose();
      const sourceError = isStreamBody(request.body) ? request.body.meter.sourceError : undefined;
      throw sourceError ?? watch.failure(error);
    }
  }

  /** Closes idle connections, and the others when their calls have ended. */
  async close(): Promise<void> {
    await this.options.dispatcher.close();
  }

  async #follow(request: HttpRequest, watch: Watch): Promise<HttpAnswer> {
    let url = httpUrl(request.url, request.what);
    let { method, body } = request;
    let headers = ownHeaders(request.headers ?? {}, this.options.userAgent);
    for (let hops = 0; ; hops += 1) {
      const { answer, endSource } = await this.#once(method, url, headers, body, watch);
      const answered = joined(answer.headers);
      const location = answered['location'];
      if (!REDIRECTS.has(answer.statusCode) || location === undefined || request.redirects === 'stay') {
        const ok = answer.statusCode >= 200 && answer.statusCode < 300;
        const exactBytes = ok && method !== 'HEAD' ? request.exactBytes?.(answer.statusCode) : undefined;
        const answerBody = new AnswerBody(answer.body, watch, {
          exactBytes,
          what: request.what,
          onClose: endSource,
        });
        return { status: answer.statusCode, headers: answered, body: answerBody, url };
      }
      answer.body.on('error', ignore).destroy();
      endSource();
      if (hops === REDIRECTS_MAX)
        throw new RemoteError('server-fault', `${request.what} was redirected more than ${hops} times`);
      const next = redirectTarget(url, location, request.what);
      if (next.origin !== url.origin)
        headers = Object.fromEntries(Object.entries(headers).filter(([name]) => !CREDENTIALS.includes(name)));
      // Other methods stay what they are, also after 301 and 302, as git-lfs does it.
      if (answer.statusCode === 303 && method !== 'HEAD') {
        method = 'GET';
        body = undefined;
      }
      url = next;
    }
  }

  async #once(
    method: HttpRequest['method'],
    url: URL,
    ownHeaders: Readonly<Record<string, string>>,
    body: HttpRequest['body'],
    watch: Watch,
  ): Promise<{ answer: Dispatcher.ResponseData; endSource: () => void }> {
    if (isStreamBody(body)) watch.touch();
    else watch.awaitAnswer();
    const headers = { ...ownHeaders };
    let source: BodySource | undefined;
    let payload: Uint8Array | string | AsyncGenerator<Uint8Array> | null = null;
    if (isStreamBody(body)) {
      source = opened(body);
      payload = body.meter.through(source, {
        onPiece: () => watch.touch(),
        onEnd: () => watch.touch(QUIET_AFTER_BODY),
        onHold: () => watch.hold(),
        onRelease: () => watch.release(),
      });
      if (body.chunked) delete headers['content-length'];
      else headers['content-length'] = String(body.meter.sizeBytes);
    } else payload = body ?? null;
    // An answer may come before the body's end: nobody reads the rest of it then.
    const endSource = () => source && endBody(source);
    try {
      const answer = await this.options.dispatcher.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers,
        // undici's types lack what its documents have: any iterable.
        body: payload as Uint8Array | string | null,
        signal: watch.signal,
      });
      return { answer, endSource };
    } catch (error) {
      endSource();
      throw error;
    }
  }
}

// A stream that is already given up may still report its end as an error; nobody is interested.
const ignore = () => {};

function isStreamBody(body: HttpRequest['body']): body is StreamBody {
  return typeof body === 'object' && 'meter' in body;
}

/** A body that cannot be opened is no fault of the line either. */
function opened({ open, meter }: StreamBody): BodySource {
  try {
    return open();
  } catch (error) {
    meter.sourceError = error as Error;
    throw error;
  }
}

/** @throws RemoteError `refused` for anything but http and https, and for a user name in the URL */
function httpUrl(text: string | URL, what: string): URL {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new RemoteError('refused', `${what}: the server named an address that is not plain http(s)`);
  return url;
}

function redirectTarget(from: URL, location: string, what: string): URL {
  if (!URL.canParse(location, from.href))
    throw new RemoteError('server-fault', `${what} was redirected to an address that cannot be read`);
  const to = httpUrl(new URL(location, from), what);
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw new RemoteError('refused', `${what} was redirected from https to http on ${to.host}`);
  return to;
}

function ownHeaders(given: Readonly<Record<string, string>>, userAgent: string): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': userAgent };
  for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = value;
  for (const name of [...HOP_BY_HOP, 'transfer-encoding']) delete headers[name];
  return headers;
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) out[name] = Array.isArray(value) ? value.join(', ') : value;
  return out;
}
