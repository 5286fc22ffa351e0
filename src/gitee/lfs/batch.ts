/** Batch calls of one repository's LFS store: login, batch size, and what their refusals mean. */
import type { Clock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import type { Chunk } from '../../format/extent.js';
import { RemoteError, type RemoteCause } from '../errors.js';
import { API_TIMEOUTS, type HttpClient } from '../http/client.js';
import { retryRemote } from '../http/retry-remote.js';
import { statusFailure } from '../http/status-failure.js';
import type { CallTimeouts } from '../http/watch.js';
import { basicHeader, type TokenSource } from '../token.js';
import { requestBatch, type RawBatchAnswer } from './batch-request.js';
import { parseBatch, type BatchObject } from './batch-schema.js';

const ATTEMPTS = 2;
/** GitLab: 501 where LFS is off. */
const MEANING: Readonly<Record<number, RemoteCause>> = { 501: 'lfs-not-enabled' };
/** Of one object alone, "too many" can only mean "too large" or "not this one". */
const MEANING_OF_ONE: Readonly<Record<'upload' | 'download', Readonly<Record<number, RemoteCause>>>> = {
  upload: { ...MEANING, 413: 'file-too-large', 422: 'chunk-refused' },
  download: MEANING,
};

/** How patient one question is. */
export interface AskPatience {
  /** Tries in all. */
  readonly attempts: number;
  /** Until the answer begins. */
  readonly answerMs?: number;
}

export interface LfsBatchDeps {
  readonly http: HttpClient;
  /** `https://host/owner/name.git/info/lfs` */
  readonly endpointUrl: string;
  readonly token: TokenSource;
  /** `oauth2`, or the login of the token's owner. */
  readonly user: string;
  /** Objects in one call, to begin with. */
  readonly batchSizeMax: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeouts?: CallTimeouts | undefined;
  /** Told of each call, with the error where it failed. */
  readonly onCall: (result: 'ok' | RemoteError) => void;
  readonly random?: () => number;
}

export class LfsBatch {
  readonly what: string;
  #sizeMax: number;

  constructor(private readonly deps: LfsBatchDeps) {
    this.#sizeMax = deps.batchSizeMax;
    const path = new URL(deps.endpointUrl).pathname.replace(/\.git\/info\/lfs$/, '').slice(1);
    this.what = `LFS batch of ${path}`;
  }

  /** How many objects go into one call: halved each time that the server says "too many". */
  get sizeMax(): number {
    return this.#sizeMax;
  }

  /** Value of the Authorization header for Gitee's own host. */
  authorization(): string {
    return basicHeader(this.deps.user, this.deps.token.current());
  }

  /**
   * Asks about at most `sizeMax` objects; answers in their order.
   * @throws RemoteError; `server-fault` where an object is not in the answer
   */
  async ask(
    operation: 'upload' | 'download',
    chunks: readonly Chunk[],
    signal?: AbortSignal,
    patience: AskPatience = { attempts: ATTEMPTS },
  ): Promise<BatchObject[]> {
    const answer = await retryRemote(() => this.#call(operation, chunks, patience, signal), {
      attempts: patience.attempts,
      clock: this.deps.clock,
      signal,
      ...(this.deps.random ? { random: this.deps.random } : {}),
    });
    if (answer === 'too-many') {
      const half = Math.ceil(chunks.length / 2);
      const first = await this.ask(operation, chunks.slice(0, half), signal, patience);
      return [...first, ...(await this.ask(operation, chunks.slice(half), signal, patience))];
    }
    return answer;
  }

  /** Once more with a fresh token after a 401; @throws RemoteError */
  async #call(
    operation: 'upload' | 'download',
    chunks: readonly Chunk[],
    patience: AskPatience,
    signal: AbortSignal | undefined,
  ): Promise<BatchObject[] | 'too-many'> {
    const { token, onCall } = this.deps;
    for (let reloaded = false; ; reloaded = true) {
      const used = token.current();
      let failure: RemoteError;
      try {
        const raw = await this.#post(operation, chunks, patience, signal);
        if (raw.status >= 200 && raw.status < 300) {
          const objects = this.#inOrder(chunks, raw);
          onCall('ok');
          return objects;
        }
        failure = this.#failure(operation, chunks, raw, used);
      } catch (error) {
        if (error instanceof RemoteError) onCall(error);
        throw error;
      }
      onCall(failure);
      if (isTooMany(failure, chunks)) {
        this.#sizeMax = Math.min(this.#sizeMax, Math.ceil(chunks.length / 2));
        this.deps.log.info('LFS takes fewer objects in one call', { objectsMax: this.#sizeMax });
        return 'too-many';
      }
      if (failure.code !== 'unauthorized' || reloaded || !(await this.#hasNewToken(used))) throw failure;
    }
  }

  #post(
    operation: 'upload' | 'download',
    chunks: readonly Chunk[],
    { answerMs }: AskPatience,
    signal: AbortSignal | undefined,
  ): Promise<RawBatchAnswer> {
    const { http, endpointUrl } = this.deps;
    const known = this.deps.timeouts ?? API_TIMEOUTS;
    const timeouts =
      answerMs === undefined ? known : { ...known, answerMs: Math.min(answerMs, known.idleMs) };
    const authorization = this.authorization();
    return requestBatch({
      http,
      endpointUrl,
      operation,
      objects: chunks,
      authorization,
      what: this.what,
      timeouts,
      signal,
    });
  }

  #failure(
    operation: 'upload' | 'download',
    chunks: readonly Chunk[],
    raw: RawBatchAnswer,
    token: string,
  ): RemoteError {
    const only = chunks.length === 1 ? chunks[0] : undefined;
    const context = {
      what: this.what,
      nowMs: this.deps.clock.nowMs(),
      token,
      user: this.deps.user,
      meaning: only ? MEANING_OF_ONE[operation] : MEANING,
    };
    const failure = statusFailure(raw, context);
    // Of what is said of the whole call only this is about its one object.
    const isOfOne = only !== undefined && (failure.isPoison || failure.code === 'chunk-missing');
    return isOfOne ? statusFailure(raw, { ...context, oids: [only.oid] }) : failure;
  }

  /** Another call may have read it already. */
  async #hasNewToken(used: string): Promise<boolean> {
    const { token, log } = this.deps;
    if (token.current() !== used) return true;
    try {
      return await token.reload();
    } catch (error) {
      // The refusal of the old token is what the operator must see.
      log.warn('the token cannot be read again', { error });
      return false;
    }
  }

  #inOrder(chunks: readonly Chunk[], raw: RawBatchAnswer): BatchObject[] {
    const objects = parseBatch(raw.text);
    if (!objects)
      throw new RemoteError('server-fault', `${this.what} was answered with something else than a batch`, {
        status: raw.status,
      });
    const byOid = new Map(objects.map((object) => [object.oid.toLowerCase(), object]));
    return chunks.map((chunk) => {
      const object = byOid.get(chunk.oid);
      if (!object)
        throw new RemoteError('server-fault', `${this.what}: the answer says nothing about ${chunk.oid}`, {
          oids: [chunk.oid],
        });
      return object;
    });
  }
}

function isTooMany(failure: RemoteError, chunks: readonly Chunk[]): boolean {
  return (
    chunks.length > 1 && failure.code === 'refused' && (failure.status === 413 || failure.status === 422)
  );
}
