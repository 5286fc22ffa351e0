/**
 * A connection that lost its packets is tried again by the kernel after twice the time, each time (RFC 6298 §5.5): when
 * a line was gone for a minute, up to a minute later than it came back. Meanwhile its body stands still, and its bytes
 * look as if they filled the line. So a connection of which the kernel will try nothing for seconds, while bytes of
 * others are acknowledged, is closed: its call fails, and is made again on another one.
 */
import type { Socket } from 'node:net';
import type { Connection } from './send-queues.js';

/** Nobody waits longer for the kernel's next try. On a lossy line that moves a connection hardly ever comes there. */
const WAIT_MAX_SECONDS = 3;
/** Tries in a row that were not answered. */
const TRIES_MIN = 2;
/** Bytes of another connection were acknowledged within this time: the line is there. */
const MOVED_WITHIN_MS = 1_000;

export class StandingConnections {
  /** What the kernel had of each at the last look. */
  #queuedBytes = new Map<Socket, number>();
  #movedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** Closes those that stand still while others move; returns the others. To be told of each look, of all connections. */
  closeAmong(connections: readonly Connection[]): readonly Connection[] {
    for (const { queuedBytes, socket } of connections)
      if (queuedBytes < (this.#queuedBytes.get(socket) ?? 0)) this.#movedMs = this.nowMs();
    this.#queuedBytes = new Map(connections.map(({ queuedBytes, socket }) => [socket, queuedBytes]));
    if (this.nowMs() - this.#movedMs >= MOVED_WITHIN_MS) return connections;
    const standing = connections.filter(
      ({ againSeconds, tries }) => tries >= TRIES_MIN && againSeconds > WAIT_MAX_SECONDS,
    );
    for (const { socket } of standing) socket.destroy(standsStill());
    return connections.filter((connection) => !standing.includes(connection));
  }
}

/** As the kernel would say it, minutes later. */
function standsStill(): Error {
  return Object.assign(
    new Error('nothing of this connection is acknowledged, while bytes of others are; it is closed'),
    { code: 'ETIMEDOUT' },
  );
}
