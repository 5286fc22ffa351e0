/**
 * How much of what was handed to the connections of a client still waits in the kernel's send buffers, and before
 * these, where they are full. They take megabytes at once and let them go at the pace of the line: what was handed over
 * says little about what has left. Linux says it per connection (proc(5), /proc/net/tcp: tx_queue, the bytes that are
 * not acknowledged). Of a connection through a proxy it is what the proxy has not acknowledged.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** By the family of the socket, which is IPv6 also of one to an IPv4 address that is written as IPv6. */
const TABLES: Tables = { IPv4: '/proc/self/net/tcp', IPv6: '/proc/self/net/tcp6' };
type Tables = Readonly<Partial<Record<'IPv4' | 'IPv6', string>>>;
const ESTABLISHED = '01';
/** The kernel waits for an acknowledgement, and not for room at a reader that is slow. */
const RETRANSMITS = '01';
/**
 * Bytes of a packet on Ethernet, without headers. Where a tunnel makes them smaller a little more is believed to be on its
 * way than is.
 */
const PACKET_BYTES = 1_448;
/** Of `tm->when`, whatever the kernel's own clock is (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Of the columns; missing where the system is only like Linux. */
const WINDOW_FIELD = 15;
const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

/** What the kernel says of one connection. */
interface Row {
  readonly port: number;
  readonly queuedBytes: number;
  /** The most of these that may be on their way, the others wait for an acknowledgement; undefined where it isn't said. */
  readonly windowBytes: number | undefined;
  /** Until the kernel tries again what was not acknowledged; 0 where it waits for nothing. */
  readonly againSeconds: number;
  /** Tries in a row that were not answered. */
  readonly tries: number;
}

export interface Connection extends Omit<Row, 'port'> {
  readonly socket: Socket;
}

export class SendQueues {
  readonly #sockets = new Set<Socket>();

  constructor(private readonly tables: Tables = TABLES) {}

  /** A connection was made; it is forgotten when it closes. */
  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** What the system says of each of them now; undefined where it says nothing, or there is none. */
  async look(): Promise<readonly Connection[] | undefined> {
    const byPort = new Map([...this.#sockets].map((socket) => [socket.localPort, socket]));
    if (byPort.size === 0) return undefined;
    const found: Connection[] = [];
    for (const [family, table] of Object.entries(this.tables)) {
      // For each table the kernel walks over all that it could have of connections, which takes a millisecond.
      if (![...byPort.values()].some(({ localFamily }) => (localFamily ?? family) === family)) continue;
      const text = await readFile(table, 'latin1').catch(() => '');
      for (const line of text.split('\n').slice(1)) {
        const row = established(line);
        const socket = row && byPort.get(row.port);
        // It may have closed while the table was read.
        if (socket && this.#sockets.has(socket)) found.push({ ...row, socket });
      }
    }
    return found.length > 0 ? found : undefined;
  }
}

/** Bytes of this connection that were not acknowledged, with those that the kernel has not taken. */
export function waitingBytes({ queuedBytes, socket }: Connection): number {
  return queuedBytes + socket.writableLength;
}

/**
 * Of these, what is on its way: the kernel sends no more than the congestion window (RFC 5681) before the next
 * acknowledgement. A packet on the loopback is any size; of a connection to a proxy there it isn't known.
 */
export function onItsWayBytes({ queuedBytes, socket, windowBytes }: Connection): number | undefined {
  if (windowBytes === undefined || LOOPBACK.test(socket.remoteAddress ?? '')) return undefined;
  return Math.min(queuedBytes, windowBytes);
}

/**
 * `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref pointer rto ato flags
 * snd_cwnd ssthresh`, in hex up to retrnsmt but for sl.
 */
function established(line: string): Row | undefined {
  const fields = line.trim().split(/\s+/);
  const [, local, , state, queues, timer = '', tries = '0'] = fields;
  if (state !== ESTABLISHED || !local || !queues) return undefined;
  const packets = Number.parseInt(fields[WINDOW_FIELD] ?? '', 10);
  const hex = (text: string) => Number.parseInt(text, 16);
  const [kind, when = '0'] = timer.split(':');
  return {
    port: hex(local.slice(local.lastIndexOf(':') + 1)),
    queuedBytes: hex(queues.slice(0, queues.indexOf(':'))),
    windowBytes: packets > 0 ? packets * PACKET_BYTES : undefined,
    againSeconds: kind === RETRANSMITS ? hex(when) / TICKS_PER_SECOND : 0,
    tries: hex(tries),
  };
}
