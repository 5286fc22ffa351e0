import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/**
 * A TCP relay that can fall silent: connections are taken and stay open, and not a byte passes until it speaks
 * again. What a line looks like from above whose packets vanish for a while.
 */
export class SilentLine {
  readonly #sockets = new Set<Socket>();
  #isSilent = false;

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (client) => this.#relay(client));
  }

  /** Leads to that port of this machine. */
  static async start(targetPort: number): Promise<SilentLine> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SilentLine(server, targetPort);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  fallSilent(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.pause();
  }

  speak(): void {
    this.#isSilent = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(client: Socket): void {
    const server = createConnection({ host: '127.0.0.1', port: this.targetPort, allowHalfOpen: true });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      // Not pipe(): its flow control would resume what was paused.
      from.on('data', (piece) => {
        if (to.write(piece)) return;
        from.pause();
        to.once('drain', () => {
          if (!this.#isSilent) from.resume();
        });
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#isSilent) from.pause();
      else from.resume();
    }
  }
}
