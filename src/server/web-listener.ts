/**
 * The HTTP server of what is not S3: the token service, the login page, webhooks and notifications. Nginx stands
 * before it; the paths that it serves are those of the routers that it is given.
 */
import { createServer } from 'node:http';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import type { Log } from '../async/log.js';
import { HttpListener } from './http-listener.js';

export interface WebListenerDeps {
  readonly host: string;
  readonly port: number;
  /** In order; each answers its own paths and passes on the others. */
  readonly routers: readonly RequestHandler[];
  /** Addresses of proxies whose X-Forwarded-For is believed, as Express takes them. */
  readonly trustedProxies: readonly string[];
  readonly log: Log;
}

const HEADER_MAX_BYTES = 32 * 1024;
/** Nothing here takes longer: Docker gives a login up after 30 s. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Listens on `web.host` and `web.port`. */
export class WebListener extends HttpListener {
  constructor(deps: WebListenerDeps) {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.set('trust proxy', [...deps.trustedProxies]);
    for (const router of deps.routers) app.use(router);
    app.use((_request, response) => {
      response
        .status(404)
        .json({ errors: [{ code: 'NOT_FOUND', message: 'there is nothing at this path' }] });
    });
    app.use(failure(deps.log));
    const server = createServer({ maxHeaderSize: HEADER_MAX_BYTES }, app);
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    super(server, deps, 'web');
  }
}

/** The last resort: a router answers its own errors. The four arguments tell Express what this is. */
function failure(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const status = clientError(error);
    if (status === undefined)
      log.error('web request failed', { method: request.method, path: request.path, error });
    if (response.headersSent) return next(error);
    response.status(status ?? 500).json({
      errors: [
        status === undefined
          ? { code: 'INTERNAL', message: 'something broke here; the log of the gateway says what' }
          : { code: 'BAD_REQUEST', message: 'the request could not be read' },
      ],
    });
  };
}

/** Body parsers of Express throw errors that carry the status of a bad request. */
function clientError(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}
