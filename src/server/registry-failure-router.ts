/**
 * Where Nginx asks why the registry failed: any path under /v2/, as the client asked for it, with the client's
 * method in X-Original-Method. Nothing else of the registry's protocol is served here.
 */
import type { RequestHandler } from 'express';
import type { Observer } from '../async/observer.js';
import { registryFailure, registryTask, type RegistryConditions } from './registry-failure.js';

/** Always 503, which Nginx takes for a reason and turns into what suits the client. */
export function registryFailureRouter(parts: {
  readonly conditions: () => RegistryConditions;
  readonly observer: Observer;
}): RequestHandler {
  return (request, response, next) => {
    const method = request.get('x-original-method');
    if (method === undefined || request.method !== 'GET' || !request.path.startsWith('/v2/')) return next();
    const task = registryTask(method, request.path);
    const { reason, code, message, retryAfterSeconds } = registryFailure(task, parts.conditions());
    parts.observer.count('gateway_registry_failures_total', { task, reason });
    response
      .status(503)
      .set('Retry-After', String(retryAfterSeconds))
      .set('Cache-Control', 'no-store')
      .json({ errors: [{ code, message }] });
  };
}
