import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { silentLog } from '../../../../src/async/log.js';
import type { Chunk } from '../../../../src/format/extent.js';
import type { HttpClient } from '../../../../src/gitee/http/client.js';
import { LfsChunkRemote, type LfsChunkRemoteDeps } from '../../../../src/gitee/lfs/lfs-chunk-remote.js';
import { StaticTokenSource } from '../../../../src/gitee/token.js';
import { chunkOf, opener } from '../../../contract/chunk-remote.js';
import {
  json,
  KeepingMetrics,
  ScriptedServer,
  SkippingClock,
  testClient,
  type SeenRequest,
} from '../http/scripted-server.js';

export const TOKEN = '0123456789abcdef0123456789abcdef';

export interface BatchBody {
  operation: 'upload' | 'download';
  transfers: string[];
  objects: { oid: string; size: number }[];
}

/** An LFS server whose every answer a test may write, and a remote that talks to it. */
export class LfsFixture {
  readonly clock = new SkippingClock();
  readonly metrics = new KeepingMetrics();
  readonly bytes = randomBytes(2000);
  readonly chunk: Chunk = chunkOf(this.bytes);
  readonly open = opener(this.bytes);
  /** Answers of the four kinds of requests. */
  onBatch: (body: BatchBody, response: ServerResponse, request: SeenRequest) => void;
  onUpload: (response: ServerResponse, request: SeenRequest) => void = (response) => response.end();
  onVerify: (response: ServerResponse, request: SeenRequest) => void = (response) => json(response, 200, {});
  onDownload: (response: ServerResponse, request: SeenRequest) => void = (response) =>
    response.end(this.bytes);

  private constructor(
    readonly server: ScriptedServer,
    readonly http: HttpClient,
  ) {
    this.onBatch = (body, response) => this.answerBatch(body, response);
    server.script = (request, response) => {
      const path = request.url.split('?')[0]!;
      if (path.endsWith('/objects/batch'))
        this.onBatch(JSON.parse(request.body.toString()) as BatchBody, response, request);
      else if (path.endsWith('/verify')) this.onVerify(response, request);
      else if (request.method === 'PUT') this.onUpload(response, request);
      else this.onDownload(response, request);
    };
  }

  static async start(): Promise<LfsFixture> {
    return new LfsFixture(await ScriptedServer.start(), testClient());
  }

  get endpointUrl(): string {
    return `${this.server.url}/acme/images.git/info/lfs`;
  }

  remote(options: Partial<LfsChunkRemoteDeps> = {}): LfsChunkRemote {
    return new LfsChunkRemote({
      http: this.http,
      endpointUrl: this.endpointUrl,
      token: new StaticTokenSource(TOKEN),
      user: 'oauth2',
      clock: this.clock,
      log: silentLog,
      metrics: this.metrics,
      random: () => 0.5,
      ...options,
    });
  }

  /** Every object gets the link of its operation, on another host name. */
  answerBatch(body: BatchBody, response: ServerResponse, action: object = {}, further: object = {}): void {
    json(response, 200, {
      transfer: 'basic',
      objects: body.objects.map(({ oid, size }) => ({
        oid,
        size,
        actions: {
          [body.operation]: { href: `${this.server.otherUrl}/data/${oid}?Signature=abc`, ...action },
          ...further,
        },
      })),
    });
  }

  answerObjects(body: BatchBody, response: ServerResponse, fields: object): void {
    json(response, 200, { objects: body.objects.map((object) => ({ ...object, ...fields })) });
  }

  requests(kind: 'batch' | 'PUT' | 'GET' | 'verify'): SeenRequest[] {
    return this.server.seen.filter((request) => {
      if (request.url.endsWith('/objects/batch')) return kind === 'batch';
      if (request.url.endsWith('/verify')) return kind === 'verify';
      return request.method === kind;
    });
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.http.close();
  }
}
