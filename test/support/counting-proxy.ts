import { createServer, connect, type AddressInfo, type Server } from 'node:net';

/** Hands bytes on to a server on this machine, and counts connections and requests. */
export class CountingProxy {
  connections = 0;
  readonly requests: string[] = [];
  /** Removes this header from what the client sends. */
  without: RegExp | undefined;
  readonly #server: Server;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      this.connections += 1;
      const upstream = connect(targetPort, '127.0.0.1');
      client.on('data', (bytes) => {
        for (const match of bytes.toString('latin1').matchAll(/^(?:GET|POST) \S+/gm))
          this.requests.push(match[0]);
        const text = bytes.toString('latin1');
        upstream.write(this.without ? Buffer.from(text.replace(this.without, ''), 'latin1') : bytes);
      });
      upstream.on('data', (bytes) => client.write(bytes));
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on('end', () => other.end());
        one.on('close', () => other.destroy());
        one.on('error', () => other.destroy());
      }
    });
  }

  static async start(targetPort: number): Promise<CountingProxy> {
    const proxy = new CountingProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  reset(): void {
    this.connections = 0;
    this.requests.length = 0;
  }

  close(): void {
    this.#server.close();
  }
}
