/** /healthz, /readyz and /metrics on an address of their own: no request of a client ever reaches them. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { ListenAddress, Problem } from './gateway.js';
import type { Metrics } from './metrics.js';

export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Empty: ready. */
  readonly problems: () => readonly Problem[];
  /** Sets gauges that are read rather than reported (queue ages); called before each /metrics page. */
  readonly refresh?: () => void;
}

/** Serves health and metrics. /healthz says that the process answers, /readyz that it is worth asking. */
export class HealthServer {
  readonly #server: Server;

  constructor(private readonly options: HealthOptions) {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.get('/healthz', (_request, response) => {
      response.set('Cache-Control', 'no-store').json({ status: 'alive' });
    });
    app.get('/readyz', (_request, response) => {
      const problems = options.problems();
      const ready = problems.length === 0;
      response
        .status(ready ? 200 : 503)
        .set('Cache-Control', 'no-store')
        .json({ status: ready ? 'ready' : 'not ready', problems });
    });
    app.get('/metrics', async (_request, response) => {
      options.refresh?.();
      const { contentType, body } = await options.metrics.page();
      response.set('Content-Type', contentType).end(body);
    });
    this.#server = createServer(app);
    this.#server.requestTimeout = 10_000;
  }

  /** Rejects with the system's error (EADDRINUSE, EACCES). */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.options.port, this.options.host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** @throws Error before listen(). */
  address(): ListenAddress {
    const address = this.#server.address() as AddressInfo | null;
    if (!address) throw new Error('the metrics address is not listened on yet');
    return { host: address.address, port: address.port };
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}
