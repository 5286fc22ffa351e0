/** Where the control socket of a state directory is, within the 107 bytes that the kernel allows for its path. */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

const SOCKET_NAME = 'control.sock';
const PATH_BYTES_MAX = 100;

export interface SocketPath {
  /** To listen on or to connect to, until release(). */
  readonly path: string;
  release(): Promise<void>;
}

/** Rejects with ENOENT where there is no such directory. */
export async function controlSocketPath(stateDir: string): Promise<SocketPath> {
  const direct = join(stateDir, SOCKET_NAME);
  if (Buffer.byteLength(direct) <= PATH_BYTES_MAX) return { path: direct, release: async () => {} };
  // A longer path is reached through an open directory: the kernel follows /proc/self/fd.
  const directory: FileHandle = await open(stateDir, 'r');
  return {
    path: `/proc/self/fd/${directory.fd}/${SOCKET_NAME}`,
    release: () => directory.close(),
  };
}
