/**
 * A sign of life that the kernel keeps: a socket that a process listens on refuses whoever connects from the moment
 * on at which that process is gone, however it ended, and in whatever container it ran.
 */
import { open, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { isNotFound, systemCode } from '../disk/failures.js';

/** Of what the kernel allows for the path of a socket (107 bytes), with some to spare. */
const PATH_BYTES_MAX = 100;

export interface LeaseSocket {
  /** Ends listening and removes the file. */
  close(): Promise<void>;
}

/** Listens on a new socket in a directory; undefined where its file system knows no sockets. */
export async function listenForLife(directory: string, name: string): Promise<LeaseSocket | undefined> {
  const server = createServer((connection) => connection.destroy());
  const isListening = await withShortPath(
    join(directory, name),
    (path) =>
      new Promise<boolean>((resolve) => {
        // For good: an error later on (a connection that can't be accepted) is not to end the process.
        server.on('error', () => resolve(false));
        server.listen(path, () => resolve(true));
      }),
  );
  if (!isListening) return undefined;
  // A process is not to live on for this alone.
  server.unref();
  return {
    close: async () => {
      await closed(server);
      // Its path may have been one of an open directory that is closed by now.
      await rm(join(directory, name), { force: true });
    },
  };
}

/** Whether the process that listens on this socket lives; undefined where that can't be told. */
export async function isListenedOn(directory: string, name: string): Promise<boolean | undefined> {
  return withShortPath(
    join(directory, name),
    (path) =>
      new Promise<boolean | undefined>((resolve) => {
        const socket = connect(path);
        socket.once('connect', () => {
          socket.destroy();
          resolve(true);
        });
        socket.on('error', (error) => {
          resolve(isNotFound(error) || systemCode(error) === 'ECONNREFUSED' ? false : undefined);
        });
      }),
  );
}

/** A longer path is reached through an open directory: the kernel follows /proc/self/fd. */
async function withShortPath<T>(path: string, run: (path: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return run(path);
  const directory = await open(join(path, '..'), 'r');
  try {
    return await run(`/proc/self/fd/${directory.fd}/${path.slice(path.lastIndexOf('/') + 1)}`);
  } finally {
    await directory.close();
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
