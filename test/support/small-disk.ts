import { mkdir } from 'node:fs/promises';
import { mustRun } from './child.js';

/** Makes the directory a disk of its own, of so many bytes in memory. Needs root; returns what takes it away again. */
export async function mountSmallDisk(directory: string, sizeBytes: number): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', directory]);
  return async () => {
    await mustRun('umount', [directory]);
  };
}
