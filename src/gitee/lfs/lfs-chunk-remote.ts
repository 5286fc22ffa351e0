/**
 * Chunks in the LFS store of one Gitee repository (git-lfs docs/api; docs/facts/gitee.md §2, §2.1).
 *
 * Invariant 2 (this file's share). A chunk counts as there only where the server offers it for download, or says
 * by an upload without an upload link that it has it; an upload whose answer was lost is asked for again.
 * Invariant 6. Each step has its deadline (http/watch.ts); links are renewed and tokens reloaded a bounded
 * number of times.
 */
import type { Readable } from 'node:stream';
import type { Clock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import type { Chunk } from '../../format/extent.js';
import type { LineReports, LineUse } from '../../line/health.js';
import { joinedFailures, ofFirstCode, RemoteError } from '../errors.js';
import { BodyMeter } from '../http/body-meter.js';
import type { HttpClient } from '../http/client.js';
import { retryRemote } from '../http/retry-remote.js';
import type { CallTimeouts } from '../http/watch.js';
import type { BodySource, ChunkOffset, ChunkRemote, Stored, UploadFlow } from '../remote.js';
import type { TokenSource } from '../token.js';
import type { BatchObject } from './batch-schema.js';
import { LfsBatch } from './batch.js';
import { JoinedQuestions } from './joined-questions.js';
import { LinkCache, type Offer } from './link-cache.js';
import { toLink } from './link.js';
import { objectFailure } from './object-failure.js';
import { DATA_TIMEOUTS, FIRST_BYTE_MS, StaleLink, Transfers, type DataTimeouts } from './transfer.js';

const MISSING_PARALLEL = 2;
/** Fresh links in a row that the storage may call expired. */
const STALE_LINKS_MAX = 2;
const VERIFY_ATTEMPTS = 3;
/** Of a question that goes out with a verification: without an answer by then it is asked again before the commit. */
const SEEN_ANSWER_MS = 3_000;

type Operation = Extract<LineUse, 'upload' | 'download' | 'batch'> | 'verify';

export interface LfsChunkRemoteDeps {
  readonly http: HttpClient;
  /** `https://host/owner/name.git/info/lfs`, see lfsEndpointUrl(). */
  readonly endpointUrl: string;
  readonly token: TokenSource;
  /** User name that goes with the token: `oauth2`, or the login of its owner. */
  readonly user: string;
  /** Objects in one batch call; 100 as git-lfs has it. */
  readonly batchSizeMax?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of batch and verify calls. */
  readonly apiTimeouts?: CallTimeouts;
  /** Of uploads and downloads. */
  readonly dataTimeouts?: DataTimeouts;
  /** Told what comes of each call. */
  readonly line?: LineReports;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** The LFS endpoint of a repository, as git-lfs finds it (docs/api/server-discovery.md). */
export function lfsEndpointUrl(giteeUrl: string, owner: string, name: string): string {
  return `${giteeUrl.replace(/\/+$/, '')}/${owner}/${name}.git/info/lfs`;
}

export class LfsChunkRemote implements ChunkRemote {
  readonly #batch: LfsBatch;
  readonly #questions: JoinedQuestions;
  /** Of chunks that were sent just now. */
  readonly #looks: JoinedQuestions;
  readonly #transfers: Transfers;
  readonly #links = new LinkCache();

  constructor(private readonly deps: LfsChunkRemoteDeps) {
    const { http, endpointUrl, token, user, clock, log, apiTimeouts } = deps;
    this.#batch = new LfsBatch({
      http,
      endpointUrl,
      token,
      user,
      batchSizeMax: deps.batchSizeMax ?? 100,
      clock,
      log,
      timeouts: apiTimeouts,
      onCall: (result) => this.#count('batch', result),
      ...(deps.random ? { random: deps.random } : {}),
    });
    const batch = this.#batch;
    this.#questions = new JoinedQuestions({
      get sizeMax() {
        return batch.sizeMax;
      },
      ask: (chunks, signal) => batch.ask('upload', chunks, signal),
    });
    const patience = { attempts: 1, answerMs: SEEN_ANSWER_MS };
    this.#looks = new JoinedQuestions({
      get sizeMax() {
        return batch.sizeMax;
      },
      ask: (chunks, signal) => batch.ask('download', chunks, signal, patience),
    });
    this.#transfers = new Transfers({
      http,
      endpointUrl,
      token,
      user,
      authorization: () => this.#batch.authorization(),
      clock,
      timeouts: deps.dataTimeouts ?? DATA_TIMEOUTS,
      apiTimeouts,
    });
  }

  async missing(chunks: readonly Chunk[], signal?: AbortSignal): Promise<Chunk[]> {
    const waiting = [...new Map(chunks.map((chunk) => [chunk.oid, chunk])).values()];
    const lacking = new Set<string>();
    /** What was said of single objects. */
    const failures: RemoteError[] = [];
    let hasFailed = false;
    const work = async () => {
      while (waiting.length > 0 && !hasFailed) {
        const group = waiting.splice(0, this.#batch.sizeMax);
        const objects = await this.#batch.ask('download', group, signal);
        group.forEach((chunk, i) => {
          const state = this.#stateOf(chunk, objects[i]!);
          if (state === 'missing') lacking.add(chunk.oid);
          else if (state !== 'there') failures.push(state);
        });
      }
    };
    try {
      await Promise.all(Array.from({ length: MISSING_PARALLEL }, work));
    } finally {
      // What the other worker still has before it is of no use after a failure.
      hasFailed = true;
    }
    // Whoever asked goes on without these, and must learn of all of them at once.
    if (failures.length > 0) throw joinedFailures(ofFirstCode(failures));
    return chunks.filter((chunk) => lacking.has(chunk.oid));
  }

  async put(chunk: Chunk, open: () => BodySource, signal?: AbortSignal, flow?: UploadFlow): Promise<Stored> {
    let sentBytes = 0;
    for (let staleLinks = 0; ; staleLinks += 1) {
      const offer = await this.#uploadOffer(chunk, signal);
      if (offer === 'present') return { sentBytes };
      const meter = new BodyMeter(chunk.sizeBytes, chunk.oid, flow);
      let stale: StaleLink | undefined;
      try {
        stale = await this.#counted('upload', () =>
          this.#transfers.upload(chunk, open, meter, offer.transfer, signal),
        );
      } catch (error) {
        const hasArrived = await this.#hasArrivedAfter(error, chunk, meter, signal);
        this.deps.metrics.count('gateway_lfs_uploaded_bytes_total', {}, meter.sentBytes);
        if (hasArrived) return { sentBytes: sentBytes + meter.sentBytes };
        throw error;
      }
      sentBytes += meter.sentBytes;
      this.deps.metrics.count('gateway_lfs_uploaded_bytes_total', {}, meter.sentBytes);
      // Whatever verify says, a further try must ask first what is there.
      this.#links.forget('upload', chunk.oid);
      let isSeen = false;
      if (!stale) {
        const askedMs = this.deps.clock.steadyMs();
        const look = flow?.asksAtOnce ? this.#isOffered(chunk, signal) : false;
        const [verified, isOffered] = await Promise.all([this.#verify(chunk, offer, signal), look]);
        stale = verified.stale;
        // Answered long before the verification ended, or before it had to be asked for again, it says little of now.
        const isNow = verified.tries <= 1 && this.deps.clock.steadyMs() - askedMs <= SEEN_ANSWER_MS;
        isSeen = isOffered && isNow;
      }
      if (!stale) return isSeen ? { sentBytes, isSeen } : { sentBytes };
      if (staleLinks >= STALE_LINKS_MAX) throw stale.failure;
    }
  }

  async get(chunk: Chunk, from?: ChunkOffset, signal?: AbortSignal): Promise<Readable> {
    const offsetBytes = from?.offsetBytes ?? 0;
    for (let staleLinks = 0; ; staleLinks += 1) {
      const offer = await this.#downloadOffer(chunk, signal);
      let answer;
      try {
        answer = await this.#counted('download', () =>
          this.#transfers.download(chunk, offsetBytes, offer.transfer, signal),
        );
      } catch (error) {
        if (error instanceof RemoteError && error.code === 'chunk-missing')
          this.#links.forget('download', chunk.oid);
        throw error;
      }
      if (!(answer instanceof StaleLink)) {
        const { body } = answer;
        body.once('close', () =>
          this.deps.metrics.count('gateway_lfs_downloaded_bytes_total', {}, body.receivedBytes),
        );
        return body;
      }
      this.#links.forget('download', chunk.oid);
      if (staleLinks >= STALE_LINKS_MAX) throw answer.failure;
    }
  }

  /** What a download answer says of the object: that it is there only where it proves it. */
  #stateOf(chunk: Chunk, object: BatchObject): 'there' | 'missing' | RemoteError {
    const { error } = object;
    // 410: removed by its owner. It may come again, so it is missing; if not, the upload will say so.
    if (error?.code === 404 || error?.code === 410) return 'missing';
    if (error) return objectFailure(error, chunk.oid, 'download', this.deps.token.current());
    // Neither an error nor a link proves nothing. Another size is another content.
    const isThere = object.actions?.download && (object.size ?? chunk.sizeBytes) === chunk.sizeBytes;
    return isThere ? 'there' : 'missing';
  }

  async #uploadOffer(chunk: Chunk, signal?: AbortSignal): Promise<Offer | 'present'> {
    const { clock, endpointUrl, token } = this.deps;
    const known = this.#links.get('upload', chunk.oid, clock.steadyMs());
    if (known) return known;
    const object = await this.#questions.ask(chunk, signal);
    if (object.error) throw objectFailure(object.error, chunk.oid, 'upload', token.current());
    const { upload, verify } = object.actions ?? {};
    // No upload link: the server has it. Gitea then still gives a download link.
    if (!upload) return 'present';
    const offer: Offer = {
      transfer: toLink(upload, endpointUrl, clock),
      ...(verify ? { verify: toLink(verify, endpointUrl, clock) } : {}),
    };
    this.#links.keep('upload', chunk.oid, offer);
    return offer;
  }

  async #downloadOffer(chunk: Chunk, signal?: AbortSignal): Promise<Offer> {
    const { clock, endpointUrl } = this.deps;
    const known = this.#links.get('download', chunk.oid, clock.steadyMs());
    if (known) return known;
    // Once and not for long: whoever wants the chunk has a patience of its own.
    const [object] = await this.#batch.ask('download', [chunk], signal, {
      attempts: 1,
      answerMs: FIRST_BYTE_MS,
    });
    const state = this.#stateOf(chunk, object!);
    if (state instanceof RemoteError) throw state;
    const download = state === 'there' ? object!.actions?.download : undefined;
    if (!download)
      throw new RemoteError('chunk-missing', `chunk ${chunk.oid} is not on Gitee`, {
        oids: [chunk.oid],
        status: object!.error?.code,
      });
    const offer: Offer = { transfer: toLink(download, endpointUrl, clock) };
    this.#links.keep('download', chunk.oid, offer);
    return offer;
  }

  /** An upload that went out whole and got no good answer may have been stored all the same. */
  async #hasArrivedAfter(
    error: unknown,
    chunk: Chunk,
    meter: BodyMeter,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (!(error instanceof RemoteError) || !error.isTransient || !meter.isWhole || signal?.aborted)
      return false;
    if (error.code === 'rate-limited') return false;
    this.#links.forget('upload', chunk.oid);
    try {
      return (await this.#uploadOffer(chunk, signal)) === 'present';
    } catch {
      // The error of the upload says more than that of the question.
      return false;
    }
  }

  /**
   * True where the server offers the chunk by now. False says nothing: it may know of the object once it was verified
   * only, or have given no answer. Never rejects.
   */
  async #isOffered(chunk: Chunk, signal?: AbortSignal): Promise<boolean> {
    try {
      return this.#stateOf(chunk, await this.#looks.ask(chunk, signal)) === 'there';
    } catch {
      return false;
    }
  }

  /** Not stale where the server wants no verification, or confirms it. */
  async #verify(
    chunk: Chunk,
    offer: Offer,
    signal?: AbortSignal,
  ): Promise<{ stale: StaleLink | undefined; tries: number }> {
    const { verify } = offer;
    if (!verify) return { stale: undefined, tries: 0 };
    const { clock, random } = this.deps;
    let tries = 0;
    const once = () => {
      tries += 1;
      return this.#counted('verify', () => this.#transfers.verify(chunk, verify, signal));
    };
    const patience = { attempts: VERIFY_ATTEMPTS, clock, signal, ...(random ? { random } : {}) };
    return { stale: await retryRemote(once, patience), tries };
  }

  async #counted<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
    try {
      const result = await run();
      this.#count(operation, result instanceof StaleLink ? result.failure : 'ok');
      return result;
    } catch (error) {
      if (error instanceof RemoteError) this.#count(operation, error);
      throw error;
    }
  }

  #count(operation: Operation, outcome: 'ok' | RemoteError): void {
    const { line, metrics } = this.deps;
    const use = operation === 'verify' ? 'upload' : operation;
    if (outcome === 'ok') line?.succeeded(use);
    else line?.failed(use, outcome);
    const result = outcome === 'ok' ? 'ok' : outcome.code;
    metrics.count('gateway_lfs_requests_total', { operation, result });
    if (outcome !== 'ok') metrics.count('gateway_gitee_errors_total', { cause: result });
  }
}
