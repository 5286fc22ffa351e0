import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import { prepareS3Server } from '../s3/router.js';
import type { ListenAddress } from './gateway.js';

/** Large enough for 2 KiB of user metadata and a long presigned query; S3 itself takes 8 KiB. */
const HEADER_MAX_BYTES = 32 * 1024;

/** The HTTP server of the S3 endpoint, with a stop that is bounded. */
export class S3Listener {
  readonly #server: Server;

  constructor(
    app: Express,
    private readonly address_: { readonly host: string; readonly port: number },
  ) {
    this.#server = createServer({ maxHeaderSize: HEADER_MAX_BYTES }, app);
    prepareS3Server(this.#server);
  }

  /** Rejects with the system's error (EADDRINUSE, EACCES). */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.address_.port, this.address_.host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** @throws Error before listen(). */
  address(): ListenAddress {
    const address = this.#server.address() as AddressInfo | null;
    if (!address) throw new Error('the S3 address is not listened on yet');
    return { host: address.address, port: address.port };
  }

  /** Takes no new requests, lets running ones end for at most graceMs, cuts the rest. */
  async close(graceMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    // Keep-alive connections become idle one by one as their requests end.
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50);
    const cut = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(cut);
  }
}
