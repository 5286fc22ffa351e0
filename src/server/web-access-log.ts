/**
 * One line and two figures for each request of the web address, and the one id that all logs have: Nginx's
 * X-Request-Id where a trusted proxy sent it, an own one otherwise.
 */
import { randomBytes } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import { trustedRequestId } from '../s3/upstream-request-id.js';

/**
 * The first of the web listener's routers. Later ones read the id from `response.locals.requestId` or from the
 * header `x-request-id`, which is right from here on, and may set `response.locals.user` for the line.
 */
export function webAccessLog(parts: {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}): RequestHandler {
  return (request, response, next) => {
    const startedMs = parts.clock.steadyMs();
    const requestId = trustedRequestId(request) ?? randomBytes(16).toString('hex');
    request.headers['x-request-id'] = requestId;
    response.locals.requestId = requestId;
    response.set('X-Request-Id', requestId);
    response.on('close', () => {
      const durationMs = parts.clock.steadyMs() - startedMs;
      // 499, as Nginx writes it: the client went away before there was an answer.
      const status = response.headersSent ? response.statusCode : 499;
      parts.metrics.count('gateway_web_requests_total', { status: String(status) });
      parts.metrics.observe('gateway_web_request_duration_seconds', durationMs / 1000);
      const { user } = response.locals as { user?: unknown };
      parts.log.info('web request', {
        requestId,
        method: request.method,
        path: pathOf(request),
        status,
        user: typeof user === 'string' ? user : undefined,
        durationMs: Math.round(durationMs),
        remoteAddress: request.ip,
        userAgent: request.get('user-agent'),
      });
    });
    next();
  };
}

/** Without the query, where codes and states of a login stand. `path` is cut by routers while they run. */
function pathOf(request: Request): string {
  return request.originalUrl.split('?', 1)[0]!;
}
