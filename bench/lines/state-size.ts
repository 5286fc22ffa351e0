import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import * as path from 'node:path';

export interface StateSize {
  /** By directory of the first two levels: bytes on the disk, and files. */
  readonly directories: Readonly<Record<string, { readonly bytes: number; readonly files: number }>>;
  /** Files in directories called tmp, and git's own temporary and lock files. */
  readonly temporaryFiles: number;
}

export function stateSize(root: string): StateSize {
  const directories: Record<string, { bytes: number; files: number }> = {};
  let temporaryFiles = 0;
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    let stat;
    try {
      stat = statSync(path.join(root, name));
    } catch {
      continue; // Gone meanwhile.
    }
    if (!stat.isFile()) continue;
    const place = path.dirname(name).split(path.sep).slice(0, 2).join('/');
    const sum = (directories[place] ??= { bytes: 0, files: 0 });
    sum.bytes += stat.blocks * 512;
    sum.files += 1;
    if (/(^|\/)tmp\/|\/tmp_|\.lock$|\.tmp$/.test(name)) temporaryFiles += 1;
  }
  return { directories, temporaryFiles };
}

/** Open descriptors of a process that are not sockets: connections come and go with the clients. */
export function openFiles(pid: number): number {
  let count = 0;
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (!readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:')) count += 1;
    } catch {
      // Closed meanwhile.
    }
  }
  return count;
}

/** Open sockets of a process. */
export function openSockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length - openFiles(pid);
}

export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Own time and that of its children that have ended, in ticks of 10 ms.
  return [11, 12, 13, 14].reduce((sum, n) => sum + Number(fields[n]), 0) / 100;
}
