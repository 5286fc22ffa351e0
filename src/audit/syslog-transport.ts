/** The ways to a syslog server. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6, connect as connectSocket, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { abortable } from '../async/abort.js';
import type { SyslogMessage } from './syslog-message.js';

export interface SyslogConnection {
  /** Resolves when the system has taken it, which is all that syslog ever tells. Rejects where it is broken. */
  send(message: SyslogMessage, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const CONNECT_MS = 5000;

/** @param url as the option audit.syslog has it. */
export async function connectSyslog(url: string, signal: AbortSignal): Promise<SyslogConnection> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (protocol === 'udp:') return udp(host, Number(port));
  if (protocol === 'tcp:') {
    const socket = await connected({ host, port: Number(port) }, signal);
    return streamed(socket, ({ frame }) => `${Buffer.byteLength(frame)} ${frame}`);
  }
  const path = decodeURIComponent(pathname);
  try {
    return streamed(await connected({ path }, signal), ({ frame }) => `${frame}\n`);
  } catch (error) {
    // The usual /dev/log is a datagram socket, which Node cannot speak to; logger(1) of util-linux can.
    if ((error as NodeJS.ErrnoException).code !== 'EPROTOTYPE') throw error;
    return logger(path);
  }
}

function udp(host: string, port: number): SyslogConnection {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  // An ICMP "port unreachable" comes as an error after the fact; UDP promises nothing, so neither do we.
  socket.on('error', () => {});
  return {
    send: ({ frame }) =>
      new Promise((resolve, reject) => {
        socket.send(frame, port, host, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
}

async function connected(
  to: { host: string; port: number } | { path: string },
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connectSocket(to);
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]) });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function streamed(socket: Socket, encode: (message: SyslogMessage) => string): SyslogConnection {
  socket.on('error', () => {}); // told to the next write
  socket.resume();
  return {
    // A server that went away is noticed here, before its messages go to a socket that nobody reads.
    send: (message, signal) =>
      socket.readableEnded || socket.destroyed
        ? Promise.reject(new Error('the syslog server closed the connection'))
        : written(socket, encode(message), signal),
    close: async () => {
      if (!socket.destroyed) await new Promise<void>((resolve) => socket.end(resolve).once('close', resolve));
      socket.destroy();
    },
  };
}

/** One `logger` for as long as it lives; it takes a message a line, its priority before it. */
function logger(path: string): SyslogConnection {
  const child = spawn(
    'logger',
    ['--socket', path, '--rfc5424', '--tag', 'gitee-s3', '--prio-prefix', '--size', '64KiB'],
    { stdio: ['pipe', 'ignore', 'ignore'] },
  );
  child.stdin.on('error', () => {}); // told to the next write
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  return {
    send: ({ priority, text }, signal) => written(child.stdin, `<${priority}>${text}\n`, signal),
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

function written(stream: Writable, text: string, signal: AbortSignal): Promise<void> {
  return abortable<void>(signal, (resolve, reject) => {
    stream.write(text, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
