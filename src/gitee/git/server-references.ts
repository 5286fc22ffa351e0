/** References of a git server over HTTP, whichever protocol version it speaks. */
import {
  LsRefsAnswer,
  lsRefsRequest,
  UPLOAD_PACK_REQUEST,
  UPLOAD_PACK_RESULT,
} from '../../git-wire/ls-refs.js';
import { NotGitError, PacketParser } from '../../git-wire/pkt-line.js';
import { RefAdvertisement, UPLOAD_PACK_ADVERTISEMENT } from '../../git-wire/ref-advertisement.js';
import type { Clock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import { RemoteError } from '../errors.js';
import type { HttpAnswer } from '../http/answer.js';
import { classifyFailure } from './stderr.js';
import { AGENT, type WireCall, type WireCalls } from './wire-calls.js';

/** A million references; what is longer ends for sure, whatever is sent. */
const ANSWER_MAX_BYTES = 64 << 20;

const VERSION_2 = { 'git-protocol': 'version=2' };

/**
 * `v2`: ls-refs at once, and nothing asked before it. `v2-unnamed`: it takes no object format with it.
 * `advertised`: a GET tells all references, of a server or through a proxy that has no v2.
 */
type Dialect = 'v2' | 'v2-unnamed' | 'advertised';

interface ReferenceQuestion {
  /** What is wanted begins with it; servers may tell others, too. */
  readonly prefix: string;
  readonly isWanted: (ref: string, id: string) => boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

interface AskedQuestion extends ReferenceQuestion {
  /** All requests and answers end by then. */
  readonly endMs: number;
}

interface Reader {
  readonly isWhole: boolean;
  readonly error: string | undefined;
  push(bytes: Buffer): void;
}

export class ServerReferences {
  /** What the server was last seen to speak. */
  #dialect: Dialect | undefined;
  readonly #what: string;

  /** @param name owner/name, for errors */
  constructor(
    private readonly calls: WireCalls,
    private readonly deps: { readonly clock: Clock; readonly log: Log },
    name: string,
  ) {
    this.#what = `reading the branch of ${name}`;
  }

  /**
   * Reference to id, of those that are wanted: one request, but for the first one to a server without v2.
   * @throws RemoteError; the signal's reason.
   */
  async read(question: ReferenceQuestion): Promise<ReadonlyMap<string, string>> {
    const asked = { ...question, endMs: this.deps.clock.steadyMs() + question.timeoutMs };
    if (this.#dialect !== 'advertised') {
      const refs = await this.#listed(asked, this.#dialect ?? 'v2');
      if (!(refs instanceof RemoteError)) {
        this.#dialect ??= 'v2';
        return refs;
      }
    }
    const advertised = await this.#advertised(asked);
    if (!advertised.isV2) {
      this.#speaks('advertised');
      return advertised.refs;
    }
    const dialect = advertised.objectFormat === undefined ? 'v2-unnamed' : 'v2';
    const refs = await this.#listed(asked, dialect);
    if (refs instanceof RemoteError) throw refs;
    this.#speaks(dialect);
    return refs;
  }

  #speaks(dialect: Dialect): void {
    if ((this.#dialect ?? 'v2') !== dialect) this.deps.log.info('git: how references are read', { dialect });
    this.#dialect = dialect;
  }

  /** By ls-refs; an error where the server did not understand that. @throws as read */
  async #listed(
    question: AskedQuestion,
    dialect: Dialect,
  ): Promise<ReadonlyMap<string, string> | RemoteError> {
    const request = lsRefsRequest(question.prefix, AGENT, { namesFormat: dialect === 'v2' });
    let answer: HttpAnswer;
    try {
      answer = await this.#ask(question, {
        ...{ method: 'POST', path: 'git-upload-pack', body: () => request },
        headers: { ...VERSION_2, 'content-type': UPLOAD_PACK_REQUEST, accept: UPLOAD_PACK_RESULT },
      });
    } catch (e) {
      // Of a server that never took it nobody knows what it says where it knows no v2.
      if (this.#dialect === undefined && e instanceof RemoteError && isMisunderstanding(e)) return e;
      throw e;
    }
    const reader = new LsRefsAnswer(new PacketParser(), question.isWanted);
    const failure = await this.#read(answer, UPLOAD_PACK_RESULT, reader);
    if (failure === undefined) return reader.refs;
    if (reader.error === undefined) return failure;
    // Stock git says nothing at all where it knows no v2, others take the command for a line of v0.
    if (/unknown|invalid|protocol|capabilit|command|not our ref/i.test(reader.error)) return failure;
    throw failure;
  }

  /** @throws as read, also where the server's ids are no SHA-1 */
  async #advertised(question: AskedQuestion): Promise<RefAdvertisement> {
    const answer = await this.#ask(question, {
      ...{ method: 'GET', path: 'info/refs?service=git-upload-pack' },
      headers: { ...VERSION_2, accept: UPLOAD_PACK_ADVERTISEMENT },
    });
    const reader = new RefAdvertisement(new PacketParser(), question.isWanted);
    const failure = await this.#read(answer, UPLOAD_PACK_ADVERTISEMENT, reader);
    if (failure) throw failure;
    const { objectFormat = 'sha1' } = reader;
    if (objectFormat === 'sha1') return reader;
    const text = `mismatched object format: server ${this.calls.masked(objectFormat).slice(0, 40)}; client sha1`;
    throw this.#classified(text);
  }

  /** @throws as read, also for any status but 200 */
  async #ask(
    { endMs, signal }: AskedQuestion,
    call: Pick<WireCall, 'method' | 'path' | 'headers' | 'body'>,
  ): Promise<HttpAnswer> {
    const answer = await this.calls.read(() => {
      const leftMs = Math.max(1, endMs - this.deps.clock.steadyMs());
      return { ...call, what: this.#what, timeouts: { idleMs: leftMs, totalMs: leftMs }, signal };
    });
    if (answer.status !== 200) throw await this.calls.refusal(answer, this.#what);
    return answer;
  }

  /** Reads to the end; an error where the answer is none of git, an error itself, or not whole. @throws as read */
  async #read(answer: HttpAnswer, type: string, reader: Reader): Promise<RemoteError | undefined> {
    let readBytes = 0;
    try {
      for await (const bytes of this.calls.body(answer, type, this.#what)) {
        readBytes += bytes.length;
        if (readBytes > ANSWER_MAX_BYTES)
          throw new RemoteError(
            'server-fault',
            `${this.#what} was answered with more than ${ANSWER_MAX_BYTES >> 20} MiB`,
          );
        reader.push(bytes);
      }
    } catch (e) {
      if (e instanceof NotGitError) return this.calls.notGit(this.calls.masked(e.message));
      throw e;
    }
    if (reader.error !== undefined)
      return this.#classified(`fatal: remote error: ${this.calls.masked(reader.error)}`);
    return reader.isWhole ? undefined : this.calls.notGit('its answer breaks off');
  }

  #classified(text: string): RemoteError {
    return classifyFailure(text, this.calls.context) ?? this.calls.notGit(text);
  }
}

/** A status that may mean the request, not the repository, the login or the line. */
function isMisunderstanding({ code, status }: RemoteError): boolean {
  return status !== undefined && (code === 'server-fault' || code === 'refused');
}
