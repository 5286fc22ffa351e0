/**
 * One request to a git server over HTTP, over the gateway's own kept-alive connections. The login goes with the first
 * one, so a server that wants one need not say so first.
 */
import { createGunzip, createInflate } from 'node:zlib';
import { NotGitError } from '../../git-wire/pkt-line.js';
import { RemoteError } from '../errors.js';
import { discard, readErrorText, type HttpAnswer } from '../http/answer.js';
import type { HttpRequest } from '../http/client.js';
import { serverWords, statusFailure } from '../http/status-failure.js';
import type { CallTimeouts } from '../http/watch.js';
import { basicHeader, withoutToken } from '../token.js';
import type { GitBranchSettings } from './settings.js';
import { classifyFailure, type FailureContext } from './stderr.js';

/** What git servers are told. */
export const AGENT = 'gitee-s3';
/** Some hosts let only what calls itself git in. */
const USER_AGENT = `git/2.39.5 (${AGENT})`;

/** How undici and Node call a connection that ended without an answer, as a kept one does that the server has closed. */
const ENDED = /^(UND_ERR_SOCKET|ECONNRESET|EPIPE)$/;

export interface WireCall {
  readonly what: string;
  readonly method: 'GET' | 'POST';
  /** Below the repository's address. */
  readonly path: string;
  /** Opened once for each time that it is sent. */
  readonly body?: () => NonNullable<HttpRequest['body']>;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: CallTimeouts;
  readonly signal: AbortSignal | undefined;
}

export class WireCalls {
  constructor(
    private readonly settings: GitBranchSettings,
    readonly context: FailureContext,
  ) {}

  /**
   * Changes nothing on the server: sent once more where the connection ended before an answer. It was kept, and its
   * server may have closed it at that moment, which would say nothing about the branch.
   * @param call made anew for each time: there is less time left then
   */
  async read(call: () => WireCall): Promise<HttpAnswer> {
    try {
      return await this.send(call());
    } catch (e) {
      const cause = e instanceof RemoteError ? (e.cause as { code?: unknown } | undefined)?.code : undefined;
      if (typeof cause !== 'string' || !ENDED.test(cause)) throw e;
      return await this.send(call());
    }
  }

  /** Never sends twice, but for a login that was refused and a newer secret. */
  async send(call: WireCall): Promise<HttpAnswer> {
    const first = await this.#sendOnce(call);
    if (first.status !== 401) return first;
    const { token, log } = this.settings;
    if (!(await token.reload())) return first;
    discard(first);
    log.info('git: the login was refused, trying the newer token', { path: call.path });
    return this.#sendOnce(call);
  }

  #sendOnce(call: WireCall): Promise<HttpAnswer> {
    const { http, token, url } = this.settings;
    const secret = token.current();
    const body = call.body?.();
    return http.send({
      what: call.what,
      method: call.method,
      url: `${url}/${call.path}`,
      headers: {
        ...call.headers,
        'user-agent': USER_AGENT,
        'accept-encoding': 'identity',
        ...(secret === '' ? {} : { authorization: basicHeader(this.#user, secret) }),
      },
      ...(body === undefined ? {} : { body }),
      timeouts: call.timeouts,
      // A redirect to another host must not get the token, and a POST is not sent elsewhere.
      redirects: 'stay',
      signal: call.signal,
    });
  }

  /** A status in the words that git has for it, with the server's before them. */
  async refusal(answer: HttpAnswer, what: string): Promise<RemoteError> {
    const { status, headers } = answer;
    const body = this.masked(await readErrorText(answer));
    const lines = serverWords(body)
      .split('\n')
      .map((line) => `remote: ${line}`);
    const text = [...lines, `The requested URL returned error: ${status}`].join('\n');
    const plain = statusFailure(
      { status, headers, text: body },
      { what, nowMs: this.settings.clock.nowMs(), token: this.settings.token.current(), user: this.#user },
    );
    const known = classifyFailure(text, this.context);
    if (!known) return plain;
    const { detail } = known;
    return new RemoteError(known.code, known.message, { detail, status, retryAfterMs: plain.retryAfterMs });
  }

  /** The body of a 200 of this type; a proxy on the way may have packed it though it was asked not to. */
  body(answer: HttpAnswer, type: string, what: string): AsyncGenerator<Buffer> {
    const got = answer.headers['content-type'] ?? 'none';
    if (got.split(';')[0]!.trim().toLowerCase() === type) return inflated(answer);
    discard(answer);
    throw this.notGit(`${what} was answered with invalid content-type ${got.slice(0, 80)}`);
  }

  /** 200, and yet no git: a login page, a proxy. */
  notGit(detail: string): RemoteError {
    return (
      classifyFailure(`invalid server response\n${detail}`, this.context) ??
      new RemoteError('server-fault', 'something that is not git answered', { detail })
    );
  }

  masked(text: string): string {
    return withoutToken(text, this.settings.token.current(), this.#user);
  }

  get #user(): string {
    return this.settings.user ?? 'oauth2';
  }
}

async function* inflated(answer: HttpAnswer): AsyncGenerator<Buffer> {
  const { body } = answer;
  const encoding = answer.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding === 'identity') {
    yield* body as AsyncIterable<Buffer>;
    return;
  }
  const unpacked = encoding === 'deflate' ? createInflate() : createGunzip();
  body.on('error', (e) => unpacked.destroy(e)).pipe(unpacked);
  try {
    yield* unpacked as AsyncIterable<Buffer>;
  } catch (e) {
    if (e instanceof RemoteError || !(e as { code?: unknown }).code?.toString().startsWith('Z_')) throw e;
    throw new NotGitError(`its body is no ${encoding}: ${(e as Error).message}`);
  } finally {
    discard(answer);
  }
}
