/**
 * How much of what was handed to the connections of a client still waits in the kernel's send buffers, and before
 * these, where they are full. They take megabytes at once and let them go at the pace of the line: what was handed over
 * says little about what has left. Linux says it per connection (proc(5), /proc/net/tcp: tx_queue, the bytes that are
 * not acknowledged).
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

export class SendQueues {
  readonly #sockets = new Set<Socket>();

  constructor(private readonly tables: readonly string[] = TABLES) {}

  /** A connection was made; it is forgotten when it closes. */
  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Bytes in each of them; undefined where the system doesn't say. */
  async queues(): Promise<number[] | undefined> {
    const byPort = new Map([...this.#sockets].map((socket) => [socket.localPort, socket]));
    if (byPort.size === 0) return undefined;
    const queued: number[] = [];
    for (const table of this.tables) {
      const text = await readFile(table, 'latin1').catch(() => '');
      for (const line of text.split('\n').slice(1)) {
        // `sl local_address rem_address st tx_queue:rx_queue …`, all of it in hex but for sl; 01: established.
        const [, local, , state, queues] = line.trim().split(/\s+/, 5);
        if (state !== '01' || !local || !queues) continue;
        const socket = byPort.get(Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16));
        if (!socket) continue;
        queued.push(Number.parseInt(queues.slice(0, queues.indexOf(':')), 16) + socket.writableLength);
      }
    }
    return queued.length > 0 ? queued : undefined;
  }
}
