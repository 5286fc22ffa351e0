/**
 * How much of what was handed to the connections of a client still waits in the kernel's send buffers, and before
 * these, where they are full. They take megabytes at once and let them go at the pace of the line: what was handed over
 * says little about what has left. Linux says it per connection (proc(5), /proc/net/tcp: tx_queue, the bytes that are
 * not acknowledged).
 *
 * A connection that lost its packets is tried again by the kernel after twice the time, each time (RFC 6298 §5.5): when
 * a line was gone for a minute, up to a minute later than it came back. Meanwhile its body stands still, and its bytes
 * look as if they filled the line. So a connection of which the kernel will try nothing for seconds, while bytes of
 * others are acknowledged, is closed: its call fails, and is made again on another one.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
const ESTABLISHED = '01';
/** The kernel waits for an acknowledgement, and not for room at a reader that is slow. */
const RETRANSMITS = '01';
/** Of `tm->when`, whatever the kernel's own clock is (USER_HZ). */
const TICKS_PER_SECOND = 100;
/** Nobody waits longer for the kernel's next try. On a lossy line that moves a connection hardly ever comes there. */
const WAIT_MAX_SECONDS = 3;
/** Tries in a row that were not answered. */
const TRIES_MIN = 2;
/** Bytes of another connection were acknowledged within this time: the line is there. */
const MOVED_WITHIN_MS = 1_000;

interface Row {
  readonly port: number;
  readonly queuedBytes: number;
  /** Until the kernel tries again what was not acknowledged; 0 where it waits for nothing. */
  readonly againSeconds: number;
  readonly tries: number;
}

export class SendQueues {
  /** With what the kernel had of each at the last look. */
  readonly #sockets = new Map<Socket, number>();
  #movedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly tables: readonly string[] = TABLES,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** A connection was made; it is forgotten when it closes. */
  add(socket: Socket): void {
    this.#sockets.set(socket, 0);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Bytes in each of them; undefined where the system doesn't say. Closes those that stand still (above). */
  async queues(): Promise<number[] | undefined> {
    const byPort = new Map([...this.#sockets.keys()].map((socket) => [socket.localPort, socket]));
    if (byPort.size === 0) return undefined;
    const found: { socket: Socket; row: Row }[] = [];
    for (const table of this.tables) {
      const text = await readFile(table, 'latin1').catch(() => '');
      for (const line of text.split('\n').slice(1)) {
        const row = established(line);
        const socket = row && byPort.get(row.port);
        // It may have closed while the table was read.
        if (socket && this.#sockets.has(socket)) found.push({ socket, row });
      }
    }
    for (const { row, socket } of found) {
      if (row.queuedBytes < this.#sockets.get(socket)!) this.#movedMs = this.nowMs();
      this.#sockets.set(socket, row.queuedBytes);
    }
    const isLineThere = this.nowMs() - this.#movedMs < MOVED_WITHIN_MS;
    const queued: number[] = [];
    for (const { row, socket } of found) {
      if (isLineThere && row.tries >= TRIES_MIN && row.againSeconds > WAIT_MAX_SECONDS)
        socket.destroy(standsStill());
      else queued.push(row.queuedBytes + socket.writableLength);
    }
    return queued.length > 0 ? queued : undefined;
  }
}

/** `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt …`, all of it in hex but for sl. */
function established(line: string): Row | undefined {
  const [, local, , state, queues, timer = '', tries = '0'] = line.trim().split(/\s+/, 7);
  if (state !== ESTABLISHED || !local || !queues) return undefined;
  const hex = (text: string) => Number.parseInt(text, 16);
  const [kind, when = '0'] = timer.split(':');
  return {
    port: hex(local.slice(local.lastIndexOf(':') + 1)),
    queuedBytes: hex(queues.slice(0, queues.indexOf(':'))),
    againSeconds: kind === RETRANSMITS ? hex(when) / TICKS_PER_SECOND : 0,
    tries: hex(tries),
  };
}

/** As the kernel would say it, minutes later. */
function standsStill(): Error {
  return Object.assign(
    new Error('nothing of this connection is acknowledged, while bytes of others are; it is closed'),
    { code: 'ETIMEDOUT' },
  );
}
