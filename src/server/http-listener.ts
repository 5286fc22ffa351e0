import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ListenAddress } from './gateway.js';

/** How often connections that became idle are closed during a stop. */
const IDLE_CHECK_MS = 50;

/** Start and bounded stop of an HTTP server on one address. */
export class HttpListener {
  /** @param what of the gateway it is, for a message: `S3`, `metrics`, … */
  constructor(
    private readonly server: Server,
    private readonly place: { readonly host: string; readonly port: number },
    private readonly what: string,
  ) {}

  /** Rejects with the system's error (EADDRINUSE, EACCES). */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.place.port, this.place.host, () => {
        this.server.off('error', reject);
        resolve();
      });
    });
  }

  /** @throws Error before listen(). */
  address(): ListenAddress {
    const address = this.server.address() as AddressInfo | null;
    if (!address) throw new Error(`the ${this.what} address is not listened on yet`);
    return { host: address.address, port: address.port };
  }

  /** Takes no new requests, lets running ones end for at most graceMs, cuts the rest. */
  async close(graceMs: number): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
    // Keep-alive connections become idle one by one as their requests end.
    const idle = setInterval(() => this.server.closeIdleConnections(), IDLE_CHECK_MS);
    const cut = setTimeout(() => this.server.closeAllConnections(), graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(cut);
  }
}
