import { statfs } from 'node:fs/promises';
import type { Clock } from '../async/clock.js';
import { ChunkError } from './api.js';

const FIGURE_KEPT_MS = 1_000;

/** Free bytes of the file system that holds a directory, for an unprivileged writer. */
export type FreeBytes = (directory: string) => Promise<number>;

export const freeBytesOfDisk: FreeBytes = async (directory) => {
  const s = await statfs(directory);
  return s.bavail * s.bsize;
};

export interface DiskReserveDeps {
  readonly directory: string;
  /** Never used by chunks: journal and index must still be able to write. */
  readonly reserveBytes: number;
  readonly freeBytes: FreeBytes;
  /** Gives back as much as it can of what Gitee has too, up to so many bytes. */
  readonly relieve: (bytes: number) => Promise<void>;
  readonly clock: Clock;
}

/** Keeps a part of the disk free: the cache gives way first, then writes are refused. */
export class DiskReserve {
  #freeBytes = 0;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly deps: DiskReserveDeps) {}

  /** @throws ChunkError `disk-full` where so many more bytes would touch the reserve */
  async demand(bytes: number): Promise<void> {
    if (await this.#fits(bytes)) return;
    await this.makeRoom(bytes);
    this.#askedMs = Number.NEGATIVE_INFINITY;
    if (await this.#fits(bytes)) return;
    throw new ChunkError(
      'disk-full',
      `less than ${this.deps.reserveBytes} bytes would stay free on the disk of the chunk store`,
    );
  }

  /** Lets the cache give way where so many more bytes would touch the reserve. For reads: they go on anyway. */
  async makeRoom(bytes: number): Promise<void> {
    if (await this.#fits(bytes)) return;
    await this.deps.relieve(this.deps.reserveBytes + bytes - this.#freeBytes);
    this.#askedMs = Number.NEGATIVE_INFINITY;
  }

  async #fits(bytes: number): Promise<boolean> {
    const nowMs = this.deps.clock.steadyMs();
    if (nowMs - this.#askedMs >= FIGURE_KEPT_MS) {
      this.#freeBytes = await this.deps.freeBytes(this.deps.directory);
      this.#askedMs = nowMs;
    }
    if (this.#freeBytes - bytes < this.deps.reserveBytes) return false;
    // Counted as used until the disk is asked again.
    this.#freeBytes -= bytes;
    return true;
  }
}
