/**
 * The branch over the gateway's own kept-alive connections: one request reads the head, one POST pushes, where the git
 * program opens a connection for each and asks `info/refs` before a push.
 */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { CommitId } from '../../format/ids.js';
import { FLUSH, NotGitError } from '../../git-wire/pkt-line.js';
import {
  PushAnswer,
  RECEIVE_PACK_REQUEST,
  RECEIVE_PACK_RESULT,
  updateRequest,
  ZERO_ID,
} from '../../git-wire/receive-pack.js';
import { RemoteError } from '../errors.js';
import { discard } from '../http/answer.js';
import { BodyMeter } from '../http/body-meter.js';
import type { StoredPack } from './commit-pack.js';
import type { PushLine } from './push-report.js';
import { ServerReferences } from './server-references.js';
import type { GitBranchSettings } from './settings.js';
import { classifyFailure, detailOf, type FailureContext } from './stderr.js';
import { AGENT, WireCalls, type WireCall } from './wire-calls.js';

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

export class GitWire {
  readonly #calls: WireCalls;
  readonly #references: ServerReferences;
  readonly #ref: string;
  /** owner/name, for errors. */
  readonly #name: string;

  constructor(settings: GitBranchSettings, context: FailureContext) {
    this.#ref = `refs/heads/${settings.branch}`;
    this.#name = new URL(settings.url).pathname.replace(/^\/|\.git$/g, '');
    this.#calls = new WireCalls(settings, context);
    this.#references = new ServerReferences(this.#calls, settings, this.#name);
  }

  /** The head on the server, null where the branch does not exist. @throws RemoteError; the signal's reason. */
  async readHead(timeoutMs: number, signal: AbortSignal | undefined): Promise<CommitId | null> {
    const isWanted = (ref: string) => ref === this.#ref;
    const refs = await this.#references.read({ prefix: this.#ref, isWanted, timeoutMs, signal });
    return (refs.get(this.#ref) as CommitId | undefined) ?? null;
  }

  /** True where a reference that begins with the prefix is at the commit. @throws as readHead */
  async hasRefAt(
    prefix: string,
    commit: CommitId,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const isWanted = (ref: string, id: string) => id === commit && ref.startsWith(prefix);
    return (await this.#references.read({ prefix, isWanted, timeoutMs, signal })).size > 0;
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
      ...{ what, signal: o.signal, method: 'POST' as const, path: 'git-receive-pack' },
      headers: { 'content-type': RECEIVE_PACK_REQUEST, accept: RECEIVE_PACK_RESULT },
      timeouts: { idleMs: o.idleMs, totalMs: o.totalMs + (sizeBytes / SLOWEST_BYTES_PER_SECOND) * 1000 },
    };
    const report = new PushAnswer();
    let error: RemoteError | undefined;
    let isWhole = false;
    try {
      let body: WireCall['body'] = () => ({ open, meter, chunked: false });
      if (sizeBytes <= ONE_PIECE_MAX_BYTES) {
        const piece = await buffer(open());
        body = () => piece;
      } else {
        const probe = await this.#calls.send({ ...call, body: () => FLUSH });
        if (probe.status !== 200) return refused(await this.#calls.refusal(probe, what), false);
        discard(probe);
      }
      isWhole = sizeBytes <= ONE_PIECE_MAX_BYTES;
      const answer = await this.#calls.send({ ...call, body });
      if (answer.status !== 200) {
        const refusal = await this.#calls.refusal(answer, what);
        // 4xx is said before git is asked; behind 408 and 5xx there may be a push that goes on.
        const isDecided = answer.status < 500 && answer.status !== 408;
        return refused(refusal, !isDecided && (isWhole || meter.isWhole));
      }
      await readReport(this.#calls.body(answer, RECEIVE_PACK_RESULT, what), report, this.#ref);
    } catch (e) {
      o.signal?.throwIfAborted();
      if (e instanceof NotGitError) error = this.#calls.notGit(e.message);
      else if (e instanceof RemoteError) error = e;
      else throw e;
    }
    return this.#read(report, error, isWhole || meter.isWhole);
  }

  /** What the report says counts, though the connection broke behind it. */
  #read(report: PushAnswer, error: RemoteError | undefined, isWhole: boolean): WireAttempt {
    const words = this.#calls.masked(report.words);
    const status = report.of(this.#ref);
    const unpack =
      report.unpack === undefined || report.unpack === 'ok' ? '' : this.#calls.masked(report.unpack);
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
      const reason = this.#calls.masked(status.reason);
      const full = `${text}\n[remote rejected] (${reason})`;
      const meant =
        (thinRefused ? error : classifyFailure(full, this.#calls.context)) ??
        new RemoteError('refused', 'Gitee refused the push; see the detail', { detail: detailOf(full) });
      return {
        line: { to: this.#ref, accepted: false, reason },
        mayHaveLanded: false,
        error: meant,
        thinRefused,
      };
    }
    const known = text === '' || thinRefused ? undefined : classifyFailure(text, this.#calls.context);
    return {
      line: undefined,
      mayHaveLanded: isWhole,
      thinRefused,
      error: known ?? error ?? this.#calls.notGit(text || 'the answer to the push has no report'),
    };
  }
}

function refused(error: RemoteError, mayHaveLanded: boolean): WireAttempt {
  return { line: undefined, mayHaveLanded, error, thinRefused: false };
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
