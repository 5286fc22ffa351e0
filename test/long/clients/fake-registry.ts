import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import {
  end,
  hasBody,
  meet,
  refuse,
  type Answer,
  type Attempt,
  type Place,
  type Plan,
  type Request,
} from './faults.js';
import { MANIFEST_TYPE } from './images.js';

/** A registry whose faults are chosen by repository, so that many clients meet theirs at the same time. */
export class FakeRegistry {
  readonly #plans = new Map<
    string,
    { plan: Plan; attempts: Attempt[]; others: string[]; blobs: Map<string, number> }
  >();

  private constructor(
    private readonly server: http2.Http2SecureServer,
    private readonly sockets: Set<Socket>,
  ) {}

  static async start(address: string, certificateFile: string, keyFile: string): Promise<FakeRegistry> {
    // As the shipped Nginx: TLS, HTTP/2 for whoever asks for it.
    const server = http2.createSecureServer({
      allowHTTP1: true,
      // It is the patience of the client that counts.
      ...{ requestTimeout: 0, headersTimeout: 0 },
      cert: readFileSync(certificateFile),
      key: readFileSync(keyFile),
    });
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('sessionError', () => {});
    server.setTimeout(0);
    const registry = new FakeRegistry(server, sockets);
    server.on('request', (request: Request, answer: Answer) => {
      request.on('error', () => {});
      answer.on('error', () => {});
      registry.#serve(request, answer).catch(() => (request.socket as Socket | null)?.destroy());
    });
    server.listen(0, address);
    await once(server, 'listening');
    return registry;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  plan(repository: string, plan: Plan): void {
    this.#plans.set(repository, { plan, attempts: [], others: [], blobs: new Map() });
  }

  /** Requests at the place of the plan, oldest first. */
  attempts(repository: string): readonly Attempt[] {
    return this.#plans.get(repository)!.attempts;
  }

  /** All requests, as `PATCH layer`. */
  requests(repository: string): readonly string[] {
    return this.#plans.get(repository)!.others;
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async #serve(request: Request, answer: Answer): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'https://registry');
    if (pathname === '/v2/') return end(answer, 200);
    const [, repository = '', kind, name = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/(.+)$/.exec(pathname) ?? [];
    const known = this.#plans.get(repository);
    if (!known || !kind) return refuse(answer, 404, 'NAME_UNKNOWN', 'no such plan');
    const { plan, attempts } = known;
    const place = placeOf(request, kind, name);
    known.others.push(`${request.method} ${place ?? 'other'}`);
    const isMet =
      plan.place === 'layer'
        ? (place === 'layer' || place === 'finish') && hasBody(request) && isLarge(request)
        : place === plan.place && name !== plan.image?.configDigest;
    if (!isMet) return this.#answer(request, answer, repository, kind, name, searchParams);
    const attempt: Attempt = {
      beganMs: performance.now(),
      protocol: request.httpVersion,
      digest: searchParams.get('digest') ?? (kind === 'blobs' && place === 'blob' ? name : undefined),
      bodyBytes: 0,
    };
    attempts.push(attempt);
    const finished = (outcome: NonNullable<Attempt['outcome']>) => {
      attempt.outcome ??= outcome;
      attempt.endedMs ??= performance.now();
    };
    answer.once('close', () => finished(answer.writableFinished ? 'answered' : 'client closed'));
    if (attempts.length <= (plan.times ?? Infinity)) {
      const isOver = await meet(plan, request, answer, attempt, finished, plan.image?.blobs.get(name));
      if (isOver) return;
    }
    await this.#answer(request, answer, repository, kind, name, searchParams, attempt);
  }

  async #answer(
    request: Request,
    answer: Answer,
    repository: string,
    kind: string,
    name: string,
    query: URLSearchParams,
    attempt?: Attempt,
  ): Promise<void> {
    const { plan, blobs } = this.#plans.get(repository)!;
    if (request.method === 'GET' || request.method === 'HEAD') {
      const stored = kind === 'manifests' ? plan.image?.manifest : plan.image?.blobs.get(name);
      const size = stored?.length ?? (kind === 'blobs' ? blobs.get(name) : undefined);
      if (size === undefined) return refuse(answer, 404, 'UNKNOWN', 'not here');
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      answer.setHeader('Content-Type', kind === 'manifests' ? MANIFEST_TYPE : 'application/octet-stream');
      answer.setHeader('Content-Length', size - from);
      if (kind === 'manifests') answer.setHeader('Docker-Content-Digest', plan.image!.manifestDigest);
      if (from > 0) answer.setHeader('Content-Range', `bytes ${from}-${size - 1}/${size}`);
      answer.writeHead(from > 0 ? 206 : 200);
      return void (request.method === 'HEAD' || !stored ? answer.end() : answer.end(stored.subarray(from)));
    }
    if (request.method === 'DELETE') return end(answer, 204);
    let bytes = attempt?.bodyBytes ?? 0;
    const kept: Buffer[] = [];
    if (!request.readableEnded)
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (kind === 'manifests') kept.push(chunk);
      }
    if (attempt) attempt.bodyBytes = bytes;
    if (kind === 'manifests') {
      const manifest = attempt?.body ?? Buffer.concat(kept);
      answer.setHeader(
        'Docker-Content-Digest',
        `sha256:${createHash('sha256').update(manifest).digest('hex')}`,
      );
      answer.setHeader('Location', `/v2/${repository}/manifests/${name}`);
      return end(answer, 201);
    }
    if (request.method === 'PUT') {
      const digest = query.get('digest') ?? '';
      blobs.set(digest, bytes);
      answer.setHeader('Location', `/v2/${repository}/blobs/${digest}`);
      answer.setHeader('Docker-Content-Digest', digest);
      return end(answer, 201);
    }
    answer.setHeader('Location', `/v2/${repository}/blobs/uploads/${randomUUID()}`);
    answer.setHeader('Docker-Upload-UUID', randomUUID());
    answer.setHeader('Range', `0-${Math.max(bytes - 1, 0)}`);
    end(answer, 202);
  }
}

/** A layer, not a configuration: as far as the request says it. */
function isLarge({ headers }: Request): boolean {
  return Number(headers['content-length'] ?? Infinity) > 64 * 1024;
}

function placeOf({ method }: Request, kind: string, name: string): Place | undefined {
  if (kind === 'manifests') return method === 'PUT' ? 'tag' : method === 'GET' ? 'manifest' : undefined;
  if (!name.startsWith('uploads')) return method === 'GET' ? 'blob' : undefined;
  return ({ POST: 'start', PATCH: 'layer', PUT: 'finish' } as const)[method as string];
}
