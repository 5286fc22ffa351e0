import { once } from 'node:events';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import type { Clock } from '../../../../src/async/clock.js';
import type { Metrics } from '../../../../src/async/metrics.js';
import { HttpClient, type HttpClientOptions } from '../../../../src/gitee/http/client.js';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Script = (request: SeenRequest, response: http.ServerResponse) => void;

/** A server on a free port whose answers a test writes; it keeps what it was sent. */
export class ScriptedServer {
  readonly seen: SeenRequest[] = [];
  script: Script = (_request, response) => response.end();
  readonly #server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('error', () => {});
    request.on('end', () => {
      const seen = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(pieces),
      };
      this.seen.push(seen);
      this.script(seen, response);
    });
  });

  static async start(script?: Script): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    if (script) server.script = script;
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The same server under another host name. */
  get otherUrl(): string {
    return this.url.replace('127.0.0.1', 'localhost');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function json(response: http.ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** A client without a proxy. */
export function testClient(options: Partial<HttpClientOptions> = {}): HttpClient {
  return new HttpClient({
    dispatcher: new Agent({ headersTimeout: 0, bodyTimeout: 0 }),
    userAgent: 'test-agent/1',
    ...options,
  });
}

/** A clock that does not wait: sleeps are kept, and move the time. */
export class SkippingClock implements Clock {
  readonly sleptMs: number[] = [];
  #steppedMs = 0;

  constructor(private timeMs = 1_800_000_000_000) {}

  nowMs(): number {
    return this.timeMs;
  }

  /** Far from the wall clock's figures, so that mixing them shows. */
  steadyMs(): number {
    return this.timeMs - 1_500_000_000_000 - this.#steppedMs;
  }

  /** Somebody sets the wall clock; no time passes. */
  stepWall(byMs: number): void {
    this.timeMs += byMs;
    this.#steppedMs += byMs;
  }

  async sleep(ms: number): Promise<void> {
    this.sleptMs.push(ms);
    this.timeMs += ms;
  }
}

/** Keeps counters as `name{label=value}` and their sums. */
export class KeepingMetrics implements Metrics {
  readonly counts = new Map<string, number>();
  readonly gauges = new Map<string, number>();

  count(name: string, labels: Record<string, string> = {}, n = 1): void {
    const key = `${name}{${Object.entries(labels)
      .map(([label, value]) => `${label}=${value}`)
      .join(',')}}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + n);
  }

  observe(): void {}

  set(name: string, value: number): void {
    this.gauges.set(name, value);
  }
}
