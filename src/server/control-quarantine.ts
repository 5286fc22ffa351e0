/** Commands about changes that were set aside, on the control socket. */
import { pipeline } from 'node:stream/promises';
import { Router, type Response } from 'express';
import { z } from 'zod';
import type { QuarantineAdmin } from './quarantine.js';

const listRequest = z.object({ bucket: z.string().optional() });
const retryRequest = z.object({ bucket: z.string(), key: z.string().optional() });
const keyRequest = z.object({ bucket: z.string(), key: z.string() });

/** @param stream answers with a line per item */
export function quarantineRoutes(
  quarantine: () => QuarantineAdmin,
  stream: (response: Response, items: AsyncIterable<unknown>) => Promise<void>,
): Router {
  const router = Router();
  router.post('/v1/quarantine/list', async (request, response) => {
    await stream(response, quarantine().list(listRequest.parse(request.body).bucket));
  });
  router.post('/v1/quarantine/retry', async (request, response) => {
    const { bucket, key } = retryRequest.parse(request.body);
    response.json(await quarantine().retry(bucket, key));
  });
  router.post('/v1/quarantine/read', async (request, response) => {
    const { bucket, key } = keyRequest.parse(request.body);
    const body = await quarantine().read(bucket, key);
    response.set('Content-Type', 'application/octet-stream');
    // A failure on the way breaks the connection: it never looks like the end of the bytes.
    await pipeline(body, response).catch((error: unknown) => response.destroy(error as Error));
  });
  router.post('/v1/quarantine/drop', async (request, response) => {
    const { bucket, key } = keyRequest.parse(request.body);
    response.json({ dropped: await quarantine().drop(bucket, key) });
  });
  return router;
}
