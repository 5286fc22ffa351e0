/** The part of the control socket that is about robots and sessions. */
import express, { type Router } from 'express';
import { z } from 'zod';
import { requireAccounts, type AccountAdmin } from '../auth/accounts/account-admin.js';
import { newRobotSchema } from '../auth/accounts/robots.js';

const nameRequest = z.object({ name: z.string() });
const revokeRequest = z.object({ which: z.string().min(1) });

/** @param accounts undefined where auth is switched off: then every answer is that. */
export function accountRoutes(accounts: () => AccountAdmin | undefined): Router {
  const router = express.Router();
  const admin = () => requireAccounts(accounts());
  router.get('/v1/robots', async (_request, response) => {
    response.json(await admin().robots());
  });
  router.post('/v1/robots/add', async (request, response) => {
    response.json(await admin().addRobot(newRobotSchema.parse(request.body)));
  });
  router.post('/v1/robots/remove', async (request, response) => {
    await admin().removeRobot(nameRequest.parse(request.body).name);
    response.json({});
  });
  router.post('/v1/robots/disable', async (request, response) => {
    await admin().disableRobot(nameRequest.parse(request.body).name);
    response.json({});
  });
  router.get('/v1/sessions', async (_request, response) => {
    response.json(await admin().sessions());
  });
  router.post('/v1/sessions/revoke', async (request, response) => {
    response.json(await admin().revokeSessions(revokeRequest.parse(request.body).which));
  });
  return router;
}
