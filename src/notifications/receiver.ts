/** `POST /notifications`: takes what the registry reports, and answers once it is safe here. */
import express, { type RequestHandler } from 'express';
import type { Audit } from '../async/audit.js';
import type { Log } from '../async/log.js';
import { isBearer } from './bearer.js';
import type { Notifier } from './notifier.js';
import { readEnvelope } from './registry-event.js';

export interface ReceiverDeps {
  readonly notifier: Notifier;
  /** Asked for at each request: it may be rotated. */
  readonly token: () => string;
  /** For refusals, which anybody can cause. */
  readonly guarded: Audit;
  readonly log: Log;
}

/** An event has about 1 KiB; the registry may send several in one. */
const BODY_MAX = '1mb';

export function notificationReceiver(deps: ReceiverDeps): RequestHandler {
  const router = express.Router();
  // The token comes first: nothing of a stranger's body is read.
  router.post('/notifications', (request, response, next) => {
    if (isBearer(request.get('authorization'), deps.token())) return next();
    void deps.guarded.record({
      who: 'anonymous',
      action: 'notification.refuse',
      subject: '',
      from: request.ip ?? 'unknown',
      result: 'refused',
      ...requestIdOf(response.locals),
    });
    response.status(401).set('WWW-Authenticate', 'Bearer').json({ error: 'the token is wrong or missing' });
  });
  router.post(
    '/notifications',
    express.raw({ type: () => true, limit: BODY_MAX }),
    async (request, response) => {
      const envelope = Buffer.isBuffer(request.body) ? readEnvelope(request.body) : undefined;
      if (!envelope) {
        // The registry sends again what is not taken, for ever: a report that nobody can read would block all others.
        deps.log.warn('a notification could not be read and is lost', { bytes: lengthOf(request.body) });
        response.status(200).json({ taken: 0 });
        return;
      }
      await deps.notifier.receive(envelope);
      response.status(200).json({ taken: envelope.events.length });
    },
  );
  return router;
}

function requestIdOf(locals: Record<string, unknown>): { requestId?: string } {
  return typeof locals.requestId === 'string' ? { requestId: locals.requestId } : {};
}

function lengthOf(body: unknown): number {
  return Buffer.isBuffer(body) ? body.length : 0;
}
