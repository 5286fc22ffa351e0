/**
 * The branch over the gateway's own kept-alive connections: one POST reads the head, one POST pushes, where the git
 * program opens a connection and asks `info/refs` before each. The login goes with the first request, so a server
 * that wants one need not say so first.
 */
import { createGunzip, createInflate } from 'node:zlib';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { CommitId } from '../../format/ids.js';
import {
  LsRefsAnswer,
  lsRefsRequest,
  UPLOAD_PACK_REQUEST,
  UPLOAD_PACK_RESULT,
} from '../../git-wire/ls-refs.js';
import { FLUSH, NotGitError, PacketParser } from '../../git-wire/pkt-line.js';
import {
  PushAnswer,
  RECEIVE_PACK_REQUEST,
  RECEIVE_PACK_RESULT,
  updateRequest,
  ZERO_ID,
} from '../../git-wire/receive-pack.js';
import { RemoteError } from '../errors.js';
import { discard, readErrorText, type HttpAnswer } from '../http/answer.js';
import { BodyMeter } from '../http/body-meter.js';
import type { HttpClient, HttpRequest } from '../http/client.js';
import { serverWords, statusFailure } from '../http/status-failure.js';
import type { CallTimeouts } from '../http/watch.js';
import { basicHeader, withoutToken } from '../token.js';
import type { StoredPack } from './commit-pack.js';
import type { PushLine } from './push-report.js';
import type { GitBranchSettings } from './settings.js';
import { classifyFailure, detailOf, type FailureContext } from './stderr.js';

const AGENT = 'gitee-s3';
/** Some hosts let only what calls itself git in. */
const USER_AGENT = `git/2.39.5 (${AGENT})`;
/** The slowest line that a large pack is given time for; below that the idle limit is there. */
const SLOWEST_BYTES_PER_SECOND = 8 << 10;

/**
 * Up to here a push goes out in one piece: a server that refuses without reading on has then all of it already, and
 * its refusal is not lost with the connection. A larger one asks first whether it is let in, as git does it.
 */
const ONE_PIECE_MAX_BYTES = 1 << 20;

/** What a push told; see PushAttempt. */
export interface WireAttempt {
  readonly line: PushLine | undefined;
  readonly mayHaveLanded: boolean;
  readonly error: RemoteError | undefined;
  /** The server lacks a tree that the pack builds on, or takes no pack that builds on anything. */
  readonly thinRefused: boolean;
}

interface Call {
  readonly what: string;
  readonly service: 'git-upload-pack' | 'git-receive-pack';
  readonly body: () => NonNullable<HttpRequest['body']>;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: CallTimeouts;
  readonly signal: AbortSignal | undefined;
}

export class GitWire {
  readonly #http: HttpClient;
  readonly #ref: string;
  /** owner/name, for errors. */
  readonly #name: string;

  constructor(
    private readonly settings: GitBranchSettings,
    private readonly context: FailureContext,
  ) {
    this.#http = settings.http;
    this.#ref = `refs/heads/${settings.branch}`;
    this.#name = new URL(settings.url).pathname.replace(/^\/|\.git$/g, '');
  }

  /**
   * The head on the server, null where the branch does not exist; undefined where the server does not speak
   * protocol v2 without being asked for its capabilities.
   * @throws RemoteError; the signal's reason.
   */
  async readHead(timeoutMs: number, signal: AbortSignal | undefined): Promise<CommitId | null | undefined> {
    const refs = await this.#readRefs(this.#ref, (ref) => ref === this.#ref, timeoutMs, signal);
    return refs && ((refs.get(this.#ref) as CommitId | undefined) ?? null);
  }

  /** True where a reference that begins with the prefix is at the commit. @throws as readHead */
  async hasRefAt(
    prefix: string,
    commit: CommitId,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const isAt = (ref: string, id: string) => id === commit && ref.startsWith(prefix);
    return ((await this.#readRefs(prefix, isAt, timeoutMs, signal))?.size ?? 0) > 0;
  }

  async #readRefs(
    prefix: string,
    isWanted: (ref: string, id: string) => boolean,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, string> | undefined> {
    const what = `reading the branch of ${this.#name}`;
    const request = lsRefsRequest(prefix, AGENT);
    const answer = await this.#send({
      ...{ what, signal, service: 'git-upload-pack', body: () => request },
      headers: {
        'content-type': UPLOAD_PACK_REQUEST,
        accept: UPLOAD_PACK_RESULT,
        'git-protocol': 'version=2',
      },
      timeouts: { idleMs: timeoutMs, totalMs: timeoutMs },
    });
    if (answer.status !== 200) throw await this.#refusal(answer, what);
    this.#expectType(answer, UPLOAD_PACK_RESULT, what);
    const refs = new LsRefsAnswer(new PacketParser(), isWanted);
    try {
      for await (const bytes of inflated(answer)) refs.push(bytes);
    } catch (e) {
      if (e instanceof NotGitError) return undefined;
      throw e;
    }
    if (refs.isWhole) return refs.refs;
    if (
      refs.error === undefined ||
      /unknown|invalid|protocol|capabilit|command|not our ref/i.test(refs.error)
    )
      return undefined;
    const text = `fatal: remote error: ${this.#masked(refs.error)}`;
    throw classifyFailure(text, this.context) ?? notGit(this.context, text);
  }

  /**
   * Sends a commit whose parent is `old`; the server compares `old` with what it has and moves the reference, or does
   * nothing. Never sends twice, but for a login that was refused and a newer secret.
   * @throws the signal's reason after an abort (it may have landed by then).
   */
  async push(
    old: CommitId | null,
    commit: CommitId,
    pack: StoredPack,
    o: { thin: boolean; idleMs: number; totalMs: number; signal: AbortSignal | undefined },
  ): Promise<WireAttempt> {
    const what = `pushing to ${this.#name}`;
    const lead = updateRequest({ ref: this.#ref, oldId: old ?? ZERO_ID, newId: commit }, AGENT);
    const wire = pack.wire(o.thin);
    const sizeBytes = lead.length + wire.sizeBytes;
    const meter = new BodyMeter(sizeBytes, 'the pack of a commit');
    const open = () => Readable.from(joined(lead, wire.open()), { objectMode: false });
    const call = {
      ...{ what, signal: o.signal, service: 'git-receive-pack' as const },
      headers: { 'content-type': RECEIVE_PACK_REQUEST, accept: RECEIVE_PACK_RESULT },
      timeouts: { idleMs: o.idleMs, totalMs: o.totalMs + (sizeBytes / SLOWEST_BYTES_PER_SECOND) * 1000 },
    };
    const report = new PushAnswer();
    let error: RemoteError | undefined;
    let isWhole = false;
    try {
      let body: Call['body'] = () => ({ open, meter, chunked: false });
      if (sizeBytes <= ONE_PIECE_MAX_BYTES) {
        const piece = await buffer(open());
        body = () => piece;
      } else {
        const probe = await this.#send({ ...call, body: () => FLUSH });
        if (probe.status !== 200) return refused(await this.#refusal(probe, what), false);
        discard(probe);
      }
      isWhole = sizeBytes <= ONE_PIECE_MAX_BYTES;
      const answer = await this.#send({ ...call, body });
      if (answer.status !== 200) {
        const refusal = await this.#refusal(answer, what);
        // 4xx is said before git is asked; behind 408 and 5xx there may be a push that goes on.
        const isDecided = answer.status < 500 && answer.status !== 408;
        return refused(refusal, !isDecided && (isWhole || meter.isWhole));
      }
      this.#expectType(answer, RECEIVE_PACK_RESULT, what);
      await readReport(inflated(answer), report, this.#ref);
    } catch (e) {
      o.signal?.throwIfAborted();
      if (e instanceof NotGitError) error = notGit(this.context, e.message);
      else if (e instanceof RemoteError) error = e;
      else throw e;
    }
    return this.#read(report, error, isWhole || meter.isWhole);
  }

  /** What the report says counts, though the connection broke behind it. */
  #read(report: PushAnswer, error: RemoteError | undefined, isWhole: boolean): WireAttempt {
    const words = this.#masked(report.words);
    const status = report.of(this.#ref);
    const unpack = report.unpack === undefined || report.unpack === 'ok' ? '' : this.#masked(report.unpack);
    const thinRefused =
      /\bdelta/i.test(unpack) || (unpack !== '' && /unresolved delta|delta base/i.test(words));
    if (status?.accepted) {
      const line = { to: this.#ref, accepted: true, reason: '' };
      return { line, mayHaveLanded: true, error: undefined, thinRefused };
    }
    const text = [words, unpack === '' ? '' : `remote: unpack ${unpack}`]
      .filter((part) => part !== '')
      .join('\n');
    if (thinRefused)
      error = new RemoteError(
        'server-fault',
        'the server could not take the differences of a push apart: it is tried again with everything whole',
        { detail: detailOf(text) },
      );
    if (status) {
      const reason = this.#masked(status.reason);
      const full = `${text}\n[remote rejected] (${reason})`;
      const meant =
        (thinRefused ? error : classifyFailure(full, this.context)) ??
        new RemoteError('refused', 'Gitee refused the push; see the detail', { detail: detailOf(full) });
      return {
        line: { to: this.#ref, accepted: false, reason },
        mayHaveLanded: false,
        error: meant,
        thinRefused,
      };
    }
    const known = text === '' || thinRefused ? undefined : classifyFailure(text, this.context);
    return {
      line: undefined,
      mayHaveLanded: isWhole,
      thinRefused,
      error: known ?? error ?? notGit(this.context, text || 'the answer to the push has no report'),
    };
  }

  /** Once more where the login is refused and a newer secret is there. */
  async #send(call: Call): Promise<HttpAnswer> {
    const first = await this.#sendOnce(call);
    if (first.status !== 401) return first;
    const { token, log } = this.settings;
    if (!(await token.reload())) return first;
    discard(first);
    log.info('git: the login was refused, trying the newer token', { command: call.service });
    return this.#sendOnce(call);
  }

  #sendOnce(call: Call): Promise<HttpAnswer> {
    const { url } = this.settings;
    const secret = this.settings.token.current();
    return this.#http.send({
      what: call.what,
      method: 'POST',
      url: `${url}/${call.service}`,
      headers: {
        ...call.headers,
        'user-agent': USER_AGENT,
        'accept-encoding': 'identity',
        ...(secret === '' ? {} : { authorization: basicHeader(this.#user, secret) }),
      },
      body: call.body(),
      timeouts: call.timeouts,
      // A redirect to another host must not get the token, and a POST is not sent elsewhere.
      redirects: 'stay',
      signal: call.signal,
    });
  }

  /** A status in the words that git has for it, with the server's before them. */
  async #refusal(answer: HttpAnswer, what: string): Promise<RemoteError> {
    const { status, headers } = answer;
    const body = this.#masked(await readErrorText(answer));
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

  #expectType(answer: HttpAnswer, type: string, what: string): void {
    const got = answer.headers['content-type'] ?? 'none';
    if (got.split(';')[0]!.trim().toLowerCase() === type) return;
    discard(answer);
    throw notGit(this.context, `${what} was answered with invalid content-type ${got.slice(0, 80)}`);
  }

  #masked(text: string): string {
    return withoutToken(text, this.settings.token.current(), this.#user);
  }

  get #user(): string {
    return this.settings.user ?? 'oauth2';
  }
}

function refused(error: RemoteError, mayHaveLanded: boolean): WireAttempt {
  return { line: undefined, mayHaveLanded, error, thinRefused: false };
}

/** 200, and yet no git: a login page, a proxy. */
function notGit(context: FailureContext, detail: string): RemoteError {
  return (
    classifyFailure(`invalid server response\n${detail}`, context) ??
    new RemoteError('server-fault', 'something that is not git answered', { detail })
  );
}

async function* joined(lead: Buffer, rest: Readable): AsyncGenerator<Buffer> {
  try {
    yield lead;
    yield* rest as AsyncIterable<Buffer>;
  } finally {
    rest.destroy();
  }
}

/**
 * Reads to the end of the report, of an accepted push; of any other one to the end of the answer, whose last words
 * may say why. What comes behind an accepted one is read by itself, within the bounds of the call, so that the
 * connection can be used again: nobody waits for what the server does afterwards.
 */
async function readReport(body: AsyncGenerator<Buffer>, report: PushAnswer, ref: string): Promise<void> {
  for (let next = await body.next(); !next.done; next = await body.next()) {
    report.push(next.value);
    if (!report.isWhole || !report.of(ref)?.accepted) continue;
    void (async () => {
      for await (const bytes of body) void bytes;
    })().catch(() => {});
    return;
  }
}

/** The body, whatever a proxy on the way did to it though it was asked not to. */
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
