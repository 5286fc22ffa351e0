/**
 * Operator commands reach a running gateway through a unix socket in the state directory (0600): HTTP with JSON,
 * and one JSON object a line where an answer takes long. The file's rights are the login.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express, { type NextFunction, type Request, type Response } from 'express';
import { z } from 'zod';
import type { Log } from '../async/log.js';
import type { SocketPath } from './control-socket.js';
import type { Gateway } from './gateway.js';
import { CALLS, type Call } from './operator-calls.js';

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
    for (const call of Object.values(CALLS) as readonly Call[])
      app[call.method === 'GET' ? 'get' : 'post'](call.path, (request, response) =>
        this.#answer(call, request, response),
      );
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

  async #answer(call: Call, request: Request, response: Response): Promise<void> {
    const { gateway, version } = this;
    const answer = call.run({ gateway, version, pid: process.pid }, call.request.parse(request.body ?? {}));
    if (call.kind === 'lines') return this.#stream(response, answer as AsyncIterable<unknown>);
    const whole = await answer;
    if (call.kind === 'document') {
      response.json(whole ?? {});
      return;
    }
    response.set('Content-Type', 'application/octet-stream');
    // A failure on the way breaks the connection: it never looks like the end of the bytes.
    await pipeline(whole as Readable, response).catch((error: unknown) => response.destroy(error as Error));
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
