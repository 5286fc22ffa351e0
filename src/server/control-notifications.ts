/** The part of the control socket that is about dead letters. */
import express, { type Router } from 'express';
import { z } from 'zod';
import type { NotificationAdmin } from '../notifications/notifier.js';

const choiceRequest = z.object({ target: z.string().optional(), event: z.string().optional() });

/** @param admin throws where notifications are switched off: then every answer is that. */
export function notificationRoutes(admin: () => NotificationAdmin): Router {
  const router = express.Router();
  router.get('/v1/notifications', async (_request, response) => {
    response.json(await admin().overview());
  });
  router.post('/v1/notifications/retry', async (request, response) => {
    response.json(await admin().retry(choiceOf(request.body)));
  });
  router.post('/v1/notifications/drop', async (request, response) => {
    response.json(await admin().drop(choiceOf(request.body)));
  });
  return router;
}

function choiceOf(body: unknown): { target?: string; event?: string } {
  const { target, event } = choiceRequest.parse(body ?? {});
  return { ...(target === undefined ? {} : { target }), ...(event === undefined ? {} : { event }) };
}
