import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import * as https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf, pieces, type BlobSpec } from './random-bytes.js';

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** Of dockerd: max-concurrent-uploads, max-concurrent-downloads, and tries of one layer, 5 s more between each. */
const UPLOADS_AT_ONCE = 5;
const DOWNLOADS_AT_ONCE = 3;
const TRIES = 5;
const RETRY_STEP_MS = 5_000;
/** Codes on which dockerd (distribution/errors.go, retryOnError) does not try a layer again. */
const FINAL_CODES = ['UNAUTHORIZED', 'UNSUPPORTED', 'DENIED', 'TOOMANYREQUESTS', 'NAME_UNKNOWN'];

export interface RegistryLogin {
  /** host:port */
  readonly address: string;
  readonly user: string;
  readonly password: string;
  readonly ca: string;
}

export interface Pushed {
  /** Tries of layers after the first, as dockerd makes them by itself. */
  readonly retries: number;
}

export interface Pulled {
  readonly bytes: number;
  readonly retries: number;
  /** The longest wait of a request for its first byte, in ms. */
  readonly firstByteMs: number;
  /** The longest time in which a body that had begun did not move, in ms. */
  readonly quietMs: number;
}

class AnswerError extends Error {
  constructor(
    readonly status: number,
    text: string,
    request: string,
    readonly waitedMs: number,
  ) {
    super(`${request} answered ${status}: ${text.trim().slice(0, 300)}`);
  }

  get isFinal(): boolean {
    if (this.status >= 500) return false;
    return !/"code":"/.test(this.message) || FINAL_CODES.some((code) => this.message.includes(`"${code}"`));
  }
}

interface RequestOptions {
  readonly headers?: Record<string, string | number>;
  readonly body?: Iterable<Buffer>;
  readonly accept?: readonly number[];
}

/**
 * Pushes and pulls as dockerd does with its classic store: five layers at once, each with one chunked PATCH; then the
 * config, then the manifest, once each. It retries what dockerd retries and nothing else.
 */
export class RegistryClient {
  readonly #agent: https.Agent;
  readonly #authorization: string;

  constructor(private readonly login: RegistryLogin) {
    this.#agent = new https.Agent({ keepAlive: true, ca: login.ca });
    this.#authorization = `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`;
  }

  close(): void {
    this.#agent.destroy();
  }

  async push(repository: string, tag: string, layers: readonly BlobSpec[]): Promise<Pushed> {
    let retries = 0;
    const descriptors = layers.map((layer) => ({ layer, digest: digestOf(layer) }));
    await inParallel(descriptors, UPLOADS_AT_ONCE, async ({ layer, digest }) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#pushBlob(repository, digest, () => pieces(layer));
        } catch (error) {
          if (attempt === TRIES || (error instanceof AnswerError && error.isFinal)) throw error;
          retries += 1;
          await sleep(attempt * RETRY_STEP_MS);
        }
      }
    });
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { image: `${repository}:${tag}` } },
        rootfs: { type: 'layers', diff_ids: descriptors.map(({ digest }) => digest) },
      }),
    );
    const configDigest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
    await this.#pushBlob(repository, configDigest, () => [config]);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: {
          mediaType: 'application/vnd.docker.container.image.v1+json',
          size: config.length,
          digest: configDigest,
        },
        layers: descriptors.map(({ layer, digest }) => ({
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          size: layer.bytes,
          digest,
        })),
      }),
    );
    await this.#text('PUT', `/v2/${repository}/manifests/${tag}`, {
      headers: { 'content-type': MANIFEST, 'content-length': manifest.length },
      body: [manifest],
    });
    return { retries };
  }

  async pull(repository: string, tag: string): Promise<Pulled> {
    const total = { bytes: 0, retries: 0, firstByteMs: 0, quietMs: 0 };
    const asked = Date.now();
    const { text } = await this.#text('GET', `/v2/${repository}/manifests/${tag}`, {
      headers: { accept: MANIFEST },
    });
    total.firstByteMs = Date.now() - asked;
    const manifest = JSON.parse(text) as { config: { digest: string }; layers: { digest: string }[] };
    await inParallel([manifest.config, ...manifest.layers], DOWNLOADS_AT_ONCE, async ({ digest }) => {
      const hash = createHash('sha256');
      let offset = 0;
      for (let attempt = 1; ; attempt += 1) {
        try {
          await this.#blob(repository, digest, offset, total, (data) => {
            hash.update(data);
            offset += data.length;
          });
          break;
        } catch (error) {
          if (attempt === TRIES || (error instanceof AnswerError && error.isFinal)) throw error;
          total.retries += 1;
          await sleep(attempt * RETRY_STEP_MS);
        }
      }
      total.bytes += offset;
      if (`sha256:${hash.digest('hex')}` !== digest) throw new Error(`WRONG BYTES for ${digest}`);
    });
    return total;
  }

  /** Waits until a new request is answered: the first byte of its body, or its end. A success may still be empty. */
  async probe(path: string): Promise<{ status: number }> {
    const answer = await this.#request('GET', path, {});
    const begun = answer[Symbol.asyncIterator]().next();
    await begun.catch(() => undefined);
    answer.destroy();
    return { status: answer.statusCode ?? 0 };
  }

  async delete(repository: string, tag: string): Promise<void> {
    const { headers } = await this.#text('HEAD', `/v2/${repository}/manifests/${tag}`, {
      headers: { accept: MANIFEST },
    });
    await this.#text('DELETE', `/v2/${repository}/manifests/${headers['docker-content-digest'] as string}`);
  }

  async #pushBlob(repository: string, digest: string, body: () => Iterable<Buffer>): Promise<void> {
    const head = await this.#text('HEAD', `/v2/${repository}/blobs/${digest}`, { accept: [404] });
    if (head.status === 200) return;
    const started = await this.#text('POST', `/v2/${repository}/blobs/uploads/`, {
      headers: { 'content-length': 0 },
    });
    const patched = await this.#text('PATCH', started.headers.location!, {
      headers: { 'transfer-encoding': 'chunked' },
      body: body(),
    });
    const url = new URL(patched.headers.location!, `https://${this.login.address}`);
    url.searchParams.set('digest', digest);
    await this.#text('PUT', url.href, { headers: { 'content-length': 0 } });
  }

  async #blob(
    repository: string,
    digest: string,
    offset: number,
    total: { firstByteMs: number; quietMs: number },
    sink: (data: Buffer) => void,
  ): Promise<void> {
    let moved = Date.now();
    const answer = await this.#request('GET', `/v2/${repository}/blobs/${digest}`, {
      headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
    });
    if (answer.statusCode! >= 400) {
      throw new AnswerError(answer.statusCode!, await readAll(answer), `GET ${digest}`, Date.now() - moved);
    }
    let isFirst = true;
    for await (const data of answer as AsyncIterable<Buffer>) {
      const waited = Date.now() - moved;
      if (isFirst) total.firstByteMs = Math.max(total.firstByteMs, waited);
      else total.quietMs = Math.max(total.quietMs, waited);
      isFirst = false;
      moved = Date.now();
      sink(data);
    }
  }

  async #text(method: string, path: string, options: RequestOptions = {}) {
    const asked = Date.now();
    const answer = await this.#request(method, path, options);
    const text = await readAll(answer);
    const status = answer.statusCode!;
    if (status >= 400 && !options.accept?.includes(status)) {
      throw new AnswerError(
        status,
        text,
        `${method} ${new URL(path, 'https://x').pathname}`,
        Date.now() - asked,
      );
    }
    return { status, text, headers: answer.headers };
  }

  #request(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    const url = new URL(path, `https://${this.login.address}`);
    return new Promise((resolve, reject) => {
      const request = https.request(url, {
        method,
        agent: this.#agent,
        headers: { authorization: this.#authorization, 'user-agent': 'docker/20.10', ...options.headers },
      });
      let isAnswered = false;
      request.once('response', (answer) => {
        isAnswered = true;
        resolve(answer);
      });
      request.once('error', (error) => reject(new Error(`${method} ${url.pathname}: ${error.message}`)));
      // A connection that ends before its answer, where the socket reports no error.
      request.once('close', () => reject(new Error(`${method} ${url.pathname}: closed without an answer`)));
      const send = async () => {
        for (const piece of options.body ?? []) {
          if (isAnswered || request.destroyed) break;
          if (!request.write(piece)) await drained(request);
        }
        request.end();
      };
      send().catch(reject);
    });
  }
}

/** Resolves also where the request ends first: nobody would drain it any more. */
function drained(request: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const name of ['drain', 'close', 'response']) request.removeListener(name, done);
      resolve();
    };
    for (const name of ['drain', 'close', 'response']) request.once(name, done);
  });
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const data of answer as AsyncIterable<Buffer>) parts.push(data);
  return Buffer.concat(parts).toString('utf8');
}

/** All are waited for, as dockerd does, before the first failure is told. */
async function inParallel<T>(items: readonly T[], limit: number, run: (item: T) => Promise<void>) {
  const left = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined && failures.length === 0; item = left.shift()) {
      await run(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
