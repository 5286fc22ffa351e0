import { once } from 'node:events';
import * as net from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * The line of one client: TCP to the proxy at a steady rate, all its connections together. At a number of bytes
 * everything on it stops until `open`, so that what happens then happens in the middle of the transfer, however fast
 * the machine is.
 */
export class GatedLine {
  /** Resolves when the number of bytes has passed. */
  readonly reached: Promise<void>;
  #reach!: () => void;
  #opened: Promise<void>;
  #open!: () => void;
  #bytes = 0;
  #freeAtMs = 0;
  readonly #sockets = new Set<net.Socket>();

  private constructor(
    private readonly server: net.Server,
    private readonly gateBytes: number,
    private bytesPerSecond: number,
  ) {
    this.reached = new Promise((resolve) => (this.#reach = resolve));
    this.#opened = new Promise((resolve) => (this.#open = resolve));
  }

  /** @param direction whose bytes are counted: `up` from the client */
  static async start(options: {
    readonly address: string;
    readonly to: { readonly host: string; readonly port: number };
    readonly direction: 'up' | 'down';
    readonly gateBytes: number;
    readonly bytesPerSecond: number;
  }): Promise<GatedLine> {
    // Half open: what ends on one side ends on the other after the bytes that are still on the line.
    const server = net.createServer({ allowHalfOpen: true });
    const line = new GatedLine(server, options.gateBytes, options.bytesPerSecond);
    server.on('connection', (client) => {
      const onward = net.connect({ ...options.to, allowHalfOpen: true });
      for (const [socket, other] of [
        [client, onward],
        [onward, client],
      ] as const) {
        line.#sockets.add(socket);
        socket.setNoDelay(true);
        // What breaks on one side breaks on the other.
        socket.on('error', () => other.destroy());
        socket.once('close', () => line.#sockets.delete(socket));
      }
      client.pipe(line.#pace(options.direction === 'up')).pipe(onward);
      onward.pipe(line.#pace(options.direction === 'down')).pipe(client);
    });
    server.listen(0, options.address);
    await once(server, 'listening');
    return line;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /**
   * Also before the number of bytes was reached: then nothing stops.
   * @param bytesPerSecond the rate from now on
   */
  open(bytesPerSecond = this.bytesPerSecond): void {
    this.bytesPerSecond = bytesPerSecond;
    this.#open();
    this.#reach();
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #pace(isCounted: boolean): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback) => {
        void (async () => {
          if (isCounted) {
            const now = performance.now();
            this.#freeAtMs = Math.max(now, this.#freeAtMs) + (chunk.length / this.bytesPerSecond) * 1000;
            if (this.#freeAtMs - now > 5) await delay(this.#freeAtMs - now);
            this.#bytes += chunk.length;
            if (this.#bytes >= this.gateBytes) {
              this.#reach();
              await this.#opened;
            }
          }
          done(null, chunk);
        })();
      },
    });
  }
}
