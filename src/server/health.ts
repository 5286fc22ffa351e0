/** /healthz, /readyz and /metrics on an address of their own: no request of a client ever reaches them. */
import { createServer } from 'node:http';
import express from 'express';
import { isReady, type Problem } from './gateway.js';
import { HttpListener } from './http-listener.js';
import type { PrometheusMetrics } from './metrics.js';

export interface HealthDeps {
  readonly host: string;
  readonly port: number;
  readonly metrics: PrometheusMetrics;
  /** Empty: all is well. */
  readonly problems: () => readonly Problem[];
  /** Sets gauges that are read rather than reported (queue ages); called before each /metrics page. */
  readonly refresh?: () => void | Promise<void>;
}

/**
 * Serves health and metrics. /healthz says that the process answers, /readyz that it is worth asking: also while
 * Gitee gives no answer, which it says (`degraded`). Whoever takes a gateway out of service for that would take
 * away what is cached.
 */
export class HealthServer extends HttpListener {
  constructor(deps: HealthDeps) {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.get('/healthz', (_request, response) => {
      response.set('Cache-Control', 'no-store').json({ status: 'alive' });
    });
    app.get('/readyz', (_request, response) => {
      const problems = deps.problems();
      const ready = isReady(problems);
      const status = !ready ? 'not ready' : problems.length === 0 ? 'ready' : 'degraded';
      response
        .status(ready ? 200 : 503)
        .set('Cache-Control', 'no-store')
        .json({ status, problems });
    });
    app.get('/metrics', async (_request, response) => {
      await deps.refresh?.();
      const { contentType, body } = await deps.metrics.page();
      response.set('Content-Type', contentType).end(body);
    });
    const server = createServer(app);
    server.requestTimeout = 10_000;
    super(server, deps, 'metrics');
  }
}
