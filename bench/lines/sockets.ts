import { run } from '../../test/support/child.js';
import type { LineNetwork } from './network.js';

const SAMPLE_MS = 500;

interface Connection {
  acked: number;
  received: number;
  movedMs: number;
}

/**
 * The longest time in which a connection that waited for its other side saw no byte move, either way, as the kernel
 * counts them (`ss -i`: acknowledged and received). What a proxy or a client with an idle time-out would see. A
 * connection whose last byte came in is idle: between two requests nobody waits.
 */
export class SocketWatch {
  readonly #connections = new Map<string, Connection>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Longest silence in seconds, by the port that was spoken to. */
  readonly longest = new Map<number, number>();

  constructor(
    private readonly network: LineNetwork,
    private readonly host: 'client' | 'server',
    private readonly ports: readonly number[],
  ) {}

  start(): void {
    this.#timer = setInterval(() => {
      this.#running ??= this.#sample().finally(() => (this.#running = undefined));
    }, SAMPLE_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  get longestSeconds(): number {
    return Math.max(0, ...this.longest.values());
  }

  async #sample(): Promise<void> {
    const filter = this.ports.map((port) => `dport = :${port}`).join(' or ');
    const [command, args] = this.network.on(this.host, 'ss', [
      '-HtinO',
      'state',
      'established',
      `( ${filter} )`,
    ]);
    const { stdout } = await run(command, args);
    const nowMs = performance.now();
    const seen = new Set<string>();
    for (const line of stdout.split('\n')) {
      const [, , local, peer] = line.trim().split(/\s+/);
      if (!local || !peer) continue;
      const name = `${local} ${peer}`;
      seen.add(name);
      const acked = Number(/bytes_acked:(\d+)/.exec(line)?.[1] ?? 0);
      const received = Number(/bytes_received:(\d+)/.exec(line)?.[1] ?? 0);
      // The last data went out: this side waits for the other. The kernel's clock has 4 ms: a client sends its next
      // request within them, and no answer to a client comes as fast; inside, answers do.
      const lastSent = Number(/lastsnd:(\d+)/.exec(line)?.[1] ?? 0);
      const lastReceived = Number(/lastrcv:(\d+)/.exec(line)?.[1] ?? 0);
      const isWaiting = lastSent < lastReceived || (lastSent === lastReceived && this.host === 'client');
      this.#note(name, Number(peer.slice(peer.lastIndexOf(':') + 1)), { acked, received, isWaiting, nowMs });
    }
    for (const name of this.#connections.keys()) if (!seen.has(name)) this.#connections.delete(name);
  }

  #note(
    name: string,
    port: number,
    now: { acked: number; received: number; isWaiting: boolean; nowMs: number },
  ): void {
    const { acked, received, nowMs } = now;
    const known = this.#connections.get(name);
    if (known?.acked === acked && known.received === received) {
      if (!now.isWaiting) return;
      const seconds = (nowMs - known.movedMs) / 1000;
      this.longest.set(port, Math.max(this.longest.get(port) ?? 0, seconds));
      return;
    }
    this.#connections.set(name, { acked, received, movedMs: nowMs });
  }
}
