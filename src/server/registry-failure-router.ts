/**
 * Where Nginx asks why the registry failed: any path under /v2/, as the client asked for it, with the client's
 * method in X-Original-Method. Nothing else of the registry's protocol is served here.
 */
import type { RequestHandler } from 'express';
import type { Metrics } from '../async/metrics.js';
import { registryFailure, registryTask, type RegistryConditions } from './registry-failure.js';

/**
 * 503, which Nginx turns into what suits the client, or 403 where it stays so until the operator acts: Nginx then asks
 * again, for the text.
 */
export function registryFailureRouter(parts: {
  readonly conditions: () => RegistryConditions;
  readonly metrics: Metrics;
}): RequestHandler {
  return (request, response, next) => {
    const method = request.get('x-original-method');
    if (method === undefined || request.method !== 'GET' || !request.path.startsWith('/v2/')) return next();
    const task = registryTask(method, request.path);
    const { reason, code, message, retryAfterSeconds } = registryFailure(task, parts.conditions());
    if (request.get('x-asked-again') === undefined)
      parts.metrics.count('gateway_registry_failures_total', { task, reason });
    response
      .status(code === 'DENIED' ? 403 : 503)
      .set('Retry-After', String(retryAfterSeconds))
      .set('Cache-Control', 'no-store')
      .json({ errors: [{ code, message }] });
  };
}
