/**
 * Operator commands reach a running gateway through a unix socket in the state directory (0600): HTTP with JSON,
 * and one JSON object a line where an answer takes long. The file's rights are the login.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { z } from 'zod';
import type { Log } from '../async/log.js';
import type { LfsSpaceStatus } from '../chunks/lfs-space.js';
import type { BucketStatus } from '../journal/bucket-state.js';
import type { UploadLineStatus } from '../line/upload-line.js';
import { accountRoutes } from './control-accounts.js';
import { notificationRoutes } from './control-notifications.js';
import { quarantineRoutes } from './control-quarantine.js';
import type { SocketPath } from './control-socket.js';
import { isReady, type Gateway, type LocalSpace, type Problem } from './gateway.js';

/** Answer of `GET /v1/status`. */
export interface GatewayStatus {
  readonly version: string;
  /** undefined: no gateway runs, this is read from the directory. */
  readonly pid: number | undefined;
  readonly ready: boolean;
  readonly problems: readonly Problem[];
  readonly buckets: readonly BucketStatus[];
  /** undefined: no gateway runs, or one of an earlier version. */
  readonly uploads?: UploadLineStatus;
  /** undefined: a gateway of an earlier version. */
  readonly lfs?: LfsSpaceStatus;
  /** undefined: a gateway of an earlier version. */
  readonly local?: LocalSpace;
}

const fsckRequest = z.object({
  deep: z.boolean().default(false),
  repair: z.boolean().default(false),
  bucket: z.string().optional(),
});
const bucketRequest = z.object({ bucket: z.string() });

/** Serves the control socket of one gateway. */
export class ControlServer {
  readonly #server: Server;

  constructor(
    private readonly gateway: Gateway,
    private readonly socket: SocketPath,
    private readonly version: string,
    private readonly log: Log,
  ) {
    this.#server = createServer(this.#routes());
    // fsck and rebuild answer for as long as they work.
    this.#server.requestTimeout = 0;
  }

  /** The caller holds the lease of the directory, so a socket that lies there is nobody's. */
  async listen(): Promise<void> {
    await rm(this.socket.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.socket.path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    await chmod(this.socket.path, 0o600);
  }

  async close(): Promise<void> {
    if (this.#server.listening) {
      const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
      this.#server.closeAllConnections();
      await closed;
    }
    await rm(this.socket.path, { force: true });
    await this.socket.release();
  }

  #routes(): express.Express {
    const app = express();
    app.disable('x-powered-by');
    app.use(express.json({ limit: '64kb' }));
    app.get('/v1/status', (_request, response) => {
      const problems = this.gateway.problems();
      const status: GatewayStatus = {
        version: this.version,
        pid: process.pid,
        ready: isReady(problems),
        problems,
        buckets: this.gateway.statuses(),
        uploads: this.gateway.uploadLine(),
        lfs: this.gateway.lfsSpace(),
        local: this.gateway.localSpace(),
      };
      response.json(status);
    });
    app.post('/v1/doctor', async (_request, response) => {
      response.json(await this.gateway.doctor());
    });
    app.post('/v1/fsck', async (request, response) => {
      const { deep, repair, bucket } = fsckRequest.parse(request.body ?? {});
      const options = { deep, ...(repair ? { repair } : {}), ...(bucket === undefined ? {} : { bucket }) };
      await this.#stream(response, this.gateway.fsck(options));
    });
    app.post('/v1/rebuild', async (request, response) => {
      response.json(await this.gateway.rebuild(bucketRequest.parse(request.body).bucket));
    });
    app.post('/v1/accept-remote', async (request, response) => {
      response.json(await this.gateway.acceptRemote(bucketRequest.parse(request.body).bucket));
    });
    app.post('/v1/accept-remote/preview', async (request, response) => {
      response.json(await this.gateway.previewAccept(bucketRequest.parse(request.body).bucket));
    });
    app.use(accountRoutes(() => this.gateway.accounts()));
    const quarantine = () => this.gateway.quarantine();
    app.use(quarantineRoutes(quarantine, (response, items) => this.#stream(response, items)));
    app.use(notificationRoutes(() => this.gateway.notifications()));
    app.use((_request: Request, response: Response) => {
      response.status(404).json({ error: 'this gateway does not know that command; is the CLI newer?' });
    });
    app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
      this.log.warn('a command on the control socket failed', { error });
      if (response.headersSent) {
        next(error);
        return;
      }
      const bad = error instanceof z.ZodError;
      response.status(bad ? 400 : 500).json({
        error: bad ? 'the request is not understood; is the CLI of another version?' : messageOf(error),
      });
    });
    return app;
  }

  /** One line per item; a failure on the way is a last line `{"error": …}`, since the status is gone by then. */
  async #stream(response: Response, items: AsyncIterable<unknown>): Promise<void> {
    response.set('Content-Type', 'application/x-ndjson');
    try {
      for await (const item of items) {
        if (response.destroyed) return;
        response.write(`${JSON.stringify(item)}\n`);
      }
    } catch (error) {
      this.log.warn('a command on the control socket failed', { error });
      response.write(`${JSON.stringify({ error: messageOf(error) })}\n`);
    }
    response.end();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
