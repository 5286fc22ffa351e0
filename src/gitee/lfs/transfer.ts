/**
 * The basic transfer adapter: git-lfs docs/api/basic-transfers.md, with what other servers do
 * (docs/facts/gitee.md §2.1). One try each; LfsChunkRemote decides what follows.
 */
import type { Clock } from '../../async/clock.js';
import type { Chunk } from '../../format/extent.js';
import { RemoteError, type RemoteCause } from '../errors.js';
import { discard, readErrorText, type HttpAnswer } from '../http/answer.js';
import type { BodyMeter } from '../http/body-meter.js';
import type { HttpClient } from '../http/client.js';
import { statusFailure } from '../http/status-failure.js';
import type { CallTimeouts } from '../http/watch.js';
import type { BodySource } from '../remote.js';
import type { TokenSource } from '../token.js';
import { LFS_MEDIA_TYPE } from './batch-request.js';
import { linkHeaders, type Link } from './link.js';

/** Invariant 6: a transfer may be slow, not endless. */
export interface DataTimeouts {
  /** Without a byte. */
  readonly idleMs: number;
  /** As idleMs, of downloads: another try goes on where this one ended, so it costs little. */
  readonly downloadIdleMs?: number;
  /** Until a download is answered. */
  readonly firstByteMs?: number;
  /** A line slower than that counts as dead. */
  readonly bytesPerSecondMin: number;
}

/** What is asked before a download is answered as soon. */
export const FIRST_BYTE_MS = 10_000;

export const DATA_TIMEOUTS: DataTimeouts = {
  idleMs: 30_000,
  downloadIdleMs: 20_000,
  firstByteMs: FIRST_BYTE_MS,
  bytesPerSecondMin: 8 * 1024,
};

/** What the storage means, where its words don't say: it is not Gitee, and knows objects, no repositories. */
const UPLOAD_MEANING: Readonly<Record<number, RemoteCause>> = {
  404: 'server-fault',
  409: 'server-fault',
  413: 'file-too-large',
  422: 'chunk-refused',
};
const DOWNLOAD_MEANING: Readonly<Record<number, RemoteCause>> = {
  404: 'chunk-missing',
  416: 'server-fault',
  422: 'server-fault',
};
// What verify denies was confirmed a moment ago: the upload is to be done again.
const VERIFY_MEANING: Readonly<Record<number, RemoteCause>> = {
  404: 'server-fault',
  409: 'server-fault',
  422: 'server-fault',
};

/** The link is no longer good: ask for another one. `failure` is for whoever has asked often enough. */
export class StaleLink {
  constructor(readonly failure: RemoteError) {}
}

export interface TransferDeps {
  readonly http: HttpClient;
  readonly endpointUrl: string;
  readonly token: TokenSource;
  readonly user: string;
  /** Value of the Authorization header for Gitee's own host. */
  readonly authorization: () => string;
  readonly clock: Clock;
  readonly timeouts: DataTimeouts;
  readonly apiTimeouts?: CallTimeouts | undefined;
}

export class Transfers {
  constructor(private readonly deps: TransferDeps) {}

  /** PUT of one object. @throws RemoteError, or the error of the stream that `open` gave */
  async upload(
    chunk: Chunk,
    open: () => BodySource,
    meter: BodyMeter,
    link: Link,
    signal?: AbortSignal,
  ): Promise<StaleLink | undefined> {
    const chunked = /\bchunked\b/i.test(link.header['transfer-encoding'] ?? '');
    const answer = await this.deps.http.send({
      what: `LFS upload of ${chunk.oid} to ${link.url.host}`,
      method: 'PUT',
      url: link.url,
      headers: {
        // The map may say otherwise: S3 and its like sign the type.
        'content-type': 'application/octet-stream',
        ...this.#headers(link),
      },
      body: { open, meter, chunked },
      timeouts: this.#timeouts(chunk),
      signal,
    });
    return this.#judge(answer, chunk, `LFS upload of ${chunk.oid}`, UPLOAD_MEANING);
  }

  /** POST of {oid, size} after an upload. @throws RemoteError, `server-fault` where the object is not there */
  async verify(chunk: Chunk, link: Link, signal?: AbortSignal): Promise<StaleLink | undefined> {
    const { apiTimeouts } = this.deps;
    const answer = await this.deps.http.send({
      what: `LFS verification of ${chunk.oid}`,
      method: 'POST',
      url: link.url,
      headers: { accept: LFS_MEDIA_TYPE, 'content-type': LFS_MEDIA_TYPE, ...this.#headers(link) },
      body: JSON.stringify({ oid: chunk.oid, size: chunk.sizeBytes }),
      ...(apiTimeouts ? { timeouts: apiTimeouts } : {}),
      signal,
    });
    return this.#judge(answer, chunk, `LFS verification of ${chunk.oid}`, VERIFY_MEANING);
  }

  /**
   * GET of one object from an offset on: the body ends after exactly the rest of it, or with an error. A server
   * that ignores Range (RFC 9110 §14.2) sends all, with 200: what is here already is then skipped.
   * @throws RemoteError
   */
  async download(
    chunk: Chunk,
    offsetBytes: number,
    link: Link,
    signal?: AbortSignal,
  ): Promise<StaleLink | HttpAnswer> {
    const restBytes = chunk.sizeBytes - offsetBytes;
    const { idleMs, downloadIdleMs = idleMs, firstByteMs = downloadIdleMs } = this.deps.timeouts;
    const what = `LFS download of ${chunk.oid}`;
    const answer = await this.deps.http.send({
      what: `${what} from ${link.url.host}`,
      method: 'GET',
      url: link.url,
      headers: {
        'accept-encoding': 'identity',
        ...this.#headers(link),
        ...(offsetBytes > 0 ? { range: `bytes=${offsetBytes}-` } : {}),
      },
      timeouts: { ...this.#timeouts(chunk), idleMs: downloadIdleMs, answerMs: firstByteMs },
      exactBytes: (status) => (status === 206 ? restBytes : chunk.sizeBytes),
      signal,
    });
    const isPart = answer.status === 206 && offsetBytes > 0;
    if (answer.status !== 200 && !isPart) {
      const stale = await this.#judge(answer, chunk, what, DOWNLOAD_MEANING);
      if (stale) return stale;
      throw new RemoteError('server-fault', `${what} was answered ${answer.status} instead of 200`, {
        status: answer.status,
      });
    }
    const lengthBytes = answer.headers['content-length'];
    const encoding = answer.headers['content-encoding'] ?? 'identity';
    const expectedBytes = isPart ? restBytes : chunk.sizeBytes;
    const range = answer.headers['content-range'];
    const isRightPart = !isPart || range === `bytes ${offsetBytes}-${chunk.sizeBytes - 1}/${chunk.sizeBytes}`;
    if (
      encoding !== 'identity' ||
      !isRightPart ||
      (lengthBytes !== undefined && Number(lengthBytes) !== expectedBytes)
    ) {
      discard(answer);
      const came = isPart ? `${lengthBytes ?? 'unknown'} (${range ?? 'no range'})` : lengthBytes;
      throw new RemoteError(
        'server-fault',
        `${what}: ${came ?? 'unknown'} bytes (${encoding}) came instead of ${expectedBytes} from byte ${offsetBytes} on`,
        { status: answer.status, oids: [chunk.oid] },
      );
    }
    if (!isPart) answer.body.skip(offsetBytes);
    return answer;
  }

  #headers(link: Link): Record<string, string> {
    return linkHeaders(link, this.deps.endpointUrl, this.deps.authorization);
  }

  #timeouts(chunk: Chunk): CallTimeouts {
    const { idleMs, bytesPerSecondMin } = this.deps.timeouts;
    // Twice idle: the socket's buffer is given time to drain before the answer (http/client.ts).
    return { idleMs, totalMs: 2 * idleMs + (chunk.sizeBytes / bytesPerSecondMin) * 1000 };
  }

  /** Nothing for 2xx. 401, 403 and 410 of a link mean that it has expired, whatever their words. */
  async #judge(
    answer: HttpAnswer,
    chunk: Chunk,
    what: string,
    meaning: Readonly<Record<number, RemoteCause>>,
  ): Promise<StaleLink | undefined> {
    if (answer.status >= 200 && answer.status < 300) {
      discardQuietly(answer);
      return undefined;
    }
    const failure = statusFailure(
      { status: answer.status, headers: answer.headers, text: await readErrorText(answer) },
      {
        what,
        nowMs: this.deps.clock.nowMs(),
        token: this.deps.token.current(),
        user: this.deps.user,
        meaning: { 401: 'forbidden', 410: 'chunk-refused', ...meaning },
        oids: [chunk.oid],
      },
    );
    if (
      [401, 403, 410].includes(answer.status) &&
      ['forbidden', 'chunk-refused', 'unauthorized'].includes(failure.code)
    )
      return new StaleLink(failure);
    throw failure;
  }
}

/** Reads the few bytes of a confirmation, so that the connection can be used again; a cut one changes nothing. */
function discardQuietly(answer: HttpAnswer): void {
  answer.body.on('error', () => {});
  answer.body.resume();
}
